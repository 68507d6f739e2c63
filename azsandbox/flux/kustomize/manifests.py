"""The output of a build as objects (fluxcd/pkg/ssa/utils, ReadObjects)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux import go_json
from azsandbox.kubernetes.schema import yaml_text

_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)


class UnreadableObject(ValueError):
    """A document that Flux does not read as an object; the message is Flux's."""


def documents(text: str) -> list[str]:
    """The YAML documents of a stream, without those that hold nothing."""
    return [part for part in _SEPARATOR.split(text) if part.strip()]


def parse(document: str) -> Any:
    """The value of one YAML document. Raises yaml_text.BadYaml with go-yaml's words."""
    return yaml_text.parse(document.encode())[0]


def read_objects(values: list[Any]) -> Objects:
    """The objects in parsed documents: lists are what they hold, and what is no object of Kubernetes is left out.

    Raises UnreadableObject for an apiVersion that is none: such an object has no kind to Flux.
    """
    found: Objects = []
    for value in values:
        if not isinstance(value, dict):
            continue
        if str(value.get("apiVersion")).count("/") > 1:
            body = go_json.write(go_json.in_order(value))
            text = f"error unmarshaling JSON: while decoding JSON: Object 'Kind' is missing in '{body}'"
            raise UnreadableObject(text)
        if isinstance(value.get("items"), list):
            found += [item for item in value["items"] if isinstance(item, dict)]
        elif is_object(value) and not is_kustomization(value):
            found.append(value)
    return found


def is_object(value: Object) -> bool:
    """Whether a value names a version, a kind and itself."""
    metadata = value.get("metadata")
    return bool(value.get("apiVersion") and value.get("kind") and isinstance(metadata, dict) and metadata.get("name"))


def is_kustomization(value: Object) -> bool:
    """Whether a value is a kustomization.yaml, which is no object of the cluster."""
    return str(value["kind"]).lower() == "kustomization" and str(value["apiVersion"]).startswith(
        "kustomize.config.k8s.io/"
    )


class KnownDocuments:
    """Parsed documents by their text, so that what a new revision did not change is not parsed again.

    The values are shared: whoever changes one makes a copy.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def values(self, texts: list[str], read: Callable[[str], Any] = parse) -> list[Any]:
        """The values of documents; what is not among them is forgotten."""
        known = self._values
        self._values = {text: known[text] if text in known else read(text) for text in texts}
        return [self._values[text] for text in texts]
