"""A client of OCI registries, with the rules and the words of the one that Flux uses (google/go-containerregistry)."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit, urlunsplit

from azsandbox.flux.oci_credentials import ANONYMOUS, Credentials
from azsandbox.flux.quoting import quoted
from azsandbox.flux.secrets import Certificates
from azsandbox.flux.web import Answer, NoAnswer, Web

DOCKER_HUB = "index.docker.io"
DEFAULT_TAG = "latest"
PAGE = 1000  # tags asked for at once
PLATFORM = ("linux", "amd64")

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_INDEXES = _MANIFESTS[-2:]
_REPOSITORY = "abcdefghijklmnopqrstuvwxyz0123456789_-./"
_TAG = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_SHOWN = {"scope", "service", "mount", "from", "digest", "n", "last"}  # parameters of a URL that hold no secret


Diagnostic = dict[str, Any]


class BadName(ValueError):
    """A name that no repository can have."""


class RegistryError(Exception):
    """What a registry, or the way to it, answered instead.

    `request` is what was asked, such as `GET https://…`, and `said` what the registry answered to it: errors with
    code (such as DENIED), message and detail.
    """

    def __init__(
        self, message: str, status: int = 0, request: tuple[str, str] = ("", ""), said: list[Diagnostic] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.request, self.said = status, request, said or []

    @property
    def codes(self) -> tuple[str, ...]:
        """The registry's codes."""
        return tuple(error["code"] for error in self.said)


@dataclass(frozen=True)
class Repository:
    """A repository in a registry."""

    registry: str
    path: str
    insecure: bool = False
    scheme: str = ""  # the one to be used, where that is not to be found out

    @classmethod
    def parse(cls, text: str, insecure: bool = False) -> Repository:
        """registry.example/team/app, or app for one of Docker Hub's. Raises BadName."""
        if not text:
            raise BadName("a repository name must be specified")
        first, _, rest = text.partition("/")
        registry, name = (first, rest) if rest and re.search("[.:]", first) else ("", text)
        _check("repository", name, _REPOSITORY, 2, 255)
        if registry == "docker.io" or not registry:
            registry = DOCKER_HUB
        if registry == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        return cls(registry, name, insecure)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"

    @property
    def schemes(self) -> tuple[str, ...]:
        """How the registry may be spoken to: only one on the same network, or one said to be insecure, without TLS."""
        if self.scheme:
            return (self.scheme,)
        host = self.registry.split(":")[0]
        near = (
            self.registry.startswith("localhost:")
            or re.fullmatch(r".*\.localhost(:\d{1,5})?", self.registry)
            or "127.0.0.1" in self.registry
            or "::1" in self.registry
            or _is_private(host)
        )
        return ("https", "http") if self.insecure or near else ("https",)


def _check(what: str, text: str, allowed: str, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        raise BadName(f"{what} must be between {least} and {most} characters in length: {text}")
    if set(text) - set(allowed):
        raise BadName(f"{what} can only contain the characters `{allowed}`: {text}")


def check_tag(text: str) -> None:
    """Raises BadName for what is no tag."""
    _check("tag", text, _TAG, 1, 128)


def split_reference(text: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image's name; a tag or digest that is not named is empty."""
    name, _, digest = text.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "", digest
    return repository, tag, digest


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    return address.version == 4 and any(address in ipaddress.ip_network(network) for network in networks)


@dataclass(frozen=True)
class Manifest:
    """A manifest or index; `digest` names it."""

    digest: str
    media_type: str
    raw: bytes

    @property
    def content(self) -> dict[str, Any]:
        """What it says. Raises RegistryError for what is no JSON."""
        try:
            found = json.loads(self.raw)
        except ValueError as error:
            raise RegistryError(f"invalid manifest: {error}") from None
        return found if isinstance(found, dict) else {}


@dataclass
class OciClient:
    """Reads one repository, from one reconciliation's point of view."""

    web: Web
    repository: Repository
    credentials: Credentials = ANONYMOUS
    certificates: Certificates | None = None
    proxy: str = ""
    timeout: float = 60.0  # seconds for one request
    trusting: bool = False  # whoever answers is believed to be the registry
    page: int = PAGE  # tags asked for at once; 0: as many as the registry likes
    pings: bool = True  # asks first how the registry is to be spoken to; else it finds out when it is refused
    fetched: Callable[[], Awaitable[Credentials]] | None = None  # gives credentials once the registry wants to know
    _base: str = field(default="", repr=False)
    _authorization: str = field(default="", repr=False)
    _realm: tuple[str, str] | None = field(default=None, repr=False)
    _scopes: list[str] = field(default_factory=list, repr=False)

    # --- what a repository holds

    async def tags(self) -> list[str]:
        """Every tag. Raises RegistryError, as all of these do."""
        await self._connect()
        url = f"{self._base}/v2/{self.repository.path}/tags/list" + (f"?n={self.page}" if self.page else "")
        found: list[str] = []
        while url:
            answer = await self._get("GET", url)
            found += json.loads(answer.body or b"{}").get("tags") or []
            link = re.match(r"<([^>]*)>", answer.headers.get("link", ""))
            url = urljoin(url, link[1]) if link else ""
        return found

    async def digest(self, reference: str) -> str:
        """The digest of what a tag stands for; of a digest, itself."""
        if _DIGEST.fullmatch(reference):
            return reference
        try:
            answer = await self._manifest("HEAD", reference)
            found = answer.headers.get("docker-content-digest", "")
            if _DIGEST.fullmatch(found) and answer.headers.get("content-type"):
                return found
        except RegistryError:
            pass  # some registries answer no HEAD; the answer to GET says more besides
        return (await self.manifest(reference)).digest

    async def manifest(self, reference: str) -> Manifest:
        """The manifest or index behind a tag or digest."""
        answer = await self._manifest("GET", reference)
        found = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if reference.startswith("sha256:") and found != reference:
            text = f"manifest digest: {quoted(found)} does not match requested digest: {quoted(reference)}"
            raise RegistryError(f"{text} for {quoted(f'{self.repository}@{reference}')}")
        media = answer.headers.get("content-type", "").partition(";")[0].strip()
        return Manifest(found, media, answer.body)

    async def image(self, reference: str) -> Manifest:
        """The manifest of an image; of an index, that for linux/amd64."""
        found = await self.manifest(reference)
        if found.media_type not in _INDEXES:
            return found
        for child in found.content.get("manifests") or []:
            platform = child.get("platform") or {}
            if (platform.get("os", PLATFORM[0]), platform.get("architecture", PLATFORM[1])) == PLATFORM:
                return await self.image(child["digest"])
        raise RegistryError(f"no child with platform {'/'.join(PLATFORM)} in index {self.repository}@{found.digest}")

    async def blob(self, digest: str, limit: int = 0) -> bytes:
        """A blob, checked against its digest. `limit` is in bytes (0: none); raises TooLarge beyond."""
        await self._connect()
        answer = await self._get("GET", f"{self._base}/v2/{self.repository.path}/blobs/{digest}", limit=limit)
        found = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if found != digest:
            read = f"error verifying sha256 checksum after reading {len(answer.body)} bytes"
            raise RegistryError(f"{read}; got {quoted(found)}, want {quoted(digest)}")
        return answer.body

    # --- requests

    async def _manifest(self, method: str, reference: str) -> Answer:
        await self._connect()
        url = f"{self._base}/v2/{self.repository.path}/manifests/{quote(reference, safe=':')}"
        return await self._get(method, url, {"Accept": ",".join(_MANIFESTS)})

    async def _get(
        self, method: str, url: str, headers: dict[str, str] | None = None, *, limit: int = 0, again: bool = True
    ) -> Answer:
        own = urlsplit(url).netloc == self.repository.registry
        sent = {**(headers or {}), **({"Authorization": self._authorization} if self._authorization and own else {})}
        answer = await self._request(method, url, sent, limit=limit)
        if not self.pings and again and answer.status == 401 and not self._authorization:
            await self._meet(answer)
            return await self._get(method, url, headers, limit=limit, again=False)
        if self._realm and again and answer.headers.get("www-authenticate"):
            scope = _challenge(answer.headers["www-authenticate"])[1].get("scope")
            if scope and scope not in self._scopes:
                self._scopes.insert(0, scope)
            await self._exchange()
            return await self._get(method, url, headers, limit=limit, again=False)
        if answer.status != 200:
            raise _error(method, answer)
        return answer

    async def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"", limit: int = 0
    ) -> Answer:
        try:
            return await self.web.request(
                method,
                url,
                headers,
                body,
                certificates=self.certificates,
                proxy=self.proxy,
                timeout=self.timeout,
                limit=limit,
                trusting=self.trusting,
            )
        except NoAnswer as error:
            raise RegistryError(str(error)) from error

    # --- who one is

    async def _connect(self) -> None:
        """Finds out how the registry is spoken to, and who it wants to know."""
        if self._base:
            return
        reached = self.repository.schemes[0]
        if self.pings:
            answer = await self._ping()
            reached = urlsplit(answer.url).scheme
            await self._meet(answer)
        self._base = f"{reached}://{self.repository.registry}"

    async def _meet(self, answer: Answer) -> None:
        """Says who one is in the way that an answer asks for."""
        scheme, parameters = _challenge(answer.headers.get("www-authenticate", "") if answer.status == 401 else "")
        if scheme and self.fetched:
            self.credentials = await self.fetched()
        if scheme == "basic":
            token = self.credentials.registry_token
            self._authorization = f"Bearer {token}" if token else self.credentials.basic
        elif scheme == "bearer":
            if "realm" not in parameters:
                raise RegistryError(f"malformed www-authenticate, missing realm: {parameters}")
            _check_realm(parameters["realm"], insecure=urlsplit(answer.url).scheme == "http")
            self._realm = (parameters["realm"], parameters.get("service", ""))
            self._scopes = [f"repository:{self.repository.path}:pull"]
            await self._exchange()

    async def _ping(self) -> Answer:
        failures = []
        for scheme in self.repository.schemes:
            try:
                answer = await self._request("GET", f"{scheme}://{self.repository.registry}/v2/")
                if answer.status in (200, 401):
                    return answer
                failures.append(str(_error("GET", answer)))
            except RegistryError as error:
                failures.append(str(error))
        raise RegistryError("; ".join(failures))

    async def _exchange(self) -> None:
        """Gets a token for what is asked of the repository."""
        assert self._realm
        if self.credentials.registry_token:
            self._authorization = f"Bearer {self.credentials.registry_token}"
            return
        realm, service = self._realm
        answer = None
        if self.credentials.identity_token:
            form = {
                "scope": " ".join(self._scopes),
                "service": service,
                "client_id": "go-containerregistry",
                "grant_type": "refresh_token",
                "refresh_token": self.credentials.identity_token,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await self._request("POST", realm, headers, urlencode(form).encode())
            if answer.status not in (200, 404):
                raise _error("POST", answer)
        if answer is None or answer.status == 404:  # not every token server speaks OAuth 2
            parts = urlsplit(realm)
            query = parse_qs(parts.query) | {"scope": self._scopes, "service": [service]}
            url = urlunsplit(parts._replace(query=urlencode(sorted(query.items()), doseq=True)))
            basic = self.credentials.basic
            answer = await self._request("GET", url, {"Authorization": basic} if basic else {})
            if answer.status != 200:
                raise _error("GET", answer)
        found = json.loads(answer.body)
        token = found.get("access_token") or found.get("token")
        if not token:
            raise RegistryError("no token in bearer response")
        self._authorization = f"Bearer {token}"


def _challenge(header: str) -> tuple[str, dict[str, str]]:
    """Scheme, in lower case, and parameters of a challenge; the first that can be met of several."""
    for scheme in ("bearer", "basic"):
        found = re.search(rf"(?:^|,)\s*{scheme}\b(.*)", header, re.IGNORECASE | re.DOTALL)
        if found:
            return scheme, {key.lower(): value or bare for key, value, bare in _CHALLENGE.findall(found[1])}
    return header.partition(" ")[0].lower(), {}


def _check_realm(realm: str, insecure: bool) -> None:
    parts = urlsplit(realm)
    problem = ""
    if parts.scheme == "http" and not insecure:
        problem = 'realm scheme "http" not allowed for a secure registry; use https'
    elif parts.scheme not in ("http", "https"):
        problem = f"realm scheme {quoted(parts.scheme)} not allowed; must be https (or http for insecure registries)"
    else:
        try:
            address = ipaddress.ip_address(parts.hostname or "")
            if address.is_loopback or address.is_link_local or address.is_private:
                problem = f"realm host {quoted(parts.hostname or '')} is a private or link-local address"
        except ValueError:
            pass
    if problem:
        raise RegistryError(f"invalid realm in www-authenticate: {problem}")


def _error(method: str, answer: Answer) -> RegistryError:
    """An error as the registry tells it: `GET https://…: MANIFEST_UNKNOWN: manifest unknown`."""
    said = _diagnostics(answer.body)
    texts = [_text(error) for error in said]
    text = f"unexpected status code {answer.line}"
    if len(said) == 1:
        text = texts[0]
    elif said:
        text = f"multiple errors returned: {'; '.join(texts)}"
    elif method == "HEAD":
        text += " (HEAD responses have no body, use GET for details)"
    elif answer.body:
        text += f": {answer.text}"
    url = _shown(answer.url)
    return RegistryError(f"{method} {url}: {text}", answer.status, (method, url), said)


def _diagnostics(body: bytes) -> list[Diagnostic]:
    try:
        errors = json.loads(body).get("errors") or []
    except (ValueError, AttributeError):
        return []
    return [{"code": "", "message": "", "detail": None, **error} for error in errors]


def _text(error: Diagnostic) -> str:
    text = f"{error['code']}: {error['message']}"
    return text if error["detail"] is None else f"{text}; {go_value(error['detail'])}"


def go_value(value: Any) -> str:
    """A value from JSON as Go's %v prints it: map[name:x type:y]."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    query = {key: (v if key in _SHOWN else ["REDACTED"] * len(v)) for key, v in parse_qs(parts.query).items()}
    return urlunsplit(parts._replace(query=urlencode(sorted(query.items()), doseq=True)))
