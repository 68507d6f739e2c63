"""HTTP requests, watches and commands to the cluster of a kubeconfig."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Answer = tuple[int, dict[str, str], bytes]


class Connection:
    """The cluster that a kubeconfig with a bearer token names. Threads share it; each keeps a socket of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server = str(cluster["server"])
        self.token = str(config["users"][0]["user"]["token"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._own = threading.local()
        listed = json.loads(self.request("GET", "/api/v1/nodes")[2])
        self.nodes = [node["metadata"]["name"] for node in listed["items"]]

    def open(self, timeout: float = 60) -> http.client.HTTPSConnection:
        url = urlsplit(self.server)
        return http.client.HTTPSConnection(url.hostname or "", url.port, context=self._tls, timeout=timeout)

    def headers(self, own: dict[str, str | None] | None) -> dict[str, str]:
        """The headers of a request; a None takes one of the usual ones away."""
        usual = {
            "Accept": "application/json",
            "User-Agent": "transcripts",  # becomes the field manager, so it is that of the recordings
            "Authorization": f"Bearer {self.token}",
        }
        return {name: value for name, value in {**usual, **(own or {})}.items() if value is not None}

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str | None] | None = None
    ) -> Answer:
        for fresh in (False, True):
            kept = getattr(self._own, "socket", None)
            if kept is None or fresh:
                kept = self._own.socket = self.open()
            try:
                kept.request(method, path, body=body, headers=self.headers(headers))
                response = kept.getresponse()
                data = response.read()
            except (http.client.HTTPException, OSError):
                kept.close()
                self._own.socket = None
                if fresh:
                    raise
                continue
            found: dict[str, str] = {}
            for name, value in response.getheaders():  # a header sent several times, as Warning is, becomes one
                key = name.lower()
                found[key] = f"{found[key]}, {value}" if key in found else value
            return response.status, found, data
        raise AssertionError("unreachable")

    def command(
        self, program: str, arguments: list[str], folder: Path, stdin: str, timeout: float
    ) -> tuple[int, str, str]:
        """Runs kubectl or flux in `folder`; returns exit status (-1 if it did not end), output and errors."""
        environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig), "TERM": "dumb", "TZ": "UTC"}
        try:
            done = subprocess.run(
                [program, *arguments],
                cwd=folder,
                env=environment | {"HOME": str(folder.parent)},  # shared, so that discovery is cached once
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as late:
            out, err = (text.decode() if isinstance(text, bytes) else text or "" for text in (late.stdout, late.stderr))
            return -1, out, f"{err}<no end after {timeout:g} s>"
        return done.returncode, done.stdout, done.stderr


class Watch:
    """An open watch; a thread of its own reads it."""

    def __init__(self, connection: Connection, path: str, headers: dict[str, str | None] | None) -> None:
        self.status, self.refusal = 0, None
        self._events: list[dict[str, Any]] = []
        self._taken = 0
        self._change = threading.Condition()
        self._ended = False
        self._socket = connection.open()
        self._socket.request("GET", path, headers=connection.headers(headers))
        threading.Thread(target=self._read, daemon=True).start()
        with self._change:
            self._change.wait_for(lambda: self.status or self._ended, 5)

    def _read(self) -> None:
        try:
            response = self._socket.getresponse()
            with self._change:
                self.status = response.status
                if response.status != 200:
                    self.refusal = json.loads(response.read())
                self._change.notify_all()
            for line in response if response.status == 200 else ():
                if line.strip():
                    with self._change:
                        self._events.append(json.loads(line))
                        self._change.notify_all()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed under the reader
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def take(self, count: int | None, seconds: float) -> list[dict[str, Any]]:
        """The events since the last call: `count` of them, or all that come within `seconds`."""
        until = time.monotonic() + seconds
        with self._change:
            while not self._ended and (left := until - time.monotonic()) > 0:
                if count is not None and len(self._events) - self._taken >= count:
                    break
                self._change.wait(left)
            end = len(self._events) if count is None else self._taken + count
            found = self._events[self._taken : end]
            self._taken += len(found)
        return copy.deepcopy(found)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._socket.sock:
                self._socket.sock.shutdown(socket.SHUT_RDWR)
