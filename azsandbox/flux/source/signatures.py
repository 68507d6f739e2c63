"""What a failed verification of a signature says, and how a commit or a tag carries its own."""

from __future__ import annotations

import re

_KINDS = {
    b"-----BEGIN PGP SIGNATURE-----": "openpgp",
    b"-----BEGIN PGP MESSAGE-----": "unknown",
    b"-----BEGIN CERTIFICATE-----": "unknown",
    b"-----BEGIN SIGNED MESSAGE-----": "x509",
    b"-----BEGIN SSH SIGNATURE-----": "ssh",
}
_BEGIN = re.compile(b"^(?:%s)" % b"|".join(_KINDS), re.M)
_HEADERS = (b"gpgsig ", b"gpgsig-sha256 ")


class SignatureError(Exception):
    """A signature that is none of the keys'."""


def kind_of(signature: str) -> str:
    """The type of a signature: openpgp, ssh, x509, empty or unknown."""
    if not signature:
        return "empty"
    text = signature.strip().encode()
    return next((kind for start, kind in _KINDS.items() if text.startswith(start)), "unknown")


def signed_commit(raw: bytes) -> tuple[str, bytes]:
    """The signature of a commit ('' where there is none), and what is signed: the commit without it."""
    head, blank, said = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    skipping = b""
    for line in head.split(b"\n"):
        if skipping and line.startswith(b" "):
            if skipping == _HEADERS[0]:
                signature.append(line[1:])
            continue
        skipping = next((header for header in _HEADERS if line.startswith(header)), b"")
        if not skipping:
            kept.append(line)
        elif skipping == _HEADERS[0]:
            signature = [line.removeprefix(skipping)]
    return b"\n".join(signature).decode("utf-8", "replace"), b"\n".join(kept) + blank + said


def signed_tag(raw: bytes) -> tuple[str, bytes]:
    """The signature at the end of a tag ('' where there is none), and what is signed: the tag up to it."""
    starts = [found.start() for found in _BEGIN.finditer(raw)]
    if not starts:
        return "", raw
    start = starts[-1]
    return raw[start:].decode("utf-8", "replace"), signed_commit(raw[:start])[1]
