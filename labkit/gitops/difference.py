"""What Git says beside what runs: each Kustomization built from the clone, all compared by the API server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labkit.errors import LabError
from labkit.output import Output
from labkit.views.table import Row

Kubectl = Callable[..., Output]
Object = dict[str, Any]

SAME, CHANGED, MISSING = "the same", "differs", "not in the cluster"
BUILT = ("kustomization.yaml", "kustomization.yml", "Kustomization")
LABELS = "kustomize.toolkit.fluxcd.io"
"""Flux labels what it applies with the name and the namespace of the Kustomization."""


def rows(kustomizations: Sequence[Mapping[str, Any]], folder: Path, kubectl: Kubectl) -> Iterator[Row]:
    """A row for each object that differs, and one for each Kustomization of which nothing does.

    The comparison is the server's: `kubectl diff --server-side` applies without keeping, as Flux does, so defaults
    and fields of other managers are no difference. `kubectl` runs it, and gets `input` and `check`.
    """
    wanted: dict[str, str] = {}  # title of an object → Kustomization
    objects: list[Object] = []
    with ThreadPoolExecutor() as pool:  # each build is a kubectl of its own, and none waits for another
        outcomes = list(pool.map(lambda item: _outcome(item, folder, kubectl), kustomizations))
    for item, built in zip(kustomizations, outcomes, strict=True):
        name = str((item.get("metadata") or {}).get("name", ""))
        if isinstance(built, LabError):
            yield {"kustomization": name, "object": _path(item), "state": f"does not build: {built.message}"}
            continue
        wanted |= {title(obj): name for obj in built}
        objects += built
    found = dict(_compared(objects, kubectl)) if objects else {}
    for what, state in found.items():
        yield {"kustomization": wanted.get(what, ""), "object": what, "state": state}
    for name in sorted(set(wanted.values()) - {wanted.get(what, "") for what in found}):
        yield {"kustomization": name, "object": "all", "state": SAME}


def _path(item: Mapping[str, Any]) -> str:
    return str((item.get("spec") or {}).get("path") or ".").removeprefix("./")


def _outcome(item: Mapping[str, Any], folder: Path, kubectl: Kubectl) -> list[Object] | LabError:
    """The objects of a Kustomization, or why there are none."""
    try:
        return list(_built(item, folder, kubectl))
    except LabError as error:
        return error


def _built(item: Mapping[str, Any], folder: Path, kubectl: Kubectl) -> Iterator[Object]:
    """The objects of a Kustomization, labelled as Flux labels them. Raises LabError."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    metadata = item.get("metadata") or {}
    own = {f"{LABELS}/name": metadata.get("name", ""), f"{LABELS}/namespace": metadata.get("namespace", "")}
    for text in _texts(folder / _path(item), kubectl):
        for obj in yaml.load_all(text, loader):
            if isinstance(obj, dict):
                about = obj.setdefault("metadata", {})
                about["labels"] = {**(about.get("labels") or {}), **own}
                yield obj


def _texts(folder: Path, kubectl: Kubectl) -> Iterator[str]:
    """What kustomize makes of a folder; without a kustomization in it, of all that is below, as Flux does."""
    if not folder.is_dir():
        raise LabError(f"there is no folder {folder.name}")
    if any((folder / name).exists() for name in BUILT):
        built = kubectl(["kustomize", str(folder)], check=False)
        if not built.ok:
            raise LabError((built.stderr.strip().splitlines() or ["no reason given"])[-1])
        yield built.stdout
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _texts(path, kubectl)
        elif path.suffix in (".yaml", ".yml"):
            yield path.read_text(encoding="utf-8")


def _compared(objects: Sequence[Object], kubectl: Kubectl) -> Iterator[tuple[str, str]]:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    words = ["diff", "--server-side", "--force-conflicts", "--field-manager", "kustomize-controller", "-f", "-"]
    compared = kubectl(words, input=yaml.dump_all(objects, Dumper=dumper), check=False)
    if compared.returncode > 1:
        raise LabError(f"the server did not compare: {compared.stderr.strip()}", "kubectl diff")
    yield from changed(compared.stdout)


def changed(text: str) -> Iterator[tuple[str, str]]:
    """Objects of a diff, by the names that kubectl gives its files: group.version.Kind.namespace.name."""
    parts = re.split(r"^diff .*/(?:LIVE|MERGED)-\d+/(\S+)$", text, flags=re.MULTILINE)
    for name, change in zip(parts[1::2], parts[2::2], strict=True):
        fresh = not any(line.startswith(("-", " ")) and not line.startswith("---") for line in change.splitlines())
        yield _title(name), MISSING if fresh else CHANGED


def title(obj: Mapping[str, Any]) -> str:
    """Kind and name of an object, with its namespace where it has one."""
    metadata = obj.get("metadata") or {}
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{obj.get('kind')} {where}{metadata.get('name')}"


def _title(name: str) -> str:
    """`apps.v1.Deployment.staging.hello` as Deployment staging/hello."""
    found = re.search(r"(?:^|\.)v\d\w*\.([A-Z]\w*)\.([^.]*)\.(.+)$", name)
    if not found:
        return name
    kind, namespace, rest = found.groups()
    return f"{kind} {namespace}/{rest}" if namespace else f"{kind} {rest}"
