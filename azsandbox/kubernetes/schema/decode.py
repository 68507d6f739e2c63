"""Bodies into objects: the kind that they say, strictness, and the words of a refusal.

Source: k8s.io/apimachinery, pkg/runtime/serializer/json; sigs.k8s.io/json.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.quoting import quoted
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema import json_text, yaml_text
from azsandbox.kubernetes.schema.definitions import Definitions, Type
from azsandbox.kubernetes.schema.typed_values import DecodeError, convert

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
MAX_STRICT_ERRORS = 100  # of sigs.k8s.io/json
_HEAD = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
_NO_HEAD = "couldn't get version/kind; json parse error: "
_SCHEME = 'scheme "pkg/runtime/scheme.go:111"'


@dataclass
class Decoded:
    """An object and the warnings that the client gets for it."""

    obj: Object
    warnings: list[str] = field(default_factory=list)
    emptied: dict[str, Any] = field(default_factory=dict)  # path → [] or {} that is there but not serialized


@dataclass
class Body:
    """A parsed body. `strict` are errors that a strict decoder makes of its text alone."""

    value: Any
    raw: bytes
    strict: list[str] = field(default_factory=list)


def decode(
    definitions: Definitions,
    gvk: GroupVersionKind,
    body: bytes,
    content_type: str = "application/json",
    field_validation: str = WARN,
) -> Decoded:
    """The object of a built-in type in a body; `gvk` is what the path expects.

    Raises 400 as the API server does: bad text, another kind, wrong JSON types, and with `Strict` unknown and
    repeated fields, which otherwise become warnings.
    """
    parsed, actual = read(gvk, body, content_type)
    try:
        type_ = _type_of(definitions, gvk, actual)
        emptied: dict[str, Any] = {}
        obj, strict = convert(type_, parsed.value, emptied)
        _check_kind(definitions, gvk, actual)
    except DecodeError as error:
        raise refusal(gvk, actual, body, str(error)) from None
    warnings = judge(gvk, actual, parsed.strict + strict, field_validation)
    return Decoded(_headed(gvk, obj), warnings, emptied)


def _headed(gvk: GroupVersionKind, obj: Object) -> Object:
    """An object that begins with its kind. The stringData of a Secret becomes data."""
    head = {"kind": gvk.kind, "apiVersion": gvk.api_version}
    obj = {**head, **obj, **head}
    return with_string_data(obj) if gvk.kind == "Secret" and not gvk.group else obj


def with_string_data(secret: Object) -> Object:
    """A Secret whose stringData was taken over into data."""
    texts = secret.pop("stringData", None)
    if texts:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = dict(sorted({**(secret.get("data") or {}), **encoded}.items()))
    return secret


def judge(gvk: GroupVersionKind, actual: GroupVersionKind, strict: list[str], field_validation: str) -> list[str]:
    """The warnings for errors of strict decoding. Raises 400 where validation is strict."""
    if not strict or field_validation == IGNORE:
        return []
    strict = strict[:MAX_STRICT_ERRORS]
    if field_validation == STRICT:
        raise refusal(gvk, actual, b"", strict_text(strict))
    return [warning for error in strict for warning in yaml_text.warnings(error)]


def strict_text(strict: list[str]) -> str:
    """All errors of strict decoding in one message."""
    return "strict decoding error: " + ", ".join(strict)


def read(gvk: GroupVersionKind, body: bytes, content_type: str) -> tuple[Body, GroupVersionKind]:
    """Parses a body and finds out what it says to be. Raises 400."""
    strict: list[str] = []
    try:
        if "yaml" in content_type:
            value, strict = yaml_text.parse(body)
        else:
            value = json_text.parse(body)
        actual = interpret(value, gvk)
    except yaml_text.BadYaml as error:
        raise refusal(gvk, None, body, str(error)) from None
    except json_text.BadJson as error:
        raise refusal(gvk, None, body, f"{_NO_HEAD}{error}") from None
    except DecodeError as error:
        raise refusal(gvk, None, body, str(error)) from None
    return Body(value, body, strict), actual


def refusal(gvk: GroupVersionKind, actual: GroupVersionKind | None, body: bytes, message: str) -> errors.StatusError:
    """400 with the decoder's message, as transformDecodeError words it."""
    if actual is not None and actual.kind:
        text = f"{actual.kind} in version {quoted(actual.version)} cannot be handled as a {gvk.kind}: {message}"
        return errors.bad_request(text)
    text = f"the object provided is unrecognized (must be of type {gvk.kind}): {message} ({_summary(body)})"
    return errors.bad_request(text)


def _summary(body: bytes, length: int = 30) -> str:
    if not body:
        return "<empty>"
    more = " ..." if len(body) > length else ""
    head = body[:length]
    return (head.decode("utf-8", "replace") if body[:1] == b"{" else head.hex()) + more


def interpret(value: Any, gvk: GroupVersionKind) -> GroupVersionKind:
    """What a body says to be, `gvk` where it says nothing. Raises DecodeError."""
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise DecodeError(f"{_NO_HEAD}json: cannot unmarshal {json_text.go_kind(value)} into Go value of type {_HEAD}")
    for name, found in value.items():
        if name in ("apiVersion", "kind") and found is not None and not isinstance(found, str):
            kind = json_text.go_kind(found)
            raise DecodeError(f"{_NO_HEAD}json: cannot unmarshal {kind} into Go struct field .{name} of type string")
    api_version, kind = value.get("apiVersion") or "", value.get("kind") or ""
    if api_version.count("/") > 1:
        raise DecodeError(f"unexpected GroupVersion string: {api_version}")
    group, _, version = api_version.rpartition("/")
    if not version and not group:
        group, version = gvk.group, gvk.version
    return GroupVersionKind(group, version, kind or gvk.kind)


def _type_of(definitions: Definitions, gvk: GroupVersionKind, actual: GroupVersionKind) -> Type:
    type_ = definitions.type_of(actual)
    if type_ is not None:
        return type_
    if actual.kind == "List" and actual.api_version == "v1":
        return d.Type(d.ANY)
    raise DecodeError(not_registered(actual))


def not_registered(actual: GroupVersionKind) -> str:
    """The words for a kind that is not known."""
    return f"no kind {quoted(actual.kind)} is registered for version {quoted(actual.api_version)} in {_SCHEME}"


def internal_package(definitions: Definitions, gvk: GroupVersionKind) -> str:
    """The Go package of a kind's internal type, as conversion errors write it."""
    return {"": "core", "events.k8s.io": "core"}.get(gvk.group) or gvk.group.partition(".")[0]


def kind_error(definitions: Definitions, gvk: GroupVersionKind, actual: GroupVersionKind) -> str:
    """Why an object of one built-in kind is none of another; "" if they are one, in whatever version."""
    same_group = actual.group == gvk.group or {actual.group, gvk.group} == {"", "events.k8s.io"}
    if actual.kind == gvk.kind and same_group:
        return ""
    package = internal_package(definitions, gvk)
    return f"converting ({actual.version}.{actual.kind}) to ({package}.{gvk.kind}): unknown conversion"


def _check_kind(definitions: Definitions, gvk: GroupVersionKind, actual: GroupVersionKind) -> None:
    if actual == gvk:
        return
    problem = kind_error(definitions, gvk, actual)
    if problem:
        raise DecodeError(problem)
    raise errors.bad_request(
        f"the API version in the data ({actual.api_version}) does not match the expected API version ({gvk.api_version})"
    )


def patch_reader(
    definitions: Definitions, gvk: GroupVersionKind, emptied: dict[str, Any] | None = None
) -> Callable[[Any, bool], tuple[Object, list[str]]]:
    """Reads a patched object of a built-in type back. Where its kind counts, it must still be the same.

    `emptied` takes the paths of empty lists and maps.
    """

    def read_back(value: Any, kind_counts: bool) -> tuple[Object, list[str]]:
        if not isinstance(value, dict):
            raise DecodeError(f"couldn't get version/kind; json parse error: {_no_object(value)}")
        if kind_counts:
            actual = interpret(value, gvk)
            type_ = _type_of(definitions, gvk, actual)
            problem = kind_error(definitions, gvk, actual)
            obj, strict = convert(type_, value, emptied)
            if problem:
                raise DecodeError(problem)
        else:
            found = definitions.type_of(gvk)
            assert found is not None
            obj, strict = convert(found, value, emptied, parsed=True)
        return _headed(gvk, obj), strict

    return read_back


def _no_object(value: Any) -> str:
    return f"json: cannot unmarshal {json_text.go_kind(value)} into Go value of type {_HEAD}"
