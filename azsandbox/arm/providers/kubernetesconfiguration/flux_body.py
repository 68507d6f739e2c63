"""What may stand in the body of a Flux configuration, and the defaults that Azure fills in.

Defaults are those that azure-service-operator's recording of api-version 2024-11-01 shows, and for what it does not
show those of the specification.
"""

from __future__ import annotations

import re
from typing import Any

from azsandbox.arm.providers.kubernetesconfiguration.base import check_known
from azsandbox.arm.providers.kubernetesconfiguration.extension_body import failed
from azsandbox.arm.providers.kubernetesconfiguration.sources import SOURCES, source
from azsandbox.arm.resources import Document

WRITABLE = (
    "scope",
    "namespace",
    "sourceKind",
    "suspend",
    *SOURCES.values(),
    "kustomizations",
    "configurationProtectedSettings",
    "waitForReconciliation",
    "reconciliationWaitDuration",
)
REPORTED: Document = {
    "repositoryPublicKey": None,
    "sourceUpdatedAt": None,
    "statusUpdatedAt": None,
    "sourceSyncedCommitId": None,
    "complianceState": None,
}
READ_ONLY = (*REPORTED, "provisioningState", "errorMessage", "statuses")
PROTECTED = ("sshPrivateKey", "httpsKey", "bucketSecretKey")  # az k8s-configuration flux create
SCOPES = ("cluster", "namespace")
KUSTOMIZATION = (
    "name",
    "path",
    "dependsOn",
    "timeoutInSeconds",
    "syncIntervalInSeconds",
    "retryIntervalInSeconds",
    "prune",
    "force",
    "wait",
    "postBuild",
)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
DURATION = re.compile(r"P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


def accept(sent: Document, old: Document | None) -> Document:
    """The properties to store, without the provisioning state. `old` are those of a configuration that is there, whose
    reports are kept. Raises ArmError."""
    check_known(sent, (*WRITABLE, *READ_ONLY), "FluxConfigurationProperties")
    kind = sent.get("sourceKind")
    if kind not in SOURCES:
        raise failed(f"Invalid source kind '{kind}'. The source kind must be one of {', '.join(SOURCES)}.")
    out: Document = {
        "scope": _scope(sent.get("scope") or (old or {}).get("scope") or "cluster"),
        "namespace": _namespace(sent.get("namespace") or (old or {}).get("namespace") or "default"),
        "sourceKind": kind,
        "suspend": flag(sent, "suspend", False),
    }
    if old:
        for key in ("scope", "namespace"):
            if out[key] != old[key]:
                raise failed(f"The {key} of a flux configuration cannot be changed from '{old[key]}' to '{out[key]}'.")
    for other, key in SOURCES.items():
        if other == kind and not isinstance(sent.get(key), dict):
            raise failed(
                f"Invalid source kind match. Config with specified source kind '{kind}' must contain corresponding body "
                "specified in the properties."
            )
        if other != kind and sent.get(key):
            raise failed(
                f"Invalid source kind match. Config with specified source kind '{kind}' must not contain the body "
                f"'{key}' of another source kind in the properties."
            )
    for key in ("gitRepository", "bucket", "azureBlob", "ociRepository"):
        out[key] = source(key, sent[key]) if key == SOURCES[kind] else None
    found = sent.get("kustomizations") or {}
    if not isinstance(found, dict):
        raise failed("kustomizations must be an object, a name with each kustomization.")
    out["kustomizations"] = {name: _kustomization(name, value) for name, value in found.items()}
    out["configurationProtectedSettings"] = {}
    out |= {key: (old or {}).get(key) for key in REPORTED}
    out["provisioningState"] = None
    out["errorMessage"] = (old or {}).get("errorMessage")
    out["waitForReconciliation"] = flag(sent, "waitForReconciliation", False)
    out["reconciliationWaitDuration"] = _duration(sent.get("reconciliationWaitDuration"))
    out["statuses"] = (old or {}).get("statuses") or []
    return out


def protected(sent: dict[str, str]) -> dict[str, str]:
    """The protected settings of a body, whose names must be ones that the agent knows."""
    unknown = [key for key in sent if key not in PROTECTED]
    if unknown:
        raise failed(f"The protected setting '{unknown[0]}' is not one of {', '.join(PROTECTED)}.")
    return sent


def _scope(value: Any) -> str:
    if value not in SCOPES:
        raise failed(f"Invalid scope '{value}'. The scope must be one of {', '.join(SCOPES)}.")
    return str(value)


def _namespace(value: Any) -> str:
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise failed(f"Invalid namespace '{value}'. It must be a DNS label of at most 63 characters.")
    return value


def _duration(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not DURATION.fullmatch(value):
        raise failed(f"Invalid reconciliationWaitDuration '{value}'. It must be an ISO 8601 duration such as PT30M.")
    return value


def duration_seconds(text: str) -> float:
    """Seconds of an ISO 8601 duration without years and months: PT1H30M, P1D."""
    units = {"D": 86400, "H": 3600, "M": 60, "S": 1}
    return sum(float(number) * units[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([DHMS])", text))


def _kustomization(name: str, sent: Any) -> Document:
    """A kustomization with its name and defaults."""
    where = f"kustomizations.{name}"
    if not NAME.fullmatch(name):
        raise failed(f"Invalid kustomization name '{name}'. It must be a DNS subdomain of at most 63 characters.")
    if sent is None:
        sent = {}
    if not isinstance(sent, dict):
        raise failed(f"{where} must be an object.")
    check_known(sent, KUSTOMIZATION, "KustomizationDefinition")
    depends = sent.get("dependsOn")
    if depends is not None and (not isinstance(depends, list) or any(not isinstance(d, str) for d in depends)):
        raise failed(f"{where}.dependsOn must be a list of names of kustomizations.")
    path = sent.get("path")
    if path is not None and not isinstance(path, str):
        raise failed(f"{where}.path must be a string.")
    return {
        "name": name,
        "path": path or "",
        "dependsOn": depends,
        "timeoutInSeconds": seconds(sent, "timeoutInSeconds", 600, where),
        "syncIntervalInSeconds": seconds(sent, "syncIntervalInSeconds", 600, where),
        "retryIntervalInSeconds": seconds(sent, "retryIntervalInSeconds", None, where),
        "prune": flag(sent, "prune", False),
        "force": flag(sent, "force", False),
        "wait": flag(sent, "wait", True),
        "postBuild": _post_build(sent.get("postBuild"), where),
    }


def _post_build(sent: Any, where: str) -> Document | None:
    """Substitutions; parts that were not sent are left out, as they come back."""
    if sent is None:
        return None
    if not isinstance(sent, dict):
        raise failed(f"{where}.postBuild must be an object.")
    check_known(sent, ("substitute", "substituteFrom"), "PostBuildDefinition")
    out: Document = {"substitute": None, "substituteFrom": None}
    values = sent.get("substitute")
    if values is not None:
        if not isinstance(values, dict) or any(not isinstance(v, str) for v in values.values()):
            raise failed(f"{where}.postBuild.substitute must be an object whose values are strings.")
        out["substitute"] = dict(values)
    sources = sent.get("substituteFrom")
    if sources is not None:
        if not isinstance(sources, list):
            raise failed(f"{where}.postBuild.substituteFrom must be a list.")
        out["substituteFrom"] = [_substitute_from(entry, where) for entry in sources]
    return out


def _substitute_from(sent: Any, where: str) -> Document:
    if not isinstance(sent, dict):
        raise failed(f"{where}.postBuild.substituteFrom must be a list of objects.")
    check_known(sent, ("kind", "name", "optional"), "SubstituteFromDefinition")
    kind, name = sent.get("kind"), sent.get("name")
    if kind not in ("ConfigMap", "Secret") or not name:
        raise failed(f"{where}.postBuild.substituteFrom needs a kind, ConfigMap or Secret, and a name.")
    return {"kind": kind, "name": name, "optional": flag(sent, "optional", False)}


def flag(sent: Document, key: str, default: bool) -> bool:
    """A true or false of a body."""
    value = sent.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise failed(f"{key} must be true or false, not {value!r}.")
    return value


def seconds(sent: Document, key: str, default: int | None, where: str) -> int | None:
    """A positive number of seconds of a body."""
    value = sent.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise failed(f"{where}.{key} must be a positive number of seconds, not {value!r}.")
    return value
