"""Faults of Azure Policy, one a row, as in `faults`."""

from __future__ import annotations

from typing import Any

from labkit.checks.evidence import Evidence
from tests.labkit import healthy_governance as healthy
from tests.labkit.faults import (
    DENIED,
    FAIL,
    GONE,
    PASS,
    SKIP,
    UNKNOWN,
    WARN,
    Seed,
    both,
    cluster,
    drop_workload,
    put,
    source,
    workload,
)
from tests.labkit.governance_faults import NEW, SCOPE


def policy(name: str, path: str, value: Any) -> Seed:
    """Change the assignment called `name`."""

    def seed(evidence: Evidence) -> None:
        found = evidence.sources["policy-assignments"]
        index = next(index for index, item in enumerate(found) if item["name"] == name)
        put("policy-assignments", f"{index}.{path}", value)(evidence)

    return seed


def no_policy(name: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        found = evidence.sources["policy-assignments"]
        evidence.sources["policy-assignments"] = [item for item in found if item["name"] != name]

    return seed


def initiative(effect: str | None, default: str = "Audit", **more: Any) -> Seed:
    """The restricted initiative in place of the assignment of the privileged policy."""
    given = {} if effect is None else {"effect": effect}
    item = healthy.policy("restricted", f"{healthy.SETS}/{healthy.RESTRICTED}", **given)
    item["properties"] |= more

    def seed(evidence: Evidence) -> None:
        no_policy("privileged")(evidence)
        evidence.sources["policy-assignments"].append(item)
        raw = healthy.initiative(healthy.RESTRICTED, "effect", default)
        evidence.sources["policy-definitions"][raw["id"].lower()] = {
            "id": raw["id"],
            "parameters": raw["properties"]["parameters"],
            "members": raw["properties"]["policyDefinitions"],
        }

    return seed


def no_constraint(kind: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        found = evidence.sources["constraints"]
        evidence.sources["constraints"] = [item for item in found if item["kind"] != kind]

    return seed


def constraint(kind: str, key: str, value: Any) -> Seed:
    """Change the first constraint of `kind`."""

    def seed(evidence: Evidence) -> None:
        next(item for item in evidence.sources["constraints"] if item["kind"] == kind)[key] = value

    return seed


def pattern(text: str) -> Seed:
    """The pattern of allowed images, in Azure and in the cluster."""
    return both(
        policy("images", "properties.parameters.allowedContainerImagesRegex.value", text),
        constraint(IMAGES, "parameters", {"imageRegex": text}),
    )


PRIVILEGED, ESCALATION, IMAGES = (
    "K8sAzureV2NoPrivilege",
    "K8sAzureV4NoPrivilegeEscalation",
    "K8sAzureV2ContainerAllowedImages",
)
OURS = r"^acraksbaseline\.azurecr\.io/.+$"
VIOLATION = {"kind": "Pod", "namespace": "staging", "name": "old", "message": "Privileged container is not allowed"}
EXCLUDED = ["kube-system", "gatekeeper-system", "azure-arc"]
excluded = "properties.parameters.excludedNamespaces"
created = "properties.metadata.createdOn"

POLICY_FAULTS: list[tuple[str, str, Any, Seed]] = [
    ("governance.policy-addon", "off", FAIL, cluster("addonProfiles.azurepolicy.enabled", False)),
    ("governance.policy-addon", "absent", FAIL, cluster("addonProfiles.azurepolicy", GONE)),
    (
        "governance.policy-addon",
        "off, and nothing readable",
        FAIL,
        both(cluster("addonProfiles.azurepolicy", GONE), source("workloads", DENIED)),
    ),
    ("governance.policy-addon", "denied", UNKNOWN, source("workloads", DENIED)),
    ("governance.policy-addon", "no webhook", FAIL, drop_workload("azure-policy-webhook")),
    ("governance.policy-addon", "no audit", FAIL, workload("gatekeeper-audit", ready=0)),
    ("governance.policy-addon", "one of two", FAIL, workload("gatekeeper-controller", ready=1)),
    ("governance.policy-addon", "one replica", FAIL, workload("gatekeeper-controller", wanted=1, ready=1)),
    ("governance.policy-privileged", "not assigned", FAIL, no_policy("privileged")),
    ("governance.policy-privileged", "denied", UNKNOWN, source("policy-assignments", DENIED)),
    ("governance.policy-privileged", "constraints denied", UNKNOWN, source("constraints", DENIED)),
    (
        "governance.policy-privileged",
        "not assigned, constraints denied",
        FAIL,
        both(no_policy("privileged"), source("constraints", DENIED)),
    ),
    (
        "governance.policy-privileged",
        "audits",
        FAIL,
        policy("privileged", "properties.parameters.effect", {"value": "Audit"}),
    ),
    (
        "governance.policy-privileged",
        "not enforced",
        FAIL,
        policy("privileged", "properties.enforcementMode", "DoNotEnforce"),
    ),
    ("governance.policy-privileged", "mode unsaid", PASS, policy("privileged", "properties.enforcementMode", GONE)),
    ("governance.policy-privileged", "left out", FAIL, policy("privileged", "properties.notScopes", [healthy.CLUSTER])),
    (
        "governance.policy-privileged",
        "left out with its group",
        FAIL,
        policy("privileged", "properties.notScopes", [healthy.GROUP]),
    ),
    (
        "governance.policy-privileged",
        "another left out",
        PASS,
        policy("privileged", "properties.notScopes", [f"{SCOPE}2"]),
    ),
    ("governance.policy-privileged", "no constraint", FAIL, no_constraint(PRIVILEGED)),
    ("governance.policy-privileged", "dry run only", FAIL, constraint(PRIVILEGED, "enforcementAction", "dryrun")),
    (
        "governance.policy-privileged",
        "not synced yet",
        WARN,
        both(no_constraint(PRIVILEGED), policy("privileged", created, NEW)),
    ),
    (
        "governance.policy-privileged",
        "not synced after 20 minutes",
        FAIL,
        both(no_constraint(PRIVILEGED), policy("privileged", created, "2026-11-22T11:40:00Z")),
    ),
    (
        "governance.policy-privileged",
        "just changed",
        WARN,
        both(no_constraint(PRIVILEGED), policy("privileged", "properties.metadata.updatedOn", NEW)),
    ),
    ("governance.policy-privileged", "by an initiative", PASS, initiative("Deny")),
    ("governance.policy-privileged", "an initiative's default", FAIL, initiative(None)),
    ("governance.policy-privileged", "an initiative's default of Deny", PASS, initiative(None, "Deny")),
    (
        "governance.policy-privileged",
        "an initiative's override",
        PASS,
        initiative(None, overrides=[{"kind": "policyEffect", "value": "Deny"}]),
    ),
    (
        "governance.policy-privileged",
        "another member's override",
        FAIL,
        initiative(
            None,
            overrides=[
                {
                    "kind": "policyEffect",
                    "value": "Deny",
                    "selectors": [{"kind": "policyDefinitionReferenceId", "in": ["other"]}],
                }
            ],
        ),
    ),
    (
        "governance.policy-privileged",
        "by an initiative that cannot be read",
        PASS,
        both(initiative("Deny"), source("policy-definitions", {})),
    ),
    ("governance.policy-privilege-escalation", "not assigned", FAIL, no_policy("escalation")),
    (
        "governance.policy-privilege-escalation",
        "effect unsaid",
        FAIL,
        policy("escalation", "properties.parameters", {}),
    ),
    (
        "governance.policy-privilege-escalation",
        "effect unsaid, definition unread",
        FAIL,
        both(policy("escalation", "properties.parameters", {}), source("policy-definitions", DENIED)),
    ),
    ("governance.policy-privilege-escalation", "no constraint", FAIL, no_constraint(ESCALATION)),
    ("governance.policy-privilege-escalation", "denied", UNKNOWN, source("constraints", DENIED)),
    ("governance.policy-allowed-images", "not assigned", FAIL, no_policy("images")),
    ("governance.policy-allowed-images", "no constraint", FAIL, no_constraint(IMAGES)),
    ("governance.policy-allowed-images", "denied", UNKNOWN, source("constraints", DENIED)),
    ("governance.policy-allowed-images", "another registry", FAIL, pattern(r"^other\.azurecr\.io/.+$")),
    ("governance.policy-allowed-images", "anything", FAIL, pattern(".+")),
    ("governance.policy-allowed-images", "no anchor", WARN, pattern(r"acraksbaseline\.azurecr\.io/.+$")),
    ("governance.policy-allowed-images", "unescaped", WARN, pattern("^acraksbaseline.azurecr.io/.+$")),
    ("governance.policy-allowed-images", "no expression", FAIL, pattern("^(acr")),
    ("governance.policy-allowed-images", "an expression of Perl's", FAIL, pattern("^(?=acr)acraksbaseline/.+$")),
    (
        "governance.policy-allowed-images",
        "the docker library, as the baseline's",
        PASS,
        pattern(OURS + r"|^docker\.io/library/.+$"),
    ),
    ("governance.policy-allowed-images", "no pattern", FAIL, policy("images", "properties.parameters", {})),
    (
        "governance.policy-allowed-images",
        "the cluster has another",
        FAIL,
        constraint(IMAGES, "parameters", {"imageRegex": ".*"}),
    ),
    (
        "governance.policy-allowed-images",
        "the cluster has the old one still",
        WARN,
        both(
            constraint(IMAGES, "parameters", {"imageRegex": ".*"}),
            policy("images", "systemData.lastModifiedAt", NEW),
        ),
    ),
    (
        "governance.policy-excluded-namespaces",
        "kube-system",
        FAIL,
        policy("privileged", excluded, {"value": EXCLUDED[1:]}),
    ),
    ("governance.policy-excluded-namespaces", "denied", UNKNOWN, source("policy-assignments", DENIED)),
    ("governance.policy-excluded-namespaces", "none", FAIL, policy("escalation", excluded, {"value": []})),
    ("governance.policy-excluded-namespaces", "the least", PASS, policy("escalation", excluded, {"value": EXCLUDED})),
    (
        "governance.policy-excluded-namespaces",
        "an application's",
        FAIL,
        policy("images", excluded, {"value": [*EXCLUDED, "production"]}),
    ),
    (
        "governance.policy-excluded-namespaces",
        "default",
        FAIL,
        policy("images", excluded, {"value": [*EXCLUDED, "default"]}),
    ),
    (
        "governance.policy-excluded-namespaces",
        "an application's, in the cluster",
        FAIL,
        constraint(ESCALATION, "excludedNamespaces", [*EXCLUDED, "staging"]),
    ),
    (
        "governance.policy-excluded-namespaces",
        "Flux from elsewhere",
        FAIL,
        put("flux-deployments", "0.containers.0.image", "ghcr.io/fluxcd/source-controller:v1.7.4"),
    ),
    (
        "governance.policy-excluded-namespaces",
        "Flux from elsewhere, excluded",
        PASS,
        both(
            put("flux-deployments", "0.containers.0.image", "ghcr.io/fluxcd/source-controller:v1.7.4"),
            policy("images", excluded, {"value": [*EXCLUDED, "flux-system"]}),
        ),
    ),
    ("governance.policy-excluded-namespaces", "nothing assigned", SKIP, source("policy-assignments", [])),
    (
        "governance.policy-compliance",
        "a violation",
        FAIL,
        constraint(
            PRIVILEGED,
            "status",
            {"totalViolations": 1, "auditTimestamp": "2026-11-22T11:59:00Z", "violations": [VIOLATION]},
        ),
    ),
    ("governance.policy-compliance", "denied", UNKNOWN, source("constraints", DENIED)),
    ("governance.policy-compliance", "no audit yet", UNKNOWN, constraint(ESCALATION, "status", None)),
    (
        "governance.policy-compliance",
        "an old audit",
        FAIL,
        constraint(IMAGES, "status", {"totalViolations": 0, "auditTimestamp": "2026-11-22T11:00:00Z"}),
    ),
    (
        "governance.policy-compliance",
        "just young enough",
        PASS,
        constraint(IMAGES, "status", {"totalViolations": 0, "auditTimestamp": "2026-11-22T11:00:01Z"}),
    ),
    ("governance.policy-compliance", "nothing denies", SKIP, source("constraints", [])),
]
