"""Personal access tokens, in the forms that GitHub gives them.

A classic token (`ghp_…`) reads and writes. A token that only reads is a fine-grained one (`github_pat_…`), as GitHub
has no classic scope for reading private repositories. Kept are hashes alone.

Each person has one classic token from the start, derived from a secret of the installation, so that the environment
of the sandbox can hold it without its being stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import zlib
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from azsandbox.clock import Clock
from azsandbox.store import Bucket

COLLECTION = "tokens"
SECRET = "github-token"  # noqa: S105 - the name of the installation's secret, not the secret

Access = Literal["read", "write"]

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CLASSIC_LENGTH = 30  # then six digits of checksum (GitHub blog, "Behind GitHub's new authentication token formats")


@dataclass(frozen=True)
class Token:
    """What is known of a token. `access` is "read" or "write"; `created` is RFC 3339."""

    login: str
    access: Access
    note: str = ""
    created: str = ""

    @property
    def classic(self) -> bool:
        """Whether it is of the older kind, whose scopes are told in answers."""
        return self.access == "write"


def default_token(secret: bytes, login: str) -> str:
    """The classic token that a person has from the start."""
    number = int.from_bytes(hmac.new(secret, login.lower().encode(), hashlib.sha256).digest())
    return _classic(_base62(number, _CLASSIC_LENGTH))


class Tokens:
    """The tokens that the sandbox has issued. `logins` are the people who have one from the start."""

    def __init__(self, bucket: Bucket, clock: Clock, secret: bytes, logins: list[str]) -> None:
        self._bucket, self._clock, self._secret = bucket, clock, secret
        self._defaults = {_hash(default_token(secret, login)): Token(login, "write") for login in logins}

    def default(self, login: str) -> str:
        """The token that a person has from the start."""
        return default_token(self._secret, login)

    def issue(self, login: str, access: Access, note: str) -> str:
        """A new token. Raises ValueError when the person has one of that note."""
        if any(t.login == login and t.note == note for t in self.list()):
            raise ValueError(f"{login} has a token {note!r} already. See: azsandbox git token --list")
        token = _classic(_random(_CLASSIC_LENGTH)) if access == "write" else _fine_grained()
        created = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self._bucket.put(COLLECTION, _hash(token), orjson.dumps(asdict(Token(login, access, note, created))))
        return token

    def find(self, token: str) -> Token | None:
        """Whose token it is and what it may do, or None for one that the sandbox does not know."""
        digest = _hash(token)
        record = self._bucket.get(COLLECTION, digest)
        return Token(**orjson.loads(record.value)) if record else self._defaults.get(digest)

    def list(self) -> list[Token]:
        """What was issued, by login and note; not those that people have from the start."""
        found = [Token(**orjson.loads(record.value)) for record in self._bucket.list(COLLECTION)]
        return sorted(found, key=lambda t: (t.login, t.note))

    def revoke(self, login: str, note: str) -> bool:
        """Forgets a token; whether there was one."""
        for record in self._bucket.list(COLLECTION):
            token = Token(**orjson.loads(record.value))
            if (token.login, token.note) == (login, note):
                self._bucket.delete(COLLECTION, record.key)
                return True
        return False


def _hash(token: str) -> str:
    # Not a slow hash: what is hashed is 178 random bits, which nobody guesses.
    return hashlib.sha256(token.encode()).hexdigest()


def _classic(body: str) -> str:
    return f"ghp_{body}{_base62(zlib.crc32(body.encode()), 6)}"


def _fine_grained() -> str:
    return f"github_pat_{_random(22)}_{_random(59)}"


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))
