"""The baseline as SDK objects says what the settings say, and passes its own checks."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.azure import (
    access,
    audit_logs,
    cluster,
    defender,
    gitops,
    key_vault,
    network,
    node_pools,
    resource_group,
    steps,
    workload_identity,
    workspace,
)
from labkit.azure.clients import Clients, settled, state
from labkit.checks import catalogue
from labkit.checks.core import Status, run
from labkit.errors import LessonError, ReadError
from labkit.gitops import uninstall
from labkit.output import Output
from labkit.settings import Settings
from tests.labkit.healthy import SUBSCRIPTION, VNET, evidence


def test_the_network_has_the_ranges_of_the_settings() -> None:
    body = network.body(Settings()).as_dict()["properties"]
    assert body["addressSpace"]["addressPrefixes"] == ["10.10.0.0/16"]
    nodes, containers = body["subnets"]
    assert (nodes["name"], nodes["properties"]["addressPrefix"]) == ("snet-aks-baseline", "10.10.0.0/22")
    assert containers["properties"]["delegations"][0]["properties"]["serviceName"] == network.ACI_DELEGATION
    assert network.subnet_id(SUBSCRIPTION, Settings()) == f"{VNET}/subnets/snet-aks-baseline"


def test_group_and_workspace_are_the_settings_own() -> None:
    group = resource_group.body(Settings()).as_dict()
    assert group["location"] == "westeurope"
    assert group["tags"] == resource_group.TAGS
    assert workspace.body(Settings()).as_dict()["properties"]["retentionInDays"] == 30


def test_what_the_lab_makes_passes_the_checks_that_it_can_pass() -> None:
    """The bodies laid over what AKS fills in; what is left is a choice of the series that the checks warn of."""
    settings = Settings({"cluster": {"authorized_ip_ranges": ["203.0.113.7/32"]}})
    seen = evidence(settings)
    made = cluster.body(SUBSCRIPTION, "tenant", settings).as_dict()
    answer = seen.sources["cluster"]
    answer["sku"], answer["identity"] = made["sku"], made["identity"]
    for key, value in made["properties"].items():
        if key != "agentPoolProfiles":
            answer["properties"][key] = (
                {**answer["properties"].get(key, {}), **value} if isinstance(value, dict) else value
            )
    pools = answer["properties"]["agentPoolProfiles"]
    for index, (pool, mode) in enumerate(((settings.system_pool, "System"), (settings.user_pool, "User"))):
        properties = node_pools.body(SUBSCRIPTION, settings, pool, mode).as_dict()["properties"]
        # The nodes of the healthy seed stay, so the counts do.
        pools[index] |= {key: value for key, value in properties.items() if key != "count"}
    found = {check.id: run(check, seen).status for check in catalogue.select()}
    assert found.pop("cluster.managed-identity") is Status.WARN
    assert found.pop("cluster.system-pool-count") is Status.WARN
    assert found.pop("cluster.local-accounts") is Status.FAIL
    assert {check_id for check_id, status in found.items() if status is not Status.PASS} == set()


def test_the_windows_have_the_names_that_aks_looks_for() -> None:
    assert set(cluster.MAINTENANCE) == {"aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule"}
    window = cluster.maintenance(Settings()).as_dict()["properties"]["maintenanceWindow"]
    assert window["durationHours"] >= 4


def test_a_cluster_that_is_written_again_keeps_its_pools() -> None:
    from azure.mgmt.containerservice.models import ManagedClusterAgentPoolProfile

    mine = [ManagedClusterAgentPoolProfile(name="mine", mode="System")]
    body = cluster.body(SUBSCRIPTION, "tenant", Settings(), mine).as_dict()
    assert [pool["name"] for pool in body["properties"]["agentPoolProfiles"]] == ["mine"]


def test_the_roles_of_the_groups_pass_the_checks_of_them() -> None:
    ids = {"admin": "a" * 8, "developer": "d" * 8, "reader": "r" * 8}
    assignments = [
        {
            "id": f"{where}/providers/Microsoft.Authorization/roleAssignments/{number}",
            "properties": {
                "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}",
                "principalId": ids[who],
                "principalType": "Group",
                "scope": where,
            },
        }
        for number, (who, role, where) in enumerate(access.wanted(SUBSCRIPTION, Settings()))
    ]
    seen = evidence(Settings())
    own = seen.cluster_id.lower()
    seen.sources["role-assignments"] = [a for a in assignments if a["properties"]["scope"].lower() == own]
    seen.sources["namespace-roles"] = {
        name: [a for a in assignments if a["properties"]["scope"].endswith(f"/namespaces/{name}")]
        for name in Settings().application_namespaces
    }
    for name in ("governance.rbac-admin-group", "governance.rbac-namespace-group"):
        (check,) = [check for check in catalogue.select() if check.id == name]
        assert run(check, seen).status is Status.PASS, name
    writes = [where for _, role, where in access.wanted(SUBSCRIPTION, Settings()) if role == access.WRITER]
    assert [where.rsplit("/", 1)[-1] for where in writes] == ["staging"]


def test_the_extension_passes_the_check_of_it() -> None:
    made = gitops.extension().as_dict()
    seen = evidence(Settings())
    answer = seen.sources["extensions"][0]
    answer["properties"] |= {key: value for key, value in made["properties"].items() if key != "version"}
    assert made["identity"] == {"type": "SystemAssigned"}
    for name in ("gitops.extension-health", "gitops.tenancy-lockdown"):
        (check,) = [check for check in catalogue.select() if check.id == name]
        assert run(check, seen).status is Status.PASS, name


def test_the_configuration_follows_the_folder_of_the_cluster_and_shows_no_token() -> None:
    body = gitops.configuration(Settings(), "ghp_secret").as_dict()["properties"]
    assert body["gitRepository"]["url"] == "https://github.com/contoso/aks-baseline-clusters"
    assert body["gitRepository"]["repositoryRef"] == {"branch": "main"}
    (kustomization,) = body["kustomizations"].values()
    assert (kustomization["path"], kustomization["prune"]) == ("./clusters/aks-baseline", True)
    # az and the agent have protected settings in base64, and Azure shows none of them again.
    assert body.pop("configurationProtectedSettings") == {"httpsKey": base64.b64encode(b"ghp_secret").decode()}
    assert "ghp_secret" not in str(body)


class Answers:
    """A client that answers what it was told to, a list one after the other, and notes what it is asked to make."""

    def __init__(self, *states: str | None) -> None:
        self.states, self.made = list(states), []

    def get(self, *_: str) -> Any:
        from azure.core.exceptions import ResourceNotFoundError

        found = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if found is None:
            raise ResourceNotFoundError("none")
        return SimpleNamespace(properties=SimpleNamespace(provisioning_state=found))

    def read(self) -> dict[str, Any] | None:
        return {"properties": {"provisioningState": self.states[0]}} if self.states[0] else None

    def begin_create(self, *arguments: Any) -> str:
        self.made.append(arguments[-1])
        return "poller"

    begin_create_or_update = begin_create


@pytest.mark.parametrize(
    ("extension", "configuration", "made"),
    [
        ("Succeeded", "Succeeded", 0),
        ("Failed", "Creating", 2),
        ("Succeeded", "Failed", 1),
        (None, None, 2),
    ],
)
def test_what_failed_is_not_there_and_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extension: str | None, configuration: str | None, made: int
) -> None:
    """Only whether it existed was asked: a lesson waited for a cluster that followed nothing."""
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setattr(gitops, "lay_out", lambda settings, token: SimpleNamespace(folder=tmp_path))
    one, two = Answers(extension), Answers(configuration)
    clients: Any = SimpleNamespace(
        extensions=SimpleNamespace(extensions=one),
        flux_configurations=SimpleNamespace(flux_configurations=two),
        kubectl=None,
        subscription_id="SUB",
        found=lambda path, kind: one.read() if kind == "extensions" else two.read(),
    )
    assert gitops.exists(clients, Settings()) is (made == 0)
    gitops.ensure(clients, Settings(), lambda poller, title: None)
    assert len(one.made) + len(two.made) == made


def test_a_controller_that_was_scaled_to_zero_is_missing_and_is_scaled_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As after lesson 34, broken off before its repair: every wait for a commit ran to its end."""
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setattr(gitops, "lay_out", lambda settings, token: SimpleNamespace(folder=tmp_path))
    asked: list[list[str]] = []

    def kubectl(words: list[str], **_: Any) -> Output:
        asked.append(words)
        return Output("", 0, "kustomize-controller" if words[0] == "get" else "", "")

    clients: Any = SimpleNamespace(
        extensions=SimpleNamespace(extensions=Answers("Succeeded")),
        flux_configurations=SimpleNamespace(flux_configurations=Answers("Succeeded")),
        kubectl=kubectl,
        subscription_id="SUB",
        found=lambda path, kind: Answers("Succeeded").read(),
    )
    assert not gitops.exists(clients, Settings())
    gitops.ensure(clients, Settings(), lambda poller, title: None)
    assert asked[-1] == ["scale", "deployment/kustomize-controller", "-n", "flux-system", "--replicas", "1"]


def test_a_bootstrapped_flux_makes_way_for_the_extension(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(uninstall, "installed", lambda kubectl: True)
    monkeypatch.setattr(uninstall, "uninstall", lambda kubectl, namespace: said.append(f"uninstall {namespace}"))
    folder = tmp_path / "clusters/aks-baseline/flux-system"
    folder.mkdir(parents=True)
    checkout: Any = SimpleNamespace(
        folder=tmp_path, git=lambda words: said.append(" ".join(words)), commit=lambda message: said.append(message)
    )
    clients: Any = SimpleNamespace(kubectl=lambda words, **_: None)
    gitops.make_way(clients, Settings(), checkout)
    assert said == ["uninstall flux-system", "rm -r --quiet clusters/aks-baseline/flux-system", "Leave Flux to Azure"]


def test_an_operation_that_is_under_way_is_waited_for() -> None:
    """Of a lesson whose kernel has gone: what came next was refused with a conflict."""
    pools, waited = Answers("Creating", "Creating", "Succeeded"), []

    def wait(question: Any, title: str, timeout: float) -> None:
        waited.append(title)
        while question() is not True:
            pass

    found = settled(wait, "Waiting for the pool", pools.get, "user1")
    assert state(found) == "Succeeded" and waited == ["Waiting for the pool"]
    assert settled(wait, "again", pools.get, "user1") is not None and len(waited) == 1
    assert settled(wait, "none", Answers(None).get, "user1") is None and state(None) == ""


def test_a_state_that_an_sdk_gives_as_an_enumeration_is_its_word() -> None:
    """Of Flux's extension: it was installed again by every `labkit up`, since its state never read Succeeded."""
    from azure.mgmt.kubernetesconfiguration.extensions.models import Extension

    found = Extension({"properties": {"provisioningState": "Succeeded"}})
    assert state(found) == "Succeeded"


class Module:
    """A step that notes what is asked of it."""

    def __init__(self, there: bool, log: list[str], name: str) -> None:
        self.there, self.log, self.name = there, log, name

    def exists(self, clients: Any, settings: Any) -> bool:
        self.log.append(f"exists {self.name}")
        return self.there

    def ensure(self, clients: Any, settings: Any, wait: Any) -> None:
        self.log.append(f"ensure {self.name}")


def test_the_steps_up_to_a_lesson_are_made_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    made = tuple(
        steps.Step(lesson, name, Module(there, log, name))
        for lesson, name, there in (("11", "a", True), ("11", "b", False), ("12", "c", False), ("13", "d", False))
    )
    monkeypatch.setattr(steps, "STEPS", made)
    missing = steps.missing("12", None, None)  # type: ignore[arg-type]
    assert [step.title for step in missing] == ["b", "c"]
    # What stands on a missing step is not asked for: there is nothing that it could be in.
    assert log == ["exists a", "exists b"]
    log.clear()
    steps.make("12", None, None, None)  # type: ignore[arg-type]
    assert log == ["ensure a", "ensure b", "ensure c"]


def test_what_costs_by_the_subscription_is_made_for_its_own_lesson_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = (steps.Step("23", "registry", Module(True, [], "")), steps.Step("23", "plan", Module(True, [], ""), True))
    monkeypatch.setattr(steps, "STEPS", (*made, steps.Step("31", "flux", Module(True, [], ""))))
    monkeypatch.setattr(steps, "LESSONS", ("23", "31"))
    assert [step.title for step in steps.up_to("23")] == ["registry", "plan"]
    assert [step.title for step in steps.up_to("31")] == ["registry", "flux"]


def test_defender_tells_the_labs_workspace_and_leaves_the_nodes_disks_alone() -> None:
    settings = Settings()
    workspace = defender.workspace_id(SUBSCRIPTION, settings)
    assert workspace.endswith(
        f"/resourceGroups/{settings.resource_group}/providers/Microsoft.OperationalInsights/workspaces/{settings.workspace}"
    )
    assert defender.sensor(workspace).as_dict() == {
        "logAnalyticsWorkspaceResourceId": workspace,
        "securityMonitoring": {"enabled": True},
    }
    plan = defender.plan()["properties"]
    on = {one["name"] for one in plan["extensions"] if one["isEnabled"] == "True"}
    assert (plan["pricingTier"], on) == ("Standard", set(defender.EXTENSIONS))


def test_a_lesson_that_makes_nothing_is_named() -> None:
    with pytest.raises(LessonError, match="lesson '51' makes nothing"):
        steps.up_to("51")


def test_the_diagnostic_setting_passes_the_checks_of_logs() -> None:
    settings = Settings()
    seen = evidence(settings)
    workspace_id = seen.sources["workspaces"]["audit"]["id"]
    made = audit_logs.body(workspace_id).serialize()["properties"]
    setting = {
        "id": f"{seen.cluster_id}/providers/Microsoft.Insights/diagnosticSettings/x",
        "name": "x",
        "properties": made,
    }
    seen.sources["diagnostic-settings"] = [setting]
    for name in ("governance.diagnostic-setting", "governance.audit-logs", "governance.platform-logs"):
        (check,) = [check for check in catalogue.select() if check.id == name]
        assert run(check, seen).status is Status.PASS, name


def test_the_setting_is_on_the_cluster_and_named_for_it() -> None:
    settings = Settings()
    assert audit_logs.cluster_id(SUBSCRIPTION, settings).endswith("/managedClusters/aks-baseline")
    assert audit_logs.name(settings) == "diag-aks-baseline"


class Reader:
    """Answers what it knows; of the rest it says that it is not there, or not to be read."""

    def __init__(self, known: dict[str, dict[str, Any]], status: int = 404) -> None:
        self.known, self.status = known, status

    def get(self, path: str, api_version: str) -> dict[str, Any]:
        if path not in self.known:
            raise ReadError(f"GET {path}: {self.status}", self.status, "NotFound")
        return self.known[path]


def clients_reading(known: dict[str, dict[str, Any]], status: int = 404) -> Clients:
    clients = Clients("SUB")
    vars(clients)["_reader"] = Reader(known, status)
    return clients


def test_pools_are_replaced_once_the_temporary_one_is_gone() -> None:
    settings = Settings()
    path = f"{cluster.scope('SUB', settings)}/agentPools"
    names = [settings.system_pool.name, settings.user_pool.name, settings.temporary_pool.name]
    assert not node_pools.exists(clients_reading({}), settings)
    assert not node_pools.exists(clients_reading({path: {"value": [{"name": n} for n in names]}}), settings)
    assert node_pools.exists(clients_reading({path: {"value": [{"name": n} for n in names[:2]]}}), settings)


def test_flux_is_there_when_its_extension_and_its_configuration_are() -> None:
    settings = Settings()
    on = f"{cluster.scope('SUB', settings)}/providers/Microsoft.KubernetesConfiguration"
    extension = {f"{on}/extensions/flux": {"name": "flux"}}
    both = extension | {f"{on}/fluxConfigurations/flux-system": {"name": "flux-system"}}
    assert [gitops.exists(clients_reading(known), settings) for known in ({}, extension, both)] == [False, False, True]


def test_a_refusal_is_not_taken_for_something_missing() -> None:
    with pytest.raises(ReadError):
        network.exists(clients_reading({}, 403), Settings())


def test_looking_for_what_is_there_imports_no_large_client() -> None:
    code = (
        "import sys; from labkit.azure import network, workspace, cluster, node_pools, gitops, clients;"
        "from labkit.settings import Settings;"
        "found = clients.Clients('SUB'); answer = {'properties': {'provisioningState': 'Succeeded'}, 'value': []};"
        "vars(found)['_reader'] = type('Reader', (), {'get': lambda self, path, version: answer})();"
        "print([m.exists(found, Settings()) for m in (network, workspace, cluster, node_pools, gitops)],"
        " sorted(m for m in sys.modules if m.startswith('azure.mgmt')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[True, True, True, False, True] []\n"


def test_a_vault_is_closed_protected_and_decided_by_roles_and_a_deleted_one_is_recovered() -> None:
    made = key_vault.body(SUBSCRIPTION, "t", Settings()).as_dict()["properties"]
    assert (made["enableRbacAuthorization"], made["enablePurgeProtection"], made["softDeleteRetentionInDays"]) == (
        True,
        True,
        7,
    )
    subnet = "/virtualNetworks/vnet-aks-baseline/subnets/snet-aks-baseline"
    assert made["networkAcls"]["defaultAction"] == "Deny" and made["networkAcls"]["ipRules"] == []
    assert [rule["id"].endswith(subnet) for rule in made["networkAcls"]["virtualNetworkRules"]] == [True]
    assert "createMode" not in made
    assert (
        key_vault.body(SUBSCRIPTION, "t", Settings(), recover=True).as_dict()["properties"]["createMode"] == "recover"
    )


def test_the_address_that_a_vault_refused_is_let_in_once() -> None:
    from azure.mgmt.keyvault import models

    acls, changes = key_vault.rules("/subnet", ("10.0.0.1/32",)), []
    vault = models.Vault(properties=models.VaultProperties(tenant_id="t", sku=None, network_acls=acls))  # type: ignore[arg-type]
    vaults = SimpleNamespace(get=lambda *_: vault, update=lambda _group, _name, change: changes.append(change))
    clients: Any = SimpleNamespace(subscription_id=SUBSCRIPTION, vaults=SimpleNamespace(vaults=vaults))
    said = "Client address is not authorized and caller is not a trusted service.\r\nClient address: {}\r\nCaller: a"
    for text in (said.format("10.0.0.1"), "Caller is not authorized to perform action on resource."):
        key_vault.let_in(clients, Settings(), text)
    assert changes == []
    key_vault.let_in(clients, Settings(), said.format("20.1.2.3"))
    allowed = changes[0].as_dict()["properties"]["networkAcls"]["ipRules"]
    assert [rule["value"] for rule in allowed] == ["10.0.0.1/32", "20.1.2.3"]


@pytest.mark.parametrize("lacking", ["", "oidcIssuerProfile", "securityProfile", "addonProfiles", "rotation"])
def test_a_cluster_has_all_of_workload_identity_or_is_switched_on(lacking: str) -> None:
    rotates = "false" if lacking == "rotation" else "true"
    properties = {
        "oidcIssuerProfile": {"enabled": True},
        "securityProfile": {"workloadIdentity": {"enabled": True}},
        "addonProfiles": {
            "AzureKeyvaultSecretsProvider": {"enabled": True, "config": {"enableSecretRotation": rotates}}
        },
    }
    properties.pop(lacking, None)
    assert workload_identity.is_on({"properties": properties}) is (lacking == "")


def test_what_runs_names_identity_tenant_and_vault() -> None:
    import yaml

    found = {item["kind"]: item for item in yaml.safe_load_all(workload_identity.manifest("c-1", "t-1", Settings()))}
    account, provider = found["ServiceAccount"], found["SecretProviderClass"]["spec"]["parameters"]
    assert account["metadata"]["annotations"] == {"azure.workload.identity/client-id": "c-1"}
    assert (provider["clientID"], provider["tenantId"], provider["keyvaultName"]) == ("c-1", "t-1", "kv-aks-baseline")
    place = (account["metadata"]["namespace"], account["metadata"]["name"])
    assert "system:serviceaccount:{}:{}".format(*place) == workload_identity.SUBJECT
