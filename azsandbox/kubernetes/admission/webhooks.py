"""Admission webhooks: HTTPS calls that may change or refuse what comes in.

Rules and texts: k8s.io/apiserver, package admission/plugin/webhook.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import uuid
from typing import Any

import httpx
import orjson

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.admission import expressions
from azsandbox.kubernetes.admission.attributes import CONNECT, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.admission.matching import rule_matches, selectors_match
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import Object

_GROUP = "admissionregistration.k8s.io"
_EXEMPT = frozenset(
    {
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)


class CallFailed(Exception):
    """A webhook gave no usable answer."""


class _Webhooks(Plugin):
    kind = ""
    word = ""

    def _matching(self, attrs: Attributes) -> list[Object]:
        if attrs.resource.group == _GROUP and attrs.resource.kind in _EXEMPT:
            return []
        configurations = self.server.peek_list(f"{self.kind.lower()}s.{_GROUP}")
        configurations.sort(key=lambda item: item["metadata"]["name"])
        return [
            webhook
            for configuration in configurations
            for webhook in configuration.get("webhooks") or []
            if any(rule_matches(rule, attrs) for rule in webhook.get("rules") or [])
            and selectors_match(self.server, webhook, attrs)
        ]

    async def _ask(self, webhook: Object, attrs: Attributes) -> Object | None:
        """The webhook's response; None if it does not matter. Raises StatusError if it refuses, or fails to answer."""
        name = webhook.get("name") or ""
        fails = (webhook.get("failurePolicy") or "Fail") == "Fail"
        try:
            if not await self._conditions_met(webhook, attrs):
                return None
            response = await self._call(webhook, attrs)
        except CallFailed as failure:
            if not fails:
                return None
            raise errors.internal(f'failed calling webhook "{name}": failed to call webhook: {failure}') from None
        attrs.warnings.extend(response.get("warnings") or [])
        for key, value in (response.get("auditAnnotations") or {}).items():
            attrs.audit[f"{name}/{key}"] = value
        if not response.get("allowed"):
            raise _denied(name, response.get("status") or {})
        return response

    async def _conditions_met(self, webhook: Object, attrs: Attributes) -> bool:
        conditions = webhook.get("matchConditions") or []
        if not conditions:
            return True
        scope = expressions.scope(attrs, self.server)
        for condition in conditions:
            try:
                if expressions.evaluate(condition.get("expression") or "", scope) is not True:
                    return False
            except expressions.EvaluationError as error:
                raise CallFailed(f"match condition {condition.get('name')}: {error}") from None
        return True

    async def _call(self, webhook: Object, attrs: Attributes) -> Object:
        versions = webhook.get("admissionReviewVersions") or ["v1"]
        version = next((item for item in versions if item in ("v1", "v1beta1")), "v1")
        review = _review(attrs, version)
        config = webhook.get("clientConfig") or {}
        seconds = webhook.get("timeoutSeconds") or 10
        service = config.get("service")
        if service is not None:
            body = await self._service(service, review, seconds)
        else:
            body = await _post(f"{config.get('url')}", config.get("caBundle"), review, seconds)
        response = body.get("response")
        if not isinstance(response, dict):
            raise CallFailed("webhook response was absent")
        if response.get("uid") != review["request"]["uid"]:
            raise CallFailed(f'expected response.uid="{review["request"]["uid"]}", got "{response.get("uid") or ""}"')
        return response

    async def _service(self, service: Object, review: Object, seconds: int) -> Object:
        namespace, name = service.get("namespace") or "", service.get("name") or ""
        answer = self.server.local_services.get((namespace, name))
        path = service.get("path") or "/"
        if answer is not None:
            try:
                async with asyncio.timeout(seconds):
                    return await answer(path, review)
            except TimeoutError:
                raise CallFailed("context deadline exceeded") from None
        url = f'"https://{name}.{namespace}.svc:{service.get("port") or 443}{path}?timeout={seconds}s"'
        if self.server.peek("services", namespace, name) is None:
            raise CallFailed(f'Post {url}: service "{name}" not found')
        raise CallFailed(f'Post {url}: no endpoints available for service "{name}"')


def _review(attrs: Attributes, version: str) -> Object:
    resource = attrs.resource
    gvk = attrs.gvk
    gvr = {"group": resource.group, "version": resource.version, "resource": resource.name}
    user: Object = {"username": attrs.user.name, "groups": list(attrs.user.groups)}
    user |= {"uid": attrs.user.uid} if attrs.user.uid else {}
    user |= {"extra": {key: list(value) for key, value in attrs.user.extra.items()}} if attrs.user.extra else {}
    request: Object = {
        "uid": str(uuid.uuid4()),
        "kind": gvk,
        "resource": gvr,
        "requestKind": gvk,
        "requestResource": gvr,
        "name": attrs.name,
        "operation": attrs.operation,
        "userInfo": user,
        "object": attrs.obj,
        "oldObject": attrs.old,
        "dryRun": attrs.dry_run,
        "options": attrs.options,
    }
    if attrs.namespace:
        request["namespace"] = attrs.namespace
    if attrs.of("", "Namespace"):
        request["namespace"] = attrs.name
    if attrs.subresource:
        request |= {"subResource": attrs.subresource, "requestSubResource": attrs.subresource}
    return {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": request}


async def _post(url: str, bundle: str | None, review: Object, seconds: int) -> Object:
    context = ssl.create_default_context()
    if bundle:
        context.load_verify_locations(cadata=base64.b64decode(bundle).decode())
    address = f"{url}?timeout={seconds}s"
    try:
        async with httpx.AsyncClient(verify=context, timeout=seconds, trust_env=False) as client:
            answer = await client.post(
                address, content=orjson.dumps(review), headers={"content-type": "application/json"}
            )
    except httpx.TimeoutException:
        raise CallFailed(f'Post "{address}": context deadline exceeded') from None
    except httpx.ConnectError:
        host = httpx.URL(url)
        where = f"{host.host}:{host.port or 443}"
        raise CallFailed(f'Post "{address}": dial tcp {where}: connect: connection refused') from None
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise CallFailed(f'Post "{address}": {error}') from None
    if not 200 <= answer.status_code < 300:
        raise CallFailed(
            "the server could not find the requested resource" if answer.status_code == 404 else answer.text
        )
    try:
        body: Any = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"couldn't decode the answer: {error}") from None
    return body if isinstance(body, dict) else {}


def _denied(name: str, status: Object) -> StatusError:
    message, reason = status.get("message") or "", status.get("reason") or ""
    text = f'admission webhook "{name}" denied the request'
    if message:
        text = f"{text}: {message}"
    elif reason:
        text = f"{text}: {reason}"
    else:
        text = f"{text} without explanation"
    code = int(status.get("code") or 0)
    if code < 400 or code > 599:
        code = 400
    return StatusError(code, reason, text, status.get("details") or None)


class MutatingWebhooks(_Webhooks):
    """Calls webhooks that change what comes in, one after another."""

    kind = "MutatingWebhookConfiguration"

    async def mutate(self, attrs: Attributes) -> None:
        from azsandbox.kubernetes.patch.json_patch import apply as apply_json_patch

        if attrs.operation == CONNECT:
            return
        for webhook in self._matching(attrs):
            response = await self._ask(webhook, attrs)
            patch = (response or {}).get("patch")
            if not patch or attrs.obj is None:
                continue
            changed = dict(
                apply_json_patch(attrs.obj, orjson.loads(base64.b64decode(patch)))
            )  # it may be the same object
            attrs.obj.clear()
            attrs.obj.update(changed)
            self._default(attrs)

    def _default(self, attrs: Attributes) -> None:
        default = getattr(self.server, "default", None)
        if default is not None and attrs.obj is not None and not attrs.subresource:
            default(attrs.resource, attrs.obj)


class ValidatingWebhooks(_Webhooks):
    """Calls webhooks that say yes or no, all at once."""

    kind = "ValidatingWebhookConfiguration"

    async def validate(self, attrs: Attributes) -> None:
        webhooks = self._matching(attrs)
        if not webhooks:
            return
        results = await asyncio.gather(*(self._ask(webhook, attrs) for webhook in webhooks), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
