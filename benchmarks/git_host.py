"""The Git host: how long a push takes, and how soon after it a receiver on loopback has its hook."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import sandbox, show

_IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "Bench"), ("EMAIL", "bench@lab.example"))
}


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Notes when each push event came, by the commit that it tells of."""

    came: dict[str, float] = {}  # noqa: RUF012 - one for all requests
    arrived = threading.Event()

    def do_POST(self) -> None:
        at = time.perf_counter()
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.came[body.get("after", "ping")] = at
        self.arrived.set()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _receiver() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def api(env: dict[str, Any], method: str, path: str, body: Any = None) -> None:
    port = int(env["arm_endpoint"].rpartition(":")[2])
    context = ssl.create_default_context(cafile=env["ca"])
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    headers = {"Authorization": f"Bearer {env['github_token']}", "User-Agent": "bench"}
    connection.request(method, f"/git/api{path}", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status < 300, answer.read()
    connection.close()


def git(env: dict[str, Any], folder: Path, *arguments: str) -> str:
    """Runs git as the learner does, by the sandbox's proxy; returns what it prints."""
    environ = {**os.environ, **env["environment"], **_IDENTITY}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _waited(commit: str) -> float:
    until = time.monotonic() + 10
    while commit not in _Receiver.came and time.monotonic() < until:
        _Receiver.arrived.wait(0.1)
        _Receiver.arrived.clear()
    return _Receiver.came[commit]


def _measure(env: dict[str, Any], folder: Path, files: int, pushes: int) -> dict[str, list[float]]:
    """Seconds of each push, and from its beginning and its end to the hook."""
    name = f"bench-{files}"
    api(env, "POST", "/orgs/contoso/repos", {"name": name})
    git(env, folder, "clone", "--quiet", f"https://github.com/contoso/{name}", name)
    work = folder / name
    git(env, work, "checkout", "--quiet", "-B", "main")
    for number in range(files):
        path = work / "apps" / str(number % 20) / f"{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{number}\n")
    git(env, work, "add", "--all")
    git(env, work, "commit", "--quiet", "-m", "First")
    git(env, work, "push", "--quiet", "origin", "main")
    with _receiver() as url:
        api(env, "POST", f"/repos/contoso/{name}/hooks", {"config": {"url": url, "content_type": "json"}})
        found: dict[str, list[float]] = {"push": [], "hook": [], "after": []}
        for number in range(pushes):
            (work / "apps" / "0" / "0.yaml").write_text(f"# {number}\n")
            git(env, work, "commit", "--quiet", "--all", "-m", f"Change {number}")
            head = git(env, work, "rev-parse", "HEAD")
            began = time.perf_counter()
            git(env, work, "push", "--quiet", "origin", "main")
            ended = time.perf_counter()
            came = _waited(head)
            found["push"].append(ended - began)
            found["hook"].append(came - began)
            found["after"].append(came - ended)
    return found


def show_seconds(title: str, seconds: list[float], aim: str = "") -> None:
    """Prints the median and the 95th percentile."""
    ordered = sorted(seconds)
    p95 = ordered[int(len(ordered) * 0.95) - 1] * 1000
    show(f"{title}, median", ordered[len(ordered) // 2] * 1000, "ms", f"p95 {p95:.0f} ms{aim}")


def run(pushes: int = 100) -> None:
    """Prints the figures of repositories with 20 and with 500 files, `pushes` of one commit each."""
    with sandbox() as env, tempfile.TemporaryDirectory() as folder:
        for files in (20, 500):
            found = _measure(env, Path(folder), files, pushes)
            show_seconds(f"git push of one commit, {files} files", found["push"])
            show_seconds(f"begin of a push to its hook, {files} files", found["hook"])
            show_seconds(f"end of a push to its hook, {files} files", found["after"])
