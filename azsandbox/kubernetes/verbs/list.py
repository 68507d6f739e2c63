"""LIST: objects of a collection, whole or in pages, as of one revision."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import orjson

from azsandbox.kubernetes import answers, errors, options
from azsandbox.kubernetes.fields import parse_fields
from azsandbox.kubernetes.request import Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.selectors import FieldSelector, LabelSelector, parse_labels
from azsandbox.store import Compacted, Record

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

_TOO_OLD_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


async def list_(server: ApiServer, request: Request) -> Response:
    """Answers with a list, a Table of it, or metadata alone."""
    resource = request.resource
    assert resource is not None
    labels, fields = selectors(request, resource)
    options.list_options(request)
    records, metadata = page(server, request, resource, labels, fields)
    return await answers.stored_list(server, request, resource, records, metadata)


def selectors(request: Request, resource: Resource) -> tuple[LabelSelector, FieldSelector]:
    """The selectors of a request. Raises 400."""
    fields = parse_fields(request.param("fieldSelector"), resource)
    return parse_labels(request.param("labelSelector")), fields


def page(
    server: ApiServer, request: Request, resource: Resource, labels: LabelSelector, fields: FieldSelector
) -> tuple[list[Record], dict[str, object]]:
    """Records of one page and the list's metadata."""
    bucket = server.registry.bucket
    limit, token = options.limit(request), request.param("continue")
    version = request.param("resourceVersion")
    after, revision = "", bucket.revision
    if token:
        if version not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        revision, after = decode_token(token)
        if revision < 0:
            revision = bucket.revision
    elif version and version != "0":
        try:
            asked = options.resource_version(version)
        except ValueError as error:
            raise errors.bad_request(f"invalid resource version: {error}") from None
        server.not_ahead(asked, exact=request.param("resourceVersionMatch") == "Exact")
        if request.param("resourceVersionMatch") == "Exact":
            revision = asked
    prefix = resource.prefix(request.namespace)
    try:
        records = bucket.list_at(resource.collection, prefix, revision)
    except Compacted:
        if not token:
            raise errors.expired("The resourceVersion for the provided list is too old.") from None
        fresh = encode_token(-1, after)
        gone = errors.expired(_TOO_OLD_PAGE)
        gone.metadata = {"continue": fresh}
        raise gone from None
    if after:
        records = [record for record in records if record.key > after]
    if fields.name and fields.name and resource.namespaced and request.namespace:
        key = resource.key(request.namespace, fields.name)
        records = [record for record in records if record.key == key]
    selective = bool(labels) or bool(fields)
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if not selective:
        if limit and len(records) > limit:
            metadata["continue"] = encode_token(revision, records[limit - 1].key)
            metadata["remainingItemCount"] = len(records) - limit
            records = records[:limit]
        return records, metadata
    chosen: list[Record] = []
    for record in records:
        obj = server.registry.load(resource, record.value)
        if labels.matches(obj) and fields.matches(obj):
            if limit and len(chosen) == limit:  # one more is there: only now is a next page worth a token
                metadata["continue"] = encode_token(revision, chosen[-1].key)
                break
            chosen.append(record)
    return chosen, metadata


def encode_token(revision: int, last: str) -> str:
    """A continue token: where the next page begins."""
    return (
        base64.urlsafe_b64encode(orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": last + "\0"}))
        .decode()
        .rstrip("=")
    )


def decode_token(token: str) -> tuple[int, str]:
    """Revision and last key of a continue token. Raises 400."""

    def refuse(cause: str) -> Exception:
        return errors.bad_request(f"invalid continue token: continue key is not valid: {cause}")

    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise refuse("illegal base64 data at input byte 0") from None
    try:
        value = orjson.loads(raw)
    except ValueError:
        first = raw[:1].decode("latin-1") if raw else ""
        shown = first if first.isprintable() and first.isascii() else f"\\u{ord(first or chr(0)):04x}"
        cause = f"invalid character '{shown}' looking for beginning of value" if raw else "unexpected end of JSON input"
        raise refuse(cause) from None
    if not isinstance(value, dict) or value.get("v") != "meta.k8s.io/v1":
        shown = value.get("v", "") if isinstance(value, dict) else ""
        raise refuse(f"server does not recognize this encoded version {shown}")
    if not value.get("start"):
        raise refuse("encoded start key")
    return int(value["rv"]), str(value["start"]).rstrip("\0")
