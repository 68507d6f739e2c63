"""Names in a registry: repositories, tags, digests, references, and the scopes of tokens.

Grammar: OCI distribution specification 1.1, "Pulling manifests"; OCI image specification, "Digests"; scopes: the
distribution project's "Token Scope Documentation".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SUFFIX = ".azurecr.io"
REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
LONGEST_NAME = 255  # characters of a repository's name


def is_repository(name: str) -> bool:
    """Whether a repository can have that name."""
    return len(name) <= LONGEST_NAME and REPOSITORY.fullmatch(name) is not None


def is_tag(text: str) -> bool:
    """Whether it can be a tag."""
    return TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether it is a digest of an algorithm that is known."""
    return DIGEST.fullmatch(text) is not None


@dataclass(frozen=True)
class Grant:
    """What a token allows, or a request needs: actions on a repository, or on the registry's catalogue."""

    type: str  # repository, registry
    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}"

    @property
    def detail(self) -> list[dict[str, str]]:
        """As an error tells it."""
        return [{"Type": self.type, "Name": self.name, "Action": action} for action in self.actions]


def read_scopes(texts: Iterable[str]) -> list[Grant]:
    """The grants that `scope` parameters ask for; what is no scope is left out. Each text may hold several."""
    found = []
    for text in texts:
        for word in text.split():
            kind, _, rest = word.partition(":")
            name, _, actions = rest.rpartition(":")
            if kind and name:
                found.append(Grant(kind, name, tuple(a for a in actions.split(",") if a)))
    return found
