"""Keeps a build within its artifact: every path that a kustomization names is looked at before kustomize runs.

Flux gives kustomize a file system that refuses what lies outside (fluxcd/pkg/kustomize/filesys); `kubectl kustomize`
has none, so here the paths are followed beforehand, with that file system's words for one that leads out.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from azsandbox.controllers.client import Object
from azsandbox.flux.kustomize.generator import NAMES, is_local
from azsandbox.flux.kustomize.tree import Tree
from azsandbox.kubernetes.schema import yaml_text

_FILE_LISTS = ("crds", "configurations", "patchesStrategicMerge", "generators", "transformers", "validators")
_PLUGINS = ("generators", "transformers", "validators")  # files whose own fields name files
_PLUGIN_PATHS = frozenset(("path", "paths", "file", "files", "env", "envs", "valuesFile", "additionalValuesFiles"))


class Forbidden(ValueError):
    """A path that leads out of the artifact, or to a remote base where that is off; the message is kustomize's."""


@dataclass
class Paths:
    """What a build reads besides the tree: `remote` are the URLs that its kustomizations name."""

    remote: list[str] = field(default_factory=list)


def follow(tree: Tree, folder: str, root: str, *, remote_bases: bool) -> Paths:
    """Follows the kustomizations from a folder. `root` is what messages call the tree's root. Raises Forbidden."""
    found = Paths()
    _Walk(tree, root, remote_bases, found).kustomization(folder)
    return found


class _Walk:
    def __init__(self, tree: Tree, root: str, remote_bases: bool, found: Paths) -> None:
        self.tree, self.root, self.remote_bases, self.found = tree, root, remote_bases, found
        self.seen: set[str] = set()

    def kustomization(self, folder: str) -> None:
        if folder in self.seen:
            return  # kustomize finds cycles itself
        self.seen.add(folder)
        name = next((p for p in (posixpath.join(folder, n) for n in NAMES) if p in self.tree.files), None)
        content = _parsed(self.tree.files[name]) if name else None
        if not isinstance(content, dict):
            return
        for kind in ("resources", "bases", "components"):
            for path in _texts(content.get(kind)):
                self._base(folder, path, kind)
        for path in _files(content):
            self._file(folder, path)
        for kind in _PLUGINS:
            for path in _texts(content.get(kind)):
                for named in _plugin_paths(self.tree, folder, path):
                    self._file(folder, named)
                target = None if _is_inline(path) or path.startswith("/") else _joined(folder, path)
                if target in self.tree.folders:
                    self.kustomization(str(target))

    def _base(self, folder: str, path: str, kind: str) -> None:
        """A resource, which may be a file, a folder or a URL, or a component."""
        if not is_local(path) and not path.startswith("/"):
            if not self.remote_bases:
                raise Forbidden(_accumulating(kind, path, "remote bases are disabled (--no-remote-bases)"))
            self.found.remote.append(path)
            return
        if path.startswith("/"):
            read = f"fs-security-constraint read {path}: path '{path}' is not in or below '{self.root}'"
            raise Forbidden(_accumulating(kind, path, read, f"new root '{path}' cannot be absolute"))
        target = _joined(folder, path)
        if target is not None and target not in self.tree.folders:
            return
        shown = self._shown(folder, path)
        if target is None:
            read = f"fs-security-constraint read {shown}: path '{shown}' is not in or below '{self.root}'"
            base = (
                f"must build at directory: not a valid directory: evalsymlink failure on '{shown}' : "
                f"lstat {shown}: no such file or directory"
            )
            raise Forbidden(_accumulating(kind, path, read, base))
        try:
            self.kustomization(target)
        except Forbidden as error:
            if kind == "components":
                raise Forbidden(f'accumulating components: accumulateDirectory: "{error}"') from None
            read = f"read {shown}: is a directory"
            inner = f"recursed accumulation of path '{shown}': {error}"
            raise Forbidden(_accumulating(kind, path, read, inner)) from None

    def _file(self, folder: str, path: str) -> None:
        if path.startswith(("http://", "https://")):
            if not self.remote_bases:
                raise Forbidden(f"remote files are disabled (--no-remote-bases): '{path}'")
            self.found.remote.append(path)
        elif path.startswith("/") or _joined(folder, path) is None:
            shown = path if path.startswith("/") else self._shown(folder, path)
            raise Forbidden(f"fs-security-constraint read {shown}: path '{shown}' is not in or below '{self.root}'")

    def _shown(self, folder: str, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.root, folder, path))


def _accumulating(kind: str, path: str, read: str, base: str = "") -> str:
    if kind == "components":
        return f'accumulating components: loader.New "{base or read}"'
    rest = f": {base}" if base else ""
    return f"accumulating resources: accumulation err='accumulating resources from '{path}': {read}'{rest}"


def _joined(folder: str, path: str) -> str | None:
    """A path from a folder within the tree, or None for one that leads out of it."""
    joined = posixpath.normpath(posixpath.join(folder, path))
    if joined == ".." or joined.startswith("../"):
        return None
    return "" if joined == "." else joined


def _parsed(content: bytes) -> Any:
    try:
        if content.startswith(b"{"):  # what the generator wrote
            return orjson.loads(content)
        return yaml_text.parse(content)[0]
    except orjson.JSONDecodeError:
        return yaml_text.parse(content)[0]
    except yaml_text.BadYaml:
        return None  # kustomize says so


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_inline(text: str) -> bool:
    """Whether an entry is a document itself rather than the path of one."""
    return "\n" in text or isinstance(_parsed(text.encode()), dict)


def _items(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _files(content: Object) -> Iterator[str]:
    """Files that a kustomization names."""
    for kind in _FILE_LISTS:
        yield from (text for text in _texts(content.get(kind)) if not _is_inline(text))
    for kind in ("patches", "patchesJson6902", "replacements"):
        yield from (str(item["path"]) for item in _items(content.get(kind)) if item.get("path"))
    for kind in ("configMapGenerator", "secretGenerator"):
        for item in _items(content.get(kind)):
            named = [text.rpartition("=")[2] for text in _texts(item.get("files"))]
            yield from [*named, *_texts(item.get("envs")), *([item["env"]] if isinstance(item.get("env"), str) else [])]
    openapi = content.get("openapi")
    if isinstance(openapi, dict) and isinstance(openapi.get("path"), str):
        yield openapi["path"]


def _plugin_paths(tree: Tree, folder: str, text: str) -> Iterator[str]:
    """Files that the configuration of a builtin generator or transformer names, inline or in a file of its own."""
    if _is_inline(text):
        contents = [text.encode()]
    else:
        target = _joined(folder, text)
        if target is None or text.startswith("/"):
            return
        contents = [tree.files[target]] if target in tree.files else []
    for content in contents:
        for document in content.split(b"\n---"):
            yield from _deep(_parsed(document))


def _deep(value: Any, name: str = "", depth: int = 0) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _deep(item, key, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _deep(item, name, depth)
    elif isinstance(value, str) and name in _PLUGIN_PATHS and "\n" not in value:
        path = value.rpartition("=")[2]
        # Deeper down a slash in front begins the path of a field, not of a file
        if path.startswith("..") or "/../" in path or (path.startswith("/") and depth == 1):
            yield path
