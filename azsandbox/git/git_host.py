"""GitHost: the repositories, accounts, tokens and hooks of a sandbox, its web applications, and who learns of pushes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from azsandbox.clock import Clock
from azsandbox.dispatch import LOOPBACK, Dispatch, Receive, Scope, Send, header, host_name
from azsandbox.git import protection
from azsandbox.git.accounts import Accounts
from azsandbox.git.credentials import Viewer, viewer
from azsandbox.git.hooks import Delivery, Event, Hook, Hooks
from azsandbox.git.public import PublicRepositories
from azsandbox.git.push import Change, Push
from azsandbox.git.repositories import Repositories, Settings
from azsandbox.git.repository import HEADS
from azsandbox.git.statuses import Status, Statuses
from azsandbox.git.tokens import Tokens
from azsandbox.store import Bucket
from azsandbox.tasks import end

if TYPE_CHECKING:
    from azsandbox.git.deliveries import Deliveries

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
    the start, `dispatch` knows the hosts that the sandbox serves, which hooks may be sent to, and `bundle` the
    certificate authorities that receivers of hooks are trusted by.
    """

    def __init__(
        self,
        folder: Path,
        bucket: Bucket,
        clock: Clock,
        secret: bytes,
        dispatch: Dispatch,
        bundle: Path | None = None,
    ) -> None:
        self.bucket, self.clock = bucket, clock
        self._dispatch, self._bundle = dispatch, bundle
        self.accounts = Accounts()
        self.tokens = Tokens(bucket, clock, secret, [account.login for account in self.accounts.users()])
        self.repositories = Repositories(folder / "repositories", bucket, clock)
        self.public = PublicRepositories(self.repositories, bucket)
        self.hooks_folder = folder / "hooks"
        self.hooks = Hooks(bucket)
        self.statuses = Statuses(bucket)
        self._listeners: list[Listener] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._write_hooks()
        if len(self.hooks):
            _ = self._deliveries  # imports what sends, now rather than in the middle of the first push

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
        if any(hook.active for hook in self.hooks.of(settings)):
            self._spawn(self._announce_push(push, self.repositories.of(settings).references()))

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
        return frozenset(s.context for s in self.statuses.latest(settings, commit) if s.state == "success")

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

    async def delete(self, settings: Settings) -> None:
        """Deletes a repository with all that belongs to it."""
        from azsandbox.git.rest import keys

        await self.repositories.delete(settings)
        self.hooks.forget(settings)
        self.statuses.forget(settings)
        keys.forget(self.bucket, settings)

    # --- events to hooks

    @cached_property
    def _deliveries(self) -> Deliveries:
        from azsandbox.git.deliveries import Deliveries

        return Deliveries(self.hooks, self._dispatch, self.clock, self._bundle)

    def ping(self, settings: Settings, hook: Hook, sender: str) -> None:
        """Sends a hook its ping, in the background."""
        from azsandbox.git import events

        shown = events.shown_hook(settings, hook)
        event = events.ping(settings, self.repositories.of(settings), self.accounts, shown, sender)
        self._spawn(self._deliveries.deliver(settings, hook, event))

    def test(self, settings: Settings, hook: Hook, push: Push) -> None:
        """Sends one hook a push event, in the background, if it wants push events."""
        if hook.wants("push"):
            self._spawn(self._test(settings, hook, push))

    async def _test(self, settings: Settings, hook: Hook, push: Push) -> None:
        from azsandbox.git import events

        git = self.repositories.of(settings)
        payload = await events.push_payload(settings, git, self.accounts, push, push.changes[0], git.references())
        await self._deliveries.deliver(settings, hook, Event("push", payload))

    def redeliver(self, settings: Settings, hook: Hook, delivery: Delivery) -> None:
        """Sends a delivery once more, in the background."""
        event = Event(delivery.event, delivery.request["payload"])
        self._spawn(self._deliveries.deliver(settings, hook, event, delivery))

    def status_added(self, settings: Settings, status: Status) -> None:
        """Tells hooks of a status, in the background."""
        if any(hook.wants("status") for hook in self.hooks.of(settings)):
            self._spawn(self._announce_status(settings, status))

    async def _announce_push(self, push: Push, references: dict[str, str]) -> None:
        from azsandbox.git import events

        settings = self.repositories.settings(push.owner, push.repository)
        if settings is None:
            return
        async with self._locks.setdefault(push.full_name, asyncio.Lock()):  # one after the other, as they were pushed
            git = self.repositories.of(settings)
            made = await events.of_push(settings, git, self.accounts, push, references)
        await self._send(settings, made)

    async def _announce_status(self, settings: Settings, status: Status) -> None:
        from azsandbox.git import events

        git = self.repositories.of(settings)
        await self._send(settings, [await events.of_status(settings, git, self.accounts, status)])

    async def _send(self, settings: Settings, events: list[Event]) -> None:
        """Sends events to each hook that wants them, in order; hooks do not wait for each other."""

        async def to(hook: Hook) -> None:
            async with self._locks.setdefault(f"hook {hook.id}", asyncio.Lock()):
                for event in events:
                    if hook.wants(event.name):
                        await self._deliveries.deliver(settings, hook, event)

        await asyncio.gather(*(to(hook) for hook in self.hooks.of(settings)))

    def _spawn(self, work: Awaitable[object]) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("an event of the Git host was not sent", exc_info=task.exception())

    # --- web

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of github.com and api.github.com, and of mode A's /git."""
        if scope["type"] != "http":
            return
        from azsandbox.git import releases, smart_http
        from azsandbox.git.rest import app, raw
        from azsandbox.git.rest.shapes import GITHUB, Links

        name, links = host_name(header(scope, b"host")), GITHUB
        if name in LOOPBACK:
            base = f"{scope.get('scheme', 'https')}://{header(scope, b'host')}{ENDPOINT_PATH}"
            links = Links(f"{base}/api", base, f"{base}/raw")
            scope = {**scope, "path": scope["path"].removeprefix(ENDPOINT_PATH)}
            name, path = _part(scope["path"])
            scope["path"] = path
        await self.public.prepare(scope["path"])
        if name == "api.github.com":
            await app.answer(self, scope, receive, send, links)
        elif name == "raw.githubusercontent.com":
            await raw.answer(self, scope, receive, send)
        elif releases.is_download(scope["path"]):
            await releases.answer(scope, send)
        else:
            await smart_http.answer(self, scope, receive, send)

    async def close(self) -> None:
        """Ends what runs in the background."""
        await end(self._tasks)
        if "_deliveries" in self.__dict__:
            await self._deliveries.close()

    def _write_hooks(self) -> None:
        self.hooks_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        hook = self.hooks_folder / "update"
        if not hook.exists() or hook.read_text() != _UPDATE_HOOK:
            hook.write_text(_UPDATE_HOOK)
        hook.chmod(0o700)


def _part(path: str) -> tuple[str, str]:
    """Which of GitHub's hosts a path below mode A's /git stands for, and the path there."""
    for prefix, name in (("/api/", "api.github.com"), ("/raw/", "raw.githubusercontent.com")):
        if path.startswith(prefix):
            return name, path.removeprefix(prefix[:-1])
    return "github.com", path
