"""Keeps a build within its artifact: every path that a kustomization names is looked at before kustomize runs.

Flux gives kustomize a file system that refuses what lies outside (fluxcd/pkg/kustomize/filesys); `kubectl kustomize`
has none, so here the paths are followed beforehand, with that file system's words for one that leads out. Where they
cannot be followed for certain, kustomize's own restriction, to the folder of each kustomization, holds (Paths.confined).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.kustomize.generator import NAMES, is_local
from azsandbox.flux.kustomize.tree import Tree
from azsandbox.kubernetes.schema import yaml_text

_FILE_LISTS = ("crds", "configurations", "patchesStrategicMerge", "generators", "transformers", "validators")
_PLUGINS = ("generators", "transformers", "validators")  # files whose own fields name files
_PLUGIN_PATHS = frozenset(("path", "paths", "file", "files", "env", "envs", "valuesFile", "additionalValuesFiles"))
_GENERATORS = ("configMapGenerator", "secretGenerator")
_LISTS_OF_FILES = ("patches", "patchesJson6902", "replacements")
# Fields that lead to files, and what is above them. Go's JSON finds them in any case.
_KNOWN = frozenset(
    ("kind", "items", "resources", "bases", "components", "openapi", *_FILE_LISTS, *_LISTS_OF_FILES, *_GENERATORS)
).union(_PLUGIN_PATHS)
_FOLDED = frozenset(name.casefold() for name in _KNOWN)


class Forbidden(ValueError):
    """A path that leads out of the artifact, or to a remote base where that is off; the message is kustomize's."""


@dataclass
class Paths:
    """What a build reads: `remote` are the URLs that its kustomizations name, `beyond` the files of the artifact that
    are not below the kustomization which names them, `unclear` what may name other files than those that were seen;
    `folders` are those of the kustomizations."""

    folders: set[str] = field(default_factory=set)
    remote: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    @property
    def confined(self) -> bool:
        """Whether each kustomization is kept to its own folder by kustomize: always, unless a file beyond it is named, and
        all that names files was read here. What is fetched from elsewhere never is."""
        return not self.beyond or bool(self.remote or self.unclear)

    def may_be_read(self, path: str) -> bool:
        """Whether what the artifact has at a path can make a difference to the build."""
        if self.unclear or path in self.beyond:
            return True
        return any(not folder or path == folder or path.startswith(f"{folder}/") for folder in self.folders)


def follow(tree: Tree, folder: str, root: str, *, remote_bases: bool) -> Paths:
    """Follows the kustomizations from a folder. `root` is what messages call the tree's root. Raises Forbidden."""
    found = Paths()
    _Walk(tree, root, remote_bases, found).kustomization(folder)
    return found


class _Walk:
    def __init__(self, tree: Tree, root: str, remote_bases: bool, found: Paths) -> None:
        self.tree, self.root, self.remote_bases, self.found = tree, root, remote_bases, found

    def kustomization(self, folder: str) -> None:
        if folder in self.found.folders:
            return  # kustomize finds cycles itself
        self.found.folders.add(folder)
        name = next((p for p in (posixpath.join(folder, n) for n in NAMES) if p in self.tree.files), None)
        content = self._read(self.tree.files[name]) if name else None
        if not isinstance(content, dict):
            return
        for kind in ("resources", "bases", "components"):
            for path in _texts(content.get(kind)):
                self._base(folder, path, kind)
        for path in _files(content):
            self._file(folder, path)
        for kind in _PLUGINS:
            for path in _texts(content.get(kind)):
                self._plugin(folder, path)

    def _read(self, text: bytes) -> Any:
        """A document, which is unclear where kustomize may read it in another way: broken, with a key that is there twice,
        or with a field in other letters, which JSON of Go takes for the same."""
        content, is_certain = _understood(text)
        if not is_certain or any(key not in _KNOWN and key.casefold() in _FOLDED for key in _keys(content)):
            self.found.unclear.append(text[:80].decode("utf-8", "replace"))
        return content

    def _plugin(self, folder: str, text: str) -> None:
        """The configuration of builtin generators or transformers, inline, in a file or in a folder: files that it names."""
        if _is_inline(text):
            documents = [text.encode()]
        else:
            target = None if text.startswith("/") else _joined(folder, text)
            if target in self.tree.folders:  # what it lists are configurations, too
                self.found.unclear.append(text)
                self.kustomization(str(target))
            documents = [self.tree.files[target]] if target in self.tree.files else []
        for document in documents:
            for part in document.split(b"\n---"):
                content = self._read(part)
                if isinstance(content, dict) and str(content.get("kind", "")).endswith("List"):
                    self.found.unclear.append(text[:80])  # kustomize takes it apart
                for path in _deep(content):
                    self._file(folder, path)
                if isinstance(content, dict):  # of ReplacementTransformer
                    for item in _items(content.get("replacements")):
                        self._file(folder, str(item.get("path") or "."))

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
            self._beyond(folder, target)
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
        else:
            self._beyond(folder, str(_joined(folder, path)))

    def _beyond(self, folder: str, target: str) -> None:
        """Notes a file that is not below the folder of the kustomization that names it."""
        if folder and target != folder and not target.startswith(f"{folder}/"):
            self.found.beyond.append(target)

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


def _understood(content: bytes) -> tuple[Any, bool]:
    """What a document says, and whether it says that for certain."""
    try:
        found, repeated = yaml_text.parse(content)
    except yaml_text.BadYaml:
        return None, False  # kustomize says so
    return found, not repeated


def _keys(value: Any) -> Iterator[str]:
    """The keys of a document, at every depth."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_inline(text: str) -> bool:
    """Whether an entry is a document itself rather than the path of one."""
    return "\n" in text or isinstance(_understood(text.encode())[0], dict)


def _items(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _files(content: Object) -> Iterator[str]:
    """Files that a kustomization names."""
    for kind in _FILE_LISTS:
        yield from (text for text in _texts(content.get(kind)) if not _is_inline(text))
    for kind in _LISTS_OF_FILES:
        yield from (str(item["path"]) for item in _items(content.get(kind)) if item.get("path"))
    for kind in _GENERATORS:
        for item in _items(content.get(kind)):
            named = [text.rpartition("=")[2] for text in _texts(item.get("files"))]
            yield from [*named, *_texts(item.get("envs")), *([item["env"]] if isinstance(item.get("env"), str) else [])]
    openapi = content.get("openapi")
    if isinstance(openapi, dict) and isinstance(openapi.get("path"), str):
        yield openapi["path"]


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
