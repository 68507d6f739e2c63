"""What Flux fetches from and posts to while its cases play, on one loopback port.

/git/NAME.git   Git repositories over smart HTTP
/charts/NAME/   Helm repositories: index.yaml and packages
/v2/…           an OCI registry, read only, which holds the same charts
/hook/NAME      keeps what is posted
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

GENERATED = "2026-01-01T00:00:00Z"  # of indexes, so that equal ones have equal digests
_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.environ.get("PATH", os.defpath)}

Json = dict[str, Any]


class Fixtures:
    """The server and all that it holds; one for many cases."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fixtures-"))
        self.lock = threading.Lock()
        self.heads: dict[str, str] = {}  # repository → its newest commit
        self.files: dict[str, bytes] = {}  # path below /charts/
        self.indexes: dict[str, Json] = {}
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}  # repository/reference
        self.tags: dict[str, set[str]] = {}
        self.posted: dict[str, list[Json]] = {}
        self.guarded: dict[str, str] = {}  # start of a path → the Authorization header that it wants
        self.asked: list[str] = []  # methods and paths of requests, in their order
        self._template = self.root / "template.git"
        _git("init", "-q", "--bare", "-b", "main", str(self._template))
        with (self._template / "config").open("a") as config:
            config.write("[http]\n\treceivepack = true\n[uploadpack]\n\tallowAnySHA1InWant = true\n")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fixtures": self}))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.root, ignore_errors=True)

    def commit(
        self,
        name: str,
        files: dict[str, str],
        remove: Iterable[str] = (),
        *,
        branch: str = "main",
        message: str = "change",
        tag: str = "",
        fresh: bool = False,
        submodules: dict[str, str] | None = None,
    ) -> str:
        """Commits on top of the repository's newest commit, whatever branch that was on; returns the SHA-1.

        `fresh` leaves only `files`; `submodules` are commits by their paths. The repository is made at its first
        commit.
        """
        bare = self.root / "git" / f"{name}.git"
        with self.lock:
            if not bare.exists():
                shutil.copytree(self._template, bare)
        lines = [
            f"commit refs/heads/{branch}",
            "mark :1",
            f"committer learner <learner@example.com> {int(time.time())} +0000",
            _data(message + "\n"),
        ]
        if name in self.heads:
            lines.append(f"from {self.heads[name]}")
        lines += ["deleteall"] if fresh else []
        lines += [f"D {path}" for path in remove]
        lines += [f"M 100644 inline {path}\n{_data(text)}" for path, text in files.items()]
        lines += [f"M 160000 {sha} {path}" for path, sha in (submodules or {}).items()]
        lines += [f"reset refs/tags/{tag}\nfrom :1"] if tag else []
        stream = "\n".join([*lines, "get-mark :1", ""])
        out = _git("--git-dir", str(bare), "fast-import", "--quiet", "--force", stdin=stream.encode())
        self.heads[name] = out.decode().strip()
        return self.heads[name]

    def forget(self, name: str) -> None:
        """Takes a repository away."""
        shutil.rmtree(self.root / "git" / f"{name}.git")

    def chart(self, name: str, version: str, files: dict[str, str], repository: str, meta: Json | None = None) -> str:
        """Packages a chart, offers it in a Helm repository and in the registry; returns the package's SHA-256."""
        head = {"apiVersion": "v2", "name": name, "version": version, "appVersion": version, **(meta or {})}
        package = _package(name, {"Chart.yaml": yaml.safe_dump(head), **files})
        digest = hashlib.sha256(package).hexdigest()
        with self.lock:
            self.files[f"{repository}/{name}-{version}.tgz"] = package
            index = self.indexes.setdefault(repository, {"apiVersion": "v1", "entries": {}, "generated": GENERATED})
            entry = {**head, "urls": [f"{name}-{version}.tgz"], "digest": digest, "created": GENERATED}
            index["entries"].setdefault(name, []).insert(0, entry)
            self.files[f"{repository}/index.yaml"] = yaml.safe_dump(index).encode()
            self.push(f"{repository}/{name}", version, json.dumps(head).encode(), package)
        return digest

    def push(
        self,
        repository: str,
        tag: str,
        config: bytes,
        layer: bytes,
        media: tuple[str, str] = (_CONFIG, _LAYER),
        annotations: dict[str, str] | None = None,
    ) -> str:
        """Puts an image of one layer into the registry; returns its digest."""
        parts = []
        for kind, data in zip(media, (config, layer), strict=True):
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.blobs[digest] = data
            parts.append({"mediaType": kind, "digest": digest, "size": len(data)})
        said: Json = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": parts[0], "layers": [parts[1]]}
        if annotations:
            said["annotations"] = annotations
        manifest = json.dumps(said).encode()
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        self.manifests[f"{repository}/{tag}"] = self.manifests[f"{repository}/{digest}"] = manifest
        self.tags.setdefault(repository, set()).add(tag)
        return digest

    def received(self, name: str, count: int, seconds: float) -> list[Json]:
        """What was posted to a hook, once it is `count` or `seconds` are over."""
        until = time.monotonic() + seconds
        while len(self.posted.get(name, ())) < count and time.monotonic() < until:
            time.sleep(0.02)
        return list(self.posted.get(name, ()))


def _git(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["git", *arguments], env=_GIT, input=stdin, check=True, capture_output=True).stdout


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


def _package(name: str, files: dict[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{name}/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


class _Handler(BaseHTTPRequestHandler):
    fixtures: Fixtures
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        body = self._body()
        self.fixtures.asked.append(f"{self.command} {path}")
        for start, wanted in self.fixtures.guarded.items():
            if path.startswith(start) and self.headers.get("Authorization") != wanted:
                return self._answer(401, b"who are you?", headers={"WWW-Authenticate": 'Basic realm="fixtures"'})
        if path.startswith("/git/"):
            return self._git(path.removeprefix("/git"), query, body)
        if path.startswith("/hook/") and self.command == "POST":
            return self._keep(path.removeprefix("/hook/"), body)
        if path.startswith("/charts/"):
            data = self.fixtures.files.get(path.removeprefix("/charts/"))
            if data is not None:
                return self._answer(200, data, "application/octet-stream")
        if path.rstrip("/") == "/v2":
            return self._answer(200, b"{}", "application/json")
        if path.startswith("/v2/"):
            return self._registry(path.removeprefix("/v2/"))
        return self._answer(404, b"not found")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _answer(
        self, status: int, body: bytes = b"", media: str = "text/plain", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _keep(self, name: str, body: bytes) -> None:
        with self.fixtures.lock:
            self.fixtures.posted.setdefault(name, []).append(json.loads(body))
        self._answer(200)

    def _registry(self, path: str) -> None:
        name, _, reference = path.rpartition("/")
        name, _, kind = name.rpartition("/")
        if kind == "tags" and reference == "list":
            if name not in self.fixtures.tags:
                return self._missing("NAME_UNKNOWN", "repository name not known to registry")
            tags = {"name": name, "tags": sorted(self.fixtures.tags[name])}
            return self._answer(200, json.dumps(tags).encode(), "application/json")
        if kind == "blobs" and reference in self.fixtures.blobs:
            return self._answer(200, self.fixtures.blobs[reference], "application/octet-stream")
        manifest = self.fixtures.manifests.get(f"{name}/{reference}") if kind == "manifests" else None
        if manifest is None:
            return self._missing("MANIFEST_UNKNOWN", "manifest unknown")
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        return self._answer(200, manifest, _MANIFEST, {"Docker-Content-Digest": digest})

    def _missing(self, code: str, message: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._answer(404, body, "application/json")

    def _git(self, path: str, query: str, body: bytes) -> None:
        """Hands a request to git's own server, which speaks CGI."""
        environment = _GIT | {
            "GIT_PROJECT_ROOT": str(self.fixtures.root / "git"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "learner",
            "REMOTE_ADDR": "127.0.0.1",
        }
        out = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True).stdout
        head, _, content = out.partition(b"\r\n\r\n")
        said = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(said.pop("Status", str(HTTPStatus.OK.value)).split()[0])
        media = said.pop("Content-Type", "text/plain")
        self._answer(status, content, media, said)
