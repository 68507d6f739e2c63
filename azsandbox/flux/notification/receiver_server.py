"""What answers web hooks: checks a request by its Receiver, and asks for the reconciliation of what that names."""

from __future__ import annotations

import datetime as dt
import json
import time
import urllib.parse
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informer, Informers
from azsandbox.controllers.ports import NOT_FOUND
from azsandbox.flux import conditions, facts, secrets
from azsandbox.flux.expressions import Expression, FailedExpression
from azsandbox.flux.flags import Flags
from azsandbox.flux.logs import line
from azsandbox.flux.notification import filters, id_tokens, web_hooks
from azsandbox.flux.notification.receivers import API_VERSION, PATH
from azsandbox.flux.notification.web_hooks import Accepted, Refused
from azsandbox.flux.reconciler import REQUESTED
from azsandbox.flux.rest_mapping import NoMatch, Resource, RestMapping
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest

LARGEST = 3 * 1024 * 1024  # bytes of a body
# The versions of kinds that a Receiver may name without one (notification-controller, defaultFluxAPIVersions)
_VERSIONS = {
    **dict.fromkeys(
        ("Bucket", "GitRepository", "HelmChart", "HelmRepository", "OCIRepository"), "source.toolkit.fluxcd.io/v1"
    ),
    "ImageRepository": "image.toolkit.fluxcd.io/v1",
    "ArtifactGenerator": "source.extensions.fluxcd.io/v1beta1",
}


class RequestFailed(Exception):
    """A resource whose reconciliation cannot be asked for; the message is what the controller logs."""


class ReceiverServer(Controller):
    """Listens where web hooks arrive."""

    name = "notification-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.client = client.named(self.name)
        self.flux: FluxRuntime = options["flux"]
        self.own_namespace_only = Flags(options.get("arguments", ())).is_set("no-cross-namespace-refs")
        self.kinds = RestMapping(self.client)
        self.receivers: Informer = informers.of(API_VERSION, "receivers")
        self.started = time.monotonic()

    async def run(self) -> None:
        """Listens until cancelled."""
        await self.informers.synced()
        port = facts.controllers()[self.name]["ports"]["http-webhook"]
        close = self.flux.ports.listen(self.name, port, self.answer)
        try:
            await super().run()
        finally:
            close()

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answers one request."""
        if not request.path.startswith(PATH):
            return NOT_FOUND
        self._log("info", f"handling request: {urllib.parse.quote(request.target.removeprefix(PATH), safe='$&+:=@')}")
        if len(request.body) > LARGEST:
            error = f"request body exceeds the maximum size of {LARGEST} bytes"
            self._log("error", "reading the request body failed", error=error)
            return HttpAnswer(413)

        # The Receiver of the path
        found = (r for r in self.receivers.list() if (r.get("status") or {}).get("webhookPath") == request.target)
        receiver = next(found, None)
        if receiver is None:
            return HttpAnswer(404)
        if receiver["spec"].get("suspend") or not _is_ready(receiver):
            why = "suspended" if receiver["spec"].get("suspend") else "not ready"
            self._log("error", f"receiver is {why}", receiver, error="unable to process request")
            return HttpAnswer(503)

        # Whether the request is who it says it is
        try:
            accepted = await self._check(receiver, request)
        except Refused as error:
            self._log("error", "unable to validate payload", receiver, error=str(error))
            return HttpAnswer(400)
        if accepted.said:
            self._log("info", accepted.said, receiver)

        # What it is about
        try:
            given = _values(receiver, request, accepted)
        except ValueError as error:
            self._log("error", "unable to create resource filters", receiver, error=str(error))
            return HttpAnswer(500)
        failed = False
        for resource in receiver["spec"]["resources"]:
            try:
                await self._request(receiver, resource, given, accepted.claims is not None)
            except RequestFailed as error:
                self._log("error", "unable to request reconciliation", receiver, error=str(error), resource=resource)
                failed = True
        return HttpAnswer(500 if failed else 200)

    # --- the check

    async def _check(self, receiver: Object, request: HttpRequest) -> Accepted:
        secret = await self._secret(receiver)
        token = ""
        if secret is not None:
            found = secrets.text(secret, "token")
            if found is None:
                raise Refused(f"invalid {json.dumps(secrets.reference(secret))} secret data: required field 'token'")
            token = found
        authorization = request.headers.get("authorization", "")
        kind = receiver["spec"]["type"]
        if kind == filters.OIDC:
            claims = await id_tokens.oidc_claims(receiver, authorization, self.flux.outbound)
            return Accepted(body=request.body, claims=claims)
        if kind == "gcr":
            if secret is None:
                raise Refused("secretRef is required for GCR receivers")
            email, audience = (secrets.text(secret, key) or "" for key in ("email", "audience"))
            for key, value in (("email", email), ("audience", audience)):
                if not value:
                    raise Refused(f"invalid secret data: required field '{key}' for GCR receiver")
            await id_tokens.check_google(authorization, email, audience, self.flux.outbound)
            return web_hooks.pub_sub(request.body)
        return web_hooks.check(receiver, token, request)

    async def _secret(self, receiver: Object) -> Object | None:
        if "secretRef" not in receiver["spec"]:
            return None
        namespace, name = receiver["metadata"]["namespace"], receiver["spec"]["secretRef"]["name"]
        try:
            return await self.client.get(path("v1", "secrets", namespace, name))
        except StatusError as error:
            named = json.dumps(f"{namespace}/{name}")
            text = f"unable to read secret, error: unable to read secret {named}: {error.message}"
            raise Refused(text) from None

    # --- the requests

    async def _request(self, receiver: Object, reference: Object, given: dict[str, Any], claims: bool) -> None:
        """Asks for the reconciliation of what one entry of a Receiver names. Raises RequestFailed."""
        own = receiver["metadata"]["namespace"]
        namespace = reference.get("namespace") or own
        if self.own_namespace_only and namespace != own:
            raise RequestFailed("cross-namespace references are not allowed")
        kind, name = reference["kind"], reference["name"]
        api_version = reference.get("apiVersion") or _VERSIONS.get(kind)
        if not api_version:
            raise RequestFailed(f"apiVersion must be specified for kind {json.dumps(kind)}")
        texts = [text for text in (receiver["spec"].get("resourceFilter"), reference.get("filter")) if text]
        chosen = [filters.resource_filter(text, claims=claims) for text in texts]
        try:
            resource = await self.kinds.of(api_version, kind)
            if name == "*":
                objects = await self._labelled(resource, namespace, reference, receiver)
            else:
                objects = [await self._named(resource, namespace, name)]
            for obj in objects:
                await self._annotate(receiver, resource, obj, chosen, given)
        except NoMatch as error:
            raise RequestFailed(str(error)) from None

    async def _labelled(self, resource: Resource, namespace: str, reference: Object, receiver: Object) -> list[Object]:
        labels = reference.get("matchLabels")
        if labels is None:
            raise RequestFailed("matchLabels field not set when using wildcard '*' as name")
        said = "map[" + " ".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in sorted(labels.items())) + "]"
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        try:
            found = await self.client.list(resource.path(namespace), labelSelector=selector)
        except StatusError as error:
            where = f"failed listing resources in namespace {json.dumps(namespace)} by matching labels {said}"
            raise RequestFailed(f"{where}: {error.message}") from None
        if not found:
            kind = json.dumps(resource.kind)
            text = f"no {kind} resources found with matching labels {said}' in {json.dumps(namespace)} namespace"
            self._log("error", "error annotating resources", receiver, error=text)
        return found

    async def _named(self, resource: Resource, namespace: str, name: str) -> Object:
        try:
            return await self.client.get(resource.path(namespace, name))
        except StatusError as error:
            group = resource.api_version.rpartition("/")[0]
            text = f'{resource.kind}.{group} "{name}" not found' if error.code == 404 else error.message
            where = f"{resource.kind} {json.dumps(f'{namespace}/{name}')}"
            raise RequestFailed(f"unable to read {where} error: {text}") from None

    async def _annotate(
        self, receiver: Object, resource: Resource, obj: Object, chosen: list[Expression], given: dict[str, Any]
    ) -> None:
        metadata = obj["metadata"]
        about = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        try:
            if not all(expression.is_true({**given, "res": about}) for expression in chosen):
                return
        except FailedExpression as error:
            raise RequestFailed(str(error)) from None
        named = f"{resource.kind}/{metadata['name']}.{metadata['namespace']}"
        change = {"metadata": {"annotations": {REQUESTED: self._now()}}}
        try:
            await self.client.patch(resource.path(metadata["namespace"], metadata["name"]), change)
        except StatusError as error:
            full = json.dumps(f"{metadata['namespace']}/{metadata['name']}")
            text = f"unable to annotate {resource.kind} {full} error: {error.message}"
            raise RequestFailed(f"failed to annotate resource: '{named}': {text}") from None
        self._log("info", f"resource '{named}' annotated", receiver)

    def _now(self) -> str:
        """The time as Go prints it, with the seconds that the program has run."""
        nanoseconds = time.time_ns()
        moment = dt.datetime.fromtimestamp(nanoseconds // 1_000_000_000, dt.UTC)
        fraction = f"{nanoseconds % 1_000_000_000:09d}".rstrip("0")
        ran = time.monotonic() - self.started
        return f"{moment:%Y-%m-%d %H:%M:%S}{'.' + fraction if fraction else ''} +0000 UTC m=+{ran:.9f}"

    def _log(self, level: str, message: str, receiver: Object | None = None, **fields: Any) -> None:
        about: dict[str, Any] = {"logger": "receiver-server"}
        if receiver is not None:
            metadata = receiver["metadata"]
            about |= {"reconciler kind": "Receiver", "name": metadata["name"], "namespace": metadata["namespace"]}
        self.flux.output.write(self.name, line(level, message, **about, **fields))


def _is_ready(receiver: Object) -> bool:
    unwell = any(conditions.is_true(receiver, kind) for kind in (conditions.RECONCILING, conditions.STALLED))
    return conditions.is_true(receiver, conditions.READY) and not unwell


def _values(receiver: Object, request: HttpRequest, accepted: Accepted) -> dict[str, Any]:
    """What a Receiver's filters see besides the resource. Raises ValueError for a body that is not what it says."""
    spec = receiver["spec"]
    if not spec.get("resourceFilter") and not any(resource.get("filter") for resource in spec["resources"]):
        return {}
    claims = {} if accepted.claims is None else {"claims": accepted.claims}
    medias = [part.partition(";")[0].strip().lower() for part in request.headers.get("content-type", "").split(",")]
    if "application/json" not in medias:
        return {"req": {}, **claims}
    try:
        body, _ = json.JSONDecoder().raw_decode(accepted.body.decode("utf-8", "replace").lstrip())
    except ValueError as error:
        said = "EOF" if not accepted.body.strip() else str(error)
        raise ValueError(f"failed to parse request body as JSON: {said}") from None
    if not isinstance(body, dict) and body is not None:
        kind = "array" if isinstance(body, list) else type(body).__name__
        said = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        raise ValueError(f"failed to parse request body as JSON: {said}")
    return {"req": body or {}, **claims}
