"""/v2/NAME/blobs: reading and deleting blobs, uploading them in one piece or in chunks, mounting them from elsewhere.

OCI distribution specification 1.1, "Pulling blobs", "Pushing blobs", "Deleting blobs".
"""

from __future__ import annotations

import re

from azsandbox.registry import errors
from azsandbox.registry.call import Call
from azsandbox.registry.names import Grant, is_digest
from azsandbox.registry.web import Answer

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?")


# --- blobs


async def read(call: Call, digest: str) -> Answer:
    """GET and HEAD of a blob, whole or a range of it."""
    call.readable()
    size = call.content.blob_size(call.repository, digest) if is_digest(digest) else None
    if size is None:
        raise errors.blob_unknown(digest)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "Etag": f'"{digest}"',
        "Cache-Control": "max-age=31536000",
    }
    start, end, status = 0, size - 1, 200
    if asked := call.request.headers.get("range"):
        found = _RANGE.fullmatch(asked.strip())
        if found and (found[1] or found[2]):
            start, end = _limits(found[1], found[2], size)
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    headers["Content-Length"] = str(end - start + 1)
    return Answer(status, headers=headers, stream=call.content.read_blob(digest, start, end))


def _limits(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of a range. Raises RANGE_INVALID."""
    start, end = (int(first), int(last) if last else size - 1) if first else (max(0, size - int(last)), size - 1)
    if start > end or start >= size:
        error = errors.range_invalid(size)
        error.headers = {"Content-Range": f"bytes */{size}"}
        raise error
    return start, min(end, size - 1)


async def delete(call: Call, digest: str) -> Answer:
    """DELETE of a blob: it leaves this repository, which may have no manifest yet."""
    if not is_digest(digest) or not call.content.delete_blob(call.repository, digest):
        raise errors.blob_unknown(digest)
    return Answer(202, headers={"Docker-Content-Digest": digest})


# --- uploads


async def begin(call: Call) -> Answer:
    """POST: starts an upload, takes a blob whole, or mounts one."""
    call.writable()
    query = call.request.query
    if (mounted := query.get("mount")) and is_digest(mounted) and _mount(call, mounted, query.get("from", "")):
        return _created(call, mounted)
    digest = query.get("digest")
    if digest is not None and not is_digest(digest):
        raise errors.digest_invalid(f"{digest!r} is not a digest")
    upload = call.content.begin_upload(call.repository)
    if digest is not None:
        return await _complete(call, upload, digest)
    return _under_way(call, upload, 0)


def _mount(call: Call, digest: str, source: str) -> bool:
    """Takes a blob over from another repository, where the caller may pull from that; without a source from any."""
    content, other = call.content, ""
    if source:
        prefix = call.name.removesuffix(call.repository)  # of the registry, where the address has none
        other = source.removeprefix(prefix)
        if not call.allows(Grant("repository", source, ("pull",))):
            return False
    else:
        other = content.holder(digest) or ""
        if not other or not call.allows(
            Grant("repository", call.name.removesuffix(call.repository) + other, ("pull",))
        ):
            return False
    if content.blob_size(other, digest) is None:
        return False
    content.link(call.repository, digest)
    return True


async def append(call: Call, upload: str) -> Answer:
    """PATCH: the next chunk, or all that there is."""
    size = _size(call, upload)
    _check_start(call, size)
    size = await call.content.append_upload(upload, call.request.chunks())
    return _under_way(call, upload, size)


async def complete(call: Call, upload: str) -> Answer:
    """PUT: the last chunk, if one is sent, and the digest of the whole."""
    size = _size(call, upload)
    digest = call.request.query.get("digest", "")
    if not is_digest(digest):
        raise errors.digest_invalid(f"{digest!r} is not a digest")
    _check_start(call, size)
    return await _complete(call, upload, digest)


async def status(call: Call, upload: str) -> Answer:
    """GET: how far an upload is."""
    answer = _under_way(call, upload, _size(call, upload))
    answer.status = 204
    return answer


async def cancel(call: Call, upload: str) -> Answer:
    """DELETE of an upload."""
    _size(call, upload)
    call.content.cancel_upload(call.repository, upload)
    return Answer(204)


async def _complete(call: Call, upload: str, digest: str) -> Answer:
    await call.content.append_upload(upload, call.request.chunks(), digest.partition(":")[0])
    if not call.content.finish_upload(call.repository, upload, digest):
        raise errors.digest_invalid("the content has another digest")
    return _created(call, digest)


def _size(call: Call, upload: str) -> int:
    """Bytes that an upload has. Raises BLOB_UPLOAD_UNKNOWN."""
    size = call.content.upload_size(call.repository, upload)
    if size is None:
        raise errors.upload_unknown()
    return size


def _check_start(call: Call, size: int) -> None:
    """A chunk that says where it belongs must begin where the upload ends. Raises RANGE_INVALID."""
    text = call.request.headers.get("content-range")
    if text is None:
        return
    found = _CONTENT_RANGE.fullmatch(text.strip())
    length = call.request.headers.get("content-length")
    if found is None or int(found[2]) < int(found[1]):
        raise errors.upload_invalid(f"Content-Range {text!r} is not START-END")
    if int(found[1]) != size:
        raise errors.range_invalid(size)
    if length is not None and length.isdigit() and int(length) != int(found[2]) - int(found[1]) + 1:
        raise errors.RegistryError(400, "SIZE_INVALID", "provided length did not match content length")


def _under_way(call: Call, upload: str, size: int) -> Answer:
    headers = {
        "Location": f"/v2/{call.name}/blobs/uploads/{upload}",
        "Range": f"0-{max(0, size - 1)}",
        "Docker-Upload-Uuid": upload,
    }
    return Answer(202, headers=headers)


def _created(call: Call, digest: str) -> Answer:
    return Answer(201, headers={"Location": f"/v2/{call.name}/blobs/{digest}", "Docker-Content-Digest": digest})
