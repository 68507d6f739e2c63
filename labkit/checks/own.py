"""Checks of the lab itself: ready to start, the groundwork laid, and everything gone again.

Those of the cluster are in the catalogue; these are asked for by name (`lab.check("preflight")`), since a lab cannot
be ready, built and gone at once. Like the others each is a pure function of evidence that `collect` has read.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labkit.azure.resource_group import FEATURES, PROVIDERS, TAGS
from labkit.checks.core import Check, Finding, Judge, Status, failed, passed
from labkit.checks.evidence import Evidence, Problem, api_versions
from labkit.checks.lookup import at, same
from labkit.errors import LabError, ReadError
from labkit.readers import Arm
from labkit.settings import Settings

JUDGES: dict[str, tuple[Judge, tuple[str, ...]]] = {}
"""Which function judges which check, and the sources that it reads."""


def _judges(check_id: str, *sources: str) -> Callable[[Judge], Judge]:
    def register(judge: Judge) -> Judge:
        JUDGES[check_id] = (judge, sources)
        return judge

    return register


@cache
def checks() -> dict[str, Check]:
    """Every check of the lab itself by its id, in the order of data/lab-checks.toml."""
    text = resources.files("labkit").joinpath("data/lab-checks.toml").read_text(encoding="utf-8")
    found = {}
    for check_id, texts in tomllib.loads(text)["checks"].items():
        judge, sources = JUDGES[check_id]
        found[check_id] = Check(
            id=check_id,
            title=texts["title"],
            severity=texts["severity"],
            era="modern",
            lesson=texts["lesson"],
            why=texts["why"],
            next=texts["next"],
            hints=tuple(texts["hints"]),
            references=tuple(texts["references"]),
            reads=sources,
            also=(),
            judge=judge,
        )
    return found


def select(ids: Iterable[str]) -> tuple[Check, ...]:
    """The checks that `ids` name, by id or by part ("preflight"); none for names that are not of these."""
    wanted = tuple(ids)
    return tuple(check for check in checks().values() if check.id in wanted or check.part in wanted)


def collect(
    selected: Iterable[Check], settings: Settings, subscription_id: str, arm: Arm, kubeconfig: Path
) -> Evidence:
    """Evidence for the `selected` checks, each source read once; one that cannot be read is noted as such."""
    evidence = Evidence(settings, datetime.now(UTC), settings.profile, subscription_id)
    reading = _Reading(settings, f"/subscriptions/{subscription_id}", arm, kubeconfig)
    for source in dict.fromkeys(name for check in selected for name in check.reads):
        try:
            evidence.sources[source] = READERS[source](reading)
        except ReadError as error:
            reason = f"{source} could not be read: {error.message}"
            evidence.sources[source] = Problem(Status.UNKNOWN, reason, next_command="labkit status")
    return evidence


class _Reading:
    """Reads of what surrounds the cluster."""

    def __init__(self, settings: Settings, subscription: str, arm: Arm, kubeconfig: Path) -> None:
        self.settings, self.subscription, self.arm, self.kubeconfig = settings, subscription, arm, kubeconfig

    def _list(self, path: str, version: str) -> list[dict[str, Any]]:
        pages: Iterator[list[dict[str, Any]]] = self.arm.pages(f"{self.subscription}{path}", api_versions()[version])
        return [item for page in pages for item in page]

    def _get(self, path: str, version: str) -> dict[str, Any]:
        """The object, or an empty one when there is none."""
        try:
            return self.arm.get(f"{self.subscription}{path}", api_versions()[version])
        except ReadError as error:
            if error.missing:
                return {}
            raise

    def _in_group(self, rest: str, version: str) -> dict[str, Any]:
        return self._get(f"/resourceGroups/{self.settings.resource_group}{rest}", version)

    def kubectl(self) -> str:
        """The version of the kubectl on the PATH, or empty."""
        program = shutil.which("kubectl")
        if program is None:
            return ""
        ended = subprocess.run(
            [program, "version", "--client", "--output=json"], capture_output=True, text=True, check=False
        )
        try:
            return str(json.loads(ended.stdout)["clientVersion"]["gitVersion"])
        except (ValueError, KeyError):
            return "of an unknown version"

    def providers(self) -> dict[str, str]:
        return {
            name: str(self._get(f"/providers/{name}", "providers").get("registrationState", "absent"))
            for name in PROVIDERS
        }

    def features(self) -> dict[str, str]:
        path = "/providers/Microsoft.Features/providers/{}/features/{}"
        return {
            f"{namespace}/{feature}": str(
                at(self._get(path.format(namespace, feature), "features"), "properties.state")
            )
            for namespace, feature in FEATURES
        }

    def permissions(self) -> list[dict[str, Any]]:
        return self._list("/providers/Microsoft.Authorization/permissions", "permissions")

    def versions(self) -> list[str]:
        path = f"/providers/Microsoft.ContainerService/locations/{self.settings.region}/kubernetesVersions"
        return [str(item.get("version")) for item in self._list(path, "managedClusters") if not item.get("isPreview")]

    def sizes(self) -> dict[str, dict[str, Any]]:
        """Zones, family and vCPUs of the sizes that the pools ask for, by lower-case name."""
        wanted = {self.settings.system_pool.vm_size.lower(), self.settings.user_pool.vm_size.lower()}
        query = quote(f"location eq '{self.settings.region}'")
        found = {}
        for item in self._list(f"/providers/Microsoft.Compute/skus?$filter={query}", "skus"):
            if item.get("resourceType") == "virtualMachines" and str(item.get("name")).lower() in wanted:
                zones = {zone for info in item.get("locationInfo") or [] for zone in info.get("zones") or []}
                able = {entry["name"]: entry["value"] for entry in item.get("capabilities") or []}
                found[str(item["name"]).lower()] = {
                    "zones": sorted(zones),
                    "family": item.get("family"),
                    "cores": int(able.get("vCPUs", 0)),
                }
        return found

    def usages(self) -> dict[str, tuple[int, int]]:
        """vCPUs in use and allowed, by lower-case name of the family."""
        path = f"/providers/Microsoft.Compute/locations/{self.settings.region}/usages"
        return {
            str(at(item, "name.value")).lower(): (int(item["currentValue"]), int(item["limit"]))
            for item in self._list(path, "usages")
        }

    def group(self) -> dict[str, Any]:
        return self._in_group("", "resources")

    def network(self) -> dict[str, Any]:
        return self._in_group(f"/providers/Microsoft.Network/virtualNetworks/{self.settings.vnet}", "virtualNetworks")

    def workspace(self) -> dict[str, Any]:
        rest = f"/providers/Microsoft.OperationalInsights/workspaces/{self.settings.workspace}"
        return self._in_group(rest, "workspaces")

    def groups(self) -> list[dict[str, Any]]:
        return self._list("/resourceGroups", "resources")

    def assignments(self) -> list[dict[str, Any]]:
        return self._list("/providers/Microsoft.Authorization/roleAssignments", "roleAssignments")

    def vaults(self) -> list[dict[str, Any]]:
        """Key vaults that are in use, and those that were deleted and not purged; each says which by `deleted`."""
        provider = "/providers/Microsoft.KeyVault"
        try:
            used, deleted = (self._list(f"{provider}/{kind}", "vaults") for kind in ("vaults", "deletedVaults"))
        except ReadError as error:
            if error.code == "MissingSubscriptionRegistration":
                return []
            raise
        return [{**item, "deleted": False} for item in used] + [{**item, "deleted": True} for item in deleted]

    def contexts(self) -> list[str]:
        """Names of the contexts, clusters and users that the lab's kubeconfig holds."""
        from labkit import kubeconfig

        if not self.kubeconfig.exists():
            return []
        try:
            document = kubeconfig.read(self.kubeconfig)
        except LabError as error:
            raise ReadError(error.message, 0, "Kubeconfig") from error
        return [
            str(entry.get("name")) for part in ("contexts", "clusters", "users") for entry in document.get(part) or []
        ]


READERS: Mapping[str, Callable[[_Reading], Any]] = {
    name: getattr(_Reading, name)
    for name in (
        "kubectl",
        "providers",
        "features",
        "permissions",
        "versions",
        "sizes",
        "usages",
        "group",
        "network",
        "workspace",
        "groups",
        "assignments",
        "vaults",
        "contexts",
    )
}


@_judges("preflight.kubectl", "kubectl")
def kubectl(evidence: Evidence) -> Finding:
    """kubectl is installed."""
    version = evidence.read("kubectl")
    expected = "kubectl on the PATH"
    if not version:
        return failed("no kubectl", expected, "the lessons run kubectl")
    return passed(f"kubectl {version}", expected)


@_judges("preflight.providers", "providers")
def providers(evidence: Evidence) -> Finding:
    """The resource providers that part 1 needs are registered with the subscription."""
    states = evidence.read("providers")
    missing = [f"{name} is {state}" for name, state in states.items() if state != "Registered"]
    expected = "all Registered"
    if missing:
        return failed(missing, expected, "Azure refuses resources of a provider that is not registered")
    return passed(f"{len(states)} of {len(states)} Registered", expected)


@_judges("preflight.roles", "permissions")
def roles(evidence: Evidence) -> Finding:
    """Whoever is signed in may make resources and give roles."""
    needed = ("Microsoft.ContainerService/managedClusters/write", "Microsoft.Authorization/roleAssignments/write")
    granted = evidence.read("permissions")
    missing = [action for action in needed if not any(_allows(entry, action) for entry in granted)]
    expected = " and ".join(needed)
    if missing:
        return failed(
            f"you may not: {', '.join(missing)}", expected, "lesson 12 makes a cluster and gives you a role on it"
        )
    return passed("you may do both", expected)


def _allows(permission: Mapping[str, Any], action: str) -> bool:
    low = action.lower()
    given = any(fnmatch(low, str(pattern).lower()) for pattern in permission.get("actions") or [])
    return given and not any(fnmatch(low, str(pattern).lower()) for pattern in permission.get("notActions") or [])


@_judges("preflight.version", "versions")
def version(evidence: Evidence) -> Finding:
    """The region offers the Kubernetes version that the settings name."""
    offered, wanted = evidence.read("versions"), evidence.settings.kubernetes_version
    expected = f"one of {', '.join(offered)}"
    if wanted and ".".join(str(wanted).split(".")[:2]) not in offered:
        return failed(wanted, expected, f"{evidence.settings.region} does not offer Kubernetes {wanted}")
    return passed(wanted or "left to AKS", expected)


@_judges("preflight.vm-size", "sizes")
def vm_size(evidence: Evidence) -> Finding:
    """The region has the pools' VM sizes, in the zones that the settings name."""
    sizes, settings = evidence.read("sizes"), evidence.settings
    expected = f"the sizes of both pools in zones {', '.join(settings.system_pool.zones)} of {settings.region}"
    for pool in (settings.system_pool, settings.user_pool):
        found = sizes.get(pool.vm_size.lower())
        if found is None:
            return failed(f"{pool.vm_size}: not offered", expected, f"{settings.region} has no {pool.vm_size} for you")
        lacking = sorted(set(pool.zones) - set(found["zones"]))
        if lacking:
            return failed(
                f"{pool.vm_size}: not in zone {', '.join(lacking)}", expected, "a pool could not span its zones"
            )
    return passed(f"{settings.system_pool.vm_size}, {settings.user_pool.vm_size}", expected)


@_judges("preflight.quota", "sizes", "usages")
def quota(evidence: Evidence) -> Iterable[Finding]:
    """The families' vCPU quota carries both pools at full scale; what the lab runs already is part of it."""
    sizes, usages, settings = evidence.read("sizes"), evidence.read("usages"), evidence.settings
    needed: dict[str, int] = {}
    for pool in (settings.system_pool, settings.user_pool):
        found = sizes.get(pool.vm_size.lower())
        if found:
            family = str(found["family"]).lower()
            needed[family] = needed.get(family, 0) + pool.max_count * found["cores"]
    for family, cores in needed.items():
        used, limit = usages.get(family, (0, 0))
        expected = f"at least {cores} vCPUs of {family}"
        observed = f"{used} of {limit} vCPUs in use; both pools at full scale need {cores}"
        if limit < cores:
            yield failed(observed, expected, f"the quota of {family} is too small for full scale")
        else:
            yield passed(observed, expected)


@_judges("groundwork.features", "features")
def features(evidence: Evidence) -> Finding:
    """The preview and opt-in features that part 1 uses are registered."""
    states = evidence.read("features")
    missing = [f"{name} is {state}" for name, state in states.items() if state != "Registered"]
    if missing:
        return failed(missing, "Registered", "node pools with encryption at host are refused until then")
    return passed([f"{name} is {state}" for name, state in states.items()], "Registered")


@_judges("groundwork.group", "group")
def group(evidence: Evidence) -> Finding:
    """The resource group is there, in the region of the settings, with the lab's tag."""
    found, settings = evidence.read("group"), evidence.settings
    expected = f"{settings.resource_group} in {settings.region}, tagged purpose={TAGS['purpose']}"
    if not found:
        return failed("no such group", expected, "everything else of the lab goes into it")
    tag = (found.get("tags") or {}).get("purpose")
    observed = f"{found.get('name')} in {found.get('location')}, tagged purpose={tag}"
    if tag != TAGS["purpose"]:
        return failed(observed, expected, "without the tag, the clean-up cannot prove that nothing is left")
    if not same(found.get("location"), settings.region):
        return failed(observed, expected, "the group is in another region")
    return passed(observed, expected, str(found.get("id")))


@_judges("groundwork.network", "network")
def network(evidence: Evidence) -> Finding:
    """The network has the range of the settings, and both subnets theirs."""
    found, settings = evidence.read("network"), evidence.settings
    wanted = {settings.cluster_subnet: settings.cluster_subnet_cidr, settings.aci_subnet: settings.aci_subnet_cidr}
    expected = f"{settings.vnet_cidr} with " + ", ".join(f"{name} {cidr}" for name, cidr in wanted.items())
    if not found:
        return failed("no such network", expected, "the nodes would have no subnet of their own")
    subnets = {
        item["name"]: at(item, "properties.addressPrefix") or ", ".join(at(item, "properties.addressPrefixes") or [])
        for item in at(found, "properties.subnets") or []
    }
    observed = f"{', '.join(at(found, 'properties.addressSpace.addressPrefixes') or [])} with " + ", ".join(
        f"{name} {cidr}" for name, cidr in subnets.items()
    )
    wrong = [name for name, cidr in wanted.items() if subnets.get(name) != cidr]
    if wrong:
        return failed(observed, expected, f"not as the settings have it: {', '.join(wrong)}", str(found.get("id")))
    return passed(observed, expected, str(found.get("id")))


@_judges("groundwork.workspace", "workspace")
def workspace(evidence: Evidence) -> Finding:
    """The log workspace is there and keeps logs as long as the settings say."""
    found, settings = evidence.read("workspace"), evidence.settings
    expected = f"{settings.workspace}, {settings.retention_days} days"
    if not found:
        return failed("no such workspace", expected, "the cluster's logs would have nowhere to go")
    days = at(found, "properties.retentionInDays")
    observed = f"{found.get('name')}, {days} days"
    if days != settings.retention_days:
        return failed(observed, expected, "logs are kept for another time than the settings say")
    return passed(observed, expected, str(found.get("id")))


@_judges("clean.groups", "groups")
def no_groups(evidence: Evidence) -> Finding:
    """No resource group of the lab is left, by its tag or by its name, and none that AKS made for its cluster."""
    settings = evidence.settings
    prefix = f"mc_{settings.resource_group}_{settings.cluster}_".lower()
    left = [
        str(item["name"])
        for item in evidence.read("groups")
        if (item.get("tags") or {}).get("purpose") == TAGS["purpose"]
        or same(item["name"], settings.resource_group)
        or str(item["name"]).lower().startswith(prefix)
    ]
    if left:
        return failed(left, "no group of the lab", "what is in a group that is left goes on costing money")
    return passed("none", "no group of the lab")


@_judges("clean.role-assignments", "assignments")
def no_assignments(evidence: Evidence) -> Finding:
    """No role assignment is left at the lab's group or below."""
    scope = f"/subscriptions/{evidence.subscription_id}/resourcegroups/{evidence.settings.resource_group}".lower()
    left = [
        str(item.get("name"))
        for item in evidence.read("assignments")
        if f"{str(at(item, 'properties.scope')).lower()}/".startswith(f"{scope}/")
    ]
    if left:
        return failed(left, "no role assignment", "a cluster of the same name made later would inherit its rights")
    return passed("none", "no role assignment")


@_judges("clean.vaults", "vaults")
def no_vaults(evidence: Evidence) -> Finding:
    """No key vault of the lab is in use; one that was deleted is left only while purge protection keeps it."""
    settings = evidence.settings
    group, expected = (
        f"/resourcegroups/{settings.resource_group}/".lower(),
        "no vault, or a deleted one that is protected",
    )
    protected = []
    for item in evidence.read("vaults"):
        name, properties = str(item["name"]), item.get("properties") or {}
        where = str(properties.get("vaultId") if item["deleted"] else item.get("id")).lower()
        if not same(name, settings.vault) and group not in where:
            continue
        if not item["deleted"]:
            return failed(f"{name} is in use", expected, "what it holds can still be read by whoever has a role", where)
        until = str(properties.get("scheduledPurgeDate"))
        if not properties.get("purgeProtectionEnabled"):
            reason = "it can be recovered, with all that it held, and its name is taken"
            return failed(f"{name} was deleted, and not purged", expected, reason, where)
        protected.append(f"{name} was deleted, and is gone on {until}")
    return passed(protected or "none", expected)


@_judges("clean.kubeconfig", "contexts")
def no_contexts(evidence: Evidence) -> Finding:
    """The lab's kubeconfig holds no context, cluster or user of the cluster."""
    name = evidence.settings.cluster
    left = sorted({found for found in evidence.read("contexts") if name in found})
    if left:
        return failed(left, "no entry of the cluster", "kubectl would go on asking a cluster that is gone")
    return passed("none", "no entry of the cluster")
