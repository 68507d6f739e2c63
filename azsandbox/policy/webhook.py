"""Gatekeeper's webhooks: what comes in is judged, and the label that switches that off is guarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.policy import own_objects
from azsandbox.policy.exclusions import WEBHOOK as EXCLUDED
from azsandbox.policy.gatekeeper import WEBHOOK, Gatekeeper, ReviewError
from azsandbox.policy.matching import Subject

ADMIT, ADMIT_LABEL = "/v1/admit", "/v1/admitlabel"
IGNORE_LABEL = "admission.gatekeeper.sh/ignore"
ACCOUNT = "gatekeeper-admin"

Namespaces = Callable[[str], Awaitable["Object | None"]]


class Webhook:
    """Answers AdmissionReviews. `namespaces` reads a Namespace, `own` is Gatekeeper's, which is exempt."""

    def __init__(self, gatekeeper: Gatekeeper, client: KubeClient, namespaces: Namespaces, own: str) -> None:
        self.gatekeeper, self.client, self.namespaces, self.own = gatekeeper, client, namespaces, own

    async def answer(self, path: str, review: Object) -> Object:
        """The AdmissionReview with its response."""
        request = review["request"]
        response = await (self._label(request) if path == ADMIT_LABEL else self._judge(request))
        return {**review, "response": {"uid": request["uid"], **response}}

    async def _label(self, request: Object) -> Object:
        """A namespace that is not exempt cannot carry the label that makes the webhook pass it by."""
        metadata = (request.get("object") or {}).get("metadata") or {}
        if IGNORE_LABEL in (metadata.get("labels") or {}) and metadata.get("name") != self.own:
            return _denied(f"Only exempt namespace can have the {IGNORE_LABEL} label")
        return {"allowed": True}

    async def _judge(self, request: Object) -> Object:
        # 0. What Gatekeeper does itself it does not judge.
        if (request.get("userInfo") or {}).get("username") == f"system:serviceaccount:{self.own}:{ACCOUNT}":
            return {"allowed": True}
        # 1. Gatekeeper's own objects are looked at for what they are.
        try:
            await own_objects.check(request, self.client)
        except own_objects.Refused as error:
            return {"allowed": False, "status": {"message": str(error), "code": error.code}}
        # 2. Of what goes, what it was is judged. Nothing is in an exempt namespace.
        kind = request["kind"]
        if request["operation"] == "DELETE":
            request = {**request, "object": request.get("oldObject")}
        obj, is_namespace = request.get("object"), kind["kind"] == "Namespace" and not kind["group"]
        namespace = "" if is_namespace else request.get("namespace") or ""
        if not obj or self.gatekeeper.exclusions.exclude(EXCLUDED, obj, kind["kind"], namespace):
            return {"allowed": True}
        # 3. What each constraint has against it.
        found = await self.namespaces(namespace) if namespace else None
        subject = Subject(kind["group"], kind["kind"], obj, request.get("oldObject"), found)
        review = review_of({**request, "namespace": namespace}, found)
        try:
            violations = self.gatekeeper.judge(subject, review, WEBHOOK)
        except ReviewError as error:
            text = f"error reviewing resource {request.get('name') or ''}: {error}"
            return {"allowed": False, "status": {"message": text, "code": 500}}
        # 4. Those that deny refuse it, those that warn say so.
        warnings = [v.text for v in violations if "warn" in v.actions]
        denials = [v.text for v in violations if "deny" in v.actions]
        answer: Object = _denied("\n".join(denials)) if denials else {"allowed": True}
        return {**answer, **({"warnings": warnings} if warnings else {})}


def review_of(request: Object, namespace: Object | None) -> dict[str, Any]:
    """What a policy sees as `input.review`: the request, and the namespace of the object."""
    return {**request, "namespaceObject": namespace}


def _denied(message: str) -> Object:
    return {"allowed": False, "status": {"message": message, "reason": "Forbidden", "code": 403}}
