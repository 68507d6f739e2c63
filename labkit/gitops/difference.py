"""What Git says beside what runs: each Kustomization built from the clone and compared by the API server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.output import Output
from labkit.views.table import Row

Kubectl = Callable[..., Output]

SAME, CHANGED, MISSING = "the same", "differs", "not in the cluster"


def rows(kustomizations: Sequence[Mapping[str, Any]], folder: Path, kubectl: Kubectl) -> Iterator[Row]:
    """A row for each object that differs, and one for each Kustomization of which nothing does.

    The comparison is the server's: `kubectl diff --server-side` applies without keeping, as Flux does, so defaults
    and fields of other managers are no difference. `kubectl` runs it, and gets `input` and `check`.
    """
    for item in kustomizations:
        name = str((item.get("metadata") or {}).get("name", ""))
        path = str((item.get("spec") or {}).get("path") or ".").removeprefix("./")
        built = kubectl(["kustomize", str(folder / path)], check=False)
        if not built.ok:
            yield {"kustomization": name, "object": path, "state": f"does not build: {_first(built.stderr)}"}
            continue
        words = ["diff", "--server-side", "--force-conflicts", "--field-manager", "kustomize-controller", "-f", "-"]
        compared = kubectl(words, input=built.stdout, check=False)
        if compared.returncode > 1:
            yield {"kustomization": name, "object": path, "state": _first(compared.stderr)}
            continue
        found = list(changed(compared.stdout))
        for what, state in found:
            yield {"kustomization": name, "object": what, "state": state}
        if not found:
            yield {"kustomization": name, "object": "all", "state": SAME}


def changed(text: str) -> Iterator[tuple[str, str]]:
    """Objects of a diff, by the names that kubectl gives its files: group.version.Kind.namespace.name."""
    parts = re.split(r"^diff .*/(?:LIVE|MERGED)-\d+/(\S+)$", text, flags=re.MULTILINE)
    for name, change in zip(parts[1::2], parts[2::2], strict=True):
        fresh = not any(line.startswith(("-", " ")) and not line.startswith("---") for line in change.splitlines())
        yield _title(name), MISSING if fresh else CHANGED


def _title(name: str) -> str:
    """`apps.v1.Deployment.staging.hello` as Deployment staging/hello."""
    found = re.search(r"(?:^|\.)v\d\w*\.([A-Z]\w*)\.([^.]*)\.(.+)$", name)
    if not found:
        return name
    kind, namespace, rest = found.groups()
    return f"{kind} {namespace}/{rest}" if namespace else f"{kind} {rest}"


def _first(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0]
