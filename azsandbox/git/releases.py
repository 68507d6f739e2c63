"""github.com: what a release of Flux offers to be downloaded, made of what the sandbox knows of that release."""

from __future__ import annotations

import re

from azsandbox.dispatch import Scope, Send
from azsandbox.flux import facts

_DOWNLOAD = re.compile(r"/fluxcd/flux2/releases/(?:download/(?P<version>[^/]+)|latest/download)/(?P<file>[^/]+)")
_HEAD = "# Flux {version}: the manifests of `flux install`, their definitions without descriptions\n---\n"


def is_download(path: str) -> bool:
    """Whether a path of github.com is that of something to download."""
    return re.match("/[^/]+/[^/]+/releases/", path) is not None


async def answer(scope: Scope, send: Send) -> None:
    """Answers a download: install.yaml of a release that is known; 404 for all else, as GitHub does."""
    found = _DOWNLOAD.fullmatch(scope["path"])
    version = (found["version"] or facts.default_distribution()) if found else ""
    if found is None or found["file"] != "install.yaml" or version not in facts.distributions():
        known = ", ".join(facts.distributions())
        text = f"Not Found. NotSupportedInSandbox: the releases here are install.yaml of fluxcd/flux2 {known}.\n"
        await _send(send, 404, text.encode(), "text/plain; charset=utf-8")
        return
    await _send(send, 200, _install(version), "application/octet-stream")


def _install(version: str) -> bytes:
    import yaml

    from azsandbox.flux.installation import manifests

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return (_HEAD.format(version=version) + yaml.dump_all(manifests(version), Dumper=dumper, sort_keys=False)).encode()


async def _send(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
