"""HTTP as Flux's controllers speak it: the way out of the sandbox, and failures in the words of Go's net/http."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import httpx

from azsandbox.flux.runtime import Outbound

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SYSTEM_ERRORS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by peer",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
    errno.EPIPE: "broken pipe",
}
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # OpenSSL's codes for a chain that leads to no trusted authority
_EXPIRED, _NOT_YET = 10, 9
_PEER = re.compile(r"Connect call failed \('([^']+)', (\d+)")


def http_client(
    outbound: Outbound, *, tls: ssl.SSLContext | None = None, proxy: str = "", timeout: float | None = 60.0
) -> httpx.AsyncClient:
    """A client that goes out as `outbound` says, or by `proxy`. `timeout` is in seconds; None waits for ever.

    `tls` takes the place of the authorities that are trusted otherwise. Redirects are followed, as Go's client does.
    """
    way, mounts = proxy or outbound.proxy, {}
    trust = tls or _trusted(outbound.ca, outbound.ca.stat().st_mtime_ns if outbound.ca else 0)
    if way:
        through = httpx.AsyncHTTPTransport(proxy=way, verify=trust)
        mounts = {"all://": through}
        if not proxy:
            straight = httpx.AsyncHTTPTransport(verify=trust)
            mounts |= {f"all://{host}": straight for host in _LOOPBACK}
    return httpx.AsyncClient(
        verify=trust,
        mounts=mounts,
        trust_env=not way,  # a cluster outside of a sandbox goes by the machine's own proxy, as Go's client does
        timeout=timeout,
        follow_redirects=True,
        max_redirects=10,
    )


@lru_cache(maxsize=16)
def _trusted(ca: Path | None, written: int) -> ssl.SSLContext:
    """The authorities that are trusted, and those of a file besides; kept, since reading them takes a while."""
    context = httpx.create_ssl_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context


async def failure(method: str, url: str, error: Exception) -> str:
    """What Go's client says of a request that got no answer: `Get "http://…": dial tcp …: connection refused`."""
    return f'{method.capitalize()} "{_redacted(url)}": {await reason(url, error)}'


async def reason(url: str, error: Exception) -> str:
    """The part of Go's message that says why a request got no answer."""
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return "context deadline exceeded"
    if isinstance(error, httpx.UnsupportedProtocol):
        return f'unsupported protocol scheme "{urllib.parse.urlsplit(url).scheme}"'
    if isinstance(error, httpx.TooManyRedirects):
        return "stopped after 10 redirects"
    if isinstance(error, httpx.ProxyError):
        return str(error).partition(" ")[2] or str(error)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: x509: {_certificate(url, cause)}"
        if isinstance(cause, ssl.SSLError):
            if cause.reason == "WRONG_VERSION_NUMBER":
                return "http: server gave HTTP response to HTTPS client"
            ended = isinstance(cause, ssl.SSLEOFError) or cause.reason == "UNEXPECTED_EOF_WHILE_READING"
            return "EOF" if ended else f"tls: {str(cause.reason or cause).lower()}"
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {urllib.parse.urlsplit(url).hostname}: no such host"
        if isinstance(cause, OSError) and cause.errno in _SYSTEM_ERRORS:
            said = _SYSTEM_ERRORS[cause.errno]
            if isinstance(error, httpx.ConnectError):
                return f"dial tcp {await _peer(url, cause)}: connect: {said}"
            return f"read tcp {await _peer(url, cause)}: read: {said}"
    if isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError)):
        return "EOF"
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes from, groups taken apart."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__


async def _peer(url: str, error: OSError) -> str:
    """`address:port` of the other side."""
    found = _PEER.search(str(error))
    if found:
        host, port = found.group(1), found.group(2)
    else:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", str(parts.port or (443 if parts.scheme == "https" else 80))
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
            host = str(answers[0][4][0])
        except OSError:
            pass
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _certificate(url: str, error: ssl.SSLCertVerificationError) -> str:
    host = urllib.parse.urlsplit(url).hostname or ""
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return "certificate signed by unknown authority"
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return "certificate has expired or is not yet valid: "
    if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
        return f"certificate is not valid for any names, but wanted to match {host}"
    return error.verify_message


def _redacted(url: str) -> str:
    """A URL whose password does not show."""
    parts = urllib.parse.urlsplit(url)
    if parts.password is None:
        return url
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}:***@{parts.netloc.rpartition('@')[2]}"))
