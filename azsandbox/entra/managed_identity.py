"""Tokens for managed identities: App Service's endpoint, and the instance metadata service of virtual machines.

Asked without a client id, they speak for a person of the lab, as the token endpoint of Azure Cloud Shell does:
whose it is says the identity header, which is different for each persona. With a client id (or object or resource
id) they speak for that user-assigned identity.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from azsandbox.entra.directory import Principal
from azsandbox.entra.web import Answer, Request

if TYPE_CHECKING:
    from azsandbox.entra import Entra

LIFETIME = 86400  # seconds; managed identity tokens live a day


def app_service(entra: Entra, request: Request) -> Answer:
    """GET /msi/token: App Service, api-version 2019-08-01."""
    given = request.headers.get("x-identity-header", "")
    caller = next((p for p in entra.personas() if hmac.compare_digest(entra.identity_header(p.object_id), given)), None)
    if caller is None:
        return _app_service_error(
            401, "The X-IDENTITY-HEADER is missing or is not this sandbox's. `azsandbox env` prints the right one."
        )
    resource = request.query.get("resource")
    if not resource:
        return _app_service_error(400, "Required query variable 'resource' is missing.")
    principal = _principal(entra, request, caller.object_id)
    if principal is None:
        return _app_service_error(
            400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    resource = resource.removesuffix("/.default")
    token = entra.issue(principal.object_id, resource, lifetime=LIFETIME)
    return Answer(
        200,
        {
            "access_token": token,
            "expires_on": str(entra.now() + LIFETIME),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": principal.app_id or principal.object_id,
        },
    )


def instance_metadata(entra: Entra, request: Request) -> Answer:
    """GET /metadata/identity/oauth2/token: the instance metadata service, api-version 2018-02-01."""
    if request.headers.get("metadata", "").lower() != "true":
        return _metadata_error("invalid_request", "Required metadata header not specified")
    if "x-forwarded-for" in request.headers:
        return _metadata_error("invalid_request", "The request must not contain an X-Forwarded-For header")
    if request.path.rstrip("/").lower() != "/metadata/identity/oauth2/token":
        return Answer(
            404,
            {
                "error": "Not found",
                "error_description": f"The sandbox's metadata service does not have {request.path}.",
            },
        )
    if "api-version" not in request.query:
        return _metadata_error("invalid_request", "Required query variable 'api-version' is missing")
    resource = request.query.get("resource")
    if not resource:
        return _metadata_error("invalid_request", "Required query variable 'resource' is missing")
    principal = _principal(entra, request, entra.learner.object_id)
    if principal is None:
        return _metadata_error("invalid_request", "Identity not found")
    resource = resource.removesuffix("/.default")
    token = entra.issue(principal.object_id, resource, lifetime=LIFETIME)
    now = entra.now()
    return Answer(
        200,
        {
            "access_token": token,
            "client_id": principal.app_id or principal.object_id,
            "expires_in": str(LIFETIME),
            "expires_on": str(now + LIFETIME),
            "ext_expires_in": str(LIFETIME),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        },
    )


def _principal(entra: Entra, request: Request, default: str) -> Principal | None:
    """The identity that a request names, or the default one. Only the signed-in learner may name identities."""
    names = ("client_id", "clientid", "object_id", "principal_id", "mi_res_id", "msi_res_id")
    wanted = next((request.query[name] for name in names if request.query.get(name)), None)
    if wanted is None:
        return entra.directory.get(default)
    if default != entra.learner.object_id:
        return None
    for stored in entra.directory.each("servicePrincipal"):
        found = entra.directory.get(stored["properties"]["id"])
        if found is None or found.service_principal_type != "ManagedIdentity":
            continue
        ids = (found.object_id, found.app_id or "", *found.alternative_names)
        if wanted.lower() in (i.lower() for i in ids):
            return found
    return None


def _app_service_error(status: int, message: str) -> Answer:
    return Answer(status, {"statusCode": status, "message": message})


def _metadata_error(error: str, description: str) -> Answer:
    return Answer(400, {"error": error, "error_description": description})
