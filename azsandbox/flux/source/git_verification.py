"""Signatures of commits and tags."""

from __future__ import annotations

from azsandbox.flux.source.git_checkout import Commit
from azsandbox.flux.source.outcomes import Failed, Stalled
from azsandbox.flux.source.pgp_signatures import verified_pgp
from azsandbox.flux.source.signatures import SignatureError, kind_of, signed_commit, signed_tag
from azsandbox.flux.source.sources import VERIFIED
from azsandbox.flux.source.ssh_signatures import verified_ssh

_SSH_KEYS = ".sshpub"


def verify(mode: str, commit: Commit, keys: dict[str, bytes]) -> str:
    """What to say of a commit that is signed by one of `keys`. Raises Failed for one that is not.

    `mode` is HEAD, Tag or TagAndHEAD.
    """
    verified = []
    if mode in ("Tag", "TagAndHEAD"):
        if not commit.reference.startswith("refs/tags/"):
            text = "cannot verify tag object's signature if a tag reference is not specified"
            raise Stalled("InvalidVerificationMode", text, VERIFIED, "False")
        name = commit.reference.removeprefix("refs/tags/")
        signature, signed = signed_tag(commit.tag.data) if commit.tag else ("", b"")
        label = f"{name}@{commit.tag.name}" if commit.tag else name
        if not signature:
            text = f"cannot verify signature of tag '{label}' since it is not signed"
            raise Failed("InvalidGitObject", text, VERIFIED, "False")
        try:
            verified.append(f"tag '{label}' with key '{_signer('tag', signature, signed, keys)}'")
        except SignatureError as error:
            text = f"signature verification of tag '{label}' failed: {error}"
            raise Failed("InvalidTagSignature", text, VERIFIED, "False") from error
    if mode != "Tag":
        signature, signed = signed_commit(commit.raw or b"")
        try:
            verified.append(f"commit '{commit.sha}' with key '{_signer('commit', signature, signed, keys)}'")
        except SignatureError as error:
            text = f"signature verification of commit '{commit.sha}' failed: {error}"
            raise Failed("InvalidCommitSignature", text, VERIFIED, "False") from error
    return "verified signature of" + "".join(f"\n\t- {text}" for text in verified)


def _signer(what: str, signature: str, signed: bytes, keys: dict[str, bytes]) -> str:
    """Which of the keys signed."""
    kind = kind_of(signature)
    if kind not in ("openpgp", "ssh"):
        raise SignatureError(f"unsupported signature type: {kind}")
    suffix, named = (_SSH_KEYS, "SSH") if kind == "ssh" else (".asc", "PGP")
    fitting = [
        key.decode("utf-8", "replace") for name, key in keys.items() if name.endswith(_SSH_KEYS) == (kind == "ssh")
    ]
    if not fitting:
        text = f"{named} signature detected but no {named} public keys found in secret (keys with {suffix} suffix)"
        raise SignatureError(text)
    try:
        return verified_ssh(signature, signed, fitting) if kind == "ssh" else verified_pgp(signature, signed, fitting)
    except SignatureError as error:
        how = " SSH signature" if kind == "ssh" else ""
        raise SignatureError(f"unable to verify Git {what}{how}: {error}") from error
