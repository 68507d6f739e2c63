"""Addresses of Providers: URLs as Go's net/url reads them, and those of Git repositories."""

from __future__ import annotations

import re
import urllib.parse

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^/:]+):(?P<path>(?!//).+)")


class AddressError(ValueError):
    """An address that cannot be read; the message is Go's."""


def request_uri(address: str) -> str:
    """An address that a request can go to, unchanged. Raises AddressError (Go, url.ParseRequestURI)."""
    quoted = '"' + address.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in address):
        raise AddressError(f"parse {quoted}: net/url: invalid control character in URL")
    if not address:
        raise AddressError(f"parse {quoted}: empty url")
    if address.startswith(":"):
        raise AddressError(f"parse {quoted}: missing protocol scheme")
    found = _SCHEME.fullmatch(address)
    rest = found.group(2) if found else address
    if not rest.startswith("/"):
        raise AddressError(f"parse {quoted}: invalid URI for request")
    host = rest[2:].partition("/")[0] if rest.startswith("//") else ""
    if " " in host:
        raise AddressError(f'parse {quoted}: invalid character " " in host name')
    port = host.rpartition("@")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
    if port and not port.isdigit():
        raise AddressError(f'parse {quoted}: invalid port ":{port}" after host')
    return address


def git_repository(address: str) -> tuple[str, str]:
    """The server of a Git repository (`https://host`) and the repository's path in it, without `.git`.

    Raises AddressError for what is no address.
    """
    short = None if "://" in address else _SCP.fullmatch(address)
    if short:
        scheme, host, path = "ssh", short.group("host"), short.group("path")
    else:
        try:
            parts = urllib.parse.urlsplit(address)
            scheme, host, path = parts.scheme, parts.netloc.rpartition("@")[2], parts.path
        except ValueError as error:
            raise AddressError(f'failed parsing URL "{address}": {error}') from None
        if scheme not in ("http", "https", "ssh", "git", "git+ssh", "ftp", "ftps", "rsync", "file"):
            raise AddressError(f'failed parsing URL "{address}": scheme "{scheme}" is not supported')
    path = path.lstrip("/")
    return f"{'https' if scheme == 'ssh' else scheme}://{host}", path.removesuffix(".git")
