"""Builds with real kustomize: `kubectl kustomize`, as Flux calls it: no plugins, files from all of the artifact, and none from beside it.

A build that was done before costs no process: its output is kept by the content of the folders that it reads, so that a
commit costs a build to those whose files it changes. A kustomization that does
nothing but list files is built file by file, so that a change of one file among hundreds costs no more than that file.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from azsandbox.controllers.client import Object
from azsandbox.flux.kubectl import KustomizeFailed, kustomize
from azsandbox.flux.kustomize.generator import Generated
from azsandbox.flux.kustomize.manifest_files import BadManifest, Head
from azsandbox.flux.kustomize.restrictions import Forbidden, Paths, follow
from azsandbox.flux.kustomize.tree import Tree

KEPT = 64  # outputs of whole builds
KEPT_FILES = 20_000  # outputs of single files
_PLAIN = frozenset(("apiVersion", "kind", "resources"))
_NAME, _ARTIFACT = "kustomization.yaml", "artifact"
_DOCUMENTS = re.compile(r"^---\n", re.MULTILINE)


class BuildError(Exception):
    """A build that fails; the message is kustomize's."""


class Builder:
    """Runs builds and remembers their outputs.

    `home` is where trees are written for kustomize. `variables` are added to its environment: how to reach remote
    bases. `heads` gives the heads of the objects in a file, and raises BadManifest.
    """

    def __init__(
        self,
        home: Path,
        heads: Callable[[bytes], tuple[Head, ...]],
        variables: Mapping[str, str],
        *,
        remote_bases: bool = True,
    ) -> None:
        self.home, self.heads, self.variables, self.remote_bases = home, heads, dict(variables), remote_bases
        self._outputs: dict[bytes, list[str]] = {}
        self._files: dict[bytes, list[str]] = {}  # content of a file → its documents
        self._running = asyncio.Semaphore(2)  # a process each

    async def build(self, tree: Tree, folder: str, generated: Generated, root: str, seconds: float) -> list[str]:
        """The documents of a folder's build, in the order of its resources.

        `root` is what messages call the root of the tree, `seconds` how long kustomize may take. Raises BuildError.
        """
        whole = generated.written(tree)
        try:
            paths = follow(whole, folder, root, remote_bases=self.remote_bases)
        except Forbidden as error:
            raise BuildError(str(error)) from None
        key = hashlib.sha256(folder.encode() + b"\0" + whole.digest(paths.may_be_read)).digest()
        known = self._outputs.pop(key, None)
        if known is None:
            known = await self._by_file(tree, folder, generated.content, root, seconds, paths)
        if known is None:
            known = await self._run(whole, folder, root, seconds, paths)
            self._remember_files(tree, folder, generated.content, known)
        if not paths.remote:  # what is elsewhere may change while the tree does not
            self._outputs[key] = known
            while len(self._outputs) > KEPT:
                del self._outputs[next(iter(self._outputs))]
        return known

    async def _by_file(
        self, tree: Tree, folder: str, content: Object, root: str, seconds: float, paths: Paths
    ) -> list[str] | None:
        """The output as that of each file, where most of them are known; None where it has to be built as a whole."""
        files = _listed(tree, folder, content)
        if files is None:
            return None
        new = [path for path, data in files.items() if data not in self._files]
        if len(new) * 2 > len(files) or not self._are_different(files):
            return None
        if new:
            part = Tree({path: files[path] for path in new})
            resources = [f"./{posixpath.relpath(path, folder or '.')}" for path in new]
            listing = Generated({**content, "resources": resources}, f"{folder}/{_NAME}" if folder else _NAME, True)
            try:
                built = await self._run(listing.written(part), folder, root, seconds, paths)
            except BuildError:
                return None  # the whole build says it in its own words
            self._remember_files(part, folder, listing.content, built)
        found: list[str] = []
        for data in files.values():
            documents = self._files.get(data)
            if documents is None:
                return None
            found += documents
        return found

    def _are_different(self, files: Mapping[str, bytes]) -> bool:
        """Whether no two files have an object of the same kind and name: kustomize would refuse them."""
        try:
            heads = [head.identity for data in files.values() for head in self.heads(data)]
        except BadManifest:
            return False
        return len(set(heads)) == len(heads)

    def _remember_files(self, tree: Tree, folder: str, content: Object, built: list[str]) -> None:
        """Keeps which documents of an output came from which file, where that is certain."""
        files = _listed(tree, folder, content)
        if files is None:
            return
        at = 0
        found: dict[bytes, list[str]] = {}
        try:
            for data in files.values():
                heads = self.heads(data)
                documents = built[at : at + len(heads)]
                if [self.heads(d.encode())[0].identity for d in documents] != [head.identity for head in heads]:
                    return
                found[data] = documents
                at += len(heads)
        except (BadManifest, IndexError):
            return
        if at == len(built):
            self._files.update(found)
            while len(self._files) > KEPT_FILES:
                del self._files[next(iter(self._files))]

    async def _run(self, tree: Tree, folder: str, root: str, seconds: float, paths: Paths) -> list[str]:
        """Runs kustomize on a tree."""
        async with self._running:
            outer = await asyncio.to_thread(_write, tree, self.home)
            try:
                output = await self._kustomize(outer / _ARTIFACT / folder, outer, seconds, paths)
            except KustomizeFailed as error:
                raise BuildError(str(error).replace(str(outer / _ARTIFACT), root)) from None
            finally:
                await asyncio.to_thread(shutil.rmtree, outer, ignore_errors=True)
        return [document for document in _DOCUMENTS.split(output) if document.strip()]

    async def _kustomize(self, folder: Path, outer: Path, seconds: float, paths: Paths) -> str:
        """The output of kustomize, which reads no files but those of the tree."""
        try:
            return await kustomize(folder, outer, self.variables, seconds, confined=paths.confined)
        except KustomizeFailed as error:
            if not paths.confined or paths.remote or "security; file" in str(error):
                raise
            failed = error
        # Flux restricts nothing in kustomize, which then words the same failure otherwise. Its output counts for nothing.
        await kustomize(folder, outer, self.variables, seconds, confined=False)
        raise failed


def _listed(tree: Tree, folder: str, content: Object) -> dict[str, bytes] | None:
    """The files that a kustomization lists, where it does nothing but list files of the tree; otherwise None."""
    if not set(content) <= _PLAIN:
        return None
    found: dict[str, bytes] = {}
    for resource in content.get("resources") or []:
        path = posixpath.normpath(posixpath.join(folder, resource))
        if path not in tree.files or path in found or b"config.kubernetes.io/local-config" in tree.files[path]:
            return None
        found[path] = tree.files[path]
    return found or None


def _write(tree: Tree, home: Path) -> Path:
    """Writes a tree into a new folder of `home`; returns the folder."""
    home.mkdir(parents=True, exist_ok=True)
    outer = Path(tempfile.mkdtemp(prefix="kustomization-", dir=home)).resolve()
    (outer / _ARTIFACT).mkdir()
    tree.write(outer / _ARTIFACT)
    return outer
