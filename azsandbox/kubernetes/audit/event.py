"""One event of audit.k8s.io/v1.

It holds bodies as they came and went. They are decoded when the event is read, which happens in batches, away from the
request: see `AuditEvent.document`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import orjson

from azsandbox.kubernetes import protobuf
from azsandbox.kubernetes.audit.policy import Level
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import Object, User

MOST_BODY = 64 * 1024
"""Bytes of a body that an event keeps."""

SKIPPED = "skipped-too-big-size-object"
"""What stands for a larger one (Azure Monitor, reference of AKSAudit)."""

RESPONSE_STARTED, RESPONSE_COMPLETE, PANIC = "ResponseStarted", "ResponseComplete", "Panic"


def micro_time(moment: dt.datetime) -> str:
    """RFC 3339 in microseconds, as metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def user_info(user: User) -> Object:
    """authentication.k8s.io/v1 UserInfo."""
    found: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in found.items() if value}


def decoded(body: bytes, media: str) -> Any:
    """What a body holds, in JSON's terms; None for one that is empty or cannot be read."""
    if not body:
        return None
    try:
        if "protobuf" in media:
            return protobuf.decode(body)
        if "yaml" in media:
            from azsandbox.kubernetes.schema import yaml_text  # as the API server has read it

            return yaml_text.parse(body)[0]
        return orjson.loads(body)
    except Exception:  # what the client sent need not be well formed: it was refused, and is left out here
        return None


@dataclass(slots=True)
class AuditEvent:
    """A stage of a request. `user` asked; `impersonated` is whom they acted as."""

    level: Level
    audit_id: str
    stage: str
    uri: str
    question: Question
    user: User | None
    impersonated: User | None
    source_ips: tuple[str, ...]
    user_agent: str
    received: dt.datetime
    reached: dt.datetime  # this stage
    code: int
    failure: Object | None = None  # the Status of a refusal
    request_body: bytes = b""
    request_media: str = ""
    response_body: bytes | Object = b""
    response_media: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    def keep_small(self) -> None:
        """Lets go of bodies that are too large; of a request's the metadata stays, which says what it was about."""
        if len(self.request_body) > MOST_BODY:
            sent = decoded(self.request_body, self.request_media)
            kept = sent.get("metadata") if isinstance(sent, dict) else None
            names = {k: kept[k] for k in ("name", "namespace", "uid") if k in kept} if isinstance(kept, dict) else {}
            self.request_body = orjson.dumps({SKIPPED: True, "metadata": names})
            self.request_media = "application/json"
        if isinstance(self.response_body, bytes) and len(self.response_body) > MOST_BODY:
            self.response_body, self.response_media = orjson.dumps(SKIPPED), "application/json"

    @property
    def verb(self) -> str:
        return self.question.verb

    def document(self) -> Object:
        """The event as kube-apiserver writes it, fields in its order."""
        sent = decoded(self.request_body, self.request_media)
        answered = self._answered()
        found: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self.level.text,
            "auditID": self.audit_id,
            "stage": self.stage,
            "requestURI": self.uri,
            "verb": self.question.verb,
            "user": user_info(self.user) if self.user else {},
        }
        if self.impersonated:
            found["impersonatedUser"] = user_info(self.impersonated)
        if self.source_ips:
            found["sourceIPs"] = list(self.source_ips)
        if self.user_agent:
            found["userAgent"] = self.user_agent
        reference = self._reference(sent)
        if reference:
            found["objectRef"] = reference
        found["responseStatus"] = self._status(answered)
        if self.level >= Level.REQUEST and sent is not None:
            found["requestObject"] = SKIPPED if isinstance(sent, dict) and SKIPPED in sent else sent
        if self.level >= Level.REQUEST_RESPONSE and answered is not None and self.stage == RESPONSE_COMPLETE:
            found["responseObject"] = answered
        found["requestReceivedTimestamp"] = micro_time(self.received)
        found["stageTimestamp"] = micro_time(self.reached)
        if self.annotations:
            found["annotations"] = self.annotations
        return found

    def _answered(self) -> Any:
        if self.failure is not None:
            return self.failure
        if isinstance(self.response_body, dict):
            return self.response_body
        return decoded(self.response_body, self.response_media or "application/json")

    def _reference(self, sent: Any) -> Object | None:
        """objectRef: what the path names, and of an object that is created what its body says (audit/request.go)."""
        question = self.question
        if question.path or not question.resource:
            return None
        metadata = sent.get("metadata") if isinstance(sent, dict) else None
        metadata = metadata if isinstance(metadata, dict) and question.verb in ("create", "update") else {}
        found = {
            "resource": question.resource,
            "namespace": question.namespace or metadata.get("namespace"),
            "name": question.name or metadata.get("name"),
            "uid": metadata.get("uid"),
            "apiGroup": question.group,
            "apiVersion": question.version,
            "resourceVersion": metadata.get("resourceVersion"),
            "subresource": question.subresource,
        }
        return {key: value for key, value in found.items() if value}

    def _status(self, answered: Any) -> Object:
        """responseStatus: a Status that was answered, without its type; of any other answer the code alone."""
        if isinstance(answered, dict) and answered.get("kind") == "Status" and answered.get("apiVersion") == "v1":
            kept = ("metadata", "status", "message", "reason", "details", "code")
            status = {key: answered[key] for key in kept if key in answered}
            return {"metadata": {}, **status, "code": self.code}
        return {"metadata": {}, "code": self.code}
