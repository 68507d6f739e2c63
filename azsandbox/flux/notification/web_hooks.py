"""What each type of Receiver checks of a request before it asks for anything."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.notification import cdevents
from azsandbox.kubernetes.program_http import HttpRequest

_HASHES: dict[str, Callable[[], Any]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}


class Refused(Exception):
    """A request that a Receiver does not accept; the message is what the controller logs."""


@dataclass(frozen=True)
class Accepted:
    """What a Receiver makes of a request: a line for the log, the body that filters see, the claims of a token."""

    said: str = ""
    body: bytes = b""
    claims: dict[str, Any] | None = field(default=None)


def check(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    """Checks a request by a Receiver's token. Raises Refused.

    The types that take tokens of others (generic-oidc, gcr) are checked in azsandbox.flux.notification.id_tokens.
    """
    kind = receiver["spec"]["type"]
    checks = _CHECKS.get(kind)
    if checks is None:
        raise Refused(f"recevier type {json.dumps(kind)} not supported")  # so it is spelled
    return checks(receiver, token, request)


# --- signatures


def signed(signature: str, body: bytes, key: str) -> None:
    """Checks a signature of the form `sha256=…`. Raises Refused (go-github, ValidateSignature)."""
    if not signature:
        raise Refused("missing signature")
    parts = signature.split("=")
    if len(parts) != 2:
        raise Refused(f"error parsing signature {json.dumps(signature)}")
    algorithm, digest = parts
    if algorithm not in _HASHES:
        raise Refused(f"unknown hash type prefix: {json.dumps(algorithm)}")
    try:
        given = binascii.unhexlify(digest)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"error decoding signature {json.dumps(signature)}: {error}") from None
    if not hmac.compare_digest(given, hmac.new(key.encode(), body, _HASHES[algorithm]).digest()):
        raise Refused("payload signature check failed")


def _payload(request: HttpRequest, token: str) -> bytes:
    """The signed payload of a request, which may be a form's field. Raises Refused (go-github, ValidatePayload)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json":
        payload = request.body
    elif media == "application/x-www-form-urlencoded":
        form = urllib.parse.parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        payload = (form.get("payload") or [""])[0].encode()
    else:
        raise Refused(f"webhook request has unsupported Content-Type {json.dumps(media)}")
    if token:
        headers = request.headers
        signed(headers.get("x-hub-signature-256") or headers.get("x-hub-signature", ""), request.body, token)
    return payload


def _authorised(receiver: Object, event: str, refusal: str) -> None:
    """Raises Refused for an event that a Receiver's list does not name."""
    named = receiver["spec"].get("events") or ()
    if named and event.lower() not in (name.lower() for name in named):
        raise Refused(refusal.format(json.dumps(event)))


# --- bodies


def _document(body: bytes, shape: Any, refusal: str) -> Any:
    """The JSON of a body, which must be of a shape as Go decodes it. Raises Refused."""
    try:
        value, _ = json.JSONDecoder().raw_decode(body.decode("utf-8", "replace").lstrip())
    except ValueError:
        raise Refused(refusal.format("EOF" if not body.strip() else "invalid character")) from None
    if not _fits(value, shape):
        raise Refused(refusal.format("json: cannot unmarshal"))
    return value if isinstance(value, dict) else {}


def _fits(value: Any, shape: Any) -> bool:
    """Whether a value can be decoded to a shape: dicts by their keys, lists by their only element, else a type."""
    if value is None:
        return True
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_fits(value.get(key), inner) for key, inner in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(item, shape[0]) for item in value)
    return isinstance(value, shape)


# --- the types


def _generic(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    return Accepted(body=request.body)


def _generic_hmac(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    try:
        signed(request.headers.get("x-signature", ""), request.body, token)
    except Refused as error:
        raise Refused(f"unable to validate HMAC signature: {error}") from None
    return Accepted(body=request.body)


def _github(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    try:
        payload = _payload(request, token)
    except Refused as error:
        raise Refused(f"the GitHub signature header is invalid, err: {error}") from None
    event = request.headers.get("x-github-event", "")
    _authorised(receiver, event, "the GitHub event {} is not authorised")
    return Accepted(f"handling GitHub event: {event}", payload)


def _gitlab(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    if not hmac.compare_digest(request.headers.get("x-gitlab-token", "").encode(), token.encode()):
        raise Refused("the X-Gitlab-Token header value does not match the receiver token")
    event = request.headers.get("x-gitlab-event", "")
    _authorised(receiver, event, "the GitLab event {} is not authorised")
    return Accepted(f"handling GitLab event: {event}", request.body)


def _bitbucket(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    try:
        payload = _payload(request, token)
    except Refused as error:
        raise Refused(f"the Bitbucket server signature header is invalid, err: {error}") from None
    event = request.headers.get("x-event-key", "")
    _authorised(receiver, event, "the Bitbucket server event {} is not authorised")
    return Accepted(f"handling Bitbucket server event: {event}", payload)


def _cdevents(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    try:
        cdevents.validate(request.body)
    except ValueError as error:
        raise Refused(f"unable to validate CDEvent event: {error}") from None
    event = request.headers.get("ce-type", "")
    _authorised(receiver, event, "the CDEvent {} is not authorised")
    return Accepted(f"handling CDEvent: {event}", request.body)


def _quay(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    shape = {"docker_url": str, "updated_tags": [str]}
    found = _document(request.body, shape, "cannot decode Quay webhook payload: {}")
    return Accepted(f"handling Quay event from {found.get('docker_url') or ''}", request.body)


def _harbor(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), token.encode()):
        raise Refused("the Harbor Authorization header value does not match the receiver token")
    return Accepted("handling Harbor event", request.body)


def _dockerhub(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    shape = {"push_data": {"tag": str}, "repository": {"repo_url": str}}
    found = _document(request.body, shape, "cannot decode DockerHub webhook payload")
    url = (found.get("repository") or {}).get("repo_url") or ""
    tag = (found.get("push_data") or {}).get("tag") or ""
    return Accepted(f"handling DockerHub event from {url} for tag {tag}", request.body)


def _nexus(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    signature = request.headers.get("x-nexus-webhook-signature", "")
    if not signature:
        raise Refused("the Nexus signature is missing from header")
    wanted = hmac.new(token.encode(), request.body, hashlib.sha1).hexdigest()
    if not hmac.compare_digest(signature.encode(), wanted.encode()):
        raise Refused("invalid Nexus signature")
    shape = {"action": str, "repositoryName": str}
    found = _document(request.body, shape, "cannot decode Nexus webhook payload: {}")
    return Accepted(f"handling Nexus event from {found.get('repositoryName') or ''}", request.body)


def _acr(receiver: Object, token: str, request: HttpRequest) -> Accepted:
    shape = {"action": str, "target": {"repository": str, "tag": str}}
    found = _document(request.body, shape, "cannot decode ACR webhook payload: {}")
    target = found.get("target") or {}
    said = f"handling ACR event from {target.get('repository') or ''} for tag {target.get('tag') or ''}"
    return Accepted(said, request.body)


def pub_sub(body: bytes) -> Accepted:
    """The event of a Google registry in a message of Pub/Sub. Raises Refused."""
    outer = _document(
        body, {"message": {"data": str, "messageId": str, "subscription": str}}, "cannot decode GCR webhook payload: {}"
    )
    try:
        raw = base64.b64decode((outer.get("message") or {}).get("data") or "", validate=True)
    except binascii.Error:
        raw = b""
    found = _document(raw, {"action": str, "digest": str, "tag": str}, "cannot decode GCR webhook body: {}")
    event = {key: found.get(key) or "" for key in ("action", "digest", "tag")}
    said = f"handling GCR event from {event['digest']} for tag {event['tag']}"
    return Accepted(said, json.dumps(event, separators=(",", ":")).encode())


_CHECKS: dict[str, Callable[[Object, str, HttpRequest], Accepted]] = {
    "acr": _acr,
    "bitbucket": _bitbucket,
    "cdevents": _cdevents,
    "dockerhub": _dockerhub,
    "generic": _generic,
    "generic-hmac": _generic_hmac,
    "github": _github,
    "gitlab": _gitlab,
    "harbor": _harbor,
    "nexus": _nexus,
    "quay": _quay,
}
