"""Azure's provider for the Secrets Store CSI driver: from a SecretProviderClass to the contents of its files.

It signs in as the pod (workload identity), as an identity of the node, or with a service principal's secret, and reads each
object from the vault, with the rights and the network address that the caller has.
Rules and texts: Azure/secrets-store-csi-driver-provider-azure v1.7.2 (pkg/provider, pkg/auth) and errors of it that public
issues quote (598, 1022, 1284, 1290, 1356 there; external-secrets 2783 for those of MSAL).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from azsandbox.controllers.client import Object

if TYPE_CHECKING:
    from azsandbox.keyvault.access import Origin

LINE = "-" * 80
LOGIN = "https://login.microsoftonline.com"
VERSION = "7.5"  # api-version of the provider's client (azsecrets)
AUDIENCE = "https://vault.azure.net"


class MountFailed(Exception):
    """The objects cannot be mounted; the text is the provider's."""


@dataclass(frozen=True)
class Mounted:
    """One object in a volume: its id and version as statuses name them, its file and its content."""

    id: str
    version: str
    file: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Caller:
    """What a provider's call comes with: the pod's token, the secrets of nodePublishSecretRef, the node's identities by
    client id, and where it comes from."""

    token: str = field(default="", repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    node_identities: dict[str, str] = field(default_factory=dict)  # client id: object id
    origin: Origin | None = None


class Provider:
    """Answers mounts in one sandbox."""

    def __init__(self, arm: Any) -> None:
        self._arm = arm

    def mount(self, parameters: dict[str, str], caller: Caller) -> list[Mounted]:
        """The objects that the parameters of a SecretProviderClass name. Raises MountFailed."""
        vault, tenant = parameters.get("keyvaultName", ""), parameters.get("tenantId") or parameters.get("tenantID", "")
        for name, value in (("keyvaultName", vault), ("tenantId", tenant), ("objects", parameters.get("objects", ""))):
            if not value:
                raise MountFailed(f"{name} is not set")
        wanted = _objects(parameters["objects"])
        token = self._sign_in(parameters, tenant, caller)
        return [self._read(vault, obj, token, caller) for obj in wanted]

    # --- signing in

    def _sign_in(self, parameters: dict[str, str], tenant: str, caller: Caller) -> Token:
        """How a token is got; it is asked for with the first object, so that errors name that."""
        flags = {name: _flag(parameters, name) for name in ("usePodIdentity", "useVMManagedIdentity")}
        client = parameters.get("clientID", "")
        if flags["usePodIdentity"]:
            return Token("pod")
        if flags["useVMManagedIdentity"]:
            return Token("node", parameters.get("userAssignedIdentityID", ""), tenant)
        if client:
            if not caller.token:
                raise MountFailed("failed to parse workload identity tokens, error: service account tokens not found")
            return Token("workload", client, tenant)
        own = {name: caller.secrets.get(name, "") for name in ("clientid", "clientsecret")}
        failed = "failed to create auth config, error: failed to get credentials, "
        if not caller.secrets:
            raise MountFailed(f"{failed}nodePublishSecretRef secret is not set")
        if not all(own.values()):
            raise MountFailed(f"{failed}could not find clientid or clientsecret in secrets")
        return Token("principal", own["clientid"], tenant)

    def _access_token(self, token: Token, caller: Caller) -> str:
        """A token for the vault. Raises MountFailed as the provider's libraries word it."""
        if token.kind == "pod":
            url = f"http://localhost:2579/host/token/?resource={AUDIENCE}"
            raise MountFailed(f'Get "{url}": dial tcp [::1]:2579: connect: connection refused')
        if token.kind == "node":
            return self._node_token(token.client, caller)
        form = {"client_id": token.client, "grant_type": "client_credentials", "scope": f"{AUDIENCE}/.default"}
        if token.kind == "workload":
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form |= {"client_assertion": caller.token, "client_assertion_type": kind}
        else:
            form["client_secret"] = caller.secrets["clientsecret"]
        from azsandbox.entra import login
        from azsandbox.entra.web import Request

        path = f"/{token.tenant}/oauth2/v2.0/token"
        headers = {"host": "login.microsoftonline.com"}
        answer = login.answer(self._arm.services.entra, Request("POST", path, {}, headers, b"", form=form))
        if answer.status == 200:
            return str(answer.body["access_token"])
        by = "FromAssertion()" if token.kind == "workload" else "FromClientSecret()"
        raise MountFailed(
            f"failed to acquire token: {by}: http call({LOGIN}{path})(POST) error: reply status code was "
            f"{answer.status}:\n{json.dumps(answer.body, separators=(',', ':'))}"
        )

    def _node_token(self, client: str, caller: Caller) -> str:
        known = {key.lower(): value for key, value in caller.node_identities.items()}
        if client and client.lower() in known:
            return str(self._arm.services.entra.issue(known[client.lower()], AUDIENCE))
        text = "Identity not found"
        if not client:
            text = (
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the "
                "token request"
            )
        body = {"error": "invalid_request", "error_description": text}
        url = "http://169.254.169.254/metadata/identity/oauth2/token"
        raise MountFailed(
            f"ManagedIdentityCredential authentication failed. \n{_response(url, 400, '', json.dumps(body, indent=2))}"
        )

    # --- reading

    def _read(self, vault: str, obj: dict[str, str], token: Token, caller: Caller) -> Mounted:
        name, kind, version = obj.get("objectName", ""), obj.get("objectType", ""), obj.get("objectVersion", "")
        try:
            return self._get(vault, obj, self._access_token(token, caller), caller)
        except MountFailed as failed:
            raise MountFailed(
                f"failed to get objectType:{kind}, objectName:{name}, objectVersion:{version}: {failed}"
            ) from None

    def _get(self, vault: str, obj: dict[str, str], token: str, caller: Caller) -> Mounted:
        from azsandbox.keyvault.access import Origin
        from azsandbox.keyvault.errors import VaultError

        services = self._arm.services
        kinds = {"secret": "secrets", "key": "keys", "cert": "certificates"}
        kind = kinds.get(obj.get("objectType", ""))
        if kind is None:
            raise MountFailed("invalid vaultObjectTypes. Should be secret, key, or cert")
        name, version = obj["objectName"], obj.get("objectVersion", "")
        path = f"/{kind}/{name}/{version}"
        host = f"{vault.lower()}.vault.azure.net"
        found = services.vaults.at(host)
        if found is None:
            raise MountFailed(
                f'Get "https://{host}{path}?api-version={VERSION}": dial tcp: lookup {host} on 168.63.129.16:53: '
                "no such host"
            )
        try:
            _, body = services.vault_data.call(
                found, "GET", path, {"api-version": VERSION}, b"", f"Bearer {token}", caller.origin or Origin()
            )
        except VaultError as error:
            text = json.dumps(error.body, indent=2)
            raise MountFailed(_response(f"https://{host}{path}", error.status, error.code, text)) from None
        content = _decoded(str(body["value"]), obj.get("objectEncoding", ""))
        file = obj.get("objectAlias") or name
        return Mounted(f"{obj['objectType']}/{name}", str(body["id"]).rsplit("/", 1)[-1], file, content)


@dataclass(frozen=True)
class Token:
    """How a token for the vault is got: as the pod, the node, a service principal, or by pod-managed identity."""

    kind: str
    client: str = ""
    tenant: str = ""


def _flag(parameters: dict[str, str], name: str) -> bool:
    text = parameters.get(name, "")
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("", "0", "f", "false"):
        return False
    raise MountFailed(f'failed to parse {name} flag, error: strconv.ParseBool: parsing "{text}": invalid syntax')


def _objects(text: str) -> list[dict[str, str]]:
    """The objects of a SecretProviderClass: a YAML with a list of texts, each a YAML. Raises MountFailed."""
    try:
        outer = yaml.safe_load(text)
        inner = [yaml.safe_load(item) if isinstance(item, str) else item for item in (outer or {}).get("array") or ()]
        found = [{str(key): "" if value is None else str(value) for key, value in item.items()} for item in inner]
    except (yaml.YAMLError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise MountFailed(f"failed to yaml unmarshal objects, error: {reason}") from None
    for item in found:
        if not item.get("objectName"):
            raise MountFailed("objectName is not set")
        for name, plain in (("objectVersionHistory", ("", "0", "1")), ("objectFormat", ("", "pem"))):
            if item.get(name, "").lower() not in plain:
                raise MountFailed(
                    f"NotSupportedInSandbox: the sandbox does not support {name} '{item[name]}' of an object"
                )
    return found


def _decoded(value: str, encoding: str) -> bytes:
    """A value in the encoding that the object names. Raises MountFailed."""
    if encoding in ("", "utf-8"):
        return value.encode()
    try:
        if encoding == "base64":
            return base64.b64decode(value, validate=True)
        if encoding == "hex":
            return bytes.fromhex(value)
    except ValueError as error:
        raise MountFailed(f"failed to decode content: {error}") from None
    raise MountFailed("invalid objectEncoding. Should be utf-8, base64, or hex")


def _response(url: str, status: int, code: str, body: str) -> str:
    """An error answer as Azure's SDK for Go prints it (azcore.ResponseError)."""
    words = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 501: "Not Implemented"}
    head = f"RESPONSE {status}: {status} {words.get(status, '')}"
    return f"GET {url}\n{LINE}\n{head}\nERROR CODE: {code or 'UNAVAILABLE'}\n{LINE}\n{body}\n{LINE}\n"


def parameters_of(provider_class: Object) -> dict[str, str]:
    """The parameters of a SecretProviderClass."""
    return dict((provider_class.get("spec") or {}).get("parameters") or {})
