"""What guard, AKS's webhook for Entra ID and Azure RBAC, logs: token reviews and access reviews, in and out.

AKS documentation, "Monitoring AKS data reference": category guard. Lines: kubeguard/guard, server/utils.go and
authz/providers/azure/azure.go.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterator
from typing import Any

import orjson

from azsandbox.aks.logs.klog import line, structured
from azsandbox.kubernetes.audit.event import user_info
from azsandbox.kubernetes.authz import Decision, Question
from azsandbox.kubernetes.request import User

KEPT_SECONDS = 120.0
"""How long an API server keeps the answer to a token review (--authentication-token-webhook-cache-ttl)."""


class Guard:
    """The log of guard for one cluster."""

    def __init__(self) -> None:
        self._signed_in: dict[str, float] = {}

    def lines(
        self, moment: dt.datetime, user: User, question: Question, decision: Decision | None, roles: bool
    ) -> Iterator[str]:
        """The lines of one request by an identity of Entra. `roles`: the cluster asks Azure RBAC."""
        now = time.monotonic()
        if now - self._signed_in.get(user.uid, -KEPT_SECONDS) >= KEPT_SECONDS:
            self._signed_in[user.uid] = now
            review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": {}}
            status = {"authenticated": True, "user": user_info(user)}
            yield line(moment, "utils.go:69", _json({**review, "status": status}))
        if not roles or decision is None or decision.reason.startswith("RBAC: allowed"):
            return  # Kubernetes' own roles had answered, so that guard was not asked
        attributes = _attributes(question)
        yield structured(
            moment,
            "azure.go:202",
            "Authorization check completed",
            requestID=str(uuid.uuid4()),
            allowed=decision.allowed,
            reason=decision.reason,
            resourceAttributes=attributes.get("resourceAttributes"),
        )
        about = user_info(user)
        spec = {**attributes, "user": user.name, "groups": list(user.groups), "extra": about.get("extra", {})}
        status = {
            "allowed": decision.allowed,
            **({} if decision.allowed else {"denied": True}),
            "reason": decision.reason,
        }
        review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}}
        yield line(moment, "utils.go:115", "final data:" + _json({**review, "spec": spec, "status": status}))

    @staticmethod
    def refused(moment: dt.datetime) -> str:
        """The line of a token that is not taken."""
        return line(moment, "utils.go:130", "failed to verify token for azure", "E")


def _attributes(question: Question) -> dict[str, Any]:
    if question.path:
        return {"nonResourceAttributes": {"path": question.path, "verb": question.verb}}
    found = {
        "namespace": question.namespace,
        "verb": question.verb,
        "group": question.group,
        "version": question.version,
        "resource": question.resource,
        "subresource": question.subresource,
        "name": question.name,
    }
    return {"resourceAttributes": {key: value for key, value in found.items() if value}}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
