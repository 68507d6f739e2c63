"""Signatures of commits and tags."""

from __future__ import annotations

from azsandbox.flux.source.git_checkout import Commit
from azsandbox.flux.source.outcomes import Failed, Stalled, not_supported
from azsandbox.flux.source.sources import VERIFIED


def verify(mode: str, commit: Commit, keys: dict[str, bytes]) -> str:
    """What to say of a commit that is signed by one of `keys`. Raises Failed for one that is not.

    `mode` is HEAD, Tag or TagAndHEAD.
    """
    if mode in ("Tag", "TagAndHEAD"):
        if not commit.reference.startswith("refs/tags/"):
            text = "cannot verify tag object's signature if a tag reference is not specified"
            raise Stalled("InvalidVerificationMode", text, VERIFIED, "False")
        name = commit.reference.removeprefix("refs/tags/")
        signature = _tag_signature(commit.tag.data) if commit.tag else ""
        label = f"{name}@{commit.tag.name}" if commit.tag else name
        if not signature:
            text = f"cannot verify signature of tag '{label}' since it is not signed"
            raise Failed("InvalidGitObject", text, VERIFIED, "False")
        _check(signature, keys, f"signature verification of tag '{label}' failed", "InvalidTagSignature")
    failed = f"signature verification of commit '{commit.sha}' failed"
    _check(_commit_signature(commit.raw or b""), keys, failed, "InvalidCommitSignature")
    raise not_supported("spec.verify of a signed commit", VERIFIED, "False")


def _check(signature: str, keys: dict[str, bytes], failed: str, reason: str) -> None:
    """Refuses what cannot be verified."""
    kind = _kind(signature)
    if kind not in ("openpgp", "ssh"):
        raise Failed(reason, f"{failed}: unsupported signature type: {kind}", VERIFIED, "False")
    suffix, what = (".sshpub", "SSH") if kind == "ssh" else (".asc", "PGP")
    fitting = [key for key in keys if key.endswith(".sshpub") == (kind == "ssh")]
    if not fitting:
        text = f"{what} signature detected but no {what} public keys found in secret (keys with {suffix} suffix)"
        raise Failed(reason, f"{failed}: {text}", VERIFIED, "False")
    raise not_supported(f"spec.verify with {what} signatures", VERIFIED, "False")


def _kind(signature: str) -> str:
    """The type of a signature (fluxcd/pkg/git/signature)."""
    if not signature:
        return "empty"
    for start, kind in (
        ("-----BEGIN PGP SIGNATURE-----", "openpgp"),
        ("-----BEGIN PGP MESSAGE-----", "openpgp"),
        ("-----BEGIN SSH SIGNATURE-----", "ssh"),
        ("-----BEGIN SIGNED MESSAGE-----", "x509"),
    ):
        if signature.startswith(start):
            return kind
    return "unknown"


def _commit_signature(raw: bytes) -> str:
    lines: list[str] = []
    for line in raw.partition(b"\n\n")[0].decode("utf-8", "replace").split("\n"):
        if line.startswith("gpgsig "):
            lines = [line.removeprefix("gpgsig ")]
        elif lines and line.startswith(" "):
            lines.append(line[1:])
        elif lines:
            break
    return "\n".join(lines)


def _tag_signature(raw: bytes) -> str:
    message = raw.partition(b"\n\n")[2].decode("utf-8", "replace")
    found = [message.find(f"-----BEGIN {kind}") for kind in ("PGP SIGNATURE", "SSH SIGNATURE", "SIGNED MESSAGE")]
    starts = [at for at in found if at >= 0]
    return message[min(starts) :] if starts else ""
