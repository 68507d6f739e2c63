"""login.microsoftonline.com: discovery, the token endpoint of both versions, and the device code flow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azsandbox.entra import devices, errors, facts
from azsandbox.entra.errors import SignInError
from azsandbox.entra.federation import AssertionRefused
from azsandbox.entra.tokens import AZURE_CLI
from azsandbox.entra.web import Answer, Request

if TYPE_CHECKING:
    from azsandbox.entra import Entra

LIFETIME = 3600  # seconds that an access token lives
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SHARED = ("common", "organizations")  # tenants that stand for the user's own
_REFRESH = "refresh"


def answer(entra: Entra, request: Request) -> Answer:
    """Answers one request to the login host."""
    try:
        return _route(entra, request)
    except SignInError as error:
        return error.answer(request.headers.get("client-request-id"), entra.clock.now())


def _route(entra: Entra, request: Request) -> Answer:
    path = request.path.strip("/")
    if path == "common/discovery/instance":
        return _instance_discovery(request)
    if path in ("devicelogin", "common/oauth2/deviceauth"):
        return devices.page(entra, request)
    tenant, _, rest = path.partition("/")
    rest = rest.lower()
    known = {entra.tenant_id, entra.directory.domain, *_SHARED}
    if rest and tenant.lower() not in known:
        raise errors.no_tenant(tenant)
    if rest in ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"):
        return Answer(200, openid_configuration(entra, request, 2 if rest.startswith("v2.0") else 1))
    if rest in ("discovery/v2.0/keys", "discovery/keys"):
        return Answer(200, entra.tokens.key_set())
    if rest in ("oauth2/v2.0/token", "oauth2/token"):
        if request.method != "POST":
            raise SignInError(
                900561, "invalid_request", "The endpoint only accepts POST requests. Received a GET request."
            )
        return _token(entra, request)
    if rest in ("oauth2/v2.0/devicecode", "oauth2/devicecode"):
        return devices.begin(entra, request)
    if rest.startswith(("oauth2/v2.0/authorize", "oauth2/authorize")):
        text = "The sandbox has no browser sign-in. Use managed identity, a client secret, or a device code."
        return Answer(501, {"error": "NotSupportedInSandbox", "error_description": text})
    return Answer(
        404,
        {"error": "NotSupportedInSandbox", "error_description": f"The sandbox's sign-in has no {request.path!r}."},
    )


def openid_configuration(entra: Entra, request: Request, version: int) -> dict[str, Any]:
    """The OpenID Connect document. Endpoints are on the host that the client used; the issuer is Entra's own."""
    base = f"{request.base_url}/{entra.tenant_id}"
    middle = "oauth2/v2.0" if version == 2 else "oauth2"
    issuer = (
        f"https://login.microsoftonline.com/{entra.tenant_id}/v2.0"
        if version == 2
        else f"https://sts.windows.net/{entra.tenant_id}/"
    )
    return {
        "token_endpoint": f"{base}/{middle}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "jwks_uri": f"{base}/discovery/{'v2.0/' if version == 2 else ''}keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{request.base_url}/oidc/userinfo",
        "authorization_endpoint": f"{base}/{middle}/authorize",
        "device_authorization_endpoint": f"{base}/{middle}/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{base}/{middle}/logout",
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
    }


def _instance_discovery(request: Request) -> Answer:
    authorize = request.query.get("authorization_endpoint", "")
    tenant = urlsplit(authorize).path.strip("/").partition("/")[0] or "common"
    public = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    body = {
        "tenant_discovery_endpoint": f"{request.base_url}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": request.query.get("api-version", "1.1"),
        "metadata": [
            {"preferred_network": public[0], "preferred_cache": "login.windows.net", "aliases": public},
        ],
    }
    return Answer(200, body)


# --- the token endpoint


def _token(entra: Entra, request: Request) -> Answer:
    form = request.form
    grant = form.get("grant_type")
    if not grant:
        raise errors.missing("grant_type")
    if not form.get("client_id"):
        raise errors.missing("client_id")
    if grant == "client_credentials":
        return _client_credentials(entra, form)
    if grant in ("urn:ietf:params:oauth:grant-type:device_code", "device_code"):
        user = devices.redeem(entra, form.get("device_code") or form.get("code") or "", form["client_id"])
        return _user_tokens(entra, user, form)
    if grant == "refresh_token":
        return _user_tokens(entra, _refreshed(entra, form), form)
    if grant == "password":
        name = _resource_name(entra, resource_of(form))
        raise SignInError(
            50076,
            "invalid_grant",
            "Due to a configuration change made by your administrator, or because you moved to a new location, you "
            f"must use multi-factor authentication to access '{name}'.",
        )
    raise SignInError(70003, "unsupported_grant_type", f"The app requested an unsupported grant type '{grant}'.")


def _client_credentials(entra: Entra, form: dict[str, str]) -> Answer:
    app_id = form["client_id"]
    principal = entra.directory.service_principal(app_id)
    if principal is None or not entra.directory.enabled(principal.object_id):
        raise errors.no_application(app_id, entra.directory.domain)
    proof = "1"
    if form.get("client_assertion"):
        if form.get("client_assertion_type") != JWT_BEARER:
            raise errors.missing("client_assertion_type")
        try:
            entra.directory.federated_credentials.check(app_id, form["client_assertion"])
        except AssertionRefused as refused:
            raise SignInError(refused.number, "invalid_client", refused.message, 401) from None
        proof = "2"
    elif form.get("client_secret"):
        state = entra.directory.check_secret(app_id, form["client_secret"])
        if state != "valid":
            raise errors.expired_secret(app_id) if state == "expired" else errors.wrong_secret(app_id)
    else:
        raise SignInError(
            7000218,
            "invalid_client",
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            401,
        )
    resource = resource_of(form)
    _resource_name(entra, resource)
    token = entra.tokens.issue(principal.object_id, resource, lifetime=LIFETIME, proof=proof)
    body: dict[str, Any] = {"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME}
    if "resource" in form:  # version 1 of the endpoint says more, and in strings
        body = {key: str(value) for key, value in body.items()} | _version_1_times(entra, resource)
    return Answer(200, body | {"access_token": token})


def _user_tokens(entra: Entra, object_id: str, form: dict[str, str]) -> Answer:
    import base64
    import json
    import secrets

    user = entra.directory.get(object_id)
    if user is None or not entra.directory.enabled(object_id):
        raise SignInError(50057, "invalid_grant", "The user account is disabled.")
    client_id, resource = form["client_id"], resource_of(form)
    _resource_name(entra, resource)
    refresh = secrets.token_urlsafe(48)
    stored = json.dumps({"object_id": object_id, "client_id": client_id}).encode()
    entra.bucket.put(_REFRESH, _digest(refresh), stored)
    client_info = json.dumps({"uid": object_id, "utid": entra.tenant_id}).encode()
    body: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": f"{resource.rstrip('/')}/user_impersonation {resource.rstrip('/')}/.default",
        "expires_in": LIFETIME,
        "ext_expires_in": LIFETIME,
        "access_token": entra.tokens.issue(object_id, resource, lifetime=LIFETIME, client_id=client_id),
        "refresh_token": refresh,
        "foci": "1" if client_id == AZURE_CLI else None,
        "id_token": entra.tokens.id_token(user, client_id, form.get("nonce")),
        "client_info": base64.urlsafe_b64encode(client_info).rstrip(b"=").decode(),
    }
    if "resource" in form:
        body |= _version_1_times(entra, resource)
    return Answer(200, {key: value for key, value in body.items() if value is not None})


def _refreshed(entra: Entra, form: dict[str, str]) -> str:
    import json

    given = form.get("refresh_token")
    if not given:
        raise errors.missing("refresh_token")
    record = entra.bucket.get(_REFRESH, _digest(given))
    if record is None:
        raise SignInError(9002313, "invalid_grant", "Invalid request. Request is malformed or invalid.")
    found = json.loads(record.value)
    if found["client_id"] != form["client_id"]:
        raise SignInError(
            700082, "invalid_grant", "The refresh token was not issued to this client and cannot be redeemed by it."
        )
    return str(found["object_id"])


def resource_of(form: dict[str, str]) -> str:
    """The resource that a request wants a token for: `resource`, or the first scope that names one.

    A scope is the resource, a slash, and `.default` or a permission: what precedes that slash is taken as it is, so
    `https://management.core.windows.net//.default` is for `https://management.core.windows.net/`. Raises SignInError.
    """
    if form.get("resource"):
        return form["resource"]
    plain = {"openid", "profile", "offline_access", "email"}
    scopes = [s for s in form.get("scope", "").split() if s not in plain]
    if not scopes:
        if form.get("scope"):
            return "https://graph.microsoft.com"
        raise errors.missing("scope")
    resource, slash, _ = scopes[0].rpartition("/")
    if not slash or resource.endswith(":/"):
        if re.fullmatch(r"[A-Za-z]+(\.[A-Za-z]+)*", scopes[0]):
            return "https://graph.microsoft.com"  # a permission with no resource is Graph's
        raise SignInError(
            70011,
            "invalid_scope",
            f"The provided request must include a 'scope' input parameter. The provided value for the input parameter "
            f"'scope' is not valid. The scope {scopes[0]} is not valid.",
        )
    return resource


def _resource_name(entra: Entra, resource: str) -> str:
    """The id of the application behind a resource. Raises SignInError when the tenant has none."""
    wanted = resource.rstrip("/").lower()
    for known in facts.resources()["resources"]:
        if wanted in (known["app_id"], *known["names"]):
            return str(known["app_id"])
    parts = urlsplit(wanted)
    if (
        wanted == entra.endpoint.lower()
        or (parts.hostname or "").endswith("localhost")
        or parts.hostname == "127.0.0.1"
    ):
        return wanted
    found = entra.directory.find(wanted.removeprefix("api://"), "servicePrincipal") or entra.directory.find(
        wanted, "servicePrincipal"
    )
    if found is None or found.display_name.lower() == wanted:
        raise errors.no_resource(resource, entra.directory.domain)
    return found.app_id or wanted


def _version_1_times(entra: Entra, resource: str) -> dict[str, str]:
    now = entra.now()
    return {"expires_on": str(now + LIFETIME), "not_before": str(now), "resource": resource}


def _digest(token: str) -> str:
    import hashlib

    return hashlib.sha256(token.encode()).hexdigest()
