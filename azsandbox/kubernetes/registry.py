"""Objects in the store and out of it: the only place that knows how they lie there.

An object is stored as JSON without `apiVersion` and `kind`: lists of built-in kinds leave
them out, and a custom resource has them in the version that the client asks for. Reads put
a prefix of bytes before the stored ones and serialize nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import orjson

from azsandbox.clock import metav1_time
from azsandbox.kubernetes import conversion, defaults, errors
from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.store import Bucket, Conflict, Exists, Missing, Record


def head(gvk: GroupVersionKind) -> bytes:
    """The bytes that turn a stored value into an object of a type: they take the place of its first brace."""
    return b'{"kind":"%s","apiVersion":"%s",' % (gvk.kind.encode(), gvk.api_version.encode())


class Registry:
    """Objects of an API server by resource, namespace and name, over its bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self._read: dict[str, dict[str, tuple[int, Object]]] = {}  # URL path → key → revision, and what was read of it
        self.shape: Callable[[Resource], Callable[[Object], None] | None] = lambda resource: None  # of custom resources

    def on_write(self, collection: str, callback: Callable[[], None]) -> None:
        """Calls `callback` after every write to a collection, before the write is answered."""
        self._callbacks.setdefault(collection, []).append(callback)

    def _written(self, resource: Resource) -> None:
        for callback in self._callbacks.get(resource.collection, ()):
            callback()

    # --- reading

    def record(self, resource: Resource, namespace: str, name: str) -> Record | None:
        """The record of an object. Raises 400 for a name that cannot stand in a path."""
        if name in (".", "..") or "%" in name or "/" in name:
            raise _bad_name(name)
        return self.bucket.get(resource.collection, resource.key(namespace, name))

    def load(self, resource: Resource, value: bytes) -> Object:
        """A stored value as an object of the resource's version."""
        obj: Object = {"kind": resource.kind, "apiVersion": resource.stored_gvk.api_version, **orjson.loads(value)}
        return self.convert(obj, resource)

    def convert(self, obj: Object, resource: Resource) -> Object:
        """The same object in the resource's version."""
        if obj["apiVersion"] != resource.api_version:
            obj = conversion.convert(obj, resource.gvk) if not resource.custom else obj
            obj["apiVersion"] = resource.api_version
        if resource.custom:
            shape = self.shape(resource)
            if shape is not None:
                shape(obj)
        return obj

    def bytes_of(self, resource: Resource, value: bytes) -> bytes:
        """A stored value as the JSON of an object of the resource's version."""
        if self.converts(resource):
            return orjson.dumps(self.load(resource, value))
        return head(resource.gvk) + value[1:]

    def item_bytes(self, resource: Resource, value: bytes) -> bytes:
        """A stored value as an item of a list: built-in kinds leave out kind and apiVersion."""
        if self.converts(resource):
            obj = self.load(resource, value)
            if not resource.custom:
                del obj["kind"], obj["apiVersion"]
            return orjson.dumps(obj)
        return head(resource.gvk) + value[1:] if resource.custom else value

    def converts(self, resource: Resource) -> bool:
        """Whether the stored fields differ from those served."""
        return self.shape(resource) is not None if resource.custom else resource.stored_gvk != resource.gvk

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """An object, or None."""
        record = self.record(resource, namespace, name)
        return self.load(resource, record.value) if record else None

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """An object. Raises 404."""
        obj = self.find(resource, namespace, name)
        if obj is None:
            raise errors.not_found(resource.name, name, resource.group)
        return obj

    def objects(self, resource: Resource, namespace: str = "") -> list[Object]:
        """All objects of a namespace, or of all."""
        records = self.bucket.list(resource.collection, resource.prefix(namespace))
        return [self.load(resource, record.value) for record in records]

    def unchanging(self, resource: Resource) -> list[Object]:
        """All objects of a built-in resource, shared with whoever asks again: they must not be changed.

        Of those that were not written since the last time none is read again, which counts where a write of one of
        many long ones has all of them looked at.
        """
        before = self._read.get(resource.path()) or {}
        found: dict[str, tuple[int, Object]] = {}
        for record in self.bucket.list(resource.collection):
            known = before.get(record.key)
            if known is None or known[0] != record.revision:
                known = record.revision, self.load(resource, record.value)
            found[record.key] = known
        self._read[resource.path()] = found
        return [obj for _, obj in found.values()]

    # --- writing

    def _value(self, resource: Resource, obj: Object) -> Any:
        """The function that makes the stored bytes once the revision is known. `obj` gets its resourceVersion."""
        stored = obj
        if not resource.custom and self.converts(resource):
            stored = conversion.convert(obj, resource.stored_gvk)
            if stored["apiVersion"] != obj["apiVersion"] and resource.group != "events.k8s.io":
                # what is stored has the defaults of the stored version, as the server reads it
                defaults.apply(resource.stored_gvk, stored)

        def build(revision: int) -> bytes:
            obj["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"] = str(revision)
            return orjson.dumps({k: v for k, v in stored.items() if k not in ("kind", "apiVersion")})

        return build

    def insert(self, resource: Resource, obj: Object) -> Object:
        """Stores a new object. Raises 409 AlreadyExists."""
        metadata = obj["metadata"]
        key = resource.key(metadata.get("namespace", ""), metadata["name"])
        try:
            self.bucket.create(resource.collection, key, self._value(resource, obj))
        except Exists:
            raise errors.already_exists(resource.name, metadata["name"], resource.group) from None
        self._written(resource)
        return obj

    def replace(self, resource: Resource, obj: Object, expected: str) -> Object:
        """Stores a new state of an object that is at resourceVersion `expected`. Raises 404 or 409."""
        metadata = obj["metadata"]
        key = resource.key(metadata.get("namespace", ""), metadata["name"])
        try:
            self.bucket.update(resource.collection, key, self._value(resource, obj), int(expected))
        except Missing:
            raise errors.not_found(resource.name, metadata["name"], resource.group) from None
        except Conflict:
            raise errors.modified(resource.name, metadata["name"], resource.group) from None
        self._written(resource)
        return obj

    def remove(self, resource: Resource, obj: Object) -> Object:
        """Deletes an object for good; watches see `obj` as its last state."""
        metadata = obj["metadata"]
        key = resource.key(metadata.get("namespace", ""), metadata["name"])
        try:
            self.bucket.delete(resource.collection, key, self._value(resource, obj))
        except Missing:
            raise errors.not_found(resource.name, metadata["name"], resource.group) from None
        self._written(resource)
        return obj


def _bad_name(name: str) -> errors.StatusError:
    from azsandbox.kubernetes.validation import formats
    from azsandbox.kubernetes.validation.errors import quoted

    return errors.bad_request(f"Name parameter invalid: {quoted(name)}: {';'.join(formats.path_segment(name))}")


def now() -> str:
    """The time as metav1.Time: RFC 3339 in seconds, UTC."""
    return metav1_time(dt.datetime.now(dt.UTC))
