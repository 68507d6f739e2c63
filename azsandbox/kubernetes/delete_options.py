"""DeleteOptions: what a deletion asks for, in its body or else in its query.

Rules: k8s.io/apiserver, pkg/endpoints/handlers/delete.go; texts: k8s.io/apimachinery, meta/v1/validation.
"""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes import errors, options
from azsandbox.kubernetes.request import GroupVersionKind, Object, Request
from azsandbox.kubernetes.types import READABLE, body_media
from azsandbox.kubernetes.validation.errors import FieldError, invalid, not_supported

_META = GroupVersionKind("meta.k8s.io", "v1", "DeleteOptions")
# the kinds that may stand in a body of any version, and are no DeleteOptions
_OTHERS = frozenset(
    {"ListOptions", "GetOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "Status", "WatchEvent"}
    | {"APIVersions", "APIGroup", "APIGroupList", "APIResourceList"}
)
_POLICIES = ("Foreground", "Background", "Orphan")
_NUMBERS = {"gracePeriodSeconds"}


class DeleteOptions:
    """What a deletion asks for. Raises 400, 415 or 422 for what makes no sense."""

    def __init__(self, request: Request) -> None:
        self.from_body = bool(request.body)
        asked = _body(request) if request.body else _query(request)
        self.grace: int | None = asked.get("gracePeriodSeconds")
        self.propagation: str | None = asked.get("propagationPolicy")
        self.orphan: bool | None = asked.get("orphanDependents")
        preconditions = asked.get("preconditions") or {}
        self.uid: str | None = preconditions.get("uid")
        self.resource_version: str | None = preconditions.get("resourceVersion")
        self.dry_run = bool(asked.get("dryRun"))
        found = self._faults(asked.get("dryRun") or [])
        if found:
            raise errors.invalid("DeleteOptions", "meta.k8s.io", "", found)

    def _faults(self, dry_run: list[str]) -> list[FieldError]:
        found: list[FieldError] = []
        if self.propagation is not None and self.orphan is not None:
            text = "orphanDependents and deletionPropagation cannot be both set"
            found.append(invalid("propagationPolicy", self.propagation, text))
        if self.propagation is not None and self.propagation not in _POLICIES:
            found.append(not_supported("propagationPolicy", self.propagation, [*_POLICIES, "nil"]))
        return found + options.dry_run_errors(dry_run)


def _body(request: Request) -> Object:
    from azsandbox.kubernetes.schema import decode, definitions, typed_values

    media = body_media(request)
    if media not in READABLE and media != "application/x-yaml":
        raise errors.unsupported_media_type(READABLE)
    value = _parsed(request.body, media)
    try:
        actual = decode.interpret(value, _META)
        if actual.kind in _OTHERS:
            text = f"converting ({actual.version}.{actual.kind}) to (v1.DeleteOptions): unknown conversion"
            raise typed_values.DecodeError(text)
        if actual.kind != _META.kind:
            raise typed_values.DecodeError(decode.not_registered(actual))
        found, _ = typed_values.convert(definitions.definitions().named(_TYPE), value)
    except typed_values.DecodeError as error:
        raise errors.bad_request(str(error)) from None
    return found


_TYPE = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


def _parsed(body: bytes, media: str) -> Any:
    from azsandbox.kubernetes import protobuf
    from azsandbox.kubernetes.schema import json_text, yaml_text

    try:
        if "protobuf" in media:
            return protobuf.decode(body)
        if "yaml" in media:
            return yaml_text.parse(body)[0] or {}
        return json_text.parse(body) or {} if body.strip() == b"null" else json_text.parse(body)
    except (yaml_text.BadYaml, protobuf.BadMessage) as error:
        raise errors.bad_request(str(error)) from None
    except json_text.BadJson as error:
        raise errors.bad_request(f"couldn't get version/kind; json parse error: {error}") from None


def _query(request: Request) -> Object:
    asked: Object = {}
    if "gracePeriodSeconds" in request.query:
        text = request.param("gracePeriodSeconds")
        options.integer(text, required=True)
        asked["gracePeriodSeconds"] = int(text)
    if "propagationPolicy" in request.query:
        asked["propagationPolicy"] = request.param("propagationPolicy")
    if "orphanDependents" in request.query:
        asked["orphanDependents"] = request.param("orphanDependents").lower() not in ("false", "0")
    if "dryRun" in request.query:
        asked["dryRun"] = request.query["dryRun"]
    return asked
