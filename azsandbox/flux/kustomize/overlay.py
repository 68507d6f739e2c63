"""From an artifact to the objects that are to be applied: generate, build, substitute, read."""

from __future__ import annotations

import asyncio
import hashlib
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.kustomize import decryption, substitution
from azsandbox.flux.kustomize.build import Builder, BuildError
from azsandbox.flux.kustomize.generator import BadKustomization, Generated, generate
from azsandbox.flux.kustomize.manifest_files import Heads
from azsandbox.flux.kustomize.manifests import KnownDocuments, UnreadableObject, is_object, parse
from azsandbox.flux.kustomize.prepared import Manifest, Preparation, owner_labels
from azsandbox.flux.kustomize.settings import Settings, timeout
from azsandbox.flux.kustomize.tree import Tree
from azsandbox.kubernetes.schema import yaml_text

KEPT = 4  # trees of artifacts


class BuildFailed(Exception):
    """A path that cannot be built; the message is Flux's."""


@dataclass(frozen=True)
class Built:
    """The manifests of a path, which are shared with later builds, and the digest of their text."""

    manifests: list[Manifest]
    digest: str


@dataclass
class _Kept:
    """What is kept of one Kustomization's last build."""

    built: KnownDocuments = field(default_factory=KnownDocuments)
    substituted: KnownDocuments = field(default_factory=KnownDocuments)
    preparation: Preparation = field(default_factory=Preparation)


class Overlays:
    """Builds what Kustomizations name, for one controller. `home` is where kustomize finds its files."""

    def __init__(
        self,
        artifacts: Artifacts,
        client: KubeClient,
        settings: Settings,
        namespace: str,
        home: Path,
        variables: dict[str, str],
    ) -> None:
        self.artifacts, self.client, self.settings, self.namespace = artifacts, client, settings, namespace
        self.heads = Heads()
        self.builder = Builder(home, self.heads, variables, remote_bases=not settings.no_remote_bases)
        self._trees: dict[str, Tree] = {}
        self._kept: dict[str, _Kept] = {}  # by uid

    async def tree(self, artifact: Object) -> Tree:
        """The files of an artifact.

        Raises FileNotFoundError if it is not in the storage, ValueError or tarfile.TarError if it is not what it
        should be.
        """
        digest = artifact["digest"]
        found = self._trees.pop(digest, None)
        if found is None:
            found = await asyncio.to_thread(self._read, artifact)
        self._trees[digest] = found
        while len(self._trees) > KEPT:
            del self._trees[next(iter(self._trees))]
        return found

    def _read(self, artifact: Object) -> Tree:
        file = self.artifacts.file(artifact)
        algorithm, _, wanted = str(artifact["digest"]).partition(":")
        computed = hashlib.new(algorithm, file.read_bytes()).hexdigest()
        if computed != wanted:
            raise ValueError(f"failed to verify archive: computed digest doesn't match '{artifact['digest']}'")
        try:
            return Tree.read(file)
        except tarfile.TarError as error:
            raise ValueError(f"failed to untar archive: {error}") from None

    async def build(self, obj: Object, tree: Tree, folder: str, root: str) -> Built:
        """The objects of a Kustomization's folder in a tree; `root` is what messages call the tree's root.

        Raises BuildFailed, or decryption.NotSupported for what would have to be decrypted.
        """
        spec = obj["spec"]

        # The kustomization.yaml
        try:
            generated: Generated = await asyncio.to_thread(generate, tree, folder, spec, root, self.heads)
        except BadKustomization as error:
            raise BuildFailed(str(error)) from None

        # The keys to decrypt with, and the build
        try:
            await decryption.import_keys(self.client, obj, self.settings.sops_age_secret, self.namespace)
            documents = await self.builder.build(tree, folder, generated, root, timeout(spec))
        except decryption.DecryptionError as error:
            raise BuildFailed(str(error)) from None
        except BuildError as error:
            raise BuildFailed(f"kustomize build failed: {error}") from None

        # What each document is, and what substitution makes of it
        kept = self._kept.setdefault(obj["metadata"]["uid"], _Kept())
        try:
            values = await asyncio.to_thread(kept.built.values, documents)
        except yaml_text.BadYaml as error:
            raise BuildFailed(f"error converting YAML to JSON: {error}") from None
        for document, value in zip(documents, values, strict=True):
            if not (isinstance(value, dict) and is_object(value)):
                text = f"failed to decode Kubernetes apiVersion, kind and name from: {document.strip()}"
                raise BuildFailed(text)
            if spec.get("decryption"):
                decryption.refuse(value)
        if spec.get("postBuild") is not None:
            documents, values = await self._substituted(obj, kept, documents, values)
        digest = hashlib.sha256("---\n".join(documents).encode()).hexdigest()
        labels = owner_labels(obj["metadata"]["name"], obj["metadata"]["namespace"])
        try:
            manifests = await asyncio.to_thread(kept.preparation.manifests, values, labels, spec.get("commonMetadata"))
        except UnreadableObject as error:
            raise BuildFailed(str(error)) from None
        return Built(manifests, f"sha256:{digest}")

    async def _substituted(
        self, obj: Object, kept: _Kept, documents: list[str], values: list[Any]
    ) -> tuple[list[str], list[Any]]:
        """Documents and their values with variables replaced. Raises BuildFailed."""
        post_build = obj["spec"]["postBuild"]
        always = post_build.get("substituteStrategy") == "Always"
        variables: dict[str, str] | None = None
        texts = list(documents)
        changed: dict[str, str] = {}  # text → what messages call it
        for index, value in enumerate(values):
            if substitution.is_disabled(value):
                continue
            who = f"{substitution.kind_text(value)}/{value['metadata']['name']}"
            try:
                if variables is None:
                    variables = await substitution.variables(self.client, obj["metadata"]["namespace"], post_build)
                if variables or always:
                    strict = self.settings.strict_substitutions
                    texts[index] = substitution.substituted(documents[index], variables, strict=strict)
                    changed[texts[index]] = who
            except substitution.PostBuildError as error:
                raise BuildFailed(f"post build failed for '{who}': {error}") from None

        def read(text: str) -> Any:
            try:
                return parse(text)
            except yaml_text.BadYaml as error:
                what = f"post build failed for '{changed.get(text, '')}': "
                raise BuildFailed(f"{what}envsubst error: YAMLToJSON: {error}") from None

        return texts, kept.substituted.values(texts, read)

    def forget(self, uid: str) -> None:
        """Lets go of what was kept of a Kustomization."""
        self._kept.pop(uid, None)
