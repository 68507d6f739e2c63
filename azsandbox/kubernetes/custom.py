"""Custom resources: CRDs made into resources, and their objects decoded, defaulted and validated."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes import custom_deletion, errors
from azsandbox.kubernetes.apply.typed import ABSENT
from azsandbox.kubernetes.custom_deletion import DEFINITIONS
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import Object, Request
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.schema import crds, structural
from azsandbox.kubernetes.schema.custom_rules import has_rules, validate_rules
from azsandbox.kubernetes.schema.custom_values import validate, validate_lists
from azsandbox.kubernetes.schema.decode import Decoded, judge, read, refusal
from azsandbox.kubernetes.schema.definitions import Type
from azsandbox.kubernetes.schema.embedded import validate_embedded
from azsandbox.kubernetes.schema.json_text import plain, repeated_fields
from azsandbox.kubernetes.schema.structural import Schema
from azsandbox.kubernetes.schema.typed_values import DecodeError
from azsandbox.kubernetes.types import body_media
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.errors import (
    NOT_SUPPORTED,
    REQUIRED,
    TOO_LONG,
    TOO_MANY,
    TYPE_INVALID,
    FieldError,
    invalid,
    quoted,
)
from azsandbox.tasks import end

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

log = logging.getLogger(__name__)

DELETION_PERIOD = 1.0  # seconds between looks for objects that a terminating definition waits for
# Errors after which the rules of a schema are left unchecked (apiextensions-apiserver, hasBlockingErr)
_BLOCKING = (NOT_SUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE_INVALID)
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_MEDIA = ("application/json", "application/yaml", "application/x-yaml")


class CustomResources:
    """The custom resources of one API server."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._versions: dict[tuple[str, str, str], Object] = {}  # group, version, plural → the version of the CRD
        self._types: dict[tuple[str, str, str], Type] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._served: dict[str, Resource] = {}
        self._accepted: dict[str, str] = {}  # definition → its resource version when its names were accepted
        self._terminating: set[str] = set()  # names of definitions that wait for their objects to go
        self._shapes: dict[tuple[str, str, str], Callable[[Object], None] | None] = {}
        server.registry.shape = self.shape_of

    async def start(self) -> None:
        """Serves the definitions that there are, and from now on every change of them."""
        resource = self.server.resource(DEFINITIONS)
        self.server.registry.on_write(resource.collection, self._changed.set)
        self.refresh()
        self._changed.set()  # a definition may have been terminating when the server stopped
        self._task = asyncio.create_task(self._follow(), name="custom resource definitions")

    async def stop(self) -> None:
        """Ends following changes."""
        if self._task is not None:
            await end([self._task])

    async def _follow(self) -> None:
        waiting = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DELETION_PERIOD if waiting else None):
                    await self._changed.wait()
            changed = self._changed.is_set()
            self._changed.clear()
            try:
                if changed:
                    self.refresh()
                waiting = self._finish_terminating()
            except Exception:
                log.exception("custom resource definitions")

    def _finish_terminating(self) -> bool:
        """Removes the objects of definitions that are going; whether one still waits for some of them."""
        definitions, waiting = self.server.resource(DEFINITIONS), False
        for name in list(self._terminating):
            crd = self.server.registry.find(definitions, "", name)
            if crd is not None and custom_deletion.is_terminating(crd):
                try:
                    waiting |= not custom_deletion.finish(self.server.registry, definitions, crd)
                except errors.StatusError:
                    waiting = True  # written meanwhile
        return waiting

    def refuse_create(self, resource: Resource, name: str) -> None:
        """Raises 403 where the definition of a resource is terminating."""
        if f"{resource.name}.{resource.group}" in self._terminating:
            raise errors.forbidden(resource.name, name, custom_deletion.NO_CREATE, resource.group)

    def refresh(self) -> None:
        """Judges names, establishes definitions, and puts their resources in the place of those served before."""
        resource = self.server.resource(DEFINITIONS)
        objects = self.server.registry.unchanging(resource)
        there = {crd["metadata"]["name"] for crd in objects}
        self._accepted = {name: version for name, version in self._accepted.items() if name in there}
        for index, crd in enumerate(objects):
            name, version = crd["metadata"]["name"], crd["metadata"]["resourceVersion"]
            if crd["metadata"].get("deletionTimestamp") or self._accepted.get(name) == version:
                continue  # what was accepted is not taken back
            judged = crds.with_status(crd, objects, now())
            if judged.get("status") != crd.get("status"):
                judged["metadata"].pop("managedFields", None)
                if crd["metadata"].get("managedFields"):
                    judged["metadata"]["managedFields"] = crd["metadata"]["managedFields"]
                with contextlib.suppress(errors.StatusError):
                    objects[index] = self.server.registry.replace(resource, judged, version)
            if crds.is_accepted(objects[index]):
                self._accepted[name] = objects[index]["metadata"]["resourceVersion"]
        self._terminating = {crd["metadata"]["name"] for crd in objects if custom_deletion.is_terminating(crd)}
        found: list[Resource] = []
        versions: dict[tuple[str, str, str], Object] = {}
        for crd in objects:
            if not crds.is_established(crd):
                continue
            found += crds.resources_of(crd)
            for version in crd["spec"]["versions"]:
                versions[crd["spec"]["group"], version["name"], crd["spec"]["names"]["plural"]] = version
        # What was made of a definition stays until the definition is written: that is other objects then.
        before, self._versions = self._versions, versions
        kept: dict[tuple[str, str, str], Any]
        for kept in (self._types, self._shapes):
            for key in [key for key in kept if key not in versions or versions[key] is not before.get(key)]:
                del kept[key]
        served = {item.collection: item for item in found}
        for collection, gone in self._served.items():
            if collection not in served:
                self._clear(gone)
        self._served = served
        self.server.resources.replace_custom(found)

    def _clear(self, resource: Resource) -> None:
        """Removes the objects of a definition that is gone."""
        for obj in self.server.registry.objects(resource):
            with contextlib.suppress(errors.StatusError):
                self.server.registry.remove(resource, obj)

    # --- what a definition says

    def _version(self, resource: Resource) -> Object:
        return self._versions.get((resource.group, resource.version, resource.name)) or {}

    def schema_of(self, resource: Resource) -> Schema | None:
        """The schema of a resource's version."""
        return (self._version(resource).get("schema") or {}).get("openAPIV3Schema")

    def type_of(self, resource: Resource) -> Type:
        key = (resource.group, resource.version, resource.name)
        found = self._types.get(key)
        if found is None:
            found = structural.type_from(self.schema_of(resource), self.server.types.definitions)
            self._types[key] = found
        return found

    def shape_of(self, resource: Resource) -> Callable[[Object], None] | None:
        """What turns a stored object into one of the resource's version: fields of other versions go, defaults come.

        None where objects are stored as they are served.
        """
        key = (resource.group, resource.version, resource.name)
        if key in self._shapes:
            return self._shapes[key]
        schema = self.schema_of(resource)
        several = sum(group == resource.group and name == resource.name for group, _, name in self._versions) > 1

        def shape(obj: Object) -> None:
            structural.prune(schema, obj, whole=True)
            structural.apply_defaults(schema, obj)

        found = self._shapes[key] = shape if several or structural.has_defaults(schema) else None
        return found

    def scale_paths(self, resource: Resource) -> dict[str, str]:
        """Where replicas and selector lie: specReplicasPath, statusReplicasPath, labelSelectorPath."""
        return (self._version(resource).get("subresources") or {}).get("scale") or {}

    def columns(self, resource: Resource) -> list[Object]:
        """The columns of a table after the name; without any of its own a resource shows its age."""
        found = self._version(resource).get("additionalPrinterColumns")
        if found:
            return list(found)
        description = (
            "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
            "guaranteed to be set in happens-before order across separate operations. Clients may not set this value. "
            "It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. "
            "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
        )
        return [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": description}]

    def deprecation(self, resource: Resource) -> str:
        """The warning for a version that is deprecated, "" for another."""
        version = self._version(resource)
        if not version.get("deprecated"):
            return ""
        if version.get("deprecationWarning"):
            return str(version["deprecationWarning"])
        text = f"{resource.api_version} {resource.kind} is deprecated"
        names = [item.version for item in self.server.resources if item.collection == resource.collection]
        newer = [name for name in names if not self._versions[resource.group, name, resource.name].get("deprecated")]
        if newer and crds.version_order(newer[0]) < crds.version_order(resource.version):
            text += f"; use {resource.group}/{newer[0]} {resource.kind}"
        return text

    # --- reading

    def decode(self, request: Request, resource: Resource) -> Decoded:
        """The object in a request's body, pruned to its schema. Raises 400 or 415."""
        media = body_media(request)
        if media not in _MEDIA:
            raise errors.unsupported_media_type(("application/json", "application/yaml"))
        parsed, actual = read(resource.gvk, request.body, media)
        if not parsed.value.get("kind"):
            text = f"Object 'Kind' is missing in '{request.body.decode('utf-8', 'replace')}'"
            raise refusal(resource.gvk, None, request.body, text)
        if actual.kind != resource.kind or actual.group != resource.group:
            text = f"the object provided is unrecognized: {actual.kind}"
            raise errors.bad_request(text)
        if actual.version != resource.version:
            raise errors.bad_request(
                f"the API version in the data ({actual.api_version}) does not match the expected API version "
                f"({resource.api_version})"
            )
        strict = parsed.strict + repeated_fields(parsed.value)
        try:
            obj, unknown = self._read(resource, plain(parsed.value))
        except DecodeError as error:
            raise refusal(resource.gvk, actual, request.body, str(error)) from None
        validation = request.param("fieldValidation") or "Warn"
        return Decoded(obj, judge(resource.gvk, actual, strict + unknown, validation))

    def _read(self, resource: Resource, obj: Object) -> tuple[Object, list[str]]:
        """An object with its metadata read and its unknown fields dropped, and errors of strict decoding."""
        schema = self.schema_of(resource)
        unknown = structural.coerce_metadata(self.server.types.definitions, schema, obj)
        pruned = structural.prune(schema, obj, whole=True)
        structural.apply_defaults(schema, obj)
        return obj, [*unknown, *(f"unknown field {quoted(path)}" for path in sorted(pruned))]

    def patch_reader(self, resource: Resource) -> Callable[[Any, bool], tuple[Object, list[str]]]:
        """Reads a patched object back; another kind or version is 422."""

        def read_back(value: Any, kind_counts: bool) -> tuple[Object, list[str]]:
            if not isinstance(value, dict):
                raise DecodeError("json: cannot unmarshal array into Go value of type map[string]interface {}")
            for field, wanted in (("kind", resource.kind), ("apiVersion", resource.api_version)):
                if value.get(field) != wanted:
                    found = [invalid(field, value.get(field, ""), f"must be {wanted}")]
                    kind = str(value.get("kind", ""))
                    name = (value.get("metadata") or {}).get("name", "")
                    raise errors.invalid(kind, resource.group, name, found)
            return self._read(resource, plain(value))

        return read_back

    def coerced(self, resource: Resource, obj: Object) -> Object:
        """A merged object as it is stored. Raises 500 for metadata that cannot be read."""
        try:
            return self._read(resource, plain(obj))[0]
        except DecodeError as error:
            raise errors.plain_500(str(error)) from None

    def default(self, resource: Resource, obj: Object) -> None:
        structural.apply_defaults(self.schema_of(resource), obj)

    # --- validation

    def validate_create(self, resource: Resource, obj: Object) -> list[FieldError]:
        found = metadata.on_create(obj["metadata"], resource.namespaced, formats.dns_subdomain)
        return found + self._validate(resource, obj, ABSENT)

    def validate_update(self, resource: Resource, new: Object, old: Object, subresource: str) -> list[FieldError]:
        found = metadata.on_update(new["metadata"], old["metadata"])
        return found + self._validate(resource, new, old)

    def _validate(self, resource: Resource, obj: Object, old: Any) -> list[FieldError]:
        schema = self.schema_of(resource)
        found = validate(schema, obj, old) + validate_embedded(schema, obj) + validate_lists(schema, obj)
        if any(error.type in _BLOCKING for error in found):  # rules are not run over values that may be of a wrong type
            return [*found, invalid("<nil>", None, _NOT_CHECKED)] if has_rules(schema) else found
        return found + validate_rules(schema, obj, old)
