"""What a program said and how it ended."""

from __future__ import annotations


class Output:
    """What a program said and how it ended; a notebook shows nothing of it, since it was printed already."""

    def __init__(self, command: str, returncode: int, stdout: str, stderr: str) -> None:
        self.command = command
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

    @property
    def ok(self) -> bool:
        """The program ended with exit code 0."""
        return self.returncode == 0

    def _ipython_display_(self) -> None:
        """Nothing: the output stands above already."""

    def __repr__(self) -> str:
        return f"<{self.command}: exit code {self.returncode}>"
