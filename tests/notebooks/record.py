"""Records what lessons show, for test_lessons: `python -m tests.notebooks.record [FOLDER …]`.

Each FOLDER has the notebooks of a first run on a new lab, as `labkit verify --save FOLDER` keeps them. Without any, the
lessons are run on new labs now, three times. Cells that showed the same in all of them are recorded with their outputs;
a run of a lesson that did not come to its end is left out, and a lesson of fewer than two runs stays as it was recorded.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.notebooks import recording
from tests.notebooks.lab_home import LESSONS, RECORDED, lab_home

RUNS, FEWEST = 3, 2


def run(folder: Path) -> Path:
    """Runs all lessons on a new lab in `folder`, as the test does; returns where the notebooks are."""
    command = [sys.executable, "-m", "labkit", "verify", "--notebooks", str(LESSONS)]
    with lab_home(folder) as environment:
        subprocess.run([*command, "--save", str(folder / "ran")], env=environment, cwd=folder, check=True)
    return folder / "ran"


def main(folders: list[Path]) -> None:
    import nbformat

    RECORDED.mkdir(exist_ok=True)
    for path in sorted(LESSONS.glob("[0-9][0-9]-*.ipynb")):
        kept = [folder / f"{path.stem}-run1.ipynb" for folder in folders]
        runs = [run for run in map(recording.read, filter(Path.exists, kept)) if recording.ended(run)]
        if len(runs) < FEWEST:
            print(f"not recorded: {path.stem}, of which {len(runs)} runs came to their end")
            continue
        agreed = recording.agreed(runs)
        (RECORDED / path.name).write_text(nbformat.writes(agreed) + "\n")  # type: ignore[no-untyped-call]
        cells = [cell for cell in agreed.cells if cell.cell_type == "code"]
        varying = sum("recorded" in cell.metadata for cell in cells)
        print(f"recorded {path.stem}: {len(cells) - varying} of {len(cells)} cells")


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(0 if given else RUNS):
            home = Path(scratch, str(number))
            home.mkdir()
            given.append(run(home))
        main(given)
