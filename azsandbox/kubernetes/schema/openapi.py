"""The OpenAPI documents: /openapi/v3 by group and version, and /openapi/v2.

What the types are comes from the Go structs (definitions), how they are described from the package
kubernetes-validate. Documents are made when asked for and kept until what they tell of changes: a definition of a custom
resource that comes or goes changes the document of its group alone.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.negotiation import clauses
from azsandbox.kubernetes.request import GroupVersionKind, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.schema import definitions as d
from azsandbox.kubernetes.schema import openapi_custom, openapi_protobuf
from azsandbox.kubernetes.schema.definitions import Definitions, Field, Type
from azsandbox.kubernetes.schema.openapi_paths import operations

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_V3_REF, _V2_REF = "#/components/schemas/", "#/definitions/"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized "
    "schemas to the latest internal value, and may reject unrecognized values. More info: "
    f"{_CONVENTIONS}#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the "
    "endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
    f"{_CONVENTIONS}#types-kinds"
)
_SCALARS: dict[str, dict[str, Any]] = {
    d.STRING: {"type": "string"},
    d.BOOLEAN: {"type": "boolean"},
    d.NUMBER: {"type": "number", "format": "double"},
    d.BYTES: {"type": "string", "format": "byte"},
}
# types that are written as scalars or as any JSON, by what definitions calls them
_SPECIAL = {
    d.TIME: _META + "Time",
    d.MICRO_TIME: _META + "MicroTime",
    d.QUANTITY: "io.k8s.apimachinery.pkg.api.resource.Quantity",
    d.INT_OR_STRING: "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
}
_SPECIAL_SCHEMAS: dict[str, dict[str, Any]] = {
    _META + "Time": {"type": "string", "format": "date-time"},
    _META + "MicroTime": {"type": "string", "format": "date-time"},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object"},
    _META + "FieldsV1": {"type": "object"},
}
_RAW = {"runtime.RawExtension": "io.k8s.apimachinery.pkg.runtime.RawExtension", "v1.FieldsV1": _META + "FieldsV1"}
_APIEXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."


@cache
def _described(minor: str) -> dict[str, Any]:
    """The definitions of kubernetes-validate, for their descriptions; {} for a version that it has not."""
    found = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{minor}.0-local" / "_definitions.json"
    if not found.is_file():
        return {}
    document: dict[str, Any] = orjson.loads(found.read_bytes())["$defs"]
    return {
        name: (
            item.get("description", ""),
            {key: prop.get("description", "") for key, prop in (item.get("properties") or {}).items()},
        )
        for name, item in document.items()
    }


class Schemas:
    """Schemas of the definitions that a document needs, by name."""

    def __init__(self, definitions: Definitions, minor: str, prefix: str) -> None:
        self.definitions, self.prefix = definitions, prefix
        self.descriptions = _described(minor)
        self.found: dict[str, Any] = {}

    def ref(self, name: str) -> str:
        """A reference to a definition, which is added to the document."""
        self.add(name)
        return self.prefix + name

    def add(self, name: str) -> None:
        if name in self.found:
            return
        self.found[name] = {}
        description, properties = self.descriptions.get(name, ("", {}))
        if name in _SPECIAL_SCHEMAS:
            schema = dict(_SPECIAL_SCHEMAS[name])
            if self.prefix == _V2_REF and "oneOf" in schema:
                schema = {"type": "string", **({"format": schema["format"]} if "format" in schema else {})}
        elif name not in self.definitions:
            schema = {}
        else:
            schema = self._object(self.definitions.named(name), properties)
        if description:
            schema = {"description": description, **schema}
        self.found[name] = schema

    def _object(self, type_: Type, descriptions: dict[str, str]) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object"}
        properties = {}
        for field in sorted(type_.fields, key=lambda item: item.name):
            properties[field.name] = self._field(field, descriptions.get(field.name, ""))
        if properties:
            schema["properties"] = properties
        if type_.required:
            schema["required"] = list(type_.required)
        kinds = self.definitions.kinds_of(type_.name)
        if kinds:
            gvks = [dict(zip(("group", "version", "kind"), kind.split("/"), strict=True)) for kind in kinds]
            schema["x-kubernetes-group-version-kind"] = gvks
        if type_.map_type == "atomic":
            schema["x-kubernetes-map-type"] = "atomic"
        return schema

    def _field(self, field: Field, description: str) -> dict[str, Any]:
        schema = self.value(field.type)
        if "$ref" in schema and self.prefix == _V3_REF:
            schema = {"allOf": [schema]}
        if field.default is not None and self.prefix == _V3_REF:
            schema["default"] = field.default
        if field.enum:
            schema["enum"] = list(field.enum)
            if field.possible and "Possible enum values" not in description:
                description = f"{description}\n\n{field.possible}".strip()
        if description:
            schema["description"] = description
        type_ = field.type
        if type_.kind == d.LIST:
            schema["x-kubernetes-list-type"] = type_.list_type
            if type_.list_map_keys:
                schema["x-kubernetes-list-map-keys"] = list(type_.list_map_keys)
        elif type_.kind == d.MAP and type_.map_type == "atomic":
            schema["x-kubernetes-map-type"] = "atomic"
        if type_.merge_key:
            schema["x-kubernetes-patch-merge-key"] = type_.merge_key
        if type_.strategies:
            schema["x-kubernetes-patch-strategy"] = ",".join(sorted(type_.strategies))
        return schema

    def value(self, type_: Type) -> dict[str, Any]:
        """The schema of a type wherever it is used."""
        kind = type_.kind
        if kind == d.OBJECT:
            return {"$ref": self.ref(type_.name)}
        if kind == d.LIST:
            assert type_.element is not None
            return {"type": "array", "items": self._defaulted(type_.element)}
        if kind == d.MAP:
            assert type_.element is not None
            return {"type": "object", "additionalProperties": self._defaulted(type_.element)}
        if kind == d.INTEGER:
            return {"type": "integer", "format": "int64" if type_.bits == 64 else "int32"}
        if kind in _SPECIAL:
            return {"$ref": self.ref(_SPECIAL[kind])}
        if kind == d.RAW:
            return {"$ref": self.ref(_RAW.get(type_.go.lstrip("*"), _RAW["runtime.RawExtension"]))}
        if kind == d.ANY:
            name = _APIEXTENSIONS + type_.go.rpartition(".")[2]
            return {"$ref": self.ref(name)} if type_.go.startswith("v1.JSON") else {}
        return dict(_SCALARS[kind])

    def _defaulted(self, type_: Type) -> dict[str, Any]:
        """The schema of an element, with the default that Go's zero value is."""
        schema = self.value(type_)
        if self.prefix == _V2_REF:
            return schema
        if "$ref" in schema:
            return {"allOf": [schema], "default": {}} if type_.kind == d.OBJECT else schema
        return {**schema, "default": ""} if type_.kind == d.STRING else schema


Basis = tuple[tuple[Resource, Any], ...]  # resources, each with the schema of its definition if it is custom


class Document:
    """A document of a group and version, made when it is first asked for."""

    def __init__(self, basis: Basis, tag: str) -> None:
        self.basis, self.tag = basis, tag
        self.body: bytes | None = None

    def is_of(self, basis: Basis) -> bool:
        """Whether it tells of these resources by these very schemas."""
        return len(basis) == len(self.basis) and all(
            schema is known and resource == before
            for (resource, schema), (before, known) in zip(basis, self.basis, strict=True)
        )


class OpenApi:
    """Answers what is below /openapi."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._documents: dict[str, Document] = {}
        self._second: tuple[Basis, bytes, str] | None = None  # what the document of v2 was made of, it, and its hash

    def answer(self, request: Request) -> Response:
        """A document, the index of documents, 304, 301 to the right hash, 404 or 406."""
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        path = request.path.rstrip("/")
        if path == "/openapi/v3":
            return self._index()
        if path == "/openapi/v2":
            return self._v2(request)
        name = path.removeprefix("/openapi/v3/")
        document = self._current().get(name) if path.startswith("/openapi/v3/") else None
        if document is None:
            return Response(404, b"", content_type="")
        if not _takes_json(request):
            return Response(406, b"", content_type="")
        if document.body is None:
            document.body = self._build([resource for resource, _ in document.basis])
        return self._document(request, path, document.body, document.tag)

    def _current(self) -> dict[str, Document]:
        """The documents there are, by name: of groups, which say nothing, and of their versions."""
        names = (".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version")
        bases: dict[str, list[tuple[Resource, Any]]] = {name: [] for name in names}
        for resource, schema in self._basis():
            base = f"apis/{resource.group}" if resource.group else "api"
            bases.setdefault(base, [])
            bases.setdefault(f"{base}/{resource.version}", []).append((resource, schema))
        before, self._documents = self._documents, {}
        for name in sorted(bases):
            basis, known = tuple(bases[name]), before.get(name)
            kept = known if known is not None and known.is_of(basis) else Document(basis, self._hash(name, basis))
            self._documents[name] = kept
        return self._documents

    def _basis(self) -> Basis:
        """What all documents together depend on."""
        server = self.server
        return tuple((item, server.custom.schema_of(item) if item.custom else None) for item in server.resources)

    def _index(self) -> Response:
        documents = self._current().items()
        paths = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={known.tag}"} for name, known in documents}
        return Response(200, orjson.dumps({"paths": paths}), content_type="text/plain; charset=utf-8")

    def _hash(self, name: str, basis: Basis) -> str:
        """What a document's content depends on, as a hash: no document is made for the index alone."""
        parts: list[Any] = [self.server.version, name]
        for resource, schema in basis:
            parts.append(resource.name)
            if resource.custom:
                parts.append(schema)
        return hashlib.sha512(orjson.dumps(parts)).hexdigest().upper()

    def _build(self, resources: list[Resource]) -> bytes:
        schemas = Schemas(self.server.types.definitions, self.server.minor, _V3_REF)
        for name in ("APIResourceList", "Status", "DeleteOptions", "Patch", "WatchEvent"):
            if resources:
                schemas.add(_META + name)
        paths: dict[str, Any] = {}
        custom = any(resource.custom for resource in resources)
        for resource in resources:
            name = self._kind_schemas(schemas, resource)
            paths.update(operations(resource, name, lambda gvk: self._named_kind(schemas, gvk)))
        title = "Kubernetes CRD Swagger" if custom else "Kubernetes"
        version = "v0.1.0" if custom else self.server.version
        document = {
            "openapi": "3.0.0",
            "info": {"title": title, "version": version},
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": dict(sorted(schemas.found.items())),
                "securitySchemes": {
                    "BearerToken": {
                        "type": "apiKey",
                        "description": "Bearer Token authentication",
                        "name": "authorization",
                        "in": "header",
                    }
                },
            },
        }
        return orjson.dumps(document)

    def _named_kind(self, schemas: Schemas, gvk: GroupVersionKind) -> str:
        name = schemas.definitions.name_of(gvk)
        if name:
            schemas.add(name)
        return name or _META + "Status"

    def _kind_schemas(self, schemas: Schemas, resource: Resource) -> str:
        """Adds the schemas of a resource and of its list; returns the name of the first."""
        if not resource.custom:
            for kind in (resource.kind, resource.list_kind or f"{resource.kind}List"):
                found = schemas.definitions.name_of(resource.gvk._replace(kind=kind))
                if found:
                    schemas.add(found)
            return schemas.definitions.name_of(resource.gvk)
        base = ".".join([*reversed(resource.group.split(".")), resource.version])
        name, list_name = f"{base}.{resource.kind}", f"{base}.{resource.list_kind}"
        schemas.found[name] = custom_schema(self.server.custom.schema_of(resource), resource, schemas)
        schemas.found[list_name] = _list_schema(resource, name, schemas)
        return name

    def _document(self, request: Request, path: str, body: bytes, tag: str) -> Response:
        headers = {"etag": f'"{tag}"', "vary": "Accept-Encoding"}
        asked = request.param("hash")
        if asked and asked != tag:
            return Response(301, b"", {"location": f"{path}?hash={tag}"}, content_type="application/json")
        if asked:
            headers |= {"cache-control": "public, immutable", "expires": "Fri, 31 Dec 2100 23:59:59 GMT"}
        else:
            headers["cache-control"] = "no-cache, private"
        if tag in [item.strip().strip('"') for item in request.headers.get("if-none-match", "").split(",")]:
            return Response(304, b"", headers)
        return Response(200, body, headers)

    def _v2(self, request: Request) -> Response:
        if not _takes_json(request):
            if openapi_protobuf.MEDIA not in request.headers.get("accept", "").lower():
                return Response(406, b"", content_type="")
            body = openapi_protobuf.document(self.server.resources, self.server.version)
            return Response(200, body, content_type=openapi_protobuf.CONTENT_TYPE)
        basis = self._basis()
        if self._second is None or not Document(self._second[0], "").is_of(basis):
            schemas = Schemas(self.server.types.definitions, self.server.minor, _V2_REF)
            for resource in self.server.resources:
                self._kind_schemas(schemas, resource)
            document = {
                "swagger": "2.0",
                "info": {"title": "Kubernetes", "version": self.server.version},
                "paths": {},
                "definitions": dict(sorted(schemas.found.items())),
            }
            body = orjson.dumps(document)
            self._second = basis, body, hashlib.sha512(body).hexdigest().upper()
        return self._document(request, "/openapi/v2", *self._second[1:])


def _takes_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    if not accept:
        return True
    return any(media in ("application/json", "*/*", "application/*") for media, _ in clauses(accept))


def custom_schema(schema: dict[str, Any] | None, resource: Resource, schemas: Schemas) -> dict[str, Any]:
    """The schema of a custom resource as it is published: with apiVersion, kind and metadata."""
    metadata: dict[str, Any] = {"$ref": schemas.ref(_META + "ObjectMeta")}
    if schemas.prefix == _V3_REF:
        metadata = {"allOf": [metadata]}
    metadata["description"] = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
    described = {"apiVersion": _API_VERSION, "kind": _KIND}
    v2 = schemas.prefix == _V2_REF
    return openapi_custom.published(schema, resource, metadata, described, resource.selectable, v2)


def _list_schema(resource: Resource, item: str, schemas: Schemas) -> dict[str, Any]:
    metadata: dict[str, Any] = {"$ref": schemas.ref(_META + "ListMeta")}
    if schemas.prefix == _V3_REF:
        metadata = {"allOf": [metadata]}
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "items": {
                "description": f"List of {resource.name}. More info: {_CONVENTIONS}",
                "type": "array",
                "items": {"$ref": schemas.prefix + item},
            },
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {
                "description": f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds",
                **metadata,
            },
        },
        "x-kubernetes-group-version-kind": [resource.gvk._replace(kind=resource.list_kind)._asdict()],
    }
