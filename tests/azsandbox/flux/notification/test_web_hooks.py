"""What each type of Receiver accepts."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest

from azsandbox.flux.notification.web_hooks import Refused, check, pub_sub
from azsandbox.kubernetes.program_http import HttpRequest

KEY = "abc"
JSON = {"content-type": "application/json"}
CDEVENT = {
    "context": {
        "version": "0.4.1",
        "id": "1",
        "source": "/ci",
        "type": "dev.cdevents.change.merged.0.2.0",
        "timestamp": "2026-11-25T10:00:00Z",
    },
    "subject": {"id": "c1", "type": "change", "content": {}},
}


def receiver(kind: str, *events: str) -> Any:
    return {"spec": {"type": kind, "events": list(events)}}


def signature(body: bytes, algorithm: str = "sha256", key: str = KEY) -> str:
    return f"{algorithm}={hmac.new(key.encode(), body, algorithm).hexdigest()}"


def said(kind: str, body: Any = None, headers: dict[str, str] | None = None, *events: str) -> str:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return check(receiver(kind, *events), KEY, HttpRequest("POST", "/hook/x", headers or {}, data)).said


@pytest.mark.parametrize(
    ("kind", "body", "headers", "events", "text"),
    [
        ("generic", b"", {}, (), ""),
        ("generic-hmac", b"x", {"x-signature": signature(b"x", "sha512")}, (), ""),
        (
            "github",
            b"{}",
            {**JSON, "x-hub-signature-256": signature(b"{}"), "x-github-event": "push"},
            ("PUSH",),
            "handling GitHub event: push",
        ),
        ("github", b"{}", {**JSON, "x-hub-signature": signature(b"{}", "sha1")}, (), "handling GitHub event: "),
        (
            "gitlab",
            b"{}",
            {"x-gitlab-token": KEY, "x-gitlab-event": "Push Hook"},
            ("Push Hook",),
            "handling GitLab event: Push Hook",
        ),
        (
            "bitbucket",
            b"{}",
            {**JSON, "x-hub-signature": signature(b"{}"), "x-event-key": "repo:refs_changed"},
            ("repo:refs_changed",),
            "handling Bitbucket server event: repo:refs_changed",
        ),
        ("harbor", b"", {"authorization": KEY}, (), "handling Harbor event"),
        ("quay", {"docker_url": "quay.io/a", "updated_tags": ["1"]}, {}, (), "handling Quay event from quay.io/a"),
        (
            "dockerhub",
            {"push_data": {"tag": "1"}, "repository": {"repo_url": "u"}},
            {},
            (),
            "handling DockerHub event from u for tag 1",
        ),
        (
            "nexus",
            b'{"repositoryName":"r"}',
            {"x-nexus-webhook-signature": signature(b'{"repositoryName":"r"}', "sha1").partition("=")[2]},
            (),
            "handling Nexus event from r",
        ),
        (
            "acr",
            {"action": "push", "target": {"repository": "app", "tag": "1"}},
            {},
            (),
            "handling ACR event from app for tag 1",
        ),
        (
            "cdevents",
            CDEVENT,
            {"ce-type": "dev.cdevents.change.merged.0.2.0"},
            ("dev.cdevents.change.merged.0.2.0",),
            "handling CDEvent: dev.cdevents.change.merged.0.2.0",
        ),
    ],
)
def test_a_request_of_its_sender_is_accepted(
    kind: str, body: Any, headers: dict[str, str], events: tuple[str, ...], text: str
) -> None:
    assert said(kind, body, headers, *events) == text


@pytest.mark.parametrize(
    ("kind", "body", "headers", "text"),
    [
        ("generic-hmac", b"x", {}, "unable to validate HMAC signature: missing signature"),
        ("generic-hmac", b"x", {"x-signature": "x"}, 'unable to validate HMAC signature: error parsing signature "x"'),
        (
            "generic-hmac",
            b"x",
            {"x-signature": "md5=00"},
            'unable to validate HMAC signature: unknown hash type prefix: "md5"',
        ),
        (
            "generic-hmac",
            b"x",
            {"x-signature": "sha256=00"},
            "unable to validate HMAC signature: payload signature check failed",
        ),
        ("github", b"{}", JSON, "the GitHub signature header is invalid, err: missing signature"),
        (
            "github",
            b"{}",
            {},
            'the GitHub signature header is invalid, err: webhook request has unsupported Content-Type ""',
        ),
        (
            "gitlab",
            b"{}",
            {"x-gitlab-token": "other"},
            "the X-Gitlab-Token header value does not match the receiver token",
        ),
        ("harbor", b"", {}, "the Harbor Authorization header value does not match the receiver token"),
        ("nexus", b"{}", {}, "the Nexus signature is missing from header"),
        ("nexus", b"{}", {"x-nexus-webhook-signature": "00"}, "invalid Nexus signature"),
        ("dockerhub", b"x", {}, "cannot decode DockerHub webhook payload"),
        ("quay", {"docker_url": 1}, {}, "cannot decode Quay webhook payload: json: cannot unmarshal"),
        ("acr", b"", {}, "cannot decode ACR webhook payload: EOF"),
        ("cdevents", {}, {}, "unable to validate CDEvent event: cannot parse event type "),
        ("svn", b"", {}, 'recevier type "svn" not supported'),
    ],
)
def test_a_request_of_somebody_else_is_refused(kind: str, body: Any, headers: dict[str, str], text: str) -> None:
    with pytest.raises(Refused) as error:
        said(kind, body, headers)
    assert str(error.value) == text


def test_an_event_that_the_receiver_does_not_name_is_refused() -> None:
    headers = {**JSON, "x-hub-signature-256": signature(b"{}"), "x-github-event": "star"}
    with pytest.raises(Refused, match='the GitHub event "star" is not authorised'):
        said("github", b"{}", headers, "push", "ping")


@pytest.mark.parametrize(
    ("part", "value", "text"),
    [
        ("context", {**CDEVENT["context"], "type": "dev.cdevents.change.eaten.0.2.0"}, "unknown event type"),
        ("context", {**CDEVENT["context"], "type": "dev.cdevents.change.merged.1.0.0"}, "not compatible with 1.0.0"),
        ("context", {**CDEVENT["context"], "id": ""}, "context: missing or empty properties: id"),
        ("subject", {"id": "c1", "type": "change"}, "subject: missing properties: content"),
    ],
)
def test_an_incomplete_cdevent_is_refused(part: str, value: Any, text: str) -> None:
    with pytest.raises(Refused, match=text):
        said("cdevents", {**CDEVENT, part: value})


def test_a_form_carries_githubs_payload_in_a_field() -> None:
    body = b"payload=%7B%22a%22%3A1%7D"
    headers = {"content-type": "application/x-www-form-urlencoded", "x-hub-signature-256": signature(body)}
    assert check(receiver("github"), KEY, HttpRequest("POST", "/", headers, body)).body == b'{"a":1}'


def test_a_push_of_pub_sub_is_unwrapped() -> None:
    data = base64.b64encode(b'{"action":"INSERT","digest":"gcr.io/a@sha256:1","tag":"gcr.io/a:1"}').decode()
    found = pub_sub(json.dumps({"message": {"data": data}}).encode())
    assert found.said == "handling GCR event from gcr.io/a@sha256:1 for tag gcr.io/a:1"
    assert json.loads(found.body)["action"] == "INSERT"
