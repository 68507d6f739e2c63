"""The events of Flux's controllers: taken, found Alerts for, and sent."""

from __future__ import annotations

import asyncio
import copy
import time
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informer, Informers
from azsandbox.flux import facts
from azsandbox.flux.flags import Flags
from azsandbox.flux.logs import line
from azsandbox.flux.notification import alerts
from azsandbox.flux.notification.dispatch import DispatchError, Sending, is_left_out, sending
from azsandbox.flux.notification.duplicates import INTERVAL, Duplicates, identity
from azsandbox.flux.notification.events import involved, posted
from azsandbox.flux.notification.posting import Http, SendError
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest
from azsandbox.tasks import end

API_VERSION = "notification.toolkit.fluxcd.io/v1beta3"
FAILED = "NotificationDispatchFailed"
LARGEST = 3 * 1024 * 1024  # bytes of a body
TOO_MANY = HttpAnswer(429, b"Too Many Requests\n", {"content-type": "text/plain; charset=utf-8"})  # http.Error


class EventServer(Controller):
    """Takes events one after the other, as they come; sends each in a task of its own."""

    name = "notification-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.client = client.named(self.name)
        self.flux: FluxRuntime = options["flux"]
        flags = Flags(options.get("arguments", ()))
        self.own_namespace_only = flags.is_set("no-cross-namespace-refs")
        self.recorder = EventRecorder(self.client, self.name)
        self.kinds = RestMapping(self.client)
        self.duplicates = Duplicates(flags.seconds("rate-limit-interval", INTERVAL))
        self.alerts: Informer = informers.of(API_VERSION, "alerts")
        self.providers: Informer = informers.of(API_VERSION, "providers")
        self.events: asyncio.Queue[Object] = asyncio.Queue()
        self.sending: set[asyncio.Task[None]] = set()

    async def take(self, event: Object) -> None:
        """Takes an event that a controller posts; it is dealt with later."""
        self._admit(copy.deepcopy(event))

    def _admit(self, event: Object) -> bool:
        """Queues an event without what is of no use to readers, unless it says the same again."""
        event = alerts.cleaned(event)
        if not self.duplicates.is_new(identity(event), time.monotonic()):
            return False
        self.events.put_nowait(event)
        return True

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answers whoever posts an event over HTTP, by the Service notification-controller."""
        if len(request.body) > LARGEST:
            error = f"request body exceeds the maximum size of {LARGEST} bytes"
            self._write("error", "reading the request body failed", error=error, logger="event-server")
            return HttpAnswer(413)
        try:
            event = posted(request.body)
        except ValueError as error:
            self._write("error", "decoding the request body failed", error=str(error), logger="event-server")
            return HttpAnswer(400)
        if not self._admit(event):
            return TOO_MANY
        return HttpAnswer(202)

    async def run(self) -> None:
        """Works until cancelled."""
        await self.informers.synced()
        self.flux.notifications.receivers.append(self.take)
        close = self.flux.ports.listen(self.name, facts.controllers()[self.name]["ports"]["http"], self.answer)
        try:
            while True:
                await self._handle(await self.events.get())
        finally:
            close()
            self.flux.notifications.receivers.remove(self.take)
            await end(self.sending)

    async def _handle(self, event: Object) -> None:
        event = alerts.without_token(event)

        # Every Alert that it fits
        found = [alert for alert in self.alerts.list() if await self._passes(event, alert)]
        if not found:
            self._log("info", "discarding event, no alerts found for the involved object", event)
            return
        self._log("info", "dispatching event", event, message=event["message"])

        # Each by its Provider
        for alert in found:
            await self._dispatch(event, alert)

    async def _passes(self, event: Object, alert: Object) -> bool:
        async def labels() -> dict[str, str] | None:
            return await self._labels(event, alert)

        async def complain(reason: str, message: str) -> None:
            await self.recorder.event(alert, "Warning", reason, message)

        return await alerts.passes(event, alert, labels, complain)

    async def _labels(self, event: Object, alert: Object) -> dict[str, str] | None:
        about = event["involvedObject"]
        try:
            resource = await self.kinds.of(about["apiVersion"], about["kind"])
            obj = await self.client.get(resource.path(about["namespace"], about["name"]))
        except (StatusError, NoMatch) as error:
            self._log("error", "error getting the involved object", event, error=str(error))
            text = f"error getting source object {involved(event)}"
            await self.recorder.event(alert, "Warning", "SourceFetchFailed", text)
            return None
        return obj["metadata"].get("labels") or {}

    async def _dispatch(self, event: Object, alert: Object) -> None:
        try:
            made = await self._sending(event, alert)
        except DispatchError as error:
            self._log("error", "failed to dispatch notification", event, error=str(error))
            text = f"failed to dispatch notification for {involved(event)}: {error}"
            await self.recorder.event(alert, "Warning", FAILED, text)
            return
        if made is not None:
            task = asyncio.create_task(self._send(*made, alert), name=f"notification of {involved(event)}")
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    async def _sending(self, event: Object, alert: Object) -> tuple[Sending, Object] | None:
        """How an event is sent, and what of it; None for an event that the Provider has no use for."""
        namespace, name = alert["metadata"]["namespace"], alert["spec"]["providerRef"]["name"]
        if self.own_namespace_only and event["involvedObject"].get("namespace") != namespace:
            raise DispatchError(
                "discarding event, access denied to cross-namespace sources: "
                f"alert '{namespace}/{alert['metadata']['name']}' can't process event from '{involved(event)}', "
                "cross-namespace references have been blocked"
            )
        provider = self.providers.get(f"{namespace}/{name}")
        if provider is None:
            raise DispatchError(f'failed to read provider: Provider.notification.toolkit.fluxcd.io "{name}" not found')
        left_out = is_left_out(provider, event)
        if left_out is not None:
            if left_out:
                names = [f"{namespace}/{alert['metadata']['name']}"]
                self._log("info", left_out, event, alerts=names)
            return None
        whole, conflicts = alerts.combined(event, alert)
        if conflicts:
            self._log("info", f"warning: {alerts.CONFLICT}", event)
            annotations = dict(conflicts)
            await self.recorder.event(
                alert, "Warning", "MetadataAppendFailed", alerts.CONFLICT, annotations=annotations
            )
        return await sending(self.client, provider, alert, whole), whole

    async def _send(self, made: Sending, event: Object, alert: Object) -> None:
        deadline = asyncio.get_running_loop().time() + made.timeout
        try:
            async with Http(self.flux.outbound, deadline, made.proxy, made.tls) as http:
                await made.notifier.post(event, http)
        except SendError as error:
            said = made.masked(str(error))
            self._log("error", "failed to send notification", event, error=said)
            text = f"failed to send notification for {involved(event)}: {said}"
            await self.recorder.event(alert, "Warning", FAILED, text)

    def _log(self, level: str, said: str, event: Object, /, **fields: Any) -> None:
        self._write(level, said, logger="event-server", eventInvolvedObject=event["involvedObject"], **fields)

    def _write(self, level: str, said: str, /, **fields: Any) -> None:
        self.flux.output.write(self.name, line(level, said, **fields))
