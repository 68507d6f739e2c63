"""Protected branches: what a rule holds, and what it makes of a push (GitHub docs, "About protected branches")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azsandbox.git.accounts import Permission
    from azsandbox.git.push import Change

DECLINED = "protected branch hook declined"
NO_DELETION = "Cannot delete this branch"
NO_FORCE = "Cannot force-push to this branch"
NO_DIRECT_CHANGE = "Changes must be made through a pull request."
LOCKED = "Cannot change this locked branch"
RESTRICTED = (
    "You're not authorized to push to this branch. Visit https://docs.github.com/repositories/"
    "configuring-branches-and-merges-in-your-repository/managing-protected-branches/about-protected-branches "
    "for more information."
)


@dataclass(frozen=True)
class Protection:
    """The rule of one branch. `reviews` is what pull requests need (None: no pull request is needed), `pushers` are
    logins that alone may push (None: all who may write), `contexts` are statuses that a commit must have."""

    enforce_admins: bool = False
    contexts: tuple[str, ...] | None = None
    strict: bool = False
    reviews: Mapping[str, Any] | None = None
    pushers: tuple[str, ...] | None = None
    allow_force_pushes: bool = False
    allow_deletions: bool = False
    lock_branch: bool = False

    def stored(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Protection:
        """From what is kept."""
        lists = {k: tuple(stored[k]) for k in ("contexts", "pushers") if stored.get(k) is not None}
        return cls(**{**stored, **lists})


@dataclass(frozen=True)
class Verdict:
    """What a rule says of one change: the sentences why it is refused, and those that an administrator went past."""

    refused: tuple[str, ...] = ()
    bypassed: tuple[str, ...] = ()
    forward_only: bool = False  # git must see whether the branch moves forward


ALLOWED = Verdict()


def judge(
    protection: Protection, change: Change, *, login: str, permission: Permission, succeeded: frozenset[str]
) -> Verdict:
    """What `protection` says of a change of its branch by `login`; `succeeded` are contexts whose status on the new
    commit is success.

    Administrators go past all but deletion and force, unless the rule is enforced on them.
    """
    if change.deleted:
        return ALLOWED if protection.allow_deletions else Verdict(refused=(NO_DELETION,))
    broken = []
    if protection.lock_branch:
        broken.append(LOCKED)
    if not change.created:
        if protection.reviews is not None:
            broken.append(NO_DIRECT_CHANGE)
        missing = [context for context in protection.contexts or () if context not in succeeded]
        if missing:
            broken.append(_expected(missing, len(protection.contexts or ())))
    if protection.pushers is not None and login not in protection.pushers and permission != "admin":
        broken.append(RESTRICTED)
    forward_only = not protection.allow_force_pushes and not change.created
    if broken and permission == "admin" and not protection.enforce_admins:
        return Verdict(bypassed=tuple(broken), forward_only=forward_only)
    return Verdict(refused=tuple(broken), forward_only=forward_only)


def refusal(reference: str, sentences: tuple[str, ...]) -> str:
    """What git shows of a refused change, as GitHub words it."""
    return f"error: GH006: Protected branch update failed for {reference}.\n\n{_listed(sentences)}\n"


def bypass(reference: str, sentences: tuple[str, ...]) -> str:
    """What git shows of rules that an administrator went past."""
    return f"Bypassed rule violations for {reference}:\n\n{_listed(sentences)}\n\n"


def _listed(sentences: tuple[str, ...]) -> str:
    return "\n\n".join(f"- {sentence}" for sentence in sentences)


def _expected(missing: list[str], total: int) -> str:
    if total == 1:
        return f'Required status check "{missing[0]}" is expected.'
    return f"{len(missing)} of {total} required status checks are expected."
