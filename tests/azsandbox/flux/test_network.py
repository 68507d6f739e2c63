from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from azsandbox.flux.network import failure, http_client
from azsandbox.flux.runtime import Outbound


async def said(url: str) -> str:
    async with http_client(Outbound(), timeout=5) as client:
        with pytest.raises(httpx.HTTPError) as error:
            await client.get(url)
    return await failure("GET", url, error.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:9/x", 'Get "http://127.0.0.1:9/x": dial tcp 127.0.0.1:9: connect: connection refused'),
        (
            "https://me:pw@127.0.0.1:9",
            'Get "https://me:***@127.0.0.1:9": dial tcp 127.0.0.1:9: connect: connection refused',
        ),
        ("http://nowhere.invalid/", 'Get "http://nowhere.invalid/": dial tcp: lookup nowhere.invalid: no such host'),
        ("gopher://x", 'Get "gopher://x": unsupported protocol scheme "gopher"'),
    ],
)
async def test_a_request_that_reaches_nobody_fails_in_the_words_of_go(url: str, text: str) -> None:
    assert await said(url) == text


def closing(data: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(data)
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("scheme", "data", "text"),
    [
        ("http", b"", "EOF"),
        ("https", b"", "EOF"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "http: server gave HTTP response to HTTPS client"),
    ],
)
async def test_a_server_that_speaks_otherwise_is_told_in_the_words_of_go(scheme: str, data: bytes, text: str) -> None:
    server = await asyncio.start_server(closing(data), "127.0.0.1", 0)
    async with server:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await said(url) == f'Get "{url}": {text}'


async def test_a_client_of_the_sandbox_goes_by_its_proxy_but_not_to_loopback() -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with http_client(Outbound(f"http://127.0.0.1:{port}")) as client:
            assert (await client.get("http://git.example/a")).status_code == 200
            assert (await client.get(f"http://127.0.0.1:{port}/b")).status_code == 200
    assert asked == [b"GET http://git.example/a HTTP/1.1", b"GET /b HTTP/1.1"]


async def test_a_proxy_that_refuses_is_told_by_its_status() -> None:
    server = await asyncio.start_server(closing(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with http_client(Outbound(f"http://127.0.0.1:{port}")) as client:
            with pytest.raises(httpx.ProxyError) as error:
                await client.get("https://git.example/")
    assert await failure("GET", "https://git.example/", error.value) == 'Get "https://git.example/": Forbidden'
