"""What sends an event for an Alert: the Provider's notifier, with what its Secrets say."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

import yaml

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import secrets
from azsandbox.flux.durations import seconds
from azsandbox.flux.expressions import BadExpression, Expression, FailedExpression
from azsandbox.flux.notification import notifiers
from azsandbox.flux.notification.events import ERROR, has_key, is_commit_status_update, ordered
from azsandbox.flux.notification.notifiers.base import Notifier, NotifierError, Options
from azsandbox.flux.secrets import SecretError
from azsandbox.kubernetes.errors import StatusError

TIMEOUT = 15.0  # seconds, where a Provider names none
LONGEST_ADDRESS = 2048  # bytes
MASKED = "*****"


class DispatchError(Exception):
    """An event that cannot be sent for an Alert; the message is the controller's."""


@dataclass(frozen=True)
class Sending:
    """How an event is sent: by whom, which way, and within how many seconds."""

    notifier: Notifier
    timeout: float
    proxy: str = ""
    tls: ssl.SSLContext | None = None
    token: str = ""

    def masked(self, text: str) -> str:
        """A message without the Provider's token in it."""
        return text.replace(self.token, MASKED) if self.token else text


def is_left_out(provider: Object, event: Object) -> str | None:
    """Whether a Provider has no use for an event: None if it has, else why ("" where the controller says nothing)."""
    kind = provider["spec"]["type"]
    if provider["spec"].get("suspend"):
        return ""
    of_commits = kind in notifiers.COMMIT_STATUS
    if is_commit_status_update(event) and not of_commits and kind not in notifiers.GENERIC:
        return ""
    if of_commits and not (has_key(event, "commit") or is_commit_status_update(event) or event["severity"] == ERROR):
        return "event dropped for commit status providers due to missing commit metadata key"
    if kind in notifiers.CHANGE_REQUEST and not has_key(event, "change_request"):
        return "event dropped for change request providers due to missing change request metadata key"
    return None


async def sending(client: KubeClient, provider: Object, alert: Object, event: Object) -> Sending:
    """Makes the notifier of a Provider for an event with its metadata. Raises DispatchError."""
    spec, name = provider["spec"], provider["metadata"]["name"]
    if spec.get("serviceAccountName"):
        raise DispatchError(
            "to use spec.serviceAccountName for provider authentication please enable the "
            "ObjectLevelWorkloadIdentity feature gate in the controller"
        )
    status = _commit_status(provider, alert, event)
    try:
        options, proxy, tls, token = await _options(client, provider, status)
        try:
            found = notifiers.notifier(spec["type"], options)
        except NotifierError as error:
            raise SecretError(f"failed to initialize notifier: {error}") from None
    except SecretError as error:
        raise DispatchError(f"failed to initialize notifier for provider '{name}': {error}") from None
    timeout = seconds(spec["timeout"]) if "timeout" in spec else TIMEOUT
    return Sending(found, timeout, proxy, tls, token)


def _commit_status(provider: Object, alert: Object, event: Object) -> str:
    """The id of the status that a commit gets; empty for Providers that set none. Raises DispatchError."""
    spec, metadata = provider["spec"], provider["metadata"]
    if spec["type"] not in notifiers.COMMIT_STATUS:
        return ""
    text = spec.get("commitStatusExpr")
    if not text:
        about = event["involvedObject"]
        return f"{about['kind']}/{about['name']}/{metadata['uid'].partition('-')[0]}".lower()
    failed = "failed to create commit status: failed to evaluate the spec.commitStatusExpr CEL expression for the event"
    try:
        values = {"event": ordered(event), "alert": alert, "provider": provider}
        return Expression(text, ("event", "alert", "provider"), "string").text_of(values)
    except BadExpression as error:
        raise DispatchError(f"{failed}: failed to compile expression: {error}") from None
    except FailedExpression as error:
        raise DispatchError(f"{failed}: {error}") from None


async def _options(
    client: KubeClient, provider: Object, commit_status: str
) -> tuple[Options, str, ssl.SSLContext | None, str]:
    """Options, proxy, TLS and the token to mask, of a Provider and its Secrets. Raises SecretError."""
    spec, metadata = provider["spec"], provider["metadata"]
    url, username, proxy, token, held = spec.get("address", ""), spec.get("username", ""), spec.get("proxy", ""), "", {}
    more: dict[str, Any] = {}
    secret = await _secret(client, provider, "secretRef")
    if secret is not None:
        held = secrets.values(secret)
        if len(held.get("address", b"")) > LONGEST_ADDRESS:
            raise SecretError(f"invalid address in secret: address exceeds maximum length of {LONGEST_ADDRESS} bytes")
        if "proxy" in held:
            proxy = _text(held["proxy"]).strip()
        if "headers" in held:
            more["headers"] = _headers(held["headers"])
        more |= _credentials(secret)
        username = more.pop("username", username)
        if "address" in held:
            url = _text(held["address"]).strip()
        token = _text(held.get("token", b"")).strip()
    proxies = await _secret(client, provider, "proxySecretRef")
    if proxies is not None:
        try:
            proxy = secrets.proxy(proxies)
        except SecretError as error:
            raise SecretError(f"failed to get proxy URL: {error}") from None
    if proxy.startswith("socks5:"):
        raise SecretError("NotSupportedInSandbox: a proxy that speaks SOCKS; give one that speaks http")
    tls = await _tls(client, provider, secret)
    options = Options(
        url=url,
        channel=spec.get("channel", ""),
        username=username,
        secret=held,
        commit_status=commit_status,
        provider_uid=metadata["uid"],
        **more,
    )
    return options, proxy, tls, token


async def _secret(client: KubeClient, provider: Object, field: str) -> Object | None:
    """The Secret that a field names; None where it names none. Raises SecretError."""
    if field not in provider["spec"]:
        return None
    namespace, name = provider["metadata"]["namespace"], provider["spec"][field]["name"]
    try:
        return await client.get(path("v1", "secrets", namespace, name))
    except StatusError as error:
        raise SecretError(f"failed to get secret '{namespace}/{name}': {error.message}") from None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _headers(value: bytes) -> dict[str, str]:
    try:
        found = yaml.safe_load(value) or {}
    except yaml.YAMLError as error:
        raise SecretError(f"failed to read headers from secret: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise SecretError(
            "failed to read headers from secret: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
            "into Go value of type map[string]string"
        )
    return {str(key): item for key, item in found.items()}


def _credentials(secret: Object) -> dict[str, str]:
    """Token, user name and password; none at all where some of it is malformed, as the controller has it."""
    try:
        user = secrets.basic(secret)
    except SecretError:
        return {}
    found = {"token": secrets.text(secret, "token") or ""}
    return found if user is None else {**found, "username": user[0], "password": user[1]}


async def _tls(client: KubeClient, provider: Object, secret: Object | None) -> ssl.SSLContext | None:
    """Whom to trust, and the client's certificate. Raises SecretError."""
    certificates = await _secret(client, provider, "certSecretRef")
    try:
        if certificates is not None:
            return secrets.certificates(certificates).context()
        if provider["spec"]["type"] not in notifiers.COMMIT_STATUS or secret is None:
            return None
        secrets.basic(secret)
        return secrets.certificates(secret).context()
    except secrets.NoCertificates as error:
        if certificates is None:
            return None  # a Git host's token alone
        raise SecretError(f"failed to get TLS config: {error}") from None
    except SecretError as error:
        raise SecretError(f"failed to get TLS config: {error}") from None
