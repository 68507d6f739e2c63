"""A lesson outlives the sudden end of what it speaks to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.notebooks.lab_home import LESSONS, SANDBOX, lab_home


def test_lesson_12_goes_on_when_the_sandbox_is_killed_while_it_makes_the_cluster(tmp_path: Path) -> None:
    labkit = [sys.executable, "-m", "labkit"]
    log = tmp_path / ".azsandbox" / "sandbox.log"
    with lab_home(tmp_path) as environment:
        subprocess.run([*labkit, "up", "11"], env=environment, cwd=tmp_path, check=True, capture_output=True)
        facts = subprocess.run(
            [SANDBOX, "env", "--json"], env=environment, cwd=tmp_path, check=True, capture_output=True
        ).stdout
        lesson = subprocess.Popen(
            [*labkit, "verify", "--times", "1", "--notebooks", str(LESSONS), "12"],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(600):
            if "PUT management.azure.com" in log.read_text() and "/managedClusters/aks-baseline 201" in log.read_text():
                break
            time.sleep(0.05)
        os.kill(json.loads(facts)["pid"], signal.SIGKILL)
        said, _ = lesson.communicate(timeout=200)
    assert lesson.returncode == 0, said
    assert "run 1  passed" in said
