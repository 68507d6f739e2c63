"""What may stand in the body of an extension, and the defaults that Azure fills in."""

from __future__ import annotations

import functools
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.facts import read
from azsandbox.arm.providers.kubernetesconfiguration.base import FACTS, check_known, settings
from azsandbox.arm.resources import Document

FLUX = "microsoft.flux"
WRITABLE = (
    "extensionType",
    "autoUpgradeMinorVersion",
    "autoUpgradeMode",
    "releaseTrain",
    "version",
    "scope",
    "configurationSettings",
    "configurationProtectedSettings",
)
READ_ONLY = (
    "currentVersion",
    "provisioningState",
    "installState",
    "statuses",
    "errorInfo",
    "customLocationSettings",
    "packageUri",
    "aksAssignedIdentity",
    "isSystemExtension",
    "managementDetails",
    "additionalDetails",
    "extensionState",
)
UPGRADE_MODES = ("none", "patch", "compatible")
DEFAULT_NAMESPACE = "kube-system"  # example CreateExtensionWithPlan of the specification


@functools.cache
def types() -> dict[str, dict[str, Any]]:
    """The extension types that Azure offers, by name in lower case."""
    return {row["name"].lower(): row for row in read(FACTS)["extensionTypes"]}


def accept(sent: Document, old: Document | None, *, offered: bool, location: str) -> Document:
    """The properties to store, without states. `old` are those of an extension that is there.

    `offered` says that the body names a plan: what the marketplace offers has extension types of any name.
    Raises ArmError.
    """
    check_known(sent, (*WRITABLE, *READ_ONLY), "ExtensionProperties")
    kind = sent.get("extensionType") or (old or {}).get("extensionType")
    if not kind or not isinstance(kind, str):
        raise failed("Extension type must be specified in the properties of the extension.")
    if old and str(kind).lower() != old["extensionType"].lower():
        raise failed(
            f"The extension type cannot be changed from '{old['extensionType']}' to '{kind}'. Delete the extension first."
        )
    known = types().get(kind.lower(), {})
    if not known and not offered:
        message = f"Extension type {kind.lower()} is not registered in region {location}."
        raise errors.ArmError(400, "ExtensionTypeRegistrationGetFailed", message)
    version = sent.get("version")
    automatic = sent.get("autoUpgradeMinorVersion")
    if automatic is None:
        automatic = version is None
    if not isinstance(automatic, bool):
        raise failed("autoUpgradeMinorVersion must be true or false.")
    out: Document = {
        "extensionType": kind,
        "autoUpgradeMinorVersion": automatic,
        "releaseTrain": sent.get("releaseTrain") or "Stable",
        "version": version,
        "currentVersion": (old or {}).get("currentVersion"),
        "scope": _scope(sent.get("scope") or (old or {}).get("scope"), known),
        "configurationSettings": settings(sent.get("configurationSettings"), "configurationSettings"),
        "configurationProtectedSettings": {},
        "statuses": (old or {}).get("statuses") or [],
        "aksAssignedIdentity": (old or {}).get("aksAssignedIdentity"),
        "isSystemExtension": False,
    }
    mode = sent.get("autoUpgradeMode")
    if mode is not None:
        if mode not in UPGRADE_MODES:
            raise failed(f"autoUpgradeMode must be one of {', '.join(UPGRADE_MODES)}, not '{mode}'.")
        out["autoUpgradeMode"] = mode
    return out


def _scope(sent: Any, known: dict[str, Any]) -> Document:
    """The scope, with the namespace of the release filled in."""
    default = known.get("namespace") or DEFAULT_NAMESPACE
    if not sent:
        return {"cluster": {"releaseNamespace": default}}
    if not isinstance(sent, dict):
        raise failed("scope must be an object with either cluster or namespace.")
    cluster, namespace = sent.get("cluster"), sent.get("namespace")
    check_known(sent, ("cluster", "namespace"), "Scope")
    if cluster is not None and namespace is not None:
        raise failed("An extension has one scope: either cluster or namespace.")
    if namespace is not None:
        if known.get("clusterScopeOnly"):
            # The text is that of Azure Machine Learning's extension, which has the same rule.
            raise failed("Invalid scope 'namespace'. This extension can be installed only at 'cluster' scope.")
        check_known(namespace, ("targetNamespace",), "ScopeNamespace")
        if not namespace.get("targetNamespace"):
            raise failed("The scope namespace needs a targetNamespace.")
        return {"namespace": {"targetNamespace": namespace["targetNamespace"]}}
    check_known(cluster or {}, ("releaseNamespace",), "ScopeCluster")
    return {"cluster": {"releaseNamespace": (cluster or {}).get("releaseNamespace") or default}}


def failed(message: str) -> errors.ArmError:
    """400 ValidationFailed, as the service refuses bodies."""
    return errors.ArmError(400, "ValidationFailed", message)
