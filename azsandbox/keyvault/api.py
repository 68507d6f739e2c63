"""The ASGI application of NAME.vault.azure.net: paths, versions, tokens, and the operations on secrets."""

from __future__ import annotations

import base64
import json
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from azsandbox import json_bodies
from azsandbox.arm.facts import read
from azsandbox.dispatch import Receive, Scope, Send, host_name
from azsandbox.keyvault import access, errors
from azsandbox.keyvault.access import Operation, Origin
from azsandbox.keyvault.errors import VaultError
from azsandbox.keyvault.secrets import Secret, Version, check_name
from azsandbox.keyvault.vaults import Vault, Vaults
from azsandbox.request_bodies import read_whole

log = logging.getLogger("azsandbox.keyvault")

AUDIENCE = "https://vault.azure.net"
BODY_LIMIT = 256 * 1024
SERVICE_VERSION = "1.9.2537.1"  # x-ms-keyvault-service-version in azure-cli recordings of March 2025
NOT_OURS = ("keys", "deletedkeys", "certificates", "deletedcertificates", "storage", "deletedstorage", "rng")
CHANGEABLE = ("enabled", "nbf", "exp")


@dataclass(frozen=True)
class Call:
    """One request to a vault whose caller is known."""

    vault: Vault
    identity: Any
    method: str
    query: dict[str, str]
    raw: bytes
    base_url: str
    path: str
    check: Callable[[Operation, str], None]

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the body. Raises VaultError."""
        try:
            found = json_bodies.parse(self.raw or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise errors.bad_parameter("The request body is not a valid JSON object.")
        return found


Found = tuple[int, dict[str, Any] | None]
Handler = Callable[[Call, str, str], Found]


class DataPlane:
    """The vaults' requests and answers. `call` is the same without HTTP, for what runs in the sandbox itself."""

    def __init__(self, vaults: Vaults) -> None:
        self.vaults = vaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        vault = self.vaults.at(host_name(headers.get("host", "")))
        extra: dict[str, str] = {}
        try:
            raw = await read_whole(receive, BODY_LIMIT, errors.too_large())
            path = unquote((scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0])
            query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
            token = headers.get("authorization", "")
            status, body = self.call(vault, scope["method"], path, query, raw, token, Origin())
        except VaultError as error:
            status, body, extra = error.status, error.body, error.headers
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        answer = self._headers(vault, headers) | extra
        if status != 204:
            answer |= {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(content))}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    @staticmethod
    def _headers(vault: Vault | None, sent: dict[str, str]) -> dict[str, str]:
        out = {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "x-ms-keyvault-region": vault.location if vault else "",
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-keyvault-service-version": SERVICE_VERSION,
            "x-ms-keyvault-network-info": f"conn_type=Ipv4;addr={Origin().address};act_addr_fam=InterNetwork;",
            "X-Content-Type-Options": "nosniff",
            "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
        }
        if client := sent.get("x-ms-client-request-id"):
            out["x-ms-client-request-id"] = client
        return out

    def call(
        self,
        vault: Vault | None,
        method: str,
        path: str,
        query: dict[str, str],
        raw: bytes,
        authorization: str,
        origin: Origin,
    ) -> Found:
        """Status and JSON of the answer to one request. Raises VaultError."""
        if vault is None:
            raise VaultError(
                404, "VaultNotFound", "There is no key vault at this address. Make one: az keyvault create"
            )
        identity = self._identity(authorization)
        access.check_network(vault, identity, origin)
        _check_version(query.get("api-version", ""))
        parts = [part for part in path.split("/") if part]
        if parts and parts[0].lower() in NOT_OURS:
            raise errors.not_supported(f"'{parts[0].lower()}' of a key vault: it has secrets alone")
        handler, operation, name, more = _route(method, parts)

        def check(operation: Operation, secret: str) -> None:
            self.vaults.permissions.check(vault, identity, operation, secret)

        base_url = f"https://{vault.name.lower()}.vault.azure.net"
        call = Call(vault, identity, method, query, raw, base_url, "/" + "/".join(parts), check)
        check(operation, name)
        return handler(call, name, more)

    def _identity(self, authorization: str) -> Any:
        entra = self.vaults.host.entra
        tenant = entra.tenant_id
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.unauthorized(tenant, "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            return entra.verify(token.strip(), (AUDIENCE,))
        except Exception as error:  # what is wrong with it goes to the log; the caller hears what Key Vault says
            kind = getattr(error, "reason", "")
            log.info("a token for a vault was refused: %s", error)
        if kind == "audience":
            found = _audience(token)
            raise errors.unauthorized(tenant, f"AKV10022: Invalid audience. Expected {AUDIENCE}, found: {found}.")
        if kind == "issuer":
            text = f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{tenant}/."
            raise errors.unauthorized(tenant, text)
        if kind == "expired":
            text = "[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'."
            raise errors.unauthorized(tenant, text)
        raise errors.unauthorized(tenant, "AKV10046: Unable to resolve the key used for signature validation.")


def _audience(token: str) -> str:
    from azsandbox.entra.tokens import read_claims

    return str(read_claims(token.strip()).get("aud", ""))


def _check_version(version: str) -> None:
    if not version:
        raise errors.bad_parameter("api-version must be specified")
    if version not in read("keyvault.json")["dataVersions"]:
        raise errors.bad_parameter(f"Unsupported api-version: {version}")


# --- routes


def _route(method: str, parts: list[str]) -> tuple[Handler, Operation, str, str]:
    """Handler, what it needs, the secret's name, and the version."""
    shape = "/".join([parts[0].lower() if parts else "", *("*" for _ in parts[1:])])
    name = parts[1] if len(parts) > 1 else ""
    last = parts[2] if len(parts) > 2 else ""
    if shape == "secrets/*/*" and last.lower() in ("versions", "backup"):
        shape = f"secrets/*/{last.lower()}"
    elif shape == "deletedsecrets/*/*" and last.lower() == "recover":
        shape = "deletedsecrets/*/recover"
    elif shape == "secrets/*" and name.lower() == "restore" and method == "POST":
        raise errors.not_supported("restoring a secret from a backup")
    if shape == "secrets/*/backup":
        raise errors.not_supported("backups of secrets")
    found = ROUTES.get((method, shape))
    if found is None:
        if any(known == shape for _, known in ROUTES):
            raise VaultError(405, "MethodNotAllowed", f"The HTTP method '{method}' is not allowed here.")
        raise VaultError(404, "NotFound", f"The resource '/{'/'.join(parts)}' was not found.")
    if name:
        check_name(name)
    return (*found, name, last if re.fullmatch(r"secrets/\*/\*", shape) else "")


def _get(call: Call, name: str, version: str) -> Found:
    secret = call.vault.secrets.get(name)
    found = secret.version(version)
    if not found.enabled:
        raise errors.disabled()
    return 200, {"value": found.value, **_described(call, secret, found)}


def _set(call: Call, name: str, version: str) -> Found:
    body = call.body
    value = body.get("value")
    if not isinstance(value, str):
        raise errors.bad_parameter("The parameter value is not specified.")
    limit = read("keyvault.json")["secretValueLimit"]
    if len(value.encode()) > limit:
        raise errors.bad_parameter(f"The value of a secret can be at most {limit} bytes long.")
    secret, made = call.vault.secrets.set(name, value, **_changes(body))
    return 200, {"value": made.value, **_described(call, secret, made)}


def _update(call: Call, name: str, version: str) -> Found:
    body = call.body
    if body.get("value") is not None:
        raise errors.bad_parameter("The value of a secret cannot be changed; set the secret anew.")
    return 200, _described(call, *call.vault.secrets.update(name, version, _changes(body)))


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says of content type, tags and attributes. Raises VaultError."""
    out: dict[str, Any] = {}
    if body.get("contentType") is not None:
        out["content_type"] = str(body["contentType"])
    if body.get("tags") is not None:
        tags = body["tags"]
        most = read("keyvault.json")["mostTags"]
        if not isinstance(tags, dict) or len(tags) > most:
            raise errors.bad_parameter(f"A secret can have at most {most} tags.")
        out["tags"] = {str(key): str(value) for key, value in tags.items()}
    attributes = body.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise errors.bad_parameter("The parameter attributes is not a JSON object.")
    for key in CHANGEABLE:
        if attributes.get(key) is None:
            continue
        value = attributes[key]
        if isinstance(value, bool) is not (key == "enabled") or (key != "enabled" and not isinstance(value, int)):
            raise errors.bad_parameter(f"Property {key} has invalid value: {value!r}")
        out[key] = value
    return out


def _list(call: Call, name: str, version: str) -> Found:
    items = [_described(call, secret, secret.current, versioned=False) for secret in call.vault.secrets.all()]
    return 200, _page(call, items)


def _versions(call: Call, name: str, version: str) -> Found:
    secret = call.vault.secrets.find(name)
    found = secret.versions if secret and secret.deleted is None else []
    return 200, _page(call, [_described(call, secret, v) for v in reversed(found) if secret])


def _delete(call: Call, name: str, version: str) -> Found:
    return 200, _deleted(call, call.vault.secrets.delete(name))


def _list_deleted(call: Call, name: str, version: str) -> Found:
    secrets = call.vault.secrets.all(deleted=True)
    return 200, _page(call, [_deleted(call, secret, versioned=False) for secret in secrets])


def _get_deleted(call: Call, name: str, version: str) -> Found:
    return 200, _deleted(call, call.vault.secrets.get_deleted(name))


def _recover(call: Call, name: str, version: str) -> Found:
    secret = call.vault.secrets.recover(name)
    return 200, _described(call, secret, secret.current)


def _purge(call: Call, name: str, version: str) -> Found:
    call.vault.secrets.get_deleted(name)
    if call.vault.secrets.protected:
        raise errors.purge_protected(call.vault.described)
    call.vault.secrets.purge(name)
    return 204, None


ROUTES: dict[tuple[str, str], tuple[Handler, Operation]] = {
    ("GET", "secrets"): (_list, access.LIST),
    ("GET", "secrets/*"): (_get, access.GET),
    ("GET", "secrets/*/*"): (_get, access.GET),
    ("PUT", "secrets/*"): (_set, access.SET),
    ("PATCH", "secrets/*"): (_update, access.UPDATE),
    ("PATCH", "secrets/*/*"): (_update, access.UPDATE),
    ("DELETE", "secrets/*"): (_delete, access.DELETE),
    ("GET", "secrets/*/versions"): (_versions, access.LIST),
    ("GET", "deletedsecrets"): (_list_deleted, access.LIST),
    ("GET", "deletedsecrets/*"): (_get_deleted, access.GET_DELETED),
    ("POST", "deletedsecrets/*/recover"): (_recover, access.RECOVER),
    ("DELETE", "deletedsecrets/*"): (_purge, access.PURGE),
}


# --- bodies


def _described(call: Call, secret: Secret, version: Version, *, versioned: bool = True) -> dict[str, Any]:
    """A version without its value."""
    secrets = call.vault.secrets
    attributes: dict[str, Any] = {"enabled": version.enabled}
    attributes |= {key: value for key in ("nbf", "exp") if (value := getattr(version, key)) is not None}
    attributes |= {
        "created": version.created,
        "updated": version.updated,
        "recoveryLevel": secrets.recovery_level,
        "recoverableDays": secrets.retention_days,
    }
    id_ = f"{call.base_url}/secrets/{secret.name}" + (f"/{version.id}" if versioned else "")
    out: dict[str, Any] = {"id": id_, "attributes": attributes}
    if version.content_type is not None:
        out = {"contentType": version.content_type, **out}
    if version.tags is not None:
        out["tags"] = version.tags
    return out


def _deleted(call: Call, secret: Secret, *, versioned: bool = True) -> dict[str, Any]:
    return {
        "recoveryId": f"{call.base_url}/deletedsecrets/{secret.name}",
        "deletedDate": secret.deleted,
        "scheduledPurgeDate": call.vault.secrets.purged_at(secret),
        **_described(call, secret, secret.current, versioned=versioned),
    }


def _page(call: Call, items: list[dict[str, Any]]) -> dict[str, Any]:
    """One page of a list, by maxresults and $skiptoken."""
    most = read("keyvault.json")["pageSize"]
    asked = call.query.get("maxresults", str(most))
    if not asked.isdigit() or not 1 <= int(asked) <= most:
        raise errors.bad_parameter(f"maxresults must be between 1 and {most}; found '{asked}'")
    token = call.query.get("$skiptoken", "")
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise errors.bad_parameter("$skiptoken is not valid") from None
    end = start + int(asked)
    following = None
    if end < len(items):
        query = {
            "api-version": call.query["api-version"],
            "$skiptoken": base64.urlsafe_b64encode(str(end).encode()).decode(),
            "maxresults": asked,
        }
        following = f"{call.base_url}{call.path}?{urlencode(query, safe='$')}"
    return {"value": items[start:end], "nextLink": following}
