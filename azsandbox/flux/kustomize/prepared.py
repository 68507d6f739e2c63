"""Built manifests made ready to be applied: as Flux writes them, with labels of their owner and common metadata."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from azsandbox.controllers.client import Object
from azsandbox.flux.kustomize.manifests import read_objects
from azsandbox.flux.kustomize.normalization import normalized
from azsandbox.flux.object_refs import ObjectRef

GROUP = "kustomize.toolkit.fluxcd.io"


@dataclass(eq=False)
class Manifest:
    """An object as it is applied, which must not be changed, and what names it."""

    obj: Object
    ref: ObjectRef

    @cached_property
    def digest(self) -> bytes:
        """A hash of the object."""
        return hashlib.sha256(orjson.dumps(self.obj, option=orjson.OPT_SORT_KEYS)).digest()


class Preparation:
    """Prepares the manifests of one Kustomization; what did not change since the last time is not prepared again."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, list[Manifest]]] = {}  # by identity of the built value, which is kept with it
        self._by: Any = None

    def manifests(self, values: list[Any], labels: dict[str, str], common: Object | None) -> list[Manifest]:
        """The manifests in built documents, with `labels` of their owner and spec.commonMetadata."""
        if self._by != (labels, common):
            self._known, self._by = {}, (labels, copy.deepcopy(common))
        known, self._known = self._known, {}
        for value in values:
            found = known.get(id(value))
            self._known[id(value)] = found or (value, _prepare(value, labels, common))
        return [manifest for value in values for manifest in self._known[id(value)][1]]


def _prepare(value: Any, labels: dict[str, str], common: Object | None) -> list[Manifest]:
    objects = [_labelled(normalized(obj), labels, common) for obj in read_objects([value])]
    return [Manifest(obj, ObjectRef.of(obj)) for obj in objects]


def owner_labels(name: str, namespace: str) -> dict[str, str]:
    """The labels of what a Kustomization has applied."""
    return {f"{GROUP}/name": name, f"{GROUP}/namespace": namespace}


def _labelled(obj: Object, labels: dict[str, str], common: Object | None) -> Object:
    found = {**_texts(obj["metadata"].get("labels")), **labels, **((common or {}).get("labels") or {})}
    metadata = {**obj["metadata"], "labels": found}
    if common and common.get("annotations"):
        metadata["annotations"] = {**_texts(metadata.get("annotations")), **common["annotations"]}
    return _without_ca_bundle({**obj, "metadata": metadata})


def _texts(value: Any) -> Object:
    """Labels or annotations as Flux reads them: with one that is no text among them there are none."""
    is_read = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return value if is_read else {}


def _without_ca_bundle(obj: Object) -> Object:
    """A definition without a CA bundle that is none, which an API server from 1.31 on refuses."""
    if not (obj["kind"] == "CustomResourceDefinition" and obj["apiVersion"].startswith("apiextensions.k8s.io/")):
        return obj
    found: Any = obj
    for part in ("spec", "conversion", "webhook", "clientConfig"):
        found = found.get(part) if isinstance(found, dict) else None
    bundle = found.get("caBundle") if isinstance(found, dict) else None
    if not bundle or b"-----BEGIN CERTIFICATE-----" in _decoded(str(bundle)):
        return obj
    result = copy.deepcopy(obj)
    del result["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"]
    return result


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
