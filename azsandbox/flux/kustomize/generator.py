"""The kustomization.yaml of a path: made of its manifests where there is none, and patched with a spec's fields
(fluxcd/pkg/kustomize, Generator)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from azsandbox.controllers.client import Object
from azsandbox.flux.kustomize.manifest_files import BadManifest
from azsandbox.flux.kustomize.tree import Tree
from azsandbox.kubernetes.schema import yaml_text
from azsandbox.kubernetes.schema.definitions import ANY, LIST, MAP, OBJECT, STRING, Field, Type
from azsandbox.kubernetes.schema.typed_values import DecodeError, convert

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_HEAD = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_REMOTE = ("git::", "gh:", "ssh://", "https://", "http://", "git@", "github.com:", "github.com/")

_TEXT = Type(STRING, go="string")
_TEXTS = Type(LIST, go="[]string", element=_TEXT)
_LABELS = Type(MAP, go="map[string]string", element=_TEXT)
_ANYTHING = Type(ANY, go="interface {}")
_ITEMS = Type(LIST, go="[]interface {}", element=_ANYTHING)
# sigs.k8s.io/kustomize/api v0.21.1, types.Kustomization: the fields that a rewritten kustomization.yaml keeps
_FIELDS: dict[str, Type] = {
    **dict.fromkeys(("apiVersion", "kind", "namePrefix", "nameSuffix", "namespace"), _TEXT),
    **dict.fromkeys(("openapi", "commonLabels", "commonAnnotations"), _LABELS),
    **dict.fromkeys(("patchesStrategicMerge", "resources", "components", "crds", "bases"), _TEXTS),
    **dict.fromkeys(("configurations", "generators", "transformers", "validators", "buildMetadata"), _TEXTS),
    **dict.fromkeys(("labels", "patchesJson6902", "patches", "images", "imageTags", "replacements"), _ITEMS),
    **dict.fromkeys(("replicas", "vars", "configMapGenerator", "secretGenerator", "helmCharts"), _ITEMS),
    "helmChartInflationGenerator": _ITEMS,
    **dict.fromkeys(("metadata", "sortOptions", "helmGlobals", "generatorOptions"), _ANYTHING),
}
_KUSTOMIZATION = Type(
    OBJECT, go="types.Kustomization", fields=tuple(Field(name, type_) for name, type_ in _FIELDS.items())
)


class BadKustomization(ValueError):
    """A kustomization.yaml that cannot be made; the message is Flux's."""


@dataclass(frozen=True)
class Generated:
    """A kustomization.yaml: its content, its path in the tree, and whether it was made of the manifests alone."""

    content: Object
    path: str
    created: bool

    def written(self, tree: Tree) -> Tree:
        """The tree with it."""
        return tree.with_file(self.path, orjson.dumps(self.content))


def generate(tree: Tree, folder: str, spec: Object, root: str, check: Callable[[bytes], Any]) -> Generated:
    """The kustomization.yaml of `folder` for a Kustomization's `spec`.

    `root` is what messages call the root of the tree; `check` refuses a file that holds no objects, with BadManifest.
    Raises BadKustomization.
    """
    if folder in tree.files:
        raise BadKustomization(f"open {root}/{folder}/{NAMES[0]}: not a directory")
    found = next((_join(folder, name) for name in NAMES if _join(folder, name) in tree.files), None)
    if found is not None:
        content = {**_HEAD, **read(tree.files[found])}
        if not content.get("resources"):
            content["buildMetadata"] = ["originAnnotations"]  # otherwise kustomize may call the file empty
    else:
        content = _made(tree, folder, root, check)
    _patch(content, spec, tree, folder)
    return Generated(content, found or _join(folder, NAMES[0]), found is None)


def read(data: bytes) -> Object:
    """A kustomization.yaml; what kustomize knows no field for is dropped. Raises BadKustomization."""
    try:
        value, _ = yaml_text.parse(data)
        return convert(_KUSTOMIZATION, value)[0] if value is not None else {}
    except yaml_text.BadYaml as error:
        raise BadKustomization(f"error converting YAML to JSON: {error}") from None
    except DecodeError as error:
        raise BadKustomization(f"error unmarshaling JSON: while decoding JSON: {error}") from None


def is_local(path: str) -> bool:
    """Whether a path of a spec is within the artifact: neither a URL nor absolute."""
    if path.startswith("./"):  # as every path that is made here does
        return True
    lowered = path.lower()
    if any(len(prefix) < len(path) and lowered.startswith(prefix) for prefix in _REMOTE):
        return False
    return not path.startswith("/") and not lowered.removeprefix("file://").startswith("/")


def _join(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name)) if folder else posixpath.normpath(name)


def _made(tree: Tree, folder: str, root: str, check: Callable[[bytes], Any]) -> Object:
    """A kustomization.yaml that names every manifest below a folder, and folders that have one of their own."""
    resources: list[str] = []
    _scan(tree, folder, root, check, resources)
    if not resources:
        return {**_HEAD, "namespace": "_placeholder"}  # otherwise kustomize would call it empty
    below = f"{folder}/" if folder else ""
    return {**_HEAD, "resources": [f"./{path.removeprefix(below)}" for path in resources]}


def _scan(tree: Tree, folder: str, root: str, check: Callable[[bytes], Any], found: list[str]) -> None:
    for name in tree.children(folder):
        path = _join(folder, name)
        if path in tree.folders:
            if any(_join(path, own) in tree.files for own in NAMES):
                found.append(path)
            else:
                _scan(tree, path, root, check, found)
        elif name.endswith((".yaml", ".yml")):
            try:
                check(tree.files[path])
            except BadManifest as error:
                raise BadKustomization(f"failed to decode Kubernetes YAML from {root}/{path}: {error}") from None
            found.append(path)


def _patch(content: Object, spec: Object, tree: Tree, folder: str) -> None:
    """Sets what a Kustomization's spec says over the file."""
    for field, own in (("targetNamespace", "namespace"), ("namePrefix", "namePrefix"), ("nameSuffix", "nameSuffix")):
        if field in spec:
            content[own] = spec[field]
    if spec.get("patches"):
        content["patches"] = [*(content.get("patches") or []), *spec["patches"]]
    for component in spec.get("components") or []:
        if not is_local(component):
            raise BadKustomization(f"component path '{component}' must be local and relative")
        if spec.get("ignoreMissingComponents") and not tree.has(_join(folder, component).removeprefix("./")):
            continue
        content["components"] = [*(content.get("components") or []), component]
    if spec.get("images"):
        content["images"] = _images(content.get("images") or [], spec["images"])
    if spec.get("buildMetadata"):
        content["buildMetadata"] = spec["buildMetadata"]


def _images(own: list[Object], wanted: list[Object]) -> list[Object]:
    """The file's images with those of a spec over them: a new tag takes a digest away, and the other way round."""
    images = [dict(image) for image in own]
    for change in wanted:
        image = next((i for i in images if i.get("name") == change["name"]), None)
        if image is None:
            images.append({key: value for key, value in change.items() if value})
            continue
        if change.get("newName"):
            image["newName"] = change["newName"]
        if change.get("newTag") or change.get("digest"):
            for field in ("newTag", "digest"):
                image.pop(field, None)
                if change.get(field):
                    image[field] = change[field]
    return images
