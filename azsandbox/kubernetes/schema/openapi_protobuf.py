"""The one OpenAPI document that clients ask for in protocol buffers: /openapi/v2, gnostic's Document.

kubectl takes it when /openapi/v3 knows no PATCH of a kind. It holds the PATCH operations with their kinds and
parameters, which is what kubectl looks for there; definitions are left to /openapi/v3.
"""

from __future__ import annotations

from collections.abc import Iterable

from azsandbox.kubernetes.resources import Resource

MEDIA = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: bytes | str) -> bytes:
    """A field that holds bytes, text or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _parameter(name: str) -> bytes:
    """A query parameter: ParametersItem.parameter.non_body_parameter.query_parameter_sub_schema."""
    query = _field(2, "query") + _field(4, name) + _field(6, "string")
    return _field(1, _field(2, _field(3, query)))


def _operation(resource: Resource) -> bytes:
    gvk = resource.gvk
    group = gvk.group or '""'
    text = f"group: {group}\nkind: {gvk.kind}\nversion: {gvk.version}\n"
    parameters = b"".join(_field(8, _parameter(name)) for name in _PARAMETERS)
    extension = _field(1, "x-kubernetes-group-version-kind") + _field(2, _field(2, text))
    return parameters + _field(13, extension)


def document(resources: Iterable[Resource], version: str) -> bytes:
    """The document for some resources of a server of a version."""
    paths = b""
    for resource in resources:
        if "patch" in resource.verbs:
            path = resource.path("{namespace}" if resource.namespaced else "", "{name}")
            paths += _field(2, _field(1, path) + _field(2, _field(8, _operation(resource))))
    info = _field(1, "Kubernetes") + _field(2, version)
    return _field(1, "2.0") + _field(2, info) + _field(8, paths)
