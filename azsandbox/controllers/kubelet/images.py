"""Images: what their names mean, whether a pull of them can go well, and what containerd says if not.

Nothing is fetched. An image counts as there unless its name shows that it cannot be
(data/kubernetes/images.json): a host that never resolves, no official image of that name, a tag
that such an image has not. Another source of images, such as a registry of the sandbox, can be
given in its place.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

from azsandbox.controllers.client import Object

# github.com/distribution/reference: a host may have capitals, a path may not
_HOST = r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*(?:\.[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*)*(?::\d+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
# from this containerd on, a reference that does not resolve is told of in shorter words
_SHORTER = (2, 1)


@dataclass(frozen=True)
class Attempt:
    """Why one attempt to pull failed, in containerd's words, and its gRPC code."""

    reason: str
    code: str = "Unknown"
    resolved: bool = False  # whether the reference was found, and something after that went wrong


class PullFailed(Exception):
    """A pull that did not go well: the attempts at it, one for each credential that there was."""

    def __init__(self, image: str, *attempts: Attempt) -> None:
        super().__init__(image, *attempts)
        self.image, self.attempts = image, attempts

    def __str__(self) -> str:
        return error_text(self)


@dataclass(frozen=True)
class Credential:
    """A name and password from an image pull secret, and what images they are for: `host` or `host/path`."""

    place: str
    user: str
    password: str

    def fits(self, image: str) -> bool:
        """Whether a kubelet offers it for the image of that full name."""
        host, _, path = image.partition("/")
        wanted_host, _, wanted_path = self.place.partition("/")
        here, there = host.lower().split("."), wanted_host.lower().split(".")
        matches = len(here) == len(there) and all(map(fnmatch.fnmatchcase, here, there))
        return matches and path.startswith(wanted_path)


@dataclass(frozen=True)
class Puller:
    """For whom an image is pulled: a pod on a node, with the credentials of its pull secrets."""

    pod: Object
    node: Object
    credentials: tuple[Credential, ...] = ()


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
    """Where images come from."""

    async def pull(self, image: str, puller: Puller) -> Image:
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
    elif "." not in host and ":" not in host and host != "localhost" and host == host.lower():
        name = f"docker.io/{name}"
    elif host in ("index.docker.io", "docker.io"):
        name = f"docker.io/{rest if '/' in rest else 'library/' + rest}"
    if match["digest"]:
        return f"{name}@{match['digest']}"
    return f"{name}:{match['tag'] or 'latest'}"


def parts(image: str) -> tuple[str, str, str]:
    """Host, repository, and tag or digest of a full name."""
    host, _, rest = image.partition("/")
    if "@" in rest:
        repository, _, digest = rest.partition("@")
        return host, repository, digest
    repository, _, tag = rest.rpartition(":")
    return host, repository, tag


def digest_of(image: str) -> str:
    """A digest that stays the same for a name."""
    if "@" in image:
        return image.partition("@")[2]
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def assumed_size(image: str) -> int:
    """Bytes of an image that nobody can measure: real ones of those that are known, else made up from the name."""
    return int(catalogue()["sizes"].get(base_name(image)) or 20_000_000 + int(digest_of(image)[-6:], 16) * 10)


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

    async def pull(self, image: str, puller: Puller) -> Image:
        host, repository, reference = parts(image)
        tag = "" if ":" in reference else reference
        known = catalogue()
        bare_host = host.partition(":")[0]
        if any(
            bare_host == s.lstrip(".") or bare_host.endswith("." + s.lstrip("."))
            for s in known["unresolvable_suffixes"]
        ):
            raise PullFailed(image, no_such_host(image))
        if host == "docker.io" and repository.startswith("library/"):
            name = repository.removeprefix("library/")
            if name not in known["official"]:
                reason = (
                    "pull access denied, repository does not exist or may require authorization: "
                    "server message: insufficient_scope: authorization failed"
                )
                raise PullFailed(image, Attempt(reason))
            if tag and not any(char.isdigit() for char in tag):
                words = set(re.split(r"[-.]", tag))
                if not words & set(known["official_tag_words"]):
                    raise PullFailed(image, not_found(image))
        return Image(image, digest_of(image), assumed_size(image))


def no_such_host(image: str) -> Attempt:
    """What comes of a registry whose name does not resolve."""
    host, repository, reference = parts(image)
    return Attempt(
        f'failed to do request: Head "https://{host}/v2/{repository}/manifests/{reference}": dial tcp: '
        f"lookup {host.partition(':')[0]} on 168.63.129.16:53: no such host"
    )


def not_found(image: str) -> Attempt:
    """What comes of a registry that has no such manifest."""
    return Attempt(f"{image}: not found", "NotFound")


def error_text(error: PullFailed, runtime: str = "") -> str:
    """What the kubelet tells of it. `runtime` is the node's containerRuntimeVersion ("containerd://1.7.33-1").

    The kubelet leaves gRPC's code out where it is Unknown, and puts several errors in brackets.
    """
    version = re.match(r"containerd://(\d+)\.(\d+)", runtime)
    shorter = version is None or (int(version[1]), int(version[2])) >= _SHORTER
    resolving = "failed to resolve image: " if shorter else f'failed to resolve reference "{error.image}": '
    found = []
    for attempt in error.attempts:
        text = f'failed to pull and unpack image "{error.image}": '
        text += attempt.reason if attempt.resolved else resolving + attempt.reason
        found.append(text if attempt.code == "Unknown" else f"rpc error: code = {attempt.code} desc = {text}")
    found = list(dict.fromkeys(found))
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"


def pull_seconds(image: Image) -> float:
    """How long a pull takes here."""
    known = catalogue()
    return max(float(known["shortest_pull_seconds"]), image.size / float(known["pull_bytes_per_second"]))
