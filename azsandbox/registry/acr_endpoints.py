"""/acr/v1: Azure's own API of what a registry holds, which `az acr repository` and the Azure SDK use.

Shapes: recordings of the Azure SDK's tests of azure-containerregistry (api-version 2021-07-01).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azsandbox import json_bodies
from azsandbox.registry import errors, manifest_endpoints
from azsandbox.registry.call import Call
from azsandbox.registry.content import LOCKS, Stored, Tag
from azsandbox.registry.manifests import INDEXES
from azsandbox.registry.names import is_digest
from azsandbox.registry.web import Answer


def _head(call: Call) -> dict[str, Any]:
    return {"registry": call.login_server, "imageName": call.repository}


def _ordered(call: Call, entries: Sequence[Any]) -> list[Any]:
    """In the order that `orderby` asks for: by name, or by time of the last change."""
    order = call.request.query.get("orderby", "")
    if order in ("timedesc", "timeasc"):
        return sorted(entries, key=lambda entry: entry.updated, reverse=order == "timedesc")
    return list(entries)


async def _locks(call: Call) -> dict[str, bool]:
    """The locks in the body of a PATCH. Raises RegistryError."""
    try:
        body = json_bodies.parse(await call.request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise errors.RegistryError(400, "UNSUPPORTED", "the body is not a JSON object")
    for name, value in body.items():
        if name not in LOCKS:
            raise errors.not_supported(f"the attribute {name!r}")
        if not isinstance(value, bool):
            raise errors.RegistryError(400, "UNSUPPORTED", f"the attribute {name!r} is neither true nor false")
    return body


# --- repositories


def _repository(call: Call) -> dict[str, Any]:
    found = call.found(errors.repository_unknown)
    return {
        **_head(call),
        "createdTime": found.created,
        "lastUpdateTime": found.updated,
        "manifestCount": len(call.content.manifests(call.repository)),
        "tagCount": len(call.content.tags(call.repository)),
        "changeableAttributes": found.attributes,
    }


async def show(call: Call) -> Answer:
    """GET of a repository's attributes."""
    return Answer(200, _repository(call))


async def update(call: Call) -> Answer:
    """PATCH of a repository's locks."""
    call.found(errors.repository_unknown)
    call.content.lock_repository(call.repository, await _locks(call))
    return Answer(200, _repository(call))


async def delete(call: Call) -> Answer:
    """DELETE of a repository with all that is in it."""
    locks = [call.found().attributes]
    locks += [manifest.attributes for manifest in call.content.manifests(call.repository)]
    locks += [tag.attributes for tag in call.content.tags(call.repository)]
    if not all(lock["deleteEnabled"] for lock in locks):
        raise errors.disallowed()
    digests, tags = call.content.delete_repository(call.repository)
    return Answer(202, {"manifestsDeleted": digests, "tagsDeleted": tags})


# --- tags


def _tag(tag: Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "digest": tag.digest,
        "createdTime": tag.created,
        "lastUpdateTime": tag.updated,
        "signed": False,
        "changeableAttributes": tag.attributes,
    }


async def tags(call: Call) -> Answer:
    """GET of all tags; `digest` narrows them to those of a manifest."""
    call.found(errors.repository_unknown)
    found = [t for t in call.content.tags(call.repository) if t.attributes["listEnabled"]]
    if digest := call.request.query.get("digest"):
        found = [t for t in found if t.digest == digest]
    found = _ordered(call, found)
    return call.page(found, [t.name for t in found], lambda shown: {**_head(call), "tags": [_tag(t) for t in shown]})


async def show_tag(call: Call, tag: str) -> Answer:
    """GET of one tag."""
    call.found(errors.repository_unknown)
    found = call.content.tag(call.repository, tag)
    if found is None:
        raise errors.tag_unknown(tag)
    return Answer(200, {**_head(call), "tag": _tag(found)})


async def update_tag(call: Call, tag: str) -> Answer:
    """PATCH of a tag's locks."""
    call.found(errors.repository_unknown)
    found = call.content.lock_tag(call.repository, tag, await _locks(call))
    if found is None:
        raise errors.tag_unknown(tag)
    return Answer(200, {**_head(call), "tag": _tag(found)})


async def delete_tag(call: Call, tag: str) -> Answer:
    """DELETE of a tag; its manifest stays."""
    call.found()
    if call.content.tag(call.repository, tag) is None:
        raise errors.tag_unknown(tag)
    return await manifest_endpoints.untag(call, tag)


# --- manifests


def _manifest(call: Call, stored: Stored, names: list[str]) -> dict[str, Any]:
    attributes: dict[str, Any] = dict(stored.attributes)
    out: dict[str, Any] = {
        "digest": stored.digest,
        "imageSize": stored.size,
        "createdTime": stored.created,
        "lastUpdateTime": stored.updated,
        **stored.platform,
        "mediaType": stored.media_type,
    }
    if stored.config_media_type:
        out["configMediaType"] = stored.config_media_type
    if names:
        out["tags"] = names
    if stored.media_type not in INDEXES:
        attributes["quarantineState"] = "Passed"
    out["changeableAttributes"] = attributes
    return out


def _names(call: Call) -> dict[str, list[str]]:
    """Tags by digest."""
    out: dict[str, list[str]] = {}
    for tag in call.content.tags(call.repository):
        out.setdefault(tag.digest, []).append(tag.name)
    return out


async def manifests(call: Call) -> Answer:
    """GET of all manifests."""
    call.found(errors.repository_unknown)
    names = _names(call)
    found = _ordered(call, [m for m in call.content.manifests(call.repository) if m.attributes["listEnabled"]])

    def body(shown: list[Stored]) -> dict[str, Any]:
        return {**_head(call), "manifests": [_manifest(call, m, names.get(m.digest, [])) for m in shown]}

    return call.page(found, [m.digest for m in found], body)


def _one(call: Call, digest: str) -> Stored:
    call.found(errors.repository_unknown)
    found = call.content.manifest(call.repository, digest) if is_digest(digest) else None
    if found is None:
        raise errors.manifest_unknown(digest)
    return found


def _full(call: Call, stored: Stored) -> Answer:
    body = _manifest(call, stored, _names(call).get(stored.digest, []))
    if stored.children:
        body["references"] = stored.children
    return Answer(200, {**_head(call), "manifest": body})


async def show_manifest(call: Call, digest: str) -> Answer:
    """GET of one manifest's attributes."""
    return _full(call, _one(call, digest))


async def update_manifest(call: Call, digest: str) -> Answer:
    """PATCH of a manifest's locks."""
    stored = _one(call, digest)
    changed = call.content.lock_manifest(call.repository, digest, await _locks(call))
    return _full(call, changed or stored)


async def delete_manifest(call: Call, digest: str) -> Answer:
    """DELETE of a manifest."""
    return await manifest_endpoints.delete(call, _one(call, digest).digest)
