"""The client of registries, against registries that answer as real ones do."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from azsandbox.flux.oci import BadName, OciClient, RegistryError, Repository, split_reference
from azsandbox.flux.oci_credentials import ANONYMOUS, Credentials, Keyring
from azsandbox.flux.runtime import Outbound
from azsandbox.flux.secrets import SecretError
from azsandbox.flux.web import Web

LAYER = b"a layer"
CONFIG = b"{}"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


MANIFEST = json.dumps({"config": {"digest": digest(CONFIG)}, "layers": [{"digest": digest(LAYER)}]}).encode()
OCI_MANIFEST, OCI_INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
INDEX = json.dumps(
    {
        "manifests": [
            {"digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": digest(MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}},
        ]
    }
).encode()


class Handler(BaseHTTPRequestHandler):
    """A registry with the repository team/app. `wants` is "", "basic" or "bearer"."""

    wants: ClassVar[str] = ""
    port: ClassVar[int] = 0
    asked: ClassVar[list[str]] = []
    content: ClassVar[dict[str, tuple[str, bytes]]] = {
        "manifests/1.0.0": (OCI_MANIFEST, MANIFEST),
        f"manifests/{digest(MANIFEST)}": (OCI_MANIFEST, MANIFEST),
        "manifests/multi": (OCI_INDEX, INDEX),
        f"blobs/{digest(LAYER)}": ("application/octet-stream", LAYER),
        f"blobs/{digest(b'other')}": ("application/octet-stream", LAYER),
    }

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        if parts.path == "/token":
            return self.token(parse_qs(parts.query))
        if not self.known():
            challenge = 'Basic realm="here"'
            if self.wants == "bearer":
                challenge = f'Bearer realm="http://localhost:{self.port}/token",service="here"'
            body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "who are you", "detail": {"a": [1]}}]})
            return self.answer(401, body.encode(), {"WWW-Authenticate": challenge})
        if parts.path == "/v2/":
            return self.answer(200, b"{}")
        if parts.path == "/v2/team/app/tags/list":
            first = "last" not in parts.query
            link = {"Link": f"<{parts.path}?last=b&n=2>; rel=next"} if first else {}
            return self.answer(200, json.dumps({"tags": ["a", "b"] if first else ["c"]}).encode(), link)
        found = self.content.get(parts.path.removeprefix("/v2/team/app/"))
        if found:
            headers = {"Content-Type": found[0], "Docker-Content-Digest": digest(found[1])}
            return self.answer(200, found[1], headers)
        return self.answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')

    def do_HEAD(self) -> None:
        self.do_GET()

    def token(self, query: dict[str, list[str]]) -> None:
        user = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode()
        if user != "me:secret":
            return self.answer(401, b"no")
        return self.answer(200, json.dumps({"token": f"for {query['scope'][0]}"}).encode())

    def known(self) -> bool:
        shown = self.headers.get("Authorization", "")
        if self.wants == "basic":
            return shown == "Basic " + base64.b64encode(b"me:secret").decode()
        if self.wants == "bearer":
            return shown == "Bearer for repository:team/app:pull"
        return True


@pytest.fixture
def registry() -> Iterator[type[Handler]]:
    handler = type("Registry", (Handler,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web(Outbound())
    yield web
    await web.close()


def client(web: Web, registry: type[Handler], credentials: Credentials = ANONYMOUS) -> OciClient:
    return OciClient(web, Repository(f"127.0.0.1:{registry.port}", "team/app"), credentials)


async def test_tags_are_read_page_by_page(web: Web, registry: type[Handler]) -> None:
    assert await client(web, registry).tags() == ["a", "b", "c"]


@pytest.mark.parametrize("wants", ["", "basic", "bearer"])
async def test_a_registry_is_told_who_one_is_in_the_way_it_asks(web: Web, registry: type[Handler], wants: str) -> None:
    registry.wants = wants
    asking = client(web, registry, Credentials("me", "secret"))
    manifest = await asking.manifest("1.0.0")
    assert manifest.digest == digest(MANIFEST)
    assert await asking.blob(digest(LAYER)) == LAYER
    assert await asking.digest("1.0.0") == manifest.digest


async def test_whom_a_token_server_does_not_know_is_refused(web: Web, registry: type[Handler]) -> None:
    registry.wants = "bearer"
    scope = "scope=repository%3Ateam%2Fapp%3Apull&service=here"
    text = f"GET http://localhost:{registry.port}/token?{scope}: unexpected status code 401 Unauthorized: no"
    with pytest.raises(RegistryError) as error:
        await client(web, registry).tags()
    assert str(error.value) == text


async def test_the_registrys_own_errors_are_shown_with_the_request(web: Web, registry: type[Handler]) -> None:
    base = f"http://127.0.0.1:{registry.port}/v2/team/app"
    with pytest.raises(RegistryError) as error:
        await client(web, registry).digest("2.0.0")
    assert str(error.value) == f"GET {base}/manifests/2.0.0: MANIFEST_UNKNOWN: manifest unknown"
    registry.wants = "basic"
    with pytest.raises(RegistryError) as error:
        await client(web, registry).tags()
    assert str(error.value) == f"GET {base}/tags/list?n=1000: UNAUTHORIZED: who are you; map[a:[1]]"
    assert error.value.codes == ("UNAUTHORIZED",)


async def test_an_index_stands_for_the_image_of_linux_on_amd64(web: Web, registry: type[Handler]) -> None:
    assert (await client(web, registry).image("multi")).digest == digest(MANIFEST)


async def test_a_blob_that_is_not_what_its_digest_says_is_refused(web: Web, registry: type[Handler]) -> None:
    with pytest.raises(RegistryError, match="error verifying sha256 checksum after reading 7 bytes"):
        await client(web, registry).blob(digest(b"other"))


async def test_a_registry_that_is_not_there_is_told_of_for_each_way_to_it(web: Web) -> None:
    refused = "dial tcp 127.0.0.1:9: connect: connection refused"
    with pytest.raises(RegistryError) as error:
        await OciClient(web, Repository("127.0.0.1:9", "team/app")).tags()
    assert str(error.value) == f'Get "https://127.0.0.1:9/v2/": {refused}; Get "http://127.0.0.1:9/v2/": {refused}'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ghcr.io/a/b", "ghcr.io/a/b"),
        ("nginx", "index.docker.io/library/nginx"),
        ("docker.io/bitnami/nginx", "index.docker.io/bitnami/nginx"),
        ("team/app", "index.docker.io/team/app"),
    ],
)
def test_a_name_without_a_registry_is_docker_hubs(text: str, name: str) -> None:
    assert str(Repository.parse(text)) == name


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadName, match="repository can only contain the characters"):
        Repository.parse("ghcr.io/Team/app")
    with pytest.raises(BadName, match="repository must be between 2 and 255 characters in length: a"):
        Repository.parse("a")


def test_the_name_of_an_image_is_taken_apart() -> None:
    assert split_reference("localhost:5000/a/b:1@sha256:0") == ("localhost:5000/a/b", "1", "sha256:0")
    assert split_reference("localhost:5000/a/b") == ("localhost:5000/a/b", "", "")


def pull_secret(content: str, kind: str = "kubernetes.io/dockerconfigjson") -> dict[str, object]:
    data = {".dockerconfigjson": base64.b64encode(content.encode()).decode()}
    return {"metadata": {"name": "s", "namespace": "n"}, "type": kind, "data": data}


def test_a_keyring_gives_the_credentials_of_the_longest_name_that_fits() -> None:
    auths = {
        "https://registry.example/v2/": {"username": "a", "password": "1"},
        "registry.example/team": {"auth": base64.b64encode(b"b:2:3").decode()},
        "*.azurecr.io": {"username": "c", "password": "4"},
    }
    keyring = Keyring([pull_secret(json.dumps({"auths": auths}))])
    assert keyring.find("registry.example/other") == Credentials("a", "1")
    assert keyring.find("other.example/team") == ANONYMOUS
    assert keyring.find("registry.example/team/app") == Credentials("b", "2:3")
    assert keyring.find("lab.azurecr.io/app") == Credentials("c", "4")
    assert keyring.find("lab.azurecr.io:443/app") == ANONYMOUS


def test_a_secret_of_another_type_is_no_pull_secret_and_a_broken_one_is_refused() -> None:
    assert not Keyring([pull_secret('{"auths": {"a.b": {"username": "x"}}}', "Opaque")])
    with pytest.raises(SecretError):
        Keyring([pull_secret("{")])
