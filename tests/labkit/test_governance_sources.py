"""What the collector reads of logs, roles, registry and policy, and how it takes what they refuse."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.checks import catalogue, diagnostics
from labkit.checks.collector import collect
from labkit.checks.core import Result, Status, run
from labkit.checks.evidence import Evidence
from labkit.errors import ReadError
from labkit.readers import LogsReader
from labkit.settings import Settings
from tests.labkit import healthy_governance as healthy
from tests.labkit.healthy import NOW, SUBSCRIPTION, HealthyArm, HealthyKubernetes, HealthyLogs, evidence

DENIED = ReadError("GET: 403 AuthorizationFailed: no", 403, "AuthorizationFailed")
GONE = ReadError("GET: 404 NotFound", 404, "NotFound")


def gather(
    *ids: str,
    arm: HealthyArm | None = None,
    kubernetes: HealthyKubernetes | None = None,
    logs: HealthyLogs | None = None,
    settings: Settings | None = None,
) -> Evidence:
    api, query = kubernetes or HealthyKubernetes(), logs or HealthyLogs()
    return collect(
        catalogue.sources(catalogue.select(ids)),
        settings or Settings(),
        subscription_id=SUBSCRIPTION,
        arm=arm or HealthyArm(),
        kubernetes=lambda: api,
        logs=lambda: query,
        now=NOW,
    )


def judged(check_id: str, **given: Any) -> Result:
    return run(catalogue.checks()[check_id], gather(check_id, **given))


def test_log_analytics_is_asked_once_and_for_this_cluster() -> None:
    logs = HealthyLogs()
    gather("governance", logs=logs)
    ((workspace, query),) = logs.asked
    assert workspace == "00000000-0000-0000-0000-0000000c0001"
    assert query == (
        f"AKSAuditAdmin | where TimeGenerated > ago(2h) | where _ResourceId =~ '{healthy.CLUSTER}' | count"
    )


def test_checks_that_need_no_rows_ask_log_analytics_nothing() -> None:
    logs = HealthyLogs()
    gather("governance.audit-logs", "governance.diagnostic-setting", logs=logs)
    assert logs.asked == []


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ({"logs": [{"category": "kube-audit", "enabled": True}]}, "AKSAudit "),
        ({"logs": [{"categoryGroup": "allLogs", "enabled": True}]}, "AKSAuditAdmin "),
        ({"logAnalyticsDestinationType": None}, "AzureDiagnostics "),
        ({"logs": [{"category": "guard", "enabled": True}], "logAnalyticsDestinationType": None}, "AzureDiagnostics "),
    ],
)
def test_rows_are_looked_for_where_the_setting_sends_them(change: dict[str, Any], table: str) -> None:
    setting = healthy.diagnostic_setting()
    setting["properties"] |= change
    assert diagnostics.audit_query([setting], healthy.CLUSTER).startswith(table)


def test_a_quote_in_an_id_does_not_end_the_text_of_a_query() -> None:
    query = diagnostics.audit_query([healthy.diagnostic_setting()], "/x' or '1'=='1")
    assert r"=~ '/x\' or \'1\'==\'1'" in query


def test_without_audit_logs_there_is_nothing_to_look_for() -> None:
    arm, logs = HealthyArm(), HealthyLogs()
    arm.answers[f"{healthy.CLUSTER}/providers/Microsoft.Insights/diagnosticSettings".lower()] = []
    result = judged("governance.logs-arriving", arm=arm, logs=logs)
    assert result.status is Status.SKIP
    assert "governance.audit-logs" in result.reason
    assert logs.asked == []


def test_a_table_that_is_not_there_yet_is_not_known() -> None:
    message = "POST: 400 SEM0100: 'where' operator: Failed to resolve table or column expression named 'AKSAuditAdmin'"
    result = judged("governance.logs-arriving", logs=HealthyLogs(ReadError(message, 400, "SEM0100")))
    assert result.status is Status.UNKNOWN
    assert "first row" in result.reason


def test_a_refused_query_is_not_known() -> None:
    refused = ReadError("POST: 403 InsufficientAccessError: no", 403, "InsufficientAccessError")
    assert judged("governance.logs-arriving", logs=HealthyLogs(refused)).status is Status.UNKNOWN


def test_a_refusal_names_the_right_that_is_missing() -> None:
    refused = ReadError("403", 403, "Forbidden")
    assert "Log Analytics Reader" in judged("governance.logs-arriving", logs=HealthyLogs(refused)).next_command
    arm = HealthyArm()
    arm.answers[healthy.PLAN.lower()] = DENIED
    assert "Security Reader on the subscription" in judged("governance.defender-plan", arm=arm).next_command
    kubernetes = HealthyKubernetes()
    kubernetes.kinds = refused
    told = judged("governance.policy-privileged", kubernetes=kubernetes).next_command
    assert "Microsoft.ContainerService/managedClusters/customresources/read" in told


def test_another_refusal_of_a_query_is_told_as_it_is() -> None:
    failed = ReadError("POST: 400 SYN0002: Query could not be parsed", 400, "SYN0002")
    result = judged("governance.logs-arriving", logs=HealthyLogs(failed))
    assert result.status is Status.UNKNOWN
    assert "could not be parsed" in result.reason


def test_a_definition_that_may_not_be_read_is_judged_by_the_labs_table() -> None:
    arm = HealthyArm()
    for path in healthy.definitions():
        arm.answers[path.lower()] = DENIED
    for name in ("privileged", "privilege-escalation", "allowed-images", "excluded-namespaces"):
        assert judged(f"governance.policy-{name}", arm=arm).status is Status.PASS


def test_of_a_definition_the_rule_is_not_kept() -> None:
    seen = gather("governance.policy-privileged")
    assert "policyRule" not in str(seen.read("policy-definitions"))


def test_each_assigned_definition_is_read_once() -> None:
    arm = HealthyArm()
    path = f"{healthy.CLUSTER}/providers/Microsoft.Authorization/policyAssignments".lower()
    arm.answers[path] = [*healthy.policies(), *healthy.policies()]
    gather("governance", arm=arm)
    assert len(arm.asked) == len(set(arm.asked))


def test_a_cluster_without_gatekeeper_has_no_constraints() -> None:
    kubernetes = HealthyKubernetes()
    kubernetes.kinds = GONE
    result = judged("governance.policy-privileged", kubernetes=kubernetes)
    assert result.status is Status.FAIL
    assert "does not know of it" in result.reason
    assert judged("governance.policy-compliance", kubernetes=kubernetes).status is Status.SKIP


def test_a_namespaces_assignments_are_asked_for_at_its_own_scope() -> None:
    arm, settings = HealthyArm(), Settings()
    settings.application_namespaces = ["shop"]
    result = judged("governance.rbac-namespace-group", arm=arm, settings=settings)
    asked = [path for path in arm.asked if "/namespaces/shop/" in path]
    assert asked == [
        f"{healthy.CLUSTER}/namespaces/shop/providers/Microsoft.Authorization/roleAssignments?$filter=atScope%28%29"
    ]
    assert result.status is Status.UNKNOWN  # 404: nothing is said of what was not answered


def test_a_registry_that_is_not_there_fails_the_pull_alone() -> None:
    arm = HealthyArm()
    arm.answers[healthy.REGISTRY.lower()] = GONE
    assert judged("governance.acr-pull", arm=arm).status is Status.FAIL
    for name in ("acr-admin-user", "acr-anonymous-pull", "acr-network"):
        assert judged(f"governance.{name}", arm=arm).status is Status.SKIP


def test_of_violations_twenty_are_kept_and_told() -> None:
    kubernetes = HealthyKubernetes()
    item = kubernetes.answers["/apis/constraints.gatekeeper.sh/v1beta1/k8sazurev2noprivilege"][0]
    violation = {"kind": "Pod", "namespace": "staging", "message": "no", "name": ""}
    item["status"] |= {"totalViolations": 300, "violations": [{**violation, "name": f"p{i}"} for i in range(300)]}
    result = judged("governance.policy-compliance", kubernetes=kubernetes)
    assert [finding.status for finding in result.findings].count(Status.FAIL) == 20
    assert result.observed == "Pod staging/p0; Pod staging/p1; Pod staging/p2; Pod staging/p3; and 16 more"


def test_what_the_cluster_lets_pass_is_said() -> None:
    result = run(catalogue.checks()["governance.policy-privilege-escalation"], evidence())
    assert "leave allowPrivilegeEscalation out" in result.reason


class Client:
    """Answers each request of the pipeline with a status and a body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body
        self.request: Any = None

    def send_request(self, request: Any) -> Any:
        self.request = request
        return SimpleNamespace(
            status_code=self.status, text=lambda: json.dumps(self.body), json=lambda: json.loads(json.dumps(self.body))
        )


def reader(status: int, body: dict[str, Any]) -> tuple[LogsReader, Client]:
    made = LogsReader(credential=object())
    made._client = Client(status, body)
    return made, made._client


def test_a_query_goes_to_the_public_address_and_answers_rows() -> None:
    columns = [{"name": "Count", "type": "long"}]
    logs, client = reader(200, {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [[3]]}]})
    assert logs.query("w", "T | count") == [[3]]
    assert client.request.url == "https://api.loganalytics.io/v1/workspaces/w/query"
    assert client.request.method == "POST"
    assert json.loads(client.request.content) == {"query": "T | count"}


def test_the_innermost_reason_of_a_refused_query_is_told() -> None:
    inner = {"code": "SEM0100", "message": "Failed to resolve table 'T'"}
    error = {"code": "BadArgumentError", "innererror": {"code": "SemanticError", "innererror": inner}}
    logs, _ = reader(400, {"error": error})
    with pytest.raises(ReadError, match="SEM0100: Failed to resolve table 'T'") as caught:
        logs.query("w", "T")
    assert caught.value.status == 400


def lowered(value: Any) -> Any:
    """`value` with all keys in lower case, as some versions of Azure's APIs and clients write them."""
    if isinstance(value, dict):
        return {key.lower(): lowered(item) for key, item in value.items()}
    return [lowered(item) for item in value] if isinstance(value, list) else value


GOVERNANCE = [check.id for check in catalogue.select(["governance"])]


@pytest.mark.parametrize("check_id", GOVERNANCE)
def test_keys_in_lower_case_are_read_all_the_same(check_id: str) -> None:
    arm = HealthyArm()
    ours = healthy.arm_answers()
    for path in ours:
        arm.answers[path] = lowered(arm.answers[path])
    cluster = next(answer for path, answer in arm.answers.items() if path.endswith("/managedclusters/aks-baseline"))
    cluster["properties"] = lowered(cluster["properties"])
    result = judged(check_id, arm=arm)
    assert result.status is Status.PASS, result.reason


@pytest.mark.parametrize("check_id", [*GOVERNANCE, *(check.id for check in catalogue.select(["workload"]))])
def test_the_healthy_baseline_passes_on_the_path_of_2021_too(check_id: str) -> None:
    settings = Settings()
    settings.profile = "2021"
    assert judged(check_id, settings=settings).status is Status.PASS
