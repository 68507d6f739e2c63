"""The monorepo of the series, laid out: apps, infrastructure, clusters; staging and production."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from labkit.settings import Settings

CLUSTER = "CLUSTER"
"""Stands for the cluster's name in the path of a template."""


def files(settings: Settings) -> dict[str, str]:
    """The files of a new repository: their paths and texts, with the lab's names in them."""
    names = {"cluster": settings.cluster, "repository": settings.repository}
    root = resources.files("labkit").joinpath("data/gitops/repository")
    found = {}
    for path, text in _templates(root, PurePosixPath()):
        found[str(path).replace(CLUSTER, settings.cluster)] = Template(text).safe_substitute(names)
    return dict(sorted(found.items()))


def write(folder: Path, settings: Settings) -> list[str]:
    """Writes the files that `folder` has not; what is there stays as it is. Returns the paths that were written."""
    written = []
    for path, text in files(settings).items():
        target = folder / path
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _templates(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        else:
            yield path / entry.name, entry.read_text(encoding="utf-8")
