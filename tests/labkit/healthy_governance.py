"""Part 2 of the healthy baseline as Azure, Log Analytics and Gatekeeper answer it."""

from __future__ import annotations

from typing import Any

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-aks-baseline"
CLUSTER = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-aks-baseline/providers/Microsoft.ContainerService/managedClusters/aks-baseline"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/log-aks-baseline"
AUDIT = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-aks-baseline-audit"
    "/providers/Microsoft.OperationalInsights/workspaces/log-aks-baseline-audit"
)
REGISTRY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-aks-baseline-acr"
    "/providers/Microsoft.ContainerRegistry/registries/acraksbaseline"
)
PLAN = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Security/pricings/Containers"
ROLES = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
ADMINS, TEAM = "00000000-0000-0000-0000-00000000a001", "00000000-0000-0000-0000-00000000a002"
ADMIN, READER = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b", "7f6c6a51-bcf8-42ba-9220-52d62157d7db"
WRITER, USER = "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb", "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"
PULL, PUSH = "7f951dda-4ed3-4680-a7ca-43fe172d538d", "8311e382-0749-4cb8-b61a-304f252e45ec"
REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
PRIVILEGED = "95edb821-ddaf-4404-9732-666045e056b4"
ESCALATION = "1c6e92c9-99f0-4e55-9cf2-0c234dc48f99"
IMAGES = "febd0533-8e55-448f-b837-bd0e06f16469"
RESTRICTED = "42b8ef37-b724-4e24-bbc8-7a7708edfe00"
DEFINITIONS = "/providers/Microsoft.Authorization/policyDefinitions"
SETS = "/providers/Microsoft.Authorization/policySetDefinitions"
PATTERN = r"^acraksbaseline\.azurecr\.io/.+$|^mcr\.microsoft\.com/.+$"
LOGS = (
    "kube-audit-admin",
    "guard",
    "kube-controller-manager",
    "cluster-autoscaler",
    "kube-apiserver",
    "kube-scheduler",
)


def workspace(resource_id: str) -> dict[str, Any]:
    """A workspace as Azure answers it."""
    return {
        "id": resource_id,
        "name": resource_id.rsplit("/", 1)[-1],
        "properties": {
            "customerId": "00000000-0000-0000-0000-0000000c0001",
            "provisioningState": "Succeeded",
            "sku": {"name": "PerGB2018"},
            "retentionInDays": 30,
            "workspaceCapping": {"dailyQuotaGb": -1.0, "dataIngestionStatus": "RespectQuota"},
            "createdDate": "2026-11-20T08:00:00.0000000Z",
        },
    }


def diagnostic_setting() -> dict[str, Any]:
    """The diagnostic setting of the series; Azure answers ids of providers in lower case."""
    return {
        "id": f"{CLUSTER.lower()}/providers/microsoft.insights/diagnosticSettings/control-plane",
        "name": "control-plane",
        "type": "Microsoft.Insights/diagnosticSettings",
        "properties": {
            "storageAccountId": None,
            "workspaceId": AUDIT.replace("Microsoft.OperationalInsights", "microsoft.operationalinsights"),
            "metrics": [{"category": "AllMetrics", "enabled": True, "timeGrain": None}],
            "logs": [{"category": name, "categoryGroup": None, "enabled": True} for name in LOGS]
            + [{"category": "kube-audit", "categoryGroup": None, "enabled": False}],
            "logAnalyticsDestinationType": "Dedicated",
        },
    }


def category(name: str, *groups: str) -> dict[str, Any]:
    """A category of logs."""
    return {"name": name, "properties": {"categoryType": "Logs", "categoryGroups": list(groups)}}


def assignment(name: str, role: str, principal: str, kind: str, scope: str) -> dict[str, Any]:
    """A role assignment as Azure answers it."""
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "properties": {
            "roleDefinitionId": f"{ROLES}/{role}",
            "principalId": principal,
            "principalType": kind,
            "scope": scope,
        },
    }


def cluster_roles() -> list[dict[str, Any]]:
    """Who holds a role at the cluster and above it."""
    scope = CLUSTER.replace("resourcegroups", "resourceGroups")
    return [
        assignment("owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "me", "User", f"/subscriptions/{SUBSCRIPTION}"),
        assignment("admins", ADMIN, ADMINS, "Group", scope),
        assignment("team", USER, TEAM, "Group", scope),
    ]


def registry() -> dict[str, Any]:
    """The registry as Azure answers it."""
    return {
        "id": REGISTRY,
        "name": "acraksbaseline",
        "sku": {"name": "Premium", "tier": "Premium"},
        "properties": {
            "provisioningState": "Succeeded",
            "adminUserEnabled": False,
            "anonymousPullEnabled": False,
            "publicNetworkAccess": "Enabled",
            "networkRuleSet": {"defaultAction": "Deny", "ipRules": []},
            "zoneRedundancy": "Enabled",
            "roleAssignmentMode": "LegacyRegistryPermissions",
        },
    }


def plan() -> dict[str, Any]:
    """The plan of Defender for Containers."""
    extensions = [
        {"name": "ContainerSensor", "isEnabled": "True"},
        {"name": "AgentlessVmScanning", "isEnabled": "False"},
    ]
    return {"id": PLAN, "name": "Containers", "properties": {"pricingTier": "Standard", "extensions": extensions}}


def policy(name: str, definition: str, **parameters: Any) -> dict[str, Any]:
    """A policy assignment at the group as Azure answers it."""
    return {
        "id": f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/{name}",
        "name": name,
        "properties": {
            "policyDefinitionId": definition,
            "scope": GROUP,
            "notScopes": [],
            "parameters": {key: {"value": value} for key, value in parameters.items()},
            "enforcementMode": "Default",
            "metadata": {"createdOn": "2026-11-20T08:00:00.1234567Z", "updatedOn": None},
        },
    }


def policies() -> list[dict[str, Any]]:
    """The three assignments of the series, and Defender's initiative, which only audits."""
    return [
        policy("SecurityCenterBuiltIn", f"{SETS}/1f3afdf9-d0c9-4c3d-847f-89da613e70a8"),
        policy("privileged", f"{DEFINITIONS}/{PRIVILEGED}"),
        policy("escalation", f"{DEFINITIONS}/{ESCALATION}", effect="Deny"),
        policy("images", f"{DEFINITIONS}/{IMAGES}", effect="deny", allowedContainerImagesRegex=PATTERN)
        | {"systemData": {"createdAt": "2026-11-20T08:00:00Z", "lastModifiedAt": "2026-11-20T08:00:00Z"}},
    ]


def definitions() -> dict[str, dict[str, Any]]:
    """The definitions and initiatives that are assigned, as Azure gives them out, by path."""
    named = {PRIVILEGED: "Deny", ESCALATION: "Audit", IMAGES: "Deny"}
    excluded = ["kube-system", "gatekeeper-system", "azure-arc", "azure-extensions-usage-system"]
    found = {
        f"{DEFINITIONS}/{guid}": {
            "id": f"{DEFINITIONS}/{guid}",
            "properties": {
                "policyType": "BuiltIn",
                "policyRule": {"long": "text"},
                "parameters": {
                    "effect": {"type": "String", "defaultValue": effect},
                    "excludedNamespaces": {"type": "Array", "defaultValue": excluded},
                },
            },
        }
        for guid, effect in named.items()
    }
    found[f"{SETS}/1f3afdf9-d0c9-4c3d-847f-89da613e70a8"] = initiative(
        "1f3afdf9-d0c9-4c3d-847f-89da613e70a8", "MustRunAsNonPrivileged", "Audit"
    )
    return found


def initiative(guid: str, parameter: str, effect: str) -> dict[str, Any]:
    """An initiative with the privileged policy in it, whose effect is a parameter."""
    member = {
        "policyDefinitionId": f"{DEFINITIONS}/{PRIVILEGED}",
        "policyDefinitionReferenceId": "privilegedContainersShouldBeAvoided",
        "parameters": {"effect": {"value": f"[parameters('{parameter}')]"}},
    }
    parameters = {parameter: {"type": "String", "defaultValue": effect}}
    return {"id": f"{SETS}/{guid}", "properties": {"parameters": parameters, "policyDefinitions": [member]}}


def raw_constraint(kind: str, name: str, definition: str, action: str, **parameters: Any) -> dict[str, Any]:
    """A constraint as the add-on makes it, audited half an hour ago."""
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {
            "name": f"azurepolicy-{name}",
            "labels": {"managed-by": "azure-policy-addon"},
            "annotations": {
                "azure-policy-assignment-id": f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/{name}",
                "azure-policy-definition-id": f"{DEFINITIONS}/{definition}",
                "constraint-installed-by": "azure-policy-addon",
            },
        },
        "spec": {
            "enforcementAction": action,
            "match": {"excludedNamespaces": ["kube-system", "gatekeeper-system", "azure-arc"]},
            "parameters": parameters,
        },
        "status": {"totalViolations": 0, "auditTimestamp": "2026-11-22T11:30:00Z"},
    }


def raw_constraints() -> dict[str, list[dict[str, Any]]]:
    """The constraints by the plural of their kind."""
    return {
        "k8sazurev2noprivilege": [
            raw_constraint("K8sAzureV2NoPrivilege", "privileged", PRIVILEGED, "deny"),
            raw_constraint("K8sAzureV2NoPrivilege", "defender", PRIVILEGED, "dryrun"),
        ],
        "k8sazurev4noprivilegeescalation": [
            raw_constraint("K8sAzureV4NoPrivilegeEscalation", "escalation", ESCALATION, "deny")
        ],
        "k8sazurev2containerallowedimages": [
            raw_constraint("K8sAzureV2ContainerAllowedImages", "images", IMAGES, "deny", imageRegex=PATTERN)
        ],
    }


def raw_bindings() -> list[dict[str, Any]]:
    """Cluster role bindings: Kubernetes', AKS' and Flux's own of cluster-admin, and another."""

    def binding(name: str, role: str, *subjects: dict[str, str]) -> dict[str, Any]:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        return {"metadata": {"name": name}, "roleRef": reference, "subjects": list(subjects)}

    masters = {"kind": "Group", "name": "system:masters"}
    local = [{"kind": "User", "name": name} for name in ("clusterAdmin", "clusterUser")]
    flux = [
        {"kind": "ServiceAccount", "namespace": "flux-system", "name": f"{n}-controller"} for n in ("kustomize", "helm")
    ]
    return [
        binding("cluster-admin", "cluster-admin", masters),
        binding("aks-cluster-admin-binding", "cluster-admin", *local),
        binding("cluster-reconciler-flux-system", "cluster-admin", *flux),
        binding("tigera-operator", "tigera-operator", {"kind": "ServiceAccount", "name": "x", "namespace": "y"}),
    ]


def arm_answers() -> dict[str, Any]:
    """What Azure Resource Manager answers, by path in lower case."""
    scope = CLUSTER.replace("resourcegroups", "resourceGroups")
    roles = "providers/Microsoft.Authorization/roleAssignments"
    answers: dict[str, Any] = {
        WORKSPACE: workspace(WORKSPACE),
        AUDIT: workspace(AUDIT),
        f"{CLUSTER}/providers/Microsoft.Insights/diagnosticSettings": [diagnostic_setting()],
        f"{CLUSTER}/providers/Microsoft.Insights/diagnosticSettingsCategories": [
            category("kube-audit", "allLogs", "audit"),
            category("kube-audit-admin", "allLogs", "audit"),
            category("guard", "allLogs", "audit"),
            category("kube-controller-manager", "allLogs"),
        ],
        f"{CLUSTER}/{roles}": cluster_roles(),
        REGISTRY: registry(),
        f"{REGISTRY}/{roles}": [assignment("pull", PULL, "o", "ServicePrincipal", REGISTRY)],
        PLAN: plan(),
        f"{CLUSTER}/providers/Microsoft.Authorization/policyAssignments": policies(),
        **definitions(),
    }
    for namespace in ("staging", "production"):
        where = f"{scope}/namespaces/{namespace}"
        answers[f"{CLUSTER}/namespaces/{namespace}/{roles}"] = [
            *cluster_roles(),
            assignment(f"team-{namespace}", WRITER, TEAM, "Group", where),
        ]
    return {path.lower(): answer for path, answer in answers.items()}


def kubernetes_answers() -> dict[str, Any]:
    """What the API server answers, by path."""
    base = "/apis/constraints.gatekeeper.sh/v1beta1"
    found: dict[str, Any] = {f"{base}/{plural}": items for plural, items in raw_constraints().items()}
    found["/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"] = raw_bindings()
    return found


def constraint_kinds() -> list[dict[str, Any]]:
    """The kinds of constraints as discovery lists them, each with its status."""
    return [{"name": f"{plural}{part}"} for plural in raw_constraints() for part in ("", "/status")]


class HealthyLogs:
    """Answers queries of Log Analytics with `rows`, or raises it."""

    def __init__(self, rows: Any = None) -> None:
        self.rows = [[7]] if rows is None else rows
        self.asked: list[tuple[str, str]] = []

    def query(self, workspace: str, text: str) -> list[list[Any]]:
        self.asked.append((workspace, text))
        if isinstance(self.rows, Exception):
            raise self.rows
        return list(self.rows)
