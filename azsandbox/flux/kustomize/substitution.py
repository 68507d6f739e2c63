"""spec.postBuild: variables in the built manifests (fluxcd/pkg/kustomize, SubstituteVariables)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.kustomize.envsubst import BadSubstitution, substitute
from azsandbox.flux.kustomize.ordering import version_of
from azsandbox.flux.object_refs import group_of
from azsandbox.kubernetes.errors import StatusError

SUBSTITUTE = "kustomize.toolkit.fluxcd.io/substitute"
_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_SHOWN_NAME = "^[_[:alpha:]][_[:alpha:][:digit:]]*$"
_RESOURCES = {"ConfigMap": "configmaps", "Secret": "secrets"}


class PostBuildError(Exception):
    """A substitution that fails; the message is Flux's."""


def kind_text(obj: Object) -> str:
    """A kind as kustomize writes it: `Deployment.v1.apps`, `ConfigMap.v1.[noGrp]`."""
    group, version = group_of(str(obj["apiVersion"])), version_of(str(obj["apiVersion"]))
    return f"{obj['kind']}.{version or '[noVer]'}.{group or '[noGrp]'}"


async def variables(client: KubeClient, namespace: str, post_build: Object) -> dict[str, str]:
    """The variables of a spec: those of its ConfigMaps and Secrets, then its own. Line breaks are taken out.

    Raises PostBuildError for one that cannot be read, unless it is optional and missing.
    """
    found: dict[str, str] = {}
    for reference in post_build.get("substituteFrom") or []:
        kind, name = reference["kind"], reference["name"]
        try:
            source = await client.get(path("v1", _RESOURCES[kind], namespace, name))
        except StatusError as error:
            if error.code == 404 and reference.get("optional"):
                continue
            raise PostBuildError(f"substitute from '{kind}/{name}' error: {error}") from None
        for key, value in (source.get("data") or {}).items():
            text = base64.b64decode(value).decode("utf-8", "replace") if kind == "Secret" else value
            found[key] = text.replace("\n", "")
    found |= {key: value.replace("\n", "") for key, value in (post_build.get("substitute") or {}).items()}
    return found


def is_disabled(obj: Object) -> bool:
    """Whether an object keeps its text, by a label or an annotation."""
    metadata = obj.get("metadata") or {}
    return any(
        isinstance(metadata.get(kind), dict) and metadata[kind].get(SUBSTITUTE) == "disabled"
        for kind in ("labels", "annotations")
    )


def substituted(document: str, values: Mapping[str, str], *, strict: bool) -> str:
    """A document with its variables replaced. Raises PostBuildError."""
    for name in values:
        if not _NAME.fullmatch(name):
            raise PostBuildError(f"envsubst error: '{name}' var name is invalid, must match '{_SHOWN_NAME}'")
    try:
        return substitute(document, values, strict=strict)
    except BadSubstitution as error:
        raise PostBuildError(f"envsubst error: variable substitution failed: {error}") from None
