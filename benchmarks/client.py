"""A small HTTP/1.1 client over TLS, so that what is measured is the server: httpx takes longer than a GET."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class Refused(Exception):
    """An answer of 400 or above."""


class Client:
    """Connections to the server of a kubeconfig, kept open and used in turn."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urlsplit(cluster["server"])
        self.host, self.port = url.hostname or "", url.port or 443
        self.context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        self._authorization = f"Authorization: Bearer {user['token']}\r\n" if "token" in user else ""
        if "client-certificate-data" in user:
            self._identify(user)
        self._free: list[Connection] = []

    def _identify(self, user: dict[str, Any]) -> None:
        """Loads the certificate of a user that has no token."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for name in ("certificate", "key"):
                Path(folder, name).write_bytes(base64.b64decode(user[f"client-{name}-data"]))
            self.context.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"))

    async def open(self) -> Connection:
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.context, limit=1 << 20)
        return Connection(reader, writer, f"Host: {self.host}:{self.port}\r\n{self._authorization}")

    async def send(self, method: str, url: str, body: Any = None, **headers: str) -> bytes:
        """The body of the answer. Raises Refused."""
        connection = self._free.pop() if self._free else await self.open()
        answer = await connection.send(method, url, body, **headers)
        self._free.append(connection)
        return answer

    async def close(self) -> None:
        for connection in self._free:
            connection.writer.close()


class Connection:
    """One connection, with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    async def send(self, method: str, url: str, body: Any = None, **headers: str) -> bytes:
        await self._begin(method, url, body, headers)
        status, said = await self._answer()
        data = await self._body(said)
        if status >= 400:
            raise Refused(f"{method} {url}: {status} {data[:300].decode(errors='replace')}")
        return data

    async def lines(self, url: str) -> AsyncIterator[bytes]:
        """The lines of a watch."""
        await self._begin("GET", url, None, {})
        status, said = await self._answer()
        if status >= 400:
            raise Refused(f"GET {url}: {status}")
        assert said.get("transfer-encoding") == "chunked"
        rest = b""
        while size := int(await self.reader.readline(), 16):
            rest += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
            *whole, rest = rest.split(b"\n")
            for line in whole:
                yield line

    async def _begin(self, method: str, url: str, body: Any, headers: dict[str, str]) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        own = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        if data:
            own += f"Content-Length: {len(data)}\r\n"
            own += "" if "content_type" in headers else "Content-Type: application/json\r\n"
        self.writer.write(f"{method} {url} HTTP/1.1\r\n{self.head}{own}\r\n".encode() + data)

    async def _answer(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        said = {}
        for line in head[1:]:
            name, _, value = line.partition(": ")
            said[name.lower()] = value
        return int(head[0].split(" ")[1]), said

    async def _body(self, said: dict[str, str]) -> bytes:
        if "content-length" in said:
            return await self.reader.readexactly(int(said["content-length"]))
        data = b""
        while size := int(await self.reader.readline(), 16):
            data += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readline()
        return data


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Client]:
    client = Client(kubeconfig)
    try:
        yield client
    finally:
        await client.close()
