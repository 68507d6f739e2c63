"""Who one is to a registry of Azure: the managed identity of the nodes, exchanged for a registry's own token.

Rules and texts: fluxcd/pkg/auth/azure, and the Azure SDK for Go that it uses.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

from azsandbox.flux.oci_credentials import Credentials
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.flux.web import Answer, NoAnswer, Web

USER = "00000000-0000-0000-0000-000000000000"  # of a refresh token, as `az acr login --expose-token` says
AUDIENCE = "https://containerregistry.azure.net"
GATE = "ObjectLevelWorkloadIdentity"  # which serviceAccountName of an object needs, and Flux does not have by default
GATE_DISABLED = f"to use spec.serviceAccountName for provider authentication please enable the {GATE} feature gate in the controller"
_PATTERN = r"^.+\.(azurecr\.io|azurecr\.cn|azurecr\.de|azurecr\.us)$"
_METADATA = "http://169.254.169.254/metadata/identity/oauth2/token"
_RULE = "-" * 80


class AzureProblem(Exception):
    """No credentials; the message is Flux's."""


class NoIdentity(Exception):
    """A cluster without nodes of Azure, whose metadata service would speak for an identity."""


async def registry_credentials(web: Web, runtime: FluxRuntime, registry: str) -> Credentials:
    """Credentials for a registry, such as lab.azurecr.io. Raises AzureProblem, NoIdentity."""
    if not re.match(_PATTERN, registry):
        raise AzureProblem(f"invalid Azure registry: '{registry}'. must match {_PATTERN}")
    client_id = runtime.identity()
    if not client_id:
        raise NoIdentity
    try:
        token = await _identity_token(web, client_id)
    except (AzureProblem, NoAnswer) as error:
        text = f"failed to create provider access token for the controller: {error}"
        raise AzureProblem(f"failed to get access token for artifact registry: {text}") from error
    try:
        return Credentials(USER, await _exchanged(web, registry, token))
    except (AzureProblem, NoAnswer) as error:
        raise AzureProblem(f"failed to create artifact registry credentials: {error}") from error


async def _identity_token(web: Web, client_id: str) -> str:
    """An access token of the nodes' identity, from the instance metadata service."""
    query = urlencode({"api-version": "2018-02-01", "resource": AUDIENCE, "client_id": client_id})
    answer = await web.request("GET", f"{_METADATA}?{query}", {"Metadata": "true"})
    if answer.status != 200:
        start = "ManagedIdentityCredential authentication failed. "
        raise AzureProblem(f"{start}\n{_refusal('GET', _METADATA, answer)}")
    return str(json.loads(answer.body)["access_token"])


async def _exchanged(web: Web, registry: str, token: str) -> str:
    """A refresh token of a registry for an access token of Entra."""
    url = f"https://{registry}/oauth2/exchange"
    form = {"grant_type": "access_token", "service": registry, "access_token": token}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await web.request("POST", url, headers, urlencode(form).encode())
    if answer.status != 200:
        raise AzureProblem(_refusal("POST", url, answer))
    return str(json.loads(answer.body)["refresh_token"])


def _refusal(method: str, url: str, answer: Answer) -> str:
    """An answer as the SDK's errors show it."""
    try:
        body = json.loads(answer.body)
        text = json.dumps(body, indent=2)
    except ValueError:
        body, text = {}, answer.text or "Response contained no body"
    inner = body.get("error") if isinstance(body, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else body.get("code") if isinstance(body, dict) else None
    said = f"ERROR CODE: {code}" if code else "ERROR CODE UNAVAILABLE"
    return "\n".join(
        (f"{method} {url}", _RULE, f"RESPONSE {answer.status}: {answer.line}", said, _RULE, text, _RULE, "")
    )
