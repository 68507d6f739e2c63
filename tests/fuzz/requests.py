"""Requests that the OpenAPI document of an API server allows, and some that it does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from tests.fuzz.values import NAMES, Draw, Schema, value

_QUERY: dict[str, tuple[str, ...]] = {
    "allowWatchBookmarks": ("true", "x"),
    "continue": ("", "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0"),
    "dryRun": ("All", "Some", ""),
    "fieldManager": ("me", "x" * 129, "\u0000", ""),
    "fieldSelector": (
        "metadata.name=a",
        "spec.nodeName=a",
        "a=b",
        "=",
        "metadata.name in (a)",
        "status.phase!=Running",
    ),
    "fieldValidation": ("Strict", "Warn", "Ignore", "Other"),
    "force": ("true", "false", "x"),
    "gracePeriodSeconds": ("0", "-1", "1", "x", "99999999999999999999"),
    "includeObject": ("None", "Object", "x"),
    "labelSelector": ("app=web", "app in (a,b)", "!x", "a=b=c", ",", "x>1", "(", "a notin ()"),
    "limit": ("0", "1", "-1", "500", "x", "9999999999999999999"),
    "orphanDependents": ("true", "x"),
    "path": ("/", "/a/b", ""),
    "pretty": ("true", "x"),
    "propagationPolicy": ("Foreground", "Background", "Orphan", "Other"),
    "resourceVersion": ("0", "1", "99999999", "x", "-1"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "Other"),
    "sendInitialEvents": ("true", "x"),
    "timeout": ("1s", "0", "x", "99h"),
    "timeoutSeconds": ("1", "0", "-1", "x"),
    "watch": ("0", "false"),
    "tailLines": ("1", "-1"),
    "container": ("a", "x"),
    "command": ("ls",),
    "unknown": ("1",),
}
_ACCEPT = (
    "application/json",
    "*/*",
    "",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=Other;v=v9;g=none",
    "text/html",
    "application/json;q=x",
    ";;;",
)
_BODY_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain", "", "a/b;c")
_PATCH_TYPES = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
)
_JUNK = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"a"',
    b"\xff\xfe",
    b"{}",
    b"k8s\x00",
    b"k8s\x00\x0a\x04",
    b"a: [",
    b"{}{}",
    b"---",
)
_IMPERSONATE = ("Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-a")
_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test", "other")
_POINTERS = (
    "",
    "/",
    "/spec",
    "/metadata/labels",
    "/metadata/labels/a~1b",
    "/spec/ports/0",
    "/spec/ports/-",
    "/a/b",
    "x",
    "/~2",
)


@dataclass(frozen=True)
class Sent:
    """A request, as it is sent."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.url}\n{self.headers}\n{(self.body or b'')[:2000]!r}"


@dataclass(frozen=True)
class Operation:
    """A method on a path of the document."""

    method: str
    path: str
    body: Schema
    parameters: tuple[str, ...]
    document: int


class Api:
    """The operations of an API server."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = documents
        self.operations = [found for index in range(len(documents)) for found in self._of(index)]

    def _of(self, index: int) -> list[Operation]:
        found = []
        for path, item in (self.documents[index].get("paths") or {}).items():
            shared = [each["name"] for each in item.get("parameters") or () if each.get("in") == "query"]
            for method, operation in item.items():
                if method not in ("get", "put", "post", "patch", "delete", "head", "options"):
                    continue
                content = ((operation.get("requestBody") or {}).get("content") or {}).values()
                schema = next((each.get("schema") or {} for each in content), {})
                own = [each["name"] for each in operation.get("parameters") or () if each.get("in") == "query"]
                found.append(Operation(method.upper(), path, schema, (*shared, *own), index))
        return found

    def resolve(self, operation: Operation) -> Any:
        """What gives the schema of a $ref in an operation's document."""
        schemas = (self.documents[operation.document].get("components") or {}).get("schemas") or {}
        return lambda reference: schemas.get(reference.rpartition("/")[2]) or {}

    def requests(self) -> st.SearchStrategy[Sent]:
        """Requests to any operation."""

        @st.composite
        def request(draw: Draw) -> Sent:
            operation = draw(st.sampled_from(self.operations))
            return self._request(draw, operation)

        return request()

    def _request(self, draw: Draw, operation: Operation) -> Sent:
        method = operation.method
        if draw(st.integers(0, 40)) == 0:
            method = draw(st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "X"]))
        url = _url(draw, operation)
        headers = {}
        if draw(st.integers(0, 3)) == 0:
            headers["Accept"] = draw(st.sampled_from(_ACCEPT))
        if draw(st.integers(0, 60)) == 0:
            headers[draw(st.sampled_from(_IMPERSONATE))] = draw(
                st.sampled_from(["a", "system:serviceaccount:a:b", "", "é"])
            )
        headers = {key: text.encode("ascii", "replace").decode() for key, text in headers.items()}
        if method in ("GET", "HEAD", "OPTIONS", "TRACE", "X"):
            return Sent(method, url, headers)
        body = self._body(draw, operation, method, headers)
        return Sent(method, url, headers, body)

    def _body(self, draw: Draw, operation: Operation, method: str, headers: dict[str, str]) -> bytes:
        if draw(st.integers(0, 25)) == 0:
            headers["Content-Type"] = draw(st.sampled_from([*_BODY_TYPES, *_PATCH_TYPES]))
            return bytes(draw(st.one_of(st.sampled_from(_JUNK), st.binary(max_size=40))))
        headers["Content-Type"] = "application/json"
        schema = operation.body
        if method == "PATCH":
            headers["Content-Type"] = draw(st.sampled_from(_PATCH_TYPES))
            schema = self._of_object(operation)
            if headers["Content-Type"].startswith("application/json-patch"):
                return json.dumps(_json_patch(draw, self, operation, schema)).encode()
        made = value(draw, schema, self.resolve(operation))
        if isinstance(made, dict) and draw(st.integers(0, 6)):
            _identify(draw, made, schema, self.resolve(operation))
        return json.dumps(made).encode()

    def _of_object(self, operation: Operation) -> Schema:
        """The schema of what a path serves, which the schema of a patch does not say."""
        for other in self.operations:
            if other.path == operation.path and other.method == "PUT":
                return other.body
        return operation.body


def _identify(draw: Draw, made: dict[str, Any], schema: Schema, resolve: Any) -> None:
    """Gives an object, in place, the version and kind of its schema, and a name."""
    while "$ref" in schema or "allOf" in schema:
        schema = resolve(schema["$ref"]) if "$ref" in schema else schema["allOf"][0]
    kinds = schema.get("x-kubernetes-group-version-kind") or []
    if kinds:
        group, version, kind = (kinds[0].get(key, "") for key in ("group", "version", "kind"))
        made["apiVersion"], made["kind"] = f"{group}/{version}" if group else version, kind
    metadata = made.get("metadata")
    if not isinstance(metadata, dict):
        metadata = made["metadata"] = {}
    metadata["name"] = draw(st.sampled_from(NAMES))
    metadata.pop("namespace", None)


def _json_patch(draw: Draw, api: Api, operation: Operation, schema: Schema) -> Any:
    found = []
    for _ in range(draw(st.integers(0, 3))):
        step: dict[str, Any] = {
            "op": draw(st.sampled_from(_OPERATIONS)),
            "path": draw(st.sampled_from(_POINTERS)),
            "from": draw(st.sampled_from(_POINTERS)),
            "value": value(draw, schema, api.resolve(operation), 5),
        }
        for key in draw(st.lists(st.sampled_from(sorted(step)), max_size=1)):
            del step[key]
        found.append(step)
    return found


def _url(draw: Draw, operation: Operation) -> str:
    path = operation.path
    while "{" in path:
        start, end = path.index("{"), path.index("}")
        what = path[start + 1 : end]
        names = (
            ("default", "default", "a", "kube-system")
            if what == "namespace"
            else (*NAMES, *NAMES, "A b", "%", "é", "..")
        )
        path = path[:start] + quote(draw(st.sampled_from(names)), safe="") + path[end + 1 :]
    if draw(st.integers(0, 60)) == 0:
        path = draw(
            st.sampled_from([path + "/", path + "/x", path.replace("/", "//", 1), path.upper(), path + "/status/x"])
        )
    asked = {}
    known = sorted({*operation.parameters} & _QUERY.keys()) or ["pretty"]
    for name in draw(st.lists(st.sampled_from([*known, *known, *sorted(_QUERY)]), max_size=2, unique=True)):
        asked[name] = draw(st.sampled_from(_QUERY[name]))
    if "/watch/" in path:
        asked["timeoutSeconds"] = "1"
    return path + (f"?{urlencode(asked)}" if asked else "")
