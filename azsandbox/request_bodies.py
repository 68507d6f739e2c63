"""The body of a request that is read whole, over ASGI, up to what its service takes."""

from __future__ import annotations

from azsandbox.dispatch import Receive


async def read_whole(receive: Receive, limit: int, too_large: Exception) -> bytes:
    """The body of a request, or what came of it before the client went away.

    Raises `too_large`, the service's own refusal, beyond `limit` bytes, without reading on.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise too_large
        more = message.get("more_body", False)
    return b"".join(parts)
