"""/v2/NAME/manifests, /v2/NAME/tags/list, /v2/NAME/referrers and /v2/_catalog.

OCI distribution specification 1.1, "Pulling manifests", "Pushing manifests", "Content discovery", "Listing referrers".
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from azsandbox.registry import errors
from azsandbox.registry.call import Call
from azsandbox.registry.content import Stored, describe
from azsandbox.registry.manifests import EMPTY, IMAGES, OCI_INDEX, Invalid, Manifest, parse
from azsandbox.registry.names import is_digest, is_tag
from azsandbox.registry.web import BODY_LIMIT, Answer, BodyTooLarge

CONFIG_LIMIT = 1024 * 1024  # bytes of an image configuration that is read for its platform


async def read(call: Call, reference: str) -> Answer:
    """GET and HEAD of a manifest by tag or digest."""
    call.readable()
    found = call.content.manifest(call.repository, reference)
    if found is None or (":" in reference and not is_digest(reference)):
        raise errors.manifest_unknown(reference)
    if not found.attributes["readEnabled"] or not _tag_readable(call, reference):
        raise errors.disallowed()
    headers = {
        "Content-Type": found.media_type,
        "Docker-Content-Digest": found.digest,
        "Etag": f'"{found.digest}"',
    }
    if found.upstream and not found.content:
        if call.request.method == "GET":
            raise errors.not_supported(
                f"reading the manifest {found.digest}, which was imported from {found.upstream}: of upstream images it "
                "has digest and media type, and nothing that they are made of"
            )
        return Answer(200, headers=headers, content=b"")
    return Answer(200, headers=headers, content=found.content)


def _tag_readable(call: Call, reference: str) -> bool:
    tag = call.content.tag(call.repository, reference) if ":" not in reference else None
    return tag is None or tag.attributes["readEnabled"]


async def write(call: Call, reference: str) -> Answer:
    """PUT of a manifest under a tag or its digest; `?tag=` adds tags to one by digest."""
    call.writable()
    try:
        content = await call.request.body(BODY_LIMIT)
    except BodyTooLarge:
        raise errors.manifest_too_large(BODY_LIMIT) from None
    tags = [reference] if ":" not in reference else []
    algorithm = "sha256"
    if ":" in reference:
        if not is_digest(reference):
            raise errors.digest_invalid(f"{reference!r} is not a digest")
        algorithm = reference.partition(":")[0]
        if extra := call.request.query.get("tag"):
            tags.append(extra)
    digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    if ":" in reference and digest != reference:
        raise errors.digest_invalid("the manifest has another digest")
    for tag in tags:
        if not is_tag(tag):
            raise errors.tag_invalid(tag)
        held = call.content.tag(call.repository, tag)
        if held is not None and not held.attributes["writeEnabled"]:
            raise errors.disallowed()
    try:
        manifest = parse(call.request.headers.get("content-type", ""), content)
    except Invalid as error:
        raise errors.manifest_invalid(str(error)) from None
    _check_references(call, manifest)
    stored = describe(manifest, digest, content, _configuration(call, manifest), _sizes(call, manifest))
    call.content.put_manifest(call.repository, stored, tags)
    headers = {"Location": f"/v2/{call.name}/manifests/{digest}", "Docker-Content-Digest": digest}
    if manifest.subject is not None:
        headers["OCI-Subject"] = str(manifest.subject["digest"])
    if ":" in reference and tags:
        headers["OCI-Tag"] = ", ".join(tags)
    return Answer(201, headers=headers)


def _check_references(call: Call, manifest: Manifest) -> None:
    """What a manifest is made of must be in the repository; its subject need not."""
    for digest in manifest.blobs:
        if call.content.blob_size(call.repository, digest) is None:
            raise errors.manifest_blob_unknown(digest)
    for child in manifest.manifests:
        if call.content.manifest(call.repository, str(child["digest"])) is None:
            raise errors.manifest_unknown(str(child["digest"]))


def _configuration(call: Call, manifest: Manifest) -> dict[str, Any]:
    """The configuration of an image, for its platform; {} where there is none to be read."""
    config = manifest.config
    if config is None or manifest.media_type not in IMAGES or config.get("mediaType") == EMPTY:
        return {}
    digest = str(config["digest"])
    if (call.content.blob_size(call.repository, digest) or 0) > CONFIG_LIMIT:
        return {}
    try:
        found = orjson.loads(call.content.blob(digest))
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _sizes(call: Call, manifest: Manifest) -> dict[str, int]:
    """Sizes of what an index lists."""
    found = (call.content.manifest(call.repository, str(child["digest"])) for child in manifest.manifests)
    return {stored.digest: stored.size for stored in found if stored is not None}


async def delete(call: Call, reference: str) -> Answer:
    """DELETE by digest deletes a manifest with its tags; by tag the tag alone."""
    call.found()
    if ":" not in reference:
        return await untag(call, reference)
    found = call.content.manifest(call.repository, reference)
    if found is None:
        raise errors.manifest_unknown(reference)
    tags = [t for t in call.content.tags(call.repository) if t.digest == found.digest]
    locks = [call.found().attributes, found.attributes, *(t.attributes for t in tags)]
    if not all(lock["deleteEnabled"] for lock in locks):
        raise errors.disallowed()
    call.content.delete_manifest(call.repository, found.digest)
    return Answer(202)


async def untag(call: Call, tag: str) -> Answer:
    """Removes a tag."""
    held = call.content.tag(call.repository, tag)
    if held is None:
        raise errors.manifest_unknown(tag)
    if not held.attributes["deleteEnabled"] or not call.found().attributes["deleteEnabled"]:
        raise errors.disallowed()
    call.content.delete_tag(call.repository, tag)
    return Answer(202)


async def tags(call: Call) -> Answer:
    """GET /v2/NAME/tags/list."""
    call.found()
    names = [t.name for t in call.content.tags(call.repository) if t.attributes["listEnabled"]]
    return call.page(names, names, lambda shown: {"name": call.name, "tags": shown}, whole=True)


async def referrers(call: Call, digest: str) -> Answer:
    """GET /v2/NAME/referrers/DIGEST: an index of what is about a manifest, which need not be there itself."""
    if not is_digest(digest):
        raise errors.digest_invalid(f"{digest!r} is not a digest")
    found = call.content.referrers(call.repository, digest)
    headers = {"Content-Type": OCI_INDEX}
    if wanted := call.request.query.get("artifactType"):
        found = [stored for stored in found if stored.artifact_type == wanted]
        headers["OCI-Filters-Applied"] = "artifactType"
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [_descriptor(stored) for stored in found]}
    return Answer(200, content=orjson.dumps(body), headers=headers)


def _descriptor(stored: Stored) -> dict[str, Any]:
    out: dict[str, Any] = {"mediaType": stored.media_type, "digest": stored.digest, "size": len(stored.content)}
    if stored.artifact_type:
        out["artifactType"] = stored.artifact_type
    if stored.annotations:
        out["annotations"] = stored.annotations
    return out


async def catalog(call: Call) -> Answer:
    """GET /v2/_catalog and /acr/v1/_catalog."""
    content = call.content
    names = [n for n in content.repositories() if (r := content.repository(n)) and r.attributes["listEnabled"]]
    return call.page(names, names, lambda shown: {"repositories": shown})
