"""What a vault's body may hold, its defaults, and how Azure refuses the rest (facts: data/azure/keyvault.json)."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.facts import read
from azsandbox.arm.resources import Document

GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
SWITCHES = ("enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment")
KNOWN = {
    "tenantId", "sku", "accessPolicies", "enableSoftDelete", "softDeleteRetentionInDays", "enableRbacAuthorization",
    "enablePurgeProtection", "networkAcls", "publicNetworkAccess", "createMode", *SWITCHES,
}  # fmt: skip
READ_ONLY = {"vaultUri", "provisioningState", "privateEndpointConnections"}


def facts() -> dict[str, Any]:
    """What is known of Key Vault."""
    return read("keyvault.json")


def bad(message: str) -> errors.ArmError:
    """400 as the provider words it."""
    return errors.ArmError(400, "BadRequest", message)


def accepted(properties: Document, before: Document, version: str, tenant: str) -> Document:
    """The properties that a vault has after a PUT of `properties`; `before` are those it had, {} for a new one.

    Raises ArmError.
    """
    for name, value in properties.items():
        if name not in KNOWN | READ_ONLY and value is not None:
            raise errors.not_supported(f"'properties.{name}' of a key vault")
    rbac = properties.get("enableRbacAuthorization")
    if rbac is None:
        rbac = before.get("enableRbacAuthorization") if before else version[:10] >= facts()["rbacByDefaultSince"]
    out: Document = {
        "sku": _sku(properties.get("sku")),
        "tenantId": _tenant(properties.get("tenantId"), tenant),
        "accessPolicies": _policies(properties, bool(rbac)),
        "enabledForDeployment": bool(properties.get("enabledForDeployment") or False),
        "enableSoftDelete": _soft_delete(properties, before),
        "softDeleteRetentionInDays": _retention(properties, before),
        "enableRbacAuthorization": bool(rbac),
    }
    for name in SWITCHES[1:]:
        if properties.get(name) is not None:
            out[name] = bool(properties[name])
    if _purge_protection(properties, before):
        out["enablePurgeProtection"] = True
    if properties.get("networkAcls") is not None:
        out["networkAcls"] = _network(properties["networkAcls"])
    public = str(properties.get("publicNetworkAccess") or "Enabled")
    out["publicNetworkAccess"] = next((v for v in ("Enabled", "Disabled") if v.lower() == public.lower()), "")
    if not out["publicNetworkAccess"]:
        raise bad(f"Invalid value found at properties.publicNetworkAccess: {public}")
    return out


def _sku(sku: Any) -> Document:
    if not isinstance(sku, dict) or not sku.get("name"):
        raise bad("The parameter sku is not specified.")
    name = next((s for s in facts()["skus"] if s == str(sku["name"]).lower()), None)
    if name is None:
        raise bad(f"Invalid value found at properties.sku.name: {sku['name']}")
    if str(sku.get("family") or "A").upper() != "A":
        raise bad(f"Invalid value found at properties.sku.family: {sku['family']}")
    return {"family": "A", "name": name}


def _tenant(given: Any, tenant: str) -> str:
    if not given or not GUID.fullmatch(str(given)):
        raise bad("An invalid value was provided for 'tenantId'.")
    if str(given).lower() != tenant.lower():
        raise errors.not_supported(f"a key vault of another tenant ('{given}')")
    return str(given)


def _policies(properties: Document, rbac: bool) -> list[Document]:
    given = properties.get("accessPolicies")
    if given is None:
        if not rbac:
            raise bad("The parameter accessPolicies is not specified.")
        return []
    found = access_policies(given)
    check_count(found)
    return found


def check_count(policies: list[Document]) -> None:
    """Raises where a vault would have more access policies than Azure lets it."""
    most = facts()["mostAccessPolicies"]
    if len(policies) > most:
        raise bad(f"The number of access policies {len(policies)} exceeds the limit of {most}.")


def access_policies(given: Any) -> list[Document]:
    """Access policies as they are kept. Raises ArmError that names the place of what is wrong."""
    if not isinstance(given, list):
        raise bad("The parameter accessPolicies is not specified.")
    return [_policy(policy, f"accessPolicies[{index}]") for index, policy in enumerate(given)]


def _policy(policy: Any, where: str) -> Document:
    if not isinstance(policy, dict):
        raise bad(f"Invalid value found at {where}: {policy}")
    out: Document = {}
    for key in ("tenantId", "objectId", "applicationId"):
        value = policy.get(key)
        if value is None and key == "applicationId":
            continue
        if not isinstance(value, str) or not GUID.fullmatch(value):
            raise bad(f"Invalid value found at {where}.{key[0].upper()}{key[1:]}: {value or ''}")
        out[key] = value
    permissions = policy.get("permissions") or {}
    out["permissions"] = {kind: _permissions(permissions[kind], kind, where) for kind in permissions}
    return out


def _permissions(names: Any, kind: str, where: str) -> list[str]:
    allowed = facts()["permissions"].get(kind)
    if allowed is None:
        raise bad(f"Invalid value found at {where}.permissions: {kind}")
    known = {name.lower(): name for name in allowed}
    out: list[str] = []
    for index, name in enumerate(names or []):
        if str(name).lower() not in known:
            raise bad(f"Invalid value found at {where}.permissions.{kind}[{index}]: {name}")
        out.append(str(name))
    return out


def _soft_delete(properties: Document, before: Document) -> bool:
    # Since February 2025 every vault has it ("Soft-delete will be enabled on all key vaults").
    if properties.get("enableSoftDelete") is False:
        raise bad(
            'The property "enableSoftDelete" can be set to false only for creating new vault. Enabling the '
            '"soft delete" functionality is an irreversible action.'
        )
    return True


def _retention(properties: Document, before: Document) -> int:
    most, least = facts()["retentionDays"]["most"], facts()["retentionDays"]["least"]
    given = properties.get("softDeleteRetentionInDays")
    kept = before.get("softDeleteRetentionInDays")
    if given is None:
        return int(kept or most)
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
        raise bad(f"Invalid value found at properties.softDeleteRetentionInDays: {given}")
    if kept is not None and given != kept:
        raise bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')
    return given


def _purge_protection(properties: Document, before: Document) -> bool:
    given = properties.get("enablePurgeProtection")
    if given is False:
        raise bad(
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an '
            "irreversible action."
        )
    return bool(given or before.get("enablePurgeProtection"))


def _network(given: Any) -> Document:
    if not isinstance(given, dict):
        raise bad(f"Invalid value found at properties.networkAcls: {given}")
    out: Document = {}
    for key, values in (("bypass", ("AzureServices", "None")), ("defaultAction", ("Allow", "Deny"))):
        value = str(given.get(key) or values[0])
        found = next((v for v in values if v.lower() == value.lower()), None)
        if found is None:
            raise bad(f"Invalid value found at properties.networkAcls.{key}: {value}")
        out[key] = found
    for key, most in facts()["mostNetworkRules"].items():
        rules = given.get(key) or []
        if len(rules) > most:
            raise bad(f"The number of {key} {len(rules)} exceeds the limit of {most}.")
        read_rule = _address if key == "ipRules" else _subnet
        out[key] = [read_rule(rule, f"properties.networkAcls.{key}[{index}]") for index, rule in enumerate(rules)]
    return out


def _address(rule: Any, where: str) -> Document:
    value = str((rule or {}).get("value") or "")
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        raise bad(f"Invalid value found at {where}.value: {value}") from None
    return {"value": str(network)}


def _subnet(rule: Any, where: str) -> Document:
    id_ = str((rule or {}).get("id") or "")
    if "/subnets/" not in id_.lower():
        raise bad(f"Invalid value found at {where}.id: {id_}")
    out: Document = {"id": id_.lower()}
    if (rule or {}).get("ignoreMissingVnetServiceEndpoint") is not None:
        out["ignoreMissingVnetServiceEndpoint"] = bool(rule["ignoreMissingVnetServiceEndpoint"])
    return out
