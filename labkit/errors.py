"""The errors that the lab raises, each a sentence with the next command.

LabError
├── SettingsError        lab.toml holds a value that cannot work
├── TargetError          the place to run on does not answer, or is not signed in
├── ToolMissing          a program that the lab needs is not installed
├── CommandFailed        a program ran and said no
├── ReadError            Azure or Kubernetes refused or could not answer a read
├── KubeconfigError      a kubeconfig that cannot be used
├── TokenError           no token for the API server
├── OperationFailed      a long-running operation ended in failure
└── LessonError          a notebook does not follow the lab's format
"""

from __future__ import annotations


class LabError(Exception):
    """Something the learner can do something about: a sentence, and the next command.

    `message` is the sentence; `next_command` is what to run or change next, or empty.
    """

    def __init__(self, message: str, next_command: str = "") -> None:
        self.message = message
        self.next_command = next_command
        super().__init__(f"{message} Next: {next_command}" if next_command else message)


class SettingsError(LabError):
    """A key of lab.toml, what was expected of it, and what was found."""

    def __init__(self, key: str, expected: str, found: object, next_command: str = "") -> None:
        self.key = key
        self.expected = expected
        self.found = found
        if not next_command:
            next_command = f"correct {key} in lab.toml, then run: labkit settings"
        super().__init__(f"{key} must be {expected}; found {found!r}.", next_command)


class TargetError(LabError):
    """The target does not answer, is unknown, or nobody is signed in to it."""


class ToolMissing(LabError):
    """A program that the lab runs is not on the PATH."""


class CommandFailed(LabError):
    """A program ended with an exit code other than zero.

    `returncode`, `stdout` and `stderr` are the program's own.
    """

    def __init__(self, command: str, returncode: int, stdout: str, stderr: str) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        text = stderr.strip() or stdout.strip() or "it said nothing"
        super().__init__(f"{command!r} ended with exit code {returncode}: {text}")


class ReadError(LabError):
    """A read that was not answered with the object asked for.

    `status` is the HTTP status, 0 if there was no answer at all; `code` is the service's own
    code or reason.
    """

    def __init__(self, message: str, status: int, code: str = "", next_command: str = "") -> None:
        self.status = status
        self.code = code
        super().__init__(message, next_command)

    @property
    def denied(self) -> bool:
        """The caller may not read this (401 or 403), so nothing is known of it."""
        return self.status in (401, 403)

    @property
    def missing(self) -> bool:
        """There is no such thing (404)."""
        return self.status == 404


class KubeconfigError(LabError):
    """A kubeconfig that cannot be read, or lacks what is needed."""


class TokenError(LabError):
    """No token could be had for the API server."""


class OperationFailed(LabError):
    """A long-running operation of Azure, or a wait for Kubernetes, that did not succeed."""


class LessonError(LabError):
    """A notebook that does not follow docs/notebook-format.md."""
