"""A Git host in this process, behind a real socket, for real git."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from azsandbox.clock import Clock
from azsandbox.dispatch import Dispatch
from azsandbox.git.git_host import GitHost
from azsandbox.store import Store

SECRET = b"of the tests"
OWNER = "contoso"


class Served:
    """A Git host that serves plain HTTP on loopback, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dispatch = Dispatch()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}/git"
        self._thread.start()
        assert self._ready.wait(20)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        store = Store(self.folder / "state.db")
        self.host = GitHost(self.folder / "git", store.bucket("git"), Clock(), SECRET, self.dispatch)
        config = uvicorn.Config(
            self.host.app, log_level="warning", lifespan="off", interface="asgi3", server_header=False
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
        self._loop.call_soon(self._ready.set)
        self._loop.run_until_complete(self._server.serve([self._socket]))
        self._loop.run_until_complete(self.host.close())
        store.close()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine in the host's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def call(self, function: Any, *arguments: Any) -> Any:
        """Calls a function in the host's event loop, where its store lives."""

        async def work() -> Any:
            return function(*arguments)

        return self.run(work())

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()

    def token(self, persona: str = "learner") -> str:
        """The token that a person has from the start."""
        return self.host.tokens.default(self.host.accounts.of_persona(persona).login)

    def api(self, persona: str | None = "learner", **headers: str) -> httpx.Client:
        """A client of the REST API, as a person or (None) as nobody."""
        if persona is not None:
            headers["authorization"] = f"Bearer {self.token(persona)}"
        return httpx.Client(base_url=f"{self.endpoint}/api", headers=headers, trust_env=False, timeout=30)

    def url(self, name: str, owner: str = OWNER) -> str:
        return f"{self.endpoint}/{owner}/{name}.git"


class Git:
    """git in a folder, as somebody with a token ("" for nobody)."""

    def __init__(self, folder: Path, token: str = "") -> None:
        self.folder, self.token = folder, token

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        for role in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{role}_NAME": "Lena", f"GIT_{role}_EMAIL": "lena@lab.example"}
        options = []
        if self.token:  # as the sandbox's environment has it
            environment["GITHUB_TOKEN"] = self.token
            options = ["-c", 'credential.helper=!f() { echo username=anybody; echo "password=$GITHUB_TOKEN"; }; f']
        done = subprocess.run(
            ["git", *options, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def __call__(self, *arguments: str) -> str:
        return self.run(*arguments).stdout.strip()

    def commit(self, path: str, text: str, message: str = "") -> str:
        """Writes a file and commits it; the commit's id."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "-m", message or f"Write {path}")
        return self("rev-parse", "HEAD")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path / "host")
    yield found
    found.close()


@pytest.fixture
def gitops(served: Served, tmp_path: Path) -> Git:
    """A clone of the repository contoso/gitops, with one commit that was pushed."""
    served.run(served.host.repositories.create(OWNER, "gitops"))
    return clone(served, tmp_path / "work", "gitops", first=True)


def clone(served: Served, folder: Path, name: str, *, persona: str = "learner", first: bool = False) -> Git:
    folder.mkdir()
    git = Git(folder, served.token(persona))
    git("clone", "--quiet", served.url(name), ".")
    if first:
        git("checkout", "--quiet", "-B", "main")
        git.commit("README.md", "# GitOps\n")
        git("push", "--quiet", "--set-upstream", "origin", "main")
    return git
