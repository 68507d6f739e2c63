"""Receivers: each has a path that nobody can guess, by which web hooks reach it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informers, key_of
from azsandbox.flux import conditions, secrets
from azsandbox.flux.conditions import READY, RECONCILING, STALLED
from azsandbox.flux.durations import go_duration, seconds
from azsandbox.flux.notification import filters
from azsandbox.flux.reconciler import NEVER, FluxReconciler
from azsandbox.kubernetes.errors import StatusError

API_VERSION = "notification.toolkit.fluxcd.io/v1"
PATH = "/hook/"
INTERVAL = 600.0  # seconds, where a Receiver names none
WATCHED = "reconcile.fluxcd.io/watch=Enabled"  # Secrets and ConfigMaps whose changes are acted on at once
_TERMINAL = "Reconciliation failed terminally due to configuration error"


class NoToken(Exception):
    """A Receiver whose Secret gives no token; the message is the controller's."""


def web_hook_path(receiver: Object, token: str) -> str:
    """The path of a Receiver with a token."""
    metadata = receiver["metadata"]
    digest = hashlib.sha256(f"{token}{metadata['name']}{metadata['namespace']}".encode()).hexdigest()
    return PATH + digest


class Receivers(FluxReconciler):
    """Gives Receivers their paths."""

    name = "notification-controller"
    api_version = API_VERSION
    resource = "receivers"
    kind = "Receiver"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.follow(informers.of("v1", "secrets", labelSelector=WATCHED), self._with_secret)

    def _with_secret(self, secret: Object) -> Iterable[str]:
        namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
        receivers = self.objects.list(namespace)
        return [key_of(r) for r in receivers if (r["spec"].get("secretRef") or {}).get("name") == name]

    async def act(self, obj: Object) -> float | None:
        interval = seconds(obj["spec"]["interval"]) if "interval" in obj["spec"] else INTERVAL

        # Expressions and providers of tokens that no retry mends
        wrong = filters.mistake(obj)
        if wrong is not None:
            await self._stall(obj, *wrong)
            return NEVER

        # The path, by the token
        conditions.mark_reconciling(obj, "Progressing", "Reconciliation in progress")
        try:
            token = await self._token(obj)
        except NoToken as error:
            conditions.mark(obj, READY, "False", "TokenNotFound", str(error))
            obj["status"].pop("webhookPath", None)
            await self._finish(obj)
            self.log(obj, "Reconciler error", "error", error=str(error))
            await self._event(obj, "Warning", "Failed", str(error))
            return None
        found = web_hook_path(obj, token)
        message = f"Receiver initialized for path: {found}"
        conditions.mark(obj, READY, "True", "Succeeded", message)
        if obj["status"].get("webhookPath") != found:
            obj["status"]["webhookPath"] = found
            self.log(obj, message)
        await self._finish(obj)
        await self._finished(obj, interval)
        return interval

    async def rest(self, obj: Object) -> None:
        """A suspended Receiver keeps its path, and is said to be reconciled."""
        self.log(obj, "Reconciliation is suspended for this object")
        before = obj.get("status")
        obj["status"] = {**(before or {})}
        interval = seconds(obj["spec"]["interval"]) if "interval" in obj["spec"] else INTERVAL
        await self._finish(obj, before)
        await self._finished(obj, interval)

    async def _finished(self, obj: Object, interval: float) -> None:
        """Says that all is well, if it is."""
        unwell = any(conditions.is_true(obj, kind) for kind in (RECONCILING, STALLED))
        if conditions.is_true(obj, READY) and not unwell:
            message = f"Reconciliation finished, next run in {go_duration(interval)}"
            self.log(obj, message)
            await self._event(obj, "Normal", "Succeeded", message)

    async def _stall(self, obj: Object, reason: str, error: str) -> None:
        message = f"{_TERMINAL}: {error}"
        conditions.mark(obj, READY, "False", reason, message)
        conditions.mark_stalled(obj, reason, message)
        obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.log(obj, _TERMINAL, "error", error=error)
        await self._event(obj, "Warning", reason, message)
        await self._finish(obj)

    async def _finish(self, obj: Object, before: Object | None = None) -> None:
        """Writes the status, with what follows from the Ready condition."""
        self.handled(obj)
        if conditions.is_true(obj, READY):
            conditions.remove(obj, RECONCILING)
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        reconciling = conditions.find(obj, RECONCILING)
        if conditions.is_false(obj, READY) and reconciling is not None:
            conditions.mark(obj, RECONCILING, "True", "ProgressingWithRetry", reconciling["message"])
        if obj["status"] != before:
            await self.save(obj)

    async def _token(self, receiver: Object) -> str:
        """The token of a Receiver; empty for one that names no Secret. Raises NoToken."""
        if "secretRef" not in receiver["spec"]:
            return ""
        namespace, name = receiver["metadata"]["namespace"], receiver["spec"]["secretRef"]["name"]
        try:
            secret = await self.client.get(path("v1", "secrets", namespace, name))
        except StatusError as error:
            raise NoToken(f"unable to read token from secret '{namespace}/{name}' error: {error.message}") from None
        token = secrets.text(secret, "token")
        if token is None:
            raise NoToken(f"invalid '{namespace}/{name}' secret data: required fields 'token'")
        return token

    async def _event(self, obj: Object, kind: str, reason: str, message: str) -> None:
        """An event of the cluster's alone: this controller does not notify itself."""
        await self.recorder.cluster.event(obj, kind, reason, message)
