"""Images: what their names mean, whether a pull of them can go well, and what containerd says if not.

Nothing is fetched. An image counts as there unless its name shows that it cannot be
(data/kubernetes/images.json): a host that never resolves, no official image of that name, a tag
that such an image has not. Another source of images, such as a registry of the sandbox, can be
given in its place.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

from azsandbox.controllers.client import Object

_REFERENCE = re.compile(
    r"(?P<name>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?::\d+)?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class PullFailed(Exception):
    """A pull that did not go well, in containerd's words."""


@dataclass(frozen=True)
class Image:
    """An image that was pulled: its name in full, digest and size in bytes."""

    name: str
    digest: str
    size: int

    @property
    def id(self) -> str:
        """As in a container status: repository@digest."""
        return f"{self.name.rpartition(':')[0] if '@' not in self.name else self.name.split('@')[0]}@{self.digest}"


class ImageSource(Protocol):
    """Where images come from. `pod` says with which pull secrets and identity."""

    async def pull(self, image: str, pod: Object) -> Image:
        """Finds an image by its full name. Raises PullFailed."""


@functools.cache
def catalogue() -> dict[str, Any]:
    """What is known of images."""
    text = resources.files("azsandbox").joinpath("data/kubernetes/images.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def full_name(image: str) -> str | None:
    """`nginx` → `docker.io/library/nginx:latest`; None if it is no image name."""
    match = _REFERENCE.fullmatch(image)
    if match is None:
        return None
    name = match["name"]
    host, slash, rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in host and ":" not in host and host != "localhost":
        name = f"docker.io/{name}"
    elif host in ("index.docker.io", "docker.io"):
        name = f"docker.io/{rest if '/' in rest else 'library/' + rest}"
    if match["digest"]:
        return f"{name}@{match['digest']}"
    return f"{name}:{match['tag'] or 'latest'}"


def with_tag(image: str) -> str:
    """The name as the container runtime reports it: short names keep short, with a tag."""
    name = full_name(image)
    return name or image


def digest_of(image: str) -> str:
    """A digest that stays the same for a name."""
    if "@" in image:
        return image.partition("@")[2]
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def base_name(image: str) -> str:
    """`docker.io/library/nginx:1.27` → `nginx`."""
    name = (full_name(image) or image).partition("@")[0]
    return name.rpartition("/")[2].partition(":")[0]


def official_name(image: str) -> str:
    """The name of an official image of Docker Hub or of a mirror of it, else empty.

    `docker.io/library/node` is Node.js, which is a shell; `mcr.microsoft.com/oss/v2/calico/node` is Calico's agent.
    """
    name = base_name(image)
    path = (full_name(image) or image).partition("@")[0].split("/")[1:-1]
    return name if not path or path[-1] in ("library", name) else ""


class AssumedImages:
    """Images that are taken to exist unless their names show that they cannot."""

    async def pull(self, image: str, pod: Object) -> Image:
        host, _, rest = image.partition("/")
        repository, tag = (rest.rpartition(":")[0], rest.rpartition(":")[2]) if "@" not in rest else (rest, "")
        known = catalogue()
        bare_host = host.partition(":")[0]
        if any(
            bare_host == s.lstrip(".") or bare_host.endswith("." + s.lstrip("."))
            for s in known["unresolvable_suffixes"]
        ):
            raise PullFailed(
                f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to do request: '
                f'Head "https://{host}/v2/{repository}/manifests/{tag}": dial tcp: lookup {bare_host} on 168.63.129.16:53: '
                "no such host"
            )
        if host == "docker.io" and repository.startswith("library/"):
            name = repository.removeprefix("library/")
            if name not in known["official"]:
                raise PullFailed(
                    f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": pull access denied, '
                    "repository does not exist or may require authorization: server message: insufficient_scope: "
                    "authorization failed"
                )
            if tag and not any(char.isdigit() for char in tag):
                words = set(re.split(r"[-.]", tag))
                if not words & set(known["official_tag_words"]):
                    raise PullFailed(
                        f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve '
                        f'reference "{image}": {image}: not found'
                    )
        digest = digest_of(image)
        size = known["sizes"].get(base_name(image)) or 20_000_000 + int(digest[-6:], 16) * 10
        return Image(image, digest, size)


def error_text(error: PullFailed) -> str:
    """The error with the gRPC code that the kubelet gets it with."""
    text = str(error)
    return text if text.startswith("rpc error:") else f"rpc error: code = Unknown desc = {text}"


def pull_seconds(image: Image) -> float:
    """How long a pull takes here."""
    known = catalogue()
    return max(float(known["shortest_pull_seconds"]), image.size / float(known["pull_bytes_per_second"]))
