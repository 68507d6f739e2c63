"""What exec sends comes when the client is ready for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Request

from azsandbox.certificates import Authority
from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import path
from azsandbox.store import Store


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    options = {"profile": "kwok"}
    found = Cluster("test", Store(None).bucket("cluster"), "v1.35.4", all_controllers(), options, Authority(tmp_path))
    await found.start(["127.0.0.1"])
    await add_nodes(found.client, 1)
    async with asyncio.timeout(20):
        while await found.client.find(path("v1", "serviceaccounts", "default", "default")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        pod = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "app", "image": "busybox:1.37"}]}}
        await found.client.create(path("v1", "pods", "default"), {"apiVersion": "v1", "kind": "Pod", **pod})
        url = path("v1", "pods", "default", "one")
        while (await found.client.get(url)).get("status", {}).get("phase") != "Running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    yield found
    await found.stop()


class Terminal:
    """A client of exec that answers no ping unless it is told to."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.protocol = WSConnection(ConnectionType.CLIENT)

    async def open(self, target: str) -> None:
        context = ssl.create_default_context(cadata=self.cluster.ca_pem)
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.cluster.port, ssl=context)
        headers = [(b"authorization", b"Bearer " + self.cluster.admin_token.encode())]
        asked = Request(
            f"127.0.0.1:{self.cluster.port}", target, subprotocols=["v5.channel.k8s.io"], extra_headers=headers
        )
        self.writer.write(self.protocol.send(asked))
        assert isinstance(await self.next(), AcceptConnection)

    async def next(self) -> Event:
        """What comes next."""
        async with asyncio.timeout(20):
            while True:
                for event in self.protocol.events():
                    return event
                self.protocol.receive_data(await self.reader.read(65536) or None)

    def answer(self, ping: Ping) -> None:
        self.writer.write(self.protocol.send(ping.response()))


async def test_output_comes_after_the_client_has_shown_that_it_reads(cluster: Cluster) -> None:
    """client-go before 1.34 threw away output that came while it made its streams, and kubectl ended well without it."""
    terminal = Terminal(cluster)
    await terminal.open("/api/v1/namespaces/default/pods/one/exec?command=hostname&stdout=true&stderr=true")
    first = await terminal.next()
    assert isinstance(first, Ping)
    terminal.answer(first)
    output = await terminal.next()
    assert isinstance(output, BytesMessage)
    assert bytes(output.data) == b"\x01one\n"
    status = await terminal.next()
    assert isinstance(status, BytesMessage)
    assert bytes(status.data).startswith(b'\x03{"metadata":{},"status":"Success"')
    end = await terminal.next()
    assert isinstance(end, CloseConnection)
    assert end.code == 1000


async def test_a_client_that_answers_no_ping_gets_its_output_all_the_same(cluster: Cluster) -> None:
    terminal = Terminal(cluster)
    await terminal.open("/api/v1/namespaces/default/pods/one/exec?command=hostname&stdout=true&stderr=true")
    assert isinstance(await terminal.next(), Ping)
    output = await terminal.next()
    assert isinstance(output, BytesMessage)
    assert bytes(output.data) == b"\x01one\n"
