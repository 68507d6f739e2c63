"""Where source-controller serves its artifacts: below the root of its Service, as Go's http.FileServer does."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import html
import urllib.parse
from pathlib import Path
from typing import Any

from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.ports import NOT_FOUND
from azsandbox.flux import facts
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest

_GZIP = b"\x1f\x8b\x08"


class ArtifactServer(Controller):
    """Listens where artifacts are fetched."""

    name = "source-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.flux: FluxRuntime = options["flux"]

    async def run(self) -> None:
        """Listens until cancelled."""
        close = self.flux.ports.listen(self.name, facts.controllers()[self.name]["ports"]["http"], self.answer)
        try:
            await super().run()
        finally:
            close()

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answers one request."""
        return await asyncio.to_thread(_served, self.flux.storage, urllib.parse.unquote(request.path))


def _served(root: Path, path: str) -> HttpAnswer:
    found = root / path.strip("/")
    if not found.resolve().is_relative_to(root.resolve()) or not found.exists():
        return NOT_FOUND
    if found.is_dir():
        if not path.endswith("/"):
            return HttpAnswer(301, b"", {"location": f"{found.name}/"})
        return HttpAnswer(200, _listing(found), {"content-type": "text/html; charset=utf-8"})
    if path.endswith("/"):
        return HttpAnswer(301, b"", {"location": f"../{found.name}"})
    data = found.read_bytes()
    changed = dt.datetime.fromtimestamp(int(found.stat().st_mtime), dt.UTC)
    kind = "application/x-gzip" if data.startswith(_GZIP) else "text/plain; charset=utf-8"
    said = {"content-type": kind, "last-modified": email.utils.format_datetime(changed, usegmt=True)}
    return HttpAnswer(200, data, {**said, "accept-ranges": "bytes"})


def _listing(folder: Path) -> bytes:
    names = sorted(f"{part.name}/" if part.is_dir() else part.name for part in folder.iterdir())
    links = "".join(f'<a href="{urllib.parse.quote(name)}">{html.escape(name)}</a>\n' for name in names)
    return f'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n{links}</pre>\n'.encode()
