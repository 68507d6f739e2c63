"""GitHost: the repositories, accounts, tokens and hooks of a sandbox, its web applications, and who learns of pushes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from azsandbox.clock import Clock
from azsandbox.dispatch import LOOPBACK, Dispatch, Receive, Scope, Send, header, host_name
from azsandbox.git import protection
from azsandbox.git.accounts import Accounts
from azsandbox.git.credentials import Viewer, viewer
from azsandbox.git.push import Change, Push
from azsandbox.git.repositories import Repositories, Settings
from azsandbox.git.repository import HEADS
from azsandbox.git.tokens import Tokens
from azsandbox.store import Bucket

log = logging.getLogger("azsandbox.git")

Listener = Callable[[Push], None]

ENDPOINT_PATH = "/git"  # where mode A finds it, on localhost

# Run by git for each reference of a push that holds a protected branch. FORWARD_ONLY names, a line each, those that may
# only move forward. What is pushed is visible to this process alone until the push is taken.
_UPDATE_HOOK = f"""#!/bin/sh
case "
$FORWARD_ONLY
" in
*"
$1
"*) ;;
*) exit 0 ;;
esac
git merge-base --is-ancestor "$2" "$3" && exit 0
printf 'error: GH006: Protected branch update failed for %s.\\n\\n- {protection.NO_FORCE}\\n' "$1" >&2
exit 1
"""


class GitHost:
    """The Git host of a sandbox, which stands in for GitHub.

    `folder` holds the repositories, `bucket` what is known of them, `secret` makes the tokens that people have from
    the start, `dispatch` knows the hosts that the sandbox serves, which hooks may be sent to.
    """

    def __init__(self, folder: Path, bucket: Bucket, clock: Clock, secret: bytes, dispatch: Dispatch) -> None:
        self.bucket, self.clock, self.dispatch = bucket, clock, dispatch
        self.accounts = Accounts()
        self.tokens = Tokens(bucket, clock, secret, [account.login for account in self.accounts.users()])
        self.repositories = Repositories(folder / "repositories", bucket, clock)
        self.hooks_folder = folder / "hooks"
        self._listeners: list[Listener] = []
        self._write_hooks()

    # --- pushes

    def on_push(self, listener: Listener) -> Callable[[], None]:
        """Has `listener` called with each push as soon as it is done, in the event loop and before the client has its
        answer, so it must return at once. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def pushed(self, push: Push) -> None:
        """Notes a push that was done, and tells whoever listens."""
        settings = self.repositories.settings(push.owner, push.repository)
        if settings is None:  # deleted meanwhile
            return
        self._adopt_first_branch(settings, push)
        self.repositories.pushed(push.owner, push.repository)
        for listener in list(self._listeners):
            try:
                listener(push)
            except Exception:  # a listener's fault is not the pusher's
                log.exception("a listener failed on a push to %s", push.full_name)

    def judge(self, settings: Settings, change: Change, who: Viewer) -> protection.Verdict:
        """What the rule of a branch says of a change."""
        rule = settings.protection(change.branch) if change.branch else None
        if rule is None:
            return protection.ALLOWED
        return protection.judge(
            rule,
            change,
            login=who.login,
            permission=who.role(self.accounts, settings),
            succeeded=self.succeeded(settings, change.new),
        )

    def succeeded(self, settings: Settings, commit: str) -> frozenset[str]:
        """Contexts whose latest status on a commit is success."""
        return frozenset()

    def viewer(self, authorization: str) -> Viewer:
        """Who an Authorization header speaks for. Raises BadCredentials."""
        return viewer(authorization, self.accounts, self.tokens)

    def _adopt_first_branch(self, settings: Settings, push: Push) -> None:
        """The first branch that is pushed to an empty repository becomes its default branch, as GitHub has it."""
        repository = self.repositories.of(settings)
        created = [change.branch for change in push.changes if change.branch and change.created]
        if not created or repository.resolve(HEADS + settings.default_branch):
            return
        if set(repository.branches()) == set(created):
            fresh = repository.path / "HEAD.fresh"
            fresh.write_text(f"ref: {HEADS}{created[0]}\n")
            fresh.replace(repository.path / "HEAD")  # in one step: without HEAD it would be no repository
            settings.default_branch = created[0]
            self.repositories.save(settings)

    # --- web

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of github.com and api.github.com, and of mode A's /git."""
        if scope["type"] != "http":
            return
        name = host_name(header(scope, b"host"))
        if name in LOOPBACK:
            scope = {**scope, "path": scope["path"].removeprefix(ENDPOINT_PATH)}
        from azsandbox.git import releases, smart_http

        if releases.is_download(scope["path"]):
            await releases.answer(scope, send)
            return
        await smart_http.answer(self, scope, receive, send)

    async def close(self) -> None:
        """Ends what runs in the background."""

    def _write_hooks(self) -> None:
        self.hooks_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        hook = self.hooks_folder / "update"
        if not hook.exists() or hook.read_text() != _UPDATE_HOOK:
            hook.write_text(_UPDATE_HOOK)
        hook.chmod(0o700)
