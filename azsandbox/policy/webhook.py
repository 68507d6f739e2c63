"""Gatekeeper's webhooks: what comes in is judged, and the label that switches that off is guarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.policy.exclusions import WEBHOOK as EXCLUDED
from azsandbox.policy.gatekeeper import ACTIONS, WEBHOOK, Gatekeeper
from azsandbox.policy.matching import Subject

ADMIT, ADMIT_LABEL = "/v1/admit", "/v1/admitlabel"
IGNORE_LABEL = "admission.gatekeeper.sh/ignore"
CONSTRAINTS, TEMPLATES = "constraints.gatekeeper.sh", "templates.gatekeeper.sh"

Namespaces = Callable[[str], Awaitable["Object | None"]]


class Webhook:
    """Answers AdmissionReviews. `namespaces` reads a Namespace, `own` is Gatekeeper's, which is exempt."""

    def __init__(self, gatekeeper: Gatekeeper, namespaces: Namespaces, own: str) -> None:
        self.gatekeeper, self.namespaces, self.own = gatekeeper, namespaces, own

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
        groups = (request.get("userInfo") or {}).get("groups") or []
        if f"system:serviceaccounts:{self.own}" in groups:
            return {"allowed": True}
        # 1. Gatekeeper's own objects are looked at for what they are.
        kind = request["kind"]
        if kind["group"] in (CONSTRAINTS, TEMPLATES) and request["operation"] in ("CREATE", "UPDATE"):
            return _own_object(kind["group"], request["object"])
        # 2. Nobody judges what goes, nor what is in an exempt namespace.
        namespace = request.get("namespace") or ""
        obj = request.get("object")
        if request["operation"] == "DELETE" or not obj:
            return {"allowed": True}
        if self.gatekeeper.exclusions.exclude(EXCLUDED, obj, kind["kind"], namespace):
            return {"allowed": True}
        # 3. What each constraint has against it.
        found = await self.namespaces(namespace) if namespace and kind["kind"] != "Namespace" else None
        subject = Subject(kind["group"], kind["kind"], obj, request.get("oldObject"), found)
        violations = self.gatekeeper.judge(subject, review_of(request, found), WEBHOOK)
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


def _refused(message: str, code: int) -> Object:
    return {"allowed": False, "status": {"message": message, "code": code}}


def _own_object(group: str, obj: Object) -> Object:
    if group == TEMPLATES:
        name = (obj.get("metadata") or {}).get("name", "")
        kind = (((obj["spec"].get("crd") or {}).get("spec") or {}).get("names") or {}).get("kind", "")
        if not kind:
            return _refused("invalid ConstraintTemplate: ConstraintTemplate has no CRD kind", 422)
        if name != kind.lower():
            text = f'the ConstraintTemplate\'s name "{name}" is not equal to the lowercase of CRD\'s Kind: "{kind.lower()}"'
            return _refused(f"invalid ConstraintTemplate: {text}", 422)
        targets = obj["spec"].get("targets") or []
        if len(targets) != 1:
            return _refused(f"invalid ConstraintTemplate: expected exactly 1 item in targets, got {len(targets)}", 422)
        return {"allowed": True}
    action = (obj.get("spec") or {}).get("enforcementAction") or "deny"
    if action not in ACTIONS:
        text = f'unrecognized enforcementAction: "{action}" is not within the supported list [{" ".join(ACTIONS)}]'
        return _refused(text, 500)
    return {"allowed": True}
