"""The folder that an installation of the sandbox keeps everything in, and what it says of a running one."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

VARIABLE = "AZSANDBOX_HOME"
DEFAULT = ".azsandbox"


class Home:
    """Paths below AZSANDBOX_HOME. Only the owner may enter it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = (path or Path(os.environ.get(VARIABLE) or DEFAULT)).expanduser().absolute()

    @property
    def state(self) -> Path:
        """The SQLite file with all state."""
        return self.path / "state.db"

    @property
    def log(self) -> Path:
        """What the sandbox did; holds no secrets."""
        return self.path / "sandbox.log"

    @property
    def environment(self) -> Path:
        """What clients need to reach the sandbox, written when it listens (0600: it holds the identity header)."""
        return self.path / "env.json"

    @property
    def lock(self) -> Path:
        """Held by the process that serves this home."""
        return self.path / "lock"

    def make(self) -> None:
        """Makes the folder, for its owner only; one that is there already is closed to others if it is the sandbox's."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.stat().st_mode & 0o077 and (self.state.exists() or not any(self.path.iterdir())):
            self.path.chmod(0o700)

    def begin_anew(self) -> str:
        """What to do about a state that cannot be used."""
        return f"Use the version that wrote it, or begin anew: mv {self.path} {self.path}.old && azsandbox up"

    def read_environment(self) -> dict[str, Any] | None:
        """What the last sandbox that listened here wrote, or None."""
        try:
            found = json.loads(self.environment.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def running(self) -> dict[str, Any] | None:
        """The environment of the sandbox that runs here now, or None.

        A process id alone can be another program's by now; the lock tells (released by the kernel at any end). The
        lock alone is held by a sandbox that starts, too, when the file is still that of one that was killed.
        """
        import fcntl

        found = self.read_environment()
        if found is None:
            return None
        try:
            with self.lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return found if _alive(int(found["pid"])) else None
        return None

    def write(self, name: str, text: str) -> Path:
        """Replaces a file below the home in one step, readable by its owner only."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(fresh).replace(path)
        return path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
