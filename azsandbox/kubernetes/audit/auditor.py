"""Watches requests go by, and hands on their audit events.

An API server has none unless somebody listens: a request then costs one comparison.
Stages and what goes with each: k8s.io/apiserver, endpoints/filters (audit.go, authn_audit.go).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from azsandbox.kubernetes.audit.event import PANIC, RESPONSE_COMPLETE, RESPONSE_STARTED, AuditEvent
from azsandbox.kubernetes.audit.policy import Level, Policy
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import Request, Response, User

if TYPE_CHECKING:
    from azsandbox.kubernetes.authz import Decision

Respond = Callable[[Request], Awaitable[Response]]
Sink = Callable[[AuditEvent], None]
Identify = Callable[[Request, Response], User]
After = Callable[[Request, Response], None]


class Auditor:
    """Records the requests of one API server.

    `policy` says how much of each, `omitted` names verbs that are not recorded at all, `sink` gets the events.
    `identify` tells who a request is from where that is not what the server took it for. `after` is told of every
    request that was answered, recorded or not.
    """

    def __init__(
        self,
        policy: Policy,
        sink: Sink,
        now: Callable[[], dt.datetime],
        *,
        omitted: Collection[str] = (),
        identify: Identify | None = None,
        after: After | None = None,
    ) -> None:
        self.policy, self.sink, self.now = policy, sink, now
        self.omitted = frozenset(omitted)
        self.identify, self.after = identify, after

    async def handle(self, request: Request, respond: Respond) -> Response:
        """Answers a request by `respond`, and records it."""
        received = self.now()
        try:
            response = await respond(request)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._record(request, Response(500), received, PANIC)
            raise
        if self.after is not None:
            self.after(request, response)
        if response.stream is None:
            self._record(request, response, received, RESPONSE_COMPLETE)
        else:
            audit_id = str(uuid.uuid4())
            if self._record(request, response, received, RESPONSE_STARTED, audit_id):
                response.stream = self._followed(response.stream, request, response, received, audit_id)
        return response

    async def _followed(
        self, stream: AsyncIterator[bytes], request: Request, response: Response, received: dt.datetime, audit_id: str
    ) -> AsyncIterator[bytes]:
        """The same stream; when it ends, however it does, that is recorded."""
        try:
            async for chunk in stream:
                yield chunk
        finally:
            self._record(request, response, received, RESPONSE_COMPLETE, audit_id)
            closing = getattr(stream, "aclose", None)
            if closing is not None:
                await closing()

    def _record(
        self, request: Request, response: Response, received: dt.datetime, stage: str, audit_id: str = ""
    ) -> bool:
        """Makes the event of a stage, unless the policy leaves it out; returns whether it did."""
        question = Question.of(request)
        if question.verb in self.omitted:
            return False
        failed = response.status == 401
        asked_by = request.impersonator or (self.identify(request, response) if self.identify else request.user)
        level = self.policy.level(asked_by, question)
        if level is Level.NONE:
            return False
        body, media = b"", ""
        if request.body and (level >= Level.REQUEST or (question.verb == "create" and not question.name)):
            body, media = request.body, request.headers.get("content-type", "")
        event = AuditEvent(
            level,
            audit_id or str(uuid.uuid4()),
            # a refused sign-in is told when the answer starts, as there is no handler that could end (authn_audit.go)
            RESPONSE_STARTED if failed else stage,
            request.uri or request.path,
            question,
            None if failed else asked_by,
            request.user if request.impersonator is not None else None,
            source_ips(request),
            request.user_agent,
            received,
            self.now(),
            response.status,
            annotations=_annotations(request.decision),
        )
        if failed:
            event.failure = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "message": _methods(request)}
        elif request.failure is not None:
            event.failure = request.failure
        event.request_body, event.request_media = body, media
        if level >= Level.REQUEST_RESPONSE or question.verb in ("delete", "deletecollection"):
            if response.stream is None:
                event.response_body, event.response_media = response.body, response.content_type
        event.keep_small()
        self.sink(event)
        return True


def _methods(request: Request) -> str:
    """What the audit log says of a failed authentication."""
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    found = {"bearer": "bearer", "basic": "basic"}.get(scheme.lower())
    return f"Authentication failed, attempted: {found}" if found else "Authentication failed, no credentials provided"


def _annotations(decision: Decision | None) -> dict[str, str]:
    """What authorization says of a request (endpoints/filters/authorization.go)."""
    if decision is None:
        return {}
    allowed = "allow" if decision.allowed else "forbid"
    return {"authorization.k8s.io/decision": allowed, "authorization.k8s.io/reason": decision.reason}


def source_ips(request: Request) -> tuple[str, ...]:
    """Where a request came from: by what proxies say, then by its connection (apimachinery, util/net SourceIPs)."""
    found = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    real = request.headers.get("x-real-ip", "").strip()
    if real and real not in found:
        found.append(real)
    if request.client and (not found or found[-1] != request.client):
        found.append(request.client)
    return tuple(found)
