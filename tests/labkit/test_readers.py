"""The reader of the Kubernetes API: how it signs in, and when it does so anew."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from labkit.annotations import Annotator
from labkit.errors import ReadError
from labkit.readers import KubernetesReader

PLUG_IN = """
import json, pathlib
file = pathlib.Path({file!r})
number = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(number))
status = {{"token": f"token-{{number}}"}}
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}}))
"""


class Api(ThreadingHTTPServer):
    """Lets in who has the token of the moment."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token, self.asked = "token-1", 0
        self.patched: list[tuple[str, str, object]] = []


class Handler(BaseHTTPRequestHandler):
    def do_PATCH(self) -> None:
        assert isinstance(self.server, Api)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.patched.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.do_GET()

    def do_GET(self) -> None:
        assert isinstance(self.server, Api)
        self.server.asked += 1
        welcome = self.headers["Authorization"] == f"Bearer {self.server.token}"
        body = json.dumps({"items": []} if welcome else {"reason": "Unauthorized", "message": "Unauthorized"}).encode()
        self.send_response(200 if welcome else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def reader(api: Api, tmp_path: Path) -> Annotator:
    plug_in = tmp_path / "plug-in.py"
    plug_in.write_text(PLUG_IN.format(file=str(tmp_path / "count")))
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(plug_in)],
        "interactiveMode": "Never",
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.server_port}"}}],
        "users": [{"name": "u", "user": {"exec": command}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return Annotator(file)


def test_one_token_serves_many_reads_and_after_a_close(reader: KubernetesReader, tmp_path: Path) -> None:
    for _ in range(3):
        assert reader.get("/api/v1/pods") == {"items": []}
        reader.close()
    assert (tmp_path / "count").read_text() == "1"


def test_a_token_that_no_longer_holds_is_asked_for_anew(reader: KubernetesReader, api: Api) -> None:
    assert reader.get("/api/v1/pods") == {"items": []}
    api.token = "token-2"
    assert reader.get("/api/v1/pods") == {"items": []}


def test_a_refusal_of_the_new_token_is_said(reader: KubernetesReader, api: Api) -> None:
    api.token = "none"
    with pytest.raises(ReadError, match="401 Unauthorized") as refused:
        reader.get("/api/v1/pods")
    assert refused.value.status == 401
    assert api.asked == 2


def test_an_annotation_is_a_merge_patch_of_its_manager(reader: Annotator, api: Api) -> None:
    api.token = "token-2"  # what the reader has is refused, and the patch is sent again with a new one
    reader.annotate("/apis/g/v1/namespaces/n/things/t", {"a/b": "1"}, "flux")
    sent = ("/apis/g/v1/namespaces/n/things/t?fieldManager=flux", "application/merge-patch+json")
    assert api.patched == [(*sent, {"metadata": {"annotations": {"a/b": "1"}}})] * 2
    api.token = "none"
    with pytest.raises(ReadError, match=r"^PATCH /apis/g/v1/namespaces/n/things/t: 401 Unauthorized"):
        reader.annotate("/apis/g/v1/namespaces/n/things/t", {"a/b": "2"}, "flux")
