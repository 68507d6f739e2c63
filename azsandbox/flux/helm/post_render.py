"""What is done to rendered manifests before they are applied: spec.postRenderers, commonMetadata and origin labels.

Rules and texts: helm.sh/helm/v4, pkg/action; helm-controller, internal/postrender; kustomize, api/resource. Kustomize
itself runs only where a release asks for patches or images; labels are set the way it sets them.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux import go_json, kubectl
from azsandbox.flux.helm import kyaml, manifests
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.history import sha256
from azsandbox.flux.helm.kyaml import MalformedYaml
from azsandbox.flux.helm.spec import GROUP
from azsandbox.flux.kubectl import KustomizeFailed
from azsandbox.flux.object_refs import group_of

FILE = "postrenderer.helm.sh/postrender-filename"
_SELECTOR = ("group", "version", "kind", "namespace", "name", "annotationSelector", "labelSelector")
_IMAGE = ("newName", "newTag", "digest")
NO_HOOKS, COMBINED, SEPARATE = "nohooks", "combined", "separate"
_CLUSTER_WIDE = frozenset(
    [
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CSIDriver",
        "CSINode",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    ]
)


class PostRenderFailed(HelmFailed):
    """Manifests could not be changed; the message is Helm's."""


def renderers_digest(obj: Object) -> str:
    """status.observedPostRenderersDigest of a spec, empty without post-renderers."""
    given = obj["spec"].get("postRenderers")
    return sha256(go_json.write([_as_typed(one) for one in given]) + "\n") if given is not None else ""


def _as_typed(renderer: Object) -> Object:
    """A post-renderer with its fields in the order that Flux's types have them."""
    if "kustomize" not in renderer:
        return {}
    given, found = renderer["kustomize"], {}
    if given.get("patches"):
        found["patches"] = [
            {
                "patch": patch["patch"],
                **({"target": _fields(patch["target"], _SELECTOR)} if patch.get("target") is not None else {}),
            }
            for patch in given["patches"]
        ]
    if given.get("images"):
        found["images"] = [{"name": image["name"], **_fields(image, _IMAGE)} for image in given["images"]]
    return {"kustomize": found}


def _fields(given: Object, names: tuple[str, ...]) -> Object:
    return {name: given[name] for name in names if given.get(name)}


def metadata_digest(obj: Object) -> str:
    """status.observedCommonMetadataDigest of a spec, empty without common metadata."""
    given = obj["spec"].get("commonMetadata")
    return sha256(go_json.write(go_json.in_order(given)) + "\n") if given is not None else ""


def origin_labels(obj: Object) -> dict[str, str]:
    """The labels that lead from an object to its HelmRelease."""
    metadata = obj["metadata"]
    return {f"{GROUP}/name": metadata["name"], f"{GROUP}/namespace": metadata["namespace"]}


async def post_rendered(obj: Object, files: dict[str, str], strategy: str) -> dict[str, str]:
    """A HelmRelease's rendered files after its post-renderers. Raises PostRenderFailed and BadManifest."""
    if strategy == COMBINED:
        return await _group(obj, files, "manifests", "files")
    hooks, others = manifests.taken_apart(files)
    groups = {
        "hooks": _by_path([(hook["path"], hook["manifest"]) for hook in hooks]),
        "manifests": _by_path([(one.path, one.text) for one in others]),
    }
    found: dict[str, str] = {}
    for name, group in groups.items():
        if strategy == SEPARATE or name == "manifests":
            group = await _group(obj, group, name, name, f"for {name}") if group else {}
        for path, text in group.items():
            found[path] = f"{found[path]}\n---\n{text}" if path in found else text
    return found


def _by_path(texts: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, text in texts:
        found[path] = f"{found[path]}\n---\n{text}" if path in found else text
    return found


async def _group(obj: Object, files: dict[str, str], merging: str, running: str, of: str = "") -> dict[str, str]:
    """Files that pass through the renderers together."""
    prefix = f"-{running}" if of else ""
    try:
        documents = _merged(files)
    except MalformedYaml as error:
        raise PostRenderFailed(f"error merging {merging}: {error}") from None
    try:
        documents = await _run(obj, documents)
    except (MalformedYaml, PostRenderFailed) as error:
        raise PostRenderFailed(f"error while running post render on {running}: {error}") from None
    found: dict[str, list[Object]] = {}
    for number, document in enumerate(documents):
        annotations = document.get("metadata", {}).get("annotations") or {}
        path = annotations.pop(FILE, "") or f"generated-by-postrender{prefix}-{number}.yaml"
        if not annotations:
            document.get("metadata", {}).pop("annotations", None)
        found.setdefault(path, []).append(document)
    return {path: kyaml.write_all(group) for path, group in found.items()}


def _merged(files: dict[str, str]) -> list[Object]:
    """The documents of all files, each with the name of its own in an annotation."""
    documents = []
    for path in sorted(files):
        if path.rpartition("/")[2].startswith("_") or not files[path].strip():
            continue
        for text in manifests.split(files[path]):
            try:
                values = _unwrapped(kyaml.read_all(text))
            except MalformedYaml as error:
                raise MalformedYaml(f"parsing {path}: {error}") from None
            for value in values:
                if not isinstance(value, dict):
                    kind = "SequenceNode" if isinstance(value, list) else "ScalarNode"
                    contents = kyaml.write_all([value])
                    wrong = f"wrong node kind: expected MappingNode but got {kind}: node contents:\n{contents}"
                    raise MalformedYaml(f"parsing {path}: {wrong}")
                metadata = value.setdefault("metadata", {}) or {}
                value["metadata"] = metadata
                metadata["annotations"] = {**(metadata.get("annotations") or {}), FILE: path}
                documents.append(value)
    return documents


def _unwrapped(values: list[Any]) -> list[Any]:
    """The items of a list that is a document of its own."""
    if len(values) == 1 and isinstance(values[0], dict) and values[0].get("kind") in ("List", "ResourceList"):
        items = values[0].get("items")
        return items if isinstance(items, list) else values
    return values


async def _run(obj: Object, documents: list[Object]) -> list[Object]:
    """The renderers one after the other: kustomize, common metadata, and origin labels, which win."""
    documents = _resources(documents)
    for renderer in obj["spec"].get("postRenderers") or ():
        if renderer.get("kustomize"):
            documents = _resources(await _kustomize(renderer["kustomize"], documents))
    common = obj["spec"].get("commonMetadata") or {}
    for document in documents:
        metadata = document["metadata"]
        for field in ("labels", "annotations"):
            if common.get(field):
                metadata[field] = {**(metadata.get(field) or {}), **common[field]}
        metadata["labels"] = {**(metadata.get("labels") or {}), **origin_labels(obj)}
    return documents


def _resources(documents: list[Object]) -> list[Object]:
    """What kustomize makes of documents: lists taken apart, and each with a kind, a name and an id of its own."""
    found: list[Object] = []
    waiting = list(documents)
    while waiting:
        document = waiting.pop(0)
        if not document:
            continue
        _check(document)
        items = document.get("items")
        if str(document["kind"]).endswith("List") and "items" in document:
            if items is not None and not isinstance(items, list):
                raise PostRenderFailed(f"expected array in {document['kind']}/items, but found {_go_type(items)}")
            waiting += items or []
            continue
        found.append(document)
    seen = set()
    for document in found:
        identity = _identity(document)
        if identity in seen:
            raise PostRenderFailed(f"may not add resource with an already registered id: {_id_text(document)}")
        seen.add(identity)
    return found


def _check(document: Object) -> None:
    metadata = document.get("metadata") or {}
    kind, name = document.get("kind") or "", metadata.get("name") or ""
    if kind and (name or str(kind).endswith("List")):
        return
    what = "metadata.name" if kind else "kind"
    shown = f"{{{{{document.get('apiVersion') or ''} {kind}}} {{{{{name} {metadata.get('namespace') or ''}}}"
    labels, annotations = _go_map(metadata.get("labels")), _go_map(metadata.get("annotations"))
    raise PostRenderFailed(f"missing {what} in object {shown} {labels} {annotations}}}}}")


def _go_map(value: dict[str, Any] | None) -> str:
    return f"map[{' '.join(f'{key}:{(value or {})[key]}' for key in sorted(value or {}))}]"


def _go_type(value: Any) -> str:
    names: dict[type, str] = {str: "string", dict: "map[string]interface {}", bool: "bool", int: "int"}
    return names.get(type(value), "float64")


def _identity(document: Object) -> tuple[str, str, str, str]:
    metadata = document["metadata"]
    api_version, kind = document.get("apiVersion") or "", document["kind"]
    namespace = "" if kind in _CLUSTER_WIDE else metadata.get("namespace") or "default"
    return str(api_version), kind, namespace, metadata.get("name") or ""


def _id_text(document: Object) -> str:
    metadata = document["metadata"]
    api_version = document.get("apiVersion") or ""
    version = api_version.rpartition("/")[2] or "[noVer]"
    group = group_of(api_version) or "[noGrp]"
    namespace = metadata.get("namespace") or "[noNs]"
    return f"{document['kind']}.{version}.{group}/{metadata.get('name') or '[noName]'}.{namespace}"


def _laid_out(home: str, files: dict[str, str]) -> Path:
    folder = Path(home, "release")
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


async def _kustomize(given: dict[str, Any], documents: list[Object]) -> list[Object]:
    """Documents after kustomize's patches and images."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["helm-output.yaml"],
        "sortOptions": {"order": "fifo"},
        "images": given.get("images") or [],
        "patches": given.get("patches") or [],
    }
    files = {"helm-output.yaml": kyaml.write_all(documents), "kustomization.yaml": go_json.write(kustomization)}
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        folder = await asyncio.to_thread(_laid_out, home, files)
        try:
            return kyaml.read_all(await kubectl.kustomize(folder, Path(home), {}, None))
        except KustomizeFailed as error:
            raise PostRenderFailed(str(error)) from None
