"""Flux's state as a tree: each source, the Kustomizations and releases of it, and the objects that they keep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.errors import ReadError
from labkit.readers import Kubernetes
from labkit.views.table import Row

Object = Mapping[str, Any]

KINDS = {
    "GitRepository": "/apis/source.toolkit.fluxcd.io/v1/gitrepositories",
    "OCIRepository": "/apis/source.toolkit.fluxcd.io/v1/ocirepositories",
    "HelmRepository": "/apis/source.toolkit.fluxcd.io/v1/helmrepositories",
    "HelmChart": "/apis/source.toolkit.fluxcd.io/v1/helmcharts",
    "Kustomization": "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations",
    "HelmRelease": "/apis/helm.toolkit.fluxcd.io/v2/helmreleases",
}
SOURCES = ("GitRepository", "OCIRepository", "HelmRepository")
CROWD, LINE = 12, 100
"""How many objects of one keeper are told a line each; more of them are told by kind, in lines of that many characters."""
DIGEST = re.compile(r"\b([0-9a-f]{8})(?:[0-9a-f]{32}|[0-9a-f]{56})\b")


@dataclass
class Node:
    """Something of Flux, or an object that it keeps, with what depends on it below."""

    kind: str
    namespace: str
    name: str
    state: str = ""
    revision: str = ""
    message: str = ""
    below: list[Node] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Kind and name, with the namespace where there is one."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def text(self, *, objects: bool = True) -> str:
        """The tree as text, a line each; without `objects` only what is Flux's own."""
        return "\n".join(self._lines("", "", objects=objects))

    def _lines(self, first: str, rest: str, *, objects: bool) -> Iterator[str]:
        said = ", ".join(part for part in (self.state, short(self.revision)) if part)
        why = f": {self.message}" if self.message and self.state not in ("Ready", "") else ""
        yield f"{first}{self.title}{f' ({said})' if said else ''}{why}"
        below = self._told() if objects else [node for node in self.below if node.kind in KINDS]
        for index, node in enumerate(below):
            last = index == len(below) - 1
            yield from node._lines(
                rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "), objects=objects
            )

    def _told(self) -> list[Node]:
        """What is below it, a crowd of objects by kind and namespace: Flux itself is forty of them."""
        if sum(node.kind not in KINDS for node in self.below) <= CROWD:
            return self.below
        groups: dict[tuple[str, str, str], list[Node]] = {}
        for node in self.below:
            own = node.name if node.kind in KINDS else ""
            groups.setdefault((node.kind, node.namespace, own), []).append(node)
        return [nodes[0] if len(nodes) == 1 else _crowd(nodes) for nodes in groups.values()]

    def walk(self) -> Iterator[Node]:
        """It, and all that is below it."""
        yield self
        for node in self.below:
            yield from node.walk()


def _crowd(nodes: Sequence[Node]) -> Node:
    names = ", ".join(node.name for node in nodes)
    told = names if len(names) <= LINE else f"{names[:LINE].rpartition(', ')[0]}, …"
    return Node(nodes[0].kind, nodes[0].namespace, told, f"{len(nodes)} objects")


def short(revision: str) -> str:
    """A revision with the digits of its digest cut to eight: main@sha1:0123abcd."""
    head, colon, digest = revision.rpartition(":")
    return f"{head}:{digest[:8]}" if colon and len(digest) > 12 else revision


def read(reader: Kubernetes, kinds: Iterable[str] = tuple(KINDS)) -> dict[str, list[Object]]:
    """Flux's objects of those kinds, by kind; a kind that the cluster does not have has none. Raises ReadError."""
    found: dict[str, list[Object]] = {}
    for kind in kinds:
        try:
            found[kind] = [item for page in reader.pages(KINDS[kind]) for item in page]
        except ReadError as error:
            if not error.missing:
                raise
            found[kind] = []
    return found


def tree(objects: Mapping[str, Sequence[Object]]) -> list[Node]:
    """The sources as roots, with what comes of them below; then what has no source, which should not be."""
    nodes = {_key(kind, item): _node(kind, item) for kind, items in objects.items() for item in items}
    owned: set[tuple[str, str, str]] = set()
    for kind in ("Kustomization", "HelmRelease", "HelmChart"):
        for item in objects.get(kind, ()):
            source = nodes.get(_source(kind, item))
            if source is not None:
                source.below.append(nodes[_key(kind, item)])
                owned.add(_key(kind, item))
    for item in objects.get("Kustomization", ()):
        nodes[_key("Kustomization", item)].below += list(_kept(item, nodes))
    roots = [node for key, node in nodes.items() if key[0] in SOURCES]
    lost = [node for key, node in nodes.items() if key[0] not in SOURCES and key not in owned]
    return [*roots, *lost]


def rows(objects: Mapping[str, Sequence[Object]]) -> list[Row]:
    """Each object of Flux as a row: whether it is ready, at which revision, and why not."""
    return [row(kind, item) for kind, items in objects.items() for item in items]


def row(kind: str, item: Object) -> Row:
    """One object of Flux as a row."""
    node = _node(kind, item)
    return {
        "kind": node.kind,
        "object": f"{node.namespace}/{node.name}",
        "state": node.state,
        "revision": short(node.revision),
        "message": DIGEST.sub(r"\1", node.message),
    }


def _key(kind: str, item: Object) -> tuple[str, str, str]:
    metadata = item.get("metadata") or {}
    return kind, str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _source(kind: str, item: Object) -> tuple[str, str, str]:
    """What an object is made from."""
    spec, namespace = item.get("spec") or {}, _key(kind, item)[1]
    ref = spec.get("chartRef") or spec.get("sourceRef") or {}
    if kind == "HelmRelease" and not ref:
        ref = ((spec.get("chart") or {}).get("spec") or {}).get("sourceRef") or {}
    return str(ref.get("kind", "")), str(ref.get("namespace") or namespace), str(ref.get("name", ""))


def _node(kind: str, item: Object) -> Node:
    _, namespace, name = _key(kind, item)
    spec, status = item.get("spec") or {}, item.get("status") or {}
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    ready = conditions.get("Ready") or {}
    if spec.get("suspend"):
        state = "Suspended"
    elif not ready:
        state = "static" if kind == "HelmRepository" and spec.get("type") == "oci" else "not seen yet"
    elif ready.get("status") == "True":
        state = "Ready"
    elif ready.get("status") == "Unknown":
        state = "Reconciling"
    else:
        state = str(ready.get("reason") or "Failed")
    history = status.get("history") or [{}]
    revision = status.get("lastAppliedRevision") or (status.get("artifact") or {}).get("revision")
    if kind == "HelmRelease":
        revision = history[0].get("chartVersion") or status.get("lastAttemptedRevision")
    return Node(kind, namespace, name, state, str(revision or ""), str(ready.get("message") or ""))


def _kept(item: Object, nodes: Mapping[tuple[str, str, str], Node]) -> Iterator[Node]:
    """The objects in the inventory of a Kustomization; those of Flux's kinds stand elsewhere in the tree."""
    for entry in ((item.get("status") or {}).get("inventory") or {}).get("entries") or []:
        # namespace_name_group_kind; a colon in a name is written as two underscores (fluxcd/cli-utils, object.ObjMetadata)
        namespace, rest = str(entry.get("id", "")).split("_", 1)
        name, _, kind = rest.rsplit("_", 2)
        name = name.replace("__", ":")
        if (kind, namespace, name) not in nodes:
            yield Node(kind, namespace, name)
