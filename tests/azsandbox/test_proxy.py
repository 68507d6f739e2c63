from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from azsandbox.host import Host
from tests.azsandbox.processes import Sandbox, running


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as found:
        yield found


@pytest.fixture
def neighbour() -> Iterator[int]:
    """Another program's server on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def ask(sandbox: Sandbox, data: bytes, port: int | None = None) -> bytes:
    """Sends bytes to the proxy and reads one answer, or until it closes."""
    port = port or int(sandbox.env()["proxy"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        answer = b""
        while more := connection.recv(65536):
            answer += more
            head, end, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if end and (length is None or len(body) >= int(length[1])):
                break
        return answer


BARE = """
import os, time
started = time.perf_counter()
from azure.identity import DefaultAzureCredential
from azure.mgmt.resource.resources import ResourceManagementClient
client = ResourceManagementClient(DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"])
client.resource_groups.create_or_update("rg-bare", {"location": "westeurope"})
print([group.name for group in client.resource_groups.list()])
"""


def test_a_client_written_for_azure_works_unchanged(sandbox: Sandbox) -> None:
    done = sandbox.python(BARE)
    assert "rg-bare" in done.stdout, done.stderr


def test_an_aio_client_works_unchanged(sandbox: Sandbox) -> None:
    code = """
import asyncio, os
from azure.identity.aio import DefaultAzureCredential
from azure.mgmt.resource.resources.aio import ResourceManagementClient
async def main():
    async with DefaultAzureCredential() as credential:
        async with ResourceManagementClient(credential, os.environ["AZURE_SUBSCRIPTION_ID"]) as client:
            print([g.name async for g in client.resource_groups.list()])
asyncio.run(main())
"""
    done = sandbox.python(code)
    assert done.returncode == 0 and done.stdout.startswith("["), done.stderr


def test_a_default_credential_with_no_hint_finds_the_metadata_service(sandbox: Sandbox) -> None:
    code = """
import os
for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_TOKEN_CREDENTIALS"):
    del os.environ[name]
from azure.identity import DefaultAzureCredential
print(len(DefaultAzureCredential().get_token("https://management.azure.com/.default").token))
"""
    done = sandbox.python(code)
    assert int(done.stdout or 0) > 500, done.stderr


def test_a_client_secret_needs_no_option(sandbox: Sandbox) -> None:
    code = """
import json, os, urllib.request
from azure.identity import ClientSecretCredential, DefaultAzureCredential
graph = "https://graph.microsoft.com/v1.0"
token = DefaultAzureCredential().get_token("https://graph.microsoft.com/.default").token
def post(path, body):
    request = urllib.request.Request(graph + path, json.dumps(body).encode(), method="POST")
    request.add_header("Authorization", "Bearer " + token)
    request.add_header("Content-Type", "application/json")
    return json.load(urllib.request.urlopen(request))
application = post("/applications", {"displayName": "robot"})
post("/servicePrincipals", {"appId": application["appId"]})
secret = post(f"/applications/{application['id']}/addPassword", {"passwordCredential": {"displayName": "ci"}})
tenant = os.environ["AZURE_TENANT_ID"]
good = ClientSecretCredential(tenant, application["appId"], secret["secretText"])
print(len(good.get_token("https://management.azure.com/.default").token))
try:
    ClientSecretCredential(tenant, application["appId"], "wrong").get_token("https://management.azure.com/.default")
except Exception as error:
    print("AADSTS7000215" in str(error))
"""
    done = sandbox.python(code)
    assert done.stdout.split()[1:] == ["True"] and int(done.stdout.split()[0]) > 500, done.stderr


async def test_a_request_that_comes_together_with_the_end_of_the_handshake_is_answered(tmp_path: Path) -> None:
    """As Go's clients send it: asyncio's server protocol used to get it before its connection, and failed."""
    host = Host(tmp_path / "home")
    await host.start()
    context = ssl.create_default_context(cafile=str(host.authority.ca))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="management.azure.com")
    reader, writer = await asyncio.open_connection("127.0.0.1", host.proxy_port)
    writer.write(b"CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    shaken = False
    while not shaken:
        try:
            client.do_handshake()
            shaken = True
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))
    client.write(b"GET /metadata/endpoints HTTP/1.1\r\nHost: management.azure.com\r\n\r\n")
    writer.write(outgoing.read())  # the last of the handshake, and the request
    answer = b""
    while not answer:
        incoming.write(await asyncio.wait_for(reader.read(65536), 5))
        with contextlib.suppress(ssl.SSLWantReadError):
            answer = client.read(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()
    await host.stop()


def test_other_hosts_are_refused_with_the_reason(sandbox: Sandbox) -> None:
    for request in (
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
    ):
        answer = ask(sandbox, request).decode()
        assert answer.startswith("HTTP/1.1 403 ") and "example.com" in answer and "--tunnel" in answer


def test_another_programs_port_on_loopback_is_refused(sandbox: Sandbox, neighbour: int) -> None:
    for request in (
        f"CONNECT 127.0.0.1:{neighbour} HTTP/1.1\r\n\r\n",
        f"GET http://localhost:{neighbour}/ HTTP/1.1\r\n\r\n",
    ):
        answer = ask(sandbox, request.encode()).decode()
        assert answer.startswith("HTTP/1.1 403 ") and "NO_PROXY" in answer


def test_the_sandboxs_own_port_is_tunnelled_to(sandbox: Sandbox) -> None:
    env = sandbox.env()
    url = f"{env['arm_endpoint']}/subscriptions?api-version=2022-12-01"
    command = ["curl", "-s", "--noproxy", "", "--proxy", env["proxy"], "--cacert", env["ca"], url]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["error"]["code"] == "AuthenticationFailed"


def test_an_unknown_host_inside_a_connection_is_refused(sandbox: Sandbox) -> None:
    answer = ask(sandbox, b"GET /subscriptions HTTP/1.1\r\nHost: evil.example\r\n\r\n").decode()
    assert answer.startswith("HTTP/1.1 404 ") and "evil.example" in answer


def test_a_malformed_request_is_answered(sandbox: Sandbox) -> None:
    assert ask(sandbox, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(sandbox, b"GET nonsense HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(sandbox, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000).startswith(b"HTTP/1.1 431 ")


def test_with_tunnel_other_hosts_are_reached(tmp_path: Path, neighbour: int) -> None:
    with running(tmp_path / "home", "--tunnel") as sandbox:
        answer = ask(
            sandbox, f"GET http://localhost:{neighbour}/there?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        assert answer.startswith(b"HTTP/1.0 200 ")
        port = int(sandbox.env()["proxy"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"CONNECT localhost:{neighbour} HTTP/1.1\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
            connection.sendall(b"GET /through HTTP/1.0\r\n\r\n")
            assert b"200" in connection.recv(1000)
        assert sandbox.env()["environment"]["SSL_CERT_FILE"].endswith("bundle.pem")
