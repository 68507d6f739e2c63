"""Records what lessons show, for test_lessons: `python -m tests.notebooks.record [LESSON …]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.notebooks.lab_home import LESSONS, RECORDED, lab_home

DEFAULT = ("00-start-here", "11-network-and-logs")


def coalesced(outputs: list[Any]) -> list[Any]:
    """Outputs with neighbouring pieces of one stream joined: how it was cut is chance."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def main(names: list[str]) -> None:
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat
    from nbclient import NotebookClient

    RECORDED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, lab_home(Path(folder)) as environment:
        for name in names or DEFAULT:
            notebook = nbformat.read(LESSONS / f"{name}.ipynb", as_version=4)
            resources = {"metadata": {"path": folder}}
            client = NotebookClient(notebook, timeout=200, resources=resources, shutdown_kernel="immediate")
            client.execute(env=environment)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs = coalesced(cell.outputs)
                for output in cell.get("outputs", ()):
                    if output.output_type == "error":
                        output.traceback = []  # names files of the machine
            text = nbformat.writes(notebook).replace(folder, "/lab")  # where it was recorded is nobody's business
            (RECORDED / f"{name}.ipynb").write_text(text + "\n")
            print(f"recorded {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
