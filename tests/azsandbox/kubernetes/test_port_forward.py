"""Ports of programs that the sandbox acts for are forwarded, by kubectl and by the older protocol of channels."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.certificates import Authority
from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers import program_stream
from azsandbox.controllers.client import path
from azsandbox.controllers.kubelet import port_forward
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest
from azsandbox.kubernetes.request import Request
from azsandbox.kubernetes.spdy import Data, Opened, Ping, Spdy, SpdyError
from azsandbox.store import Store

POD: dict[str, Any] = {"metadata": {"name": "pot", "namespace": "default", "uid": "u"}}


async def echo(request: HttpRequest) -> HttpAnswer:
    return HttpAnswer(418, f"{request.method} {request.target} ".encode() + request.body, {"x-teapot": "yes"})


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    runtime = FluxRuntime(tmp_path / "flux")
    runtime.ports.listen("teapot", 9292, echo)
    options = {"profile": "kwok", "flux": runtime}
    found = Cluster("test", Store(None).bucket("cluster"), "v1.35.4", all_controllers(), options, Authority(tmp_path))
    await found.start(["127.0.0.1"])
    await add_nodes(found.client, 1)
    async with asyncio.timeout(20):
        while await found.client.find(path("v1", "serviceaccounts", "default", "default")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for name, image in (("pot", "example.com/teapot:v1"), ("other", "example.com/other:v1")):
            container = {"name": "c", "image": image, "ports": [{"name": "http", "containerPort": 9292}]}
            pod = {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container]}}
            await found.client.create(path("v1", "pods", "default"), {"apiVersion": "v1", "kind": "Pod", **pod})
            url = path("v1", "pods", "default", name)
            while (await found.client.get(url)).get("status", {}).get("phase") != "Running":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        ports = [{"port": 80, "targetPort": "http"}]
        service = {"metadata": {"name": "pot"}, "spec": {"selector": {"app": "pot"}, "ports": ports}}
        await found.client.create(path("v1", "services", "default"), {"apiVersion": "v1", "kind": "Service", **service})
    yield found
    await found.stop()


class Forwarding:
    """kubectl port-forward while the block lasts."""

    def __init__(self, cluster: Cluster, folder: Path, *arguments: str) -> None:
        config = folder / "kubeconfig"
        config.write_text(cluster.kubeconfig())
        self.command = ["kubectl", "--kubeconfig", str(config), "port-forward", *arguments]
        self.port = 0

    async def __aenter__(self) -> Forwarding:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*self.command, stdout=pipe, stderr=pipe)
        assert self.process.stdout and self.process.stderr
        async with asyncio.timeout(20):
            line = (await self.process.stdout.readline()).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        self.port = int(found.group(1)) if found else 0
        self.said = line if found else (await self.process.stderr.read()).decode()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.communicate()


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH")
async def test_kubectl_forwards_a_services_port(cluster: Cluster, tmp_path: Path) -> None:
    async with Forwarding(cluster, tmp_path, "svc/pot", ":80") as forwarding:
        base = f"http://127.0.0.1:{forwarding.port}"
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answers = await asyncio.gather(*(client.post(f"{base}/{n}?x", content=b"b" * n) for n in (0, 1, 200_000)))
        assert [answer.content for answer in answers] == [f"POST /{n}?x ".encode() + b"b" * n for n in (0, 1, 200_000)]
        assert {(answer.status_code, answer.headers["x-teapot"]) for answer in answers} == {(418, "yes")}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH")
async def test_kubectl_says_where_nothing_listens(cluster: Cluster, tmp_path: Path) -> None:
    async with Forwarding(cluster, tmp_path, "pod/other", ":9292") as forwarding:
        assert "pods of this cluster are simulated and listen on no port" in forwarding.said
    async with Forwarding(cluster, tmp_path, "pod/pot", ":81") as forwarding:
        with socket.create_connection(("127.0.0.1", forwarding.port)):
            assert forwarding.process.stderr
            async with asyncio.timeout(20):
                line = (await forwarding.process.stderr.readline()).decode()
        assert "dial tcp4 127.0.0.1:81: connect: connection refused" in line


class Channels:
    """A WebSocket of a client that sends `messages` and then waits."""

    def __init__(self, protocols: list[str], messages: list[bytes]) -> None:
        self.protocols, self.messages = protocols, list(messages)
        self.sent: list[bytes] = []
        self.accepted = ""

    async def accept(self, protocol: str) -> None:
        self.accepted = protocol

    async def receive(self) -> bytes | None:
        if self.messages:
            return self.messages.pop(0)
        await asyncio.sleep(0.1)
        return None

    async def send(self, data: bytes) -> None:
        self.sent.append(data)


async def forwarded(channels: Channels, **query: list[str]) -> None:
    request = Request("GET", "/", query, {}, b"")
    request.socket = channels
    await port_forward.answer(POD, request, lambda port: echo if port == 80 else None)


async def test_older_clients_have_a_pair_of_channels_a_port() -> None:
    channels = Channels(["v4.channel.k8s.io"], [b"\0GET /a HTTP/1.1\r\nhost: x\r\n", b"\0\r\n"])
    await forwarded(channels, ports=["80", "81"])
    assert channels.sent[:4] == [b"\0P\0", b"\1P\0", b"\2Q\0", b"\3Q\0"]
    data = b"".join(message[1:] for message in channels.sent[4:] if message[0] == 0)
    assert data.startswith(b"HTTP/1.1 418 ") and data.endswith(b"GET /a ")
    [refused] = [message[1:] for message in channels.sent[4:] if message[0] == 3]
    assert refused.startswith(b"error forwarding port 81 to pod default/pot, uid u: ")


async def test_other_protocols_are_refused_by_name() -> None:
    with pytest.raises(StatusError, match=r"offered was: v3\.x"):
        await forwarded(Channels(["v3.x"], []), ports=["80"])
    with pytest.raises(StatusError, match='"ports" is required'):
        await forwarded(Channels(["v4.channel.k8s.io"], []), ports=["x"])


def test_frames_come_whole_however_their_bytes_arrive() -> None:
    """What client-go sent to open a stream, taken down once, with a ping and data behind it."""
    client = Spdy()
    ping = b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01"
    stream = (
        _opening({"streamtype": "data", "port": "80", "requestid": "0"}, 3) + ping + client.data(3, b"hey", last=True)
    )
    for step in (1, 7, len(stream)):
        server = Spdy()
        frames = [frame for at in range(0, len(stream), step) for frame in server.receive(stream[at : at + step])]
        assert frames == [
            Opened(3, {"streamtype": "data", "port": "80", "requestid": "0"}),
            Ping(ping),
            Data(3, b"hey", True),
        ]


def test_headers_are_compressed_upon_those_before() -> None:
    client, server = Spdy(), Spdy()
    for number in (1, 3, 5):
        [opened] = server.receive(_opening({"port": str(number)}, number, client))
        assert opened == Opened(number, {"port": str(number)})


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x02\x00\x01\x00\x00\x00\x00",
        b"\x80\x03\x00\x01\x00\x00\x00\x0c" + b"x" * 12,
        b"\x00\x00\x00\x01\x00\xff\xff\xff",
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(SpdyError):
        Spdy().receive(data + b"\0" * 16)


def _opening(headers: dict[str, str], stream: int, client: Spdy | None = None) -> bytes:
    """SYN_STREAM as a client sends it."""
    import struct
    import zlib

    client = client or Spdy()
    plain = struct.pack(">I", len(headers))
    for text in (text for pair in headers.items() for text in pair):
        plain += struct.pack(">I", len(text)) + text.encode()
    block = client._deflate.compress(plain) + client._deflate.flush(zlib.Z_SYNC_FLUSH)
    payload = struct.pack(">IIH", stream, 0, 0) + block
    return struct.pack(">HHI", 0x8003, 1, len(payload)) + payload


async def test_requests_follow_each_other_on_one_connection() -> None:
    sent = [
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab",
        b"HEAD /b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"bad\r\n\r\n",
    ]
    out: list[bytes] = []

    async def read() -> bytes:
        return sent.pop(0) if sent else b""

    async def write(data: bytes) -> None:
        out.append(data)

    await program_stream.serve(echo, read, write)
    assert out[0].startswith(b"HTTP/1.1 418 ") and out[0].endswith(b"\r\n\r\nPOST /a ab")
    assert out[1].endswith(b"content-length: 8\r\n\r\n")
    assert out[2].startswith(b"HTTP/1.1 400 ") and len(out) == 3
