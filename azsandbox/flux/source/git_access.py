"""How a Git repository is reached: its URL, what a Secret gives for it, a proxy (fluxcd/pkg/git, AuthOptions)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from azsandbox.flux.secrets import Certificates

SUPPORTED = ("http", "https")
_PEM = ("ca.crt", "caFile", "tls.crt", "tls.key")


class GitError(Exception):
    """A git operation that failed, in go-git's words."""


@dataclass(frozen=True)
class GitAccess:
    """What is needed to speak to a repository at `url`."""

    url: str
    username: str = ""
    password: str = ""
    token: str = ""
    certificates: Certificates | None = None
    proxy: str = ""  # in place of the way out that the controller has

    @property
    def bare_url(self) -> str:
        """The URL without credentials."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def host(self) -> tuple[str, str]:
        """Scheme and host of the server."""
        parts = urlsplit(self.bare_url)
        return parts.scheme, parts.netloc

    @property
    def authorization(self) -> str:
        """The Authorization header, empty for none."""
        if self.username or self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return f"Basic {pair}"
        return f"Bearer {self.token}" if self.token else ""


def git_access(url: str, data: dict[str, bytes] | None, proxy: str = "") -> GitAccess:
    """Access to `url` with the data of a Secret, None for no Secret. Raises GitError for what does not fit."""
    parts = urlsplit(url)
    data = data or {}
    if parts.scheme == "ssh":
        for key in ("identity", "known_hosts"):
            if not data.get(key):
                raise GitError(f"invalid 'ssh' auth option: '{key}' is required")
        return GitAccess(url, proxy=proxy)
    token = "bearerToken" in data
    username = "" if token else _text(data, "username")
    password = "" if token else _text(data, "password")
    username = username or unquote(parts.username or "")
    password = password or unquote(parts.password or "")
    if password and not username:
        raise GitError(f"invalid '{parts.scheme}' auth option: 'password' requires 'username' to be set")
    authorities = data.get("ca.crt") or data.get("caFile", b"")
    shown = Certificates(data.get("tls.crt", b""), data.get("tls.key", b""), authorities)
    return GitAccess(
        url, username, password, _text(data, "bearerToken"), shown if any(data.get(k) for k in _PEM) else None, proxy
    )


def _text(data: dict[str, bytes], key: str) -> str:
    return data.get(key, b"").decode("utf-8", "replace")
