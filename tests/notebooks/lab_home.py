"""A lab in a folder of its own, and its sandbox, for tests that run lessons."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ROOT / "notebooks"
RECORDED = Path(__file__).parent / "recorded"
SANDBOX = Path(sys.executable).parent / "azsandbox"


@contextlib.contextmanager
def lab_home(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a lab in `folder`; its sandbox ends with it."""
    settings = {
        "LABKIT_HEADLESS": "1",
        "LABKIT_SETTINGS": str(folder / "lab.toml"),
        "AZSANDBOX_HOME": str(folder / ".azsandbox"),
        "PATH": f"{SANDBOX.parent}{os.pathsep}{os.environ['PATH']}",
    }
    try:
        yield {**os.environ, **settings}
    finally:
        subprocess.run([SANDBOX, "--home", folder / ".azsandbox", "down"], check=False, capture_output=True)
