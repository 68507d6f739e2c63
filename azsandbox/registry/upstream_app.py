"""Public registries and chart repositories as clients reach them through the sandbox's proxy: read-only, for everybody."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from azsandbox.dispatch import Receive, Scope, Send, host_name
from azsandbox.registry import blob_endpoints as blobs
from azsandbox.registry import charts, errors, upstream, web
from azsandbox.registry import manifest_endpoints as manifests
from azsandbox.registry.call import Call
from azsandbox.registry.errors import RegistryError
from azsandbox.registry.registries import Registries
from azsandbox.registry.web import Answer, Request

_ROUTES: tuple[tuple[re.Pattern[str], Any], ...] = (
    (re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"), manifests.read),
    (re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)"), blobs.read),
    (re.compile(r"/v2/(?P<name>.+)/tags/list"), manifests.tags),
    (re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)"), manifests.referrers),
)


def chart_hosts() -> list[str]:
    """Host names of the chart repositories."""
    return sorted({urlsplit(row["http"]).hostname or "" for row in charts.offered().values()})


class PublicRegistries:
    """The ASGI application of the hosts in data/registry."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = web.read(scope, receive)
        try:
            answer = await self._answer(request)
        except RegistryError as error:
            answer = Answer(error.status, error.body, dict(error.headers))
        await answer.send(send, head=request.method == "HEAD")

    async def _answer(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        name = host_name(request.host)
        host = upstream.host_of(name)
        if host is None:
            return self._chart_repository(f"https://{name}{request.path}")
        if request.path in ("/v2", "/v2/"):
            return Answer(200, {})
        for pattern, handler in _ROUTES:
            if found := pattern.fullmatch(request.path):
                words = found.groupdict()
                repository = upstream.repository_of(host, words.pop("name"))
                content = self._registries.upstream.content(host)
                call = Call(request, content, name, repository, repository, lambda grant: False)
                answer: Answer = await handler(call, **words)
                answer.headers.setdefault("Docker-Distribution-Api-Version", "registry/2.0")
                return answer
        raise errors.page_not_found()

    @staticmethod
    def _chart_repository(url: str) -> Answer:
        """A file of a chart repository: its index, or an archive."""
        for name, row in charts.offered().items():
            if url == f"{row['http']}/index.yaml":
                return Answer(200, content=charts.index(name, row["http"]), headers={"Content-Type": "text/yaml"})
            for archive in charts.archives(name):
                if url == f"{row['http']}/{archive.file_name}":
                    return Answer(200, content=archive.content, headers={"Content-Type": "application/gzip"})
        return Answer(404, content=b"404: not found\n", headers={"Content-Type": "text/plain; charset=utf-8"})
