"""What a commit's status or an incident says of an event."""

from __future__ import annotations

import re

from azsandbox.controllers.client import Object

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")
_SHA1 = 40  # digits


def name_and_description(event: Object) -> tuple[str, str]:
    """`kind/name`, and the reason taken apart into words: "reconciliation succeeded"."""
    about = event["involvedObject"]
    words = _WORDS.findall(event["reason"])
    return f"{about['kind']}/{about['name']}".lower(), " ".join(words).lower()


class NoRevision(ValueError):
    """An event that names no commit; the message is the controller's."""


def commit(revision: str | None) -> str:
    """The hash of the commit that a revision names: "main@sha1:…", or of old "main/…". Raises NoRevision."""
    if revision is None:
        raise NoRevision("missing revision metadata")
    digest = revision.rpartition(":")[2] if ":" in revision else revision.rpartition("/")[2]
    if len(digest) != _SHA1:
        raise NoRevision(f"failed to extract commit hash from '{revision}' revision")
    return digest
