"""securityProfile of a managed cluster: Microsoft Defender and its workspace, workload identity, the image cleaner.

Kept as the api-versions of today have it; those before 2022-06-01 say `azureDefender` for `defender`
(azure-sdk-for-java, containerservice 2.17.0: `azureDefender` replaced by `defender`).
"""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.arm.call import Call
from azsandbox.arm.providers.containerservice.errors import aks, missing, not_supported

Document = dict[str, Any]
DEFENDER_SINCE = "2022-06-01"
KEPT = {"defender", "workloadIdentity", "imageCleaner"}
REFUSED = {
    "azureKeyVaultKms": "encryption of etcd with a key of Azure Key Vault",
    "kubernetesResourceObjectEncryptionProfile": "encryption of Kubernetes objects with keys of a customer",
    "imageIntegrity": "image integrity",
    "nodeRestriction": "node restriction",
    "customCATrustCertificates": "certificate authorities of a customer",
}
WORKSPACE = "logAnalyticsWorkspaceResourceId"


def accept(sent: Document, current: Document | None, api_version: str) -> Document:
    """The profile to store. Raises AKS's errors, and for what the sandbox has not its own.

    Defender and the others stay as they are where a request leaves them out, since AKS changes only what it is told.
    """
    out: Document = copy.deepcopy(current or {})
    own = dict(sent)
    if api_version < DEFENDER_SINCE and "azureDefender" in own:
        old = own.pop("azureDefender") or {}
        own["defender"] = {"securityMonitoring": {"enabled": bool(old.get("enabled"))}, WORKSPACE: old.get(WORKSPACE)}
    for key, value in own.items():
        if key in REFUSED:
            if value and (not isinstance(value, dict) or value.get("enabled") or "enabled" not in value):
                raise not_supported(f"{REFUSED[key]} (securityProfile.{key})")
        elif key not in KEPT:
            raise not_supported(f"the property 'properties.securityProfile.{key}'")
        elif value is not None:
            out[key] = _defender(value) if key == "defender" else copy.deepcopy(value)
    return out


def _defender(sent: Document) -> Document:
    """The sensor and the workspace that it tells. The workspace is needed while it is on (ManagedCluster, REST reference)."""
    for key, value in sent.items():
        if key == "securityGating" and (value or {}).get("enabled"):
            raise not_supported("gated deployment (securityProfile.defender.securityGating)")
        if key not in ("securityMonitoring", "securityGating", WORKSPACE):
            raise not_supported(f"the property 'properties.securityProfile.defender.{key}'")
    out: Document = {}
    if sent.get(WORKSPACE):
        out[WORKSPACE] = sent[WORKSPACE]
    enabled = bool((sent.get("securityMonitoring") or {}).get("enabled"))
    if enabled and WORKSPACE not in out:
        raise missing(f"securityProfile.defender.{WORKSPACE}")
    return out | {"securityMonitoring": {"enabled": enabled}}


def check_workspace(call: Call, profile: Document) -> None:
    """Raises where the sensor is on and the workspace that it names is not there."""
    defender = profile.get("defender") or {}
    id_ = str(defender.get(WORKSPACE) or "")
    if (defender.get("securityMonitoring") or {}).get("enabled") and call.arm.resources.get(id_) is None:
        text = f"The Log Analytics workspace '{id_}' of Microsoft Defender was not found."
        raise aks(400, "WorkspaceNotFound", text, target=f"securityProfile.defender.{WORKSPACE}")


def present(profile: Document, api_version: str) -> Document:
    """The profile as an api-version has it."""
    if api_version >= DEFENDER_SINCE or "defender" not in profile:
        return profile
    defender = profile["defender"]
    old = {"enabled": defender["securityMonitoring"]["enabled"]}
    if WORKSPACE in defender:
        old[WORKSPACE] = defender[WORKSPACE]
    return {key: value for key, value in profile.items() if key != "defender"} | {"azureDefender": old}
