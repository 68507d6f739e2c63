"""What a HelmRelease asks for, with the defaults of its API (helm-controller, api/v2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.durations import seconds

GROUP = "helm.toolkit.fluxcd.io"
API_VERSION = f"{GROUP}/v2"
MANAGER = "helm-controller"
INSTALL, UPGRADE, ROLLBACK, UNINSTALL = "install", "upgrade", "rollback", "uninstall"
UNINSTALL_REMEDIATION = "uninstall-remediation"
MAX_HISTORY = 5
TIMEOUT, RETRY_INTERVAL = 300.0, 300.0  # seconds
_LONGEST_NAME, _HASH = 53, 12  # characters: what Helm allows a release's name, and of it what replaces the rest


def part(obj: Object, name: str) -> dict[str, Any]:
    """A part of the spec, such as "install"; empty where it is not given."""
    return obj["spec"].get(name) or {}


def release_name(obj: Object) -> str:
    """The name that is asked for, however long."""
    spec = obj["spec"]
    if spec.get("releaseName"):
        return str(spec["releaseName"])
    target = spec.get("targetNamespace")
    return f"{target}-{obj['metadata']['name']}" if target else str(obj["metadata"]["name"])


def short_name(name: str) -> str:
    """A name that Helm takes: one too long loses its end to a hash (internal/release/name.go)."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - _HASH - 1]}-{hashlib.sha256(name.encode()).hexdigest()[:_HASH]}"


def release_namespace(obj: Object) -> str:
    """Where the release goes."""
    return str(obj["spec"].get("targetNamespace") or obj["metadata"]["namespace"])


def storage_namespace(obj: Object) -> str:
    """Where its Secrets are."""
    return str(obj["spec"].get("storageNamespace") or obj["metadata"]["namespace"])


def chart_name(obj: Object) -> str:
    """The name of the HelmChart that spec.chart is made into."""
    return f"{obj['metadata']['namespace']}-{obj['metadata']['name']}"


def chart_namespace(obj: Object) -> str:
    """The namespace of that HelmChart: that of its source."""
    return str(obj["spec"]["chart"]["spec"]["sourceRef"].get("namespace") or obj["metadata"]["namespace"])


def timeout(obj: Object, action: str = "") -> float:
    """Seconds that an action may take, or what holds for all."""
    own = part(obj, action).get("timeout") if action else None
    found = own or obj["spec"].get("timeout")
    return seconds(found) if found else TIMEOUT


def max_history(obj: Object) -> int:
    """How many releases storage keeps; 0 for all."""
    return int(obj["spec"].get("maxHistory", MAX_HISTORY))


def drift_mode(obj: Object) -> str:
    """`enabled`, `warn` or `disabled`."""
    return str(part(obj, "driftDetection").get("mode") or "disabled")


def detects_drift(obj: Object) -> bool:
    """Whether the cluster is compared with the release."""
    return drift_mode(obj) in ("enabled", "warn")


@dataclass(frozen=True)
class Remediation:
    """How an install or an upgrade that failed is put right."""

    action: str
    retries: int
    remediate_last: bool
    strategy: str  # rollback or uninstall
    ignore_tests: bool | None

    @classmethod
    def of(cls, obj: Object, action: str) -> Remediation:
        """What the spec says of an action's failures."""
        given = part(obj, action).get("remediation") or {}
        retries = int(given.get("retries", 0))
        last = given.get("remediateLastFailure")
        if action == INSTALL:
            return cls(action, retries, bool(last), UNINSTALL, given.get("ignoreTestFailures"))
        strategy = str(given.get("strategy") or ROLLBACK)
        return cls(
            action, retries, retries > 0 if last is None else bool(last), strategy, given.get("ignoreTestFailures")
        )

    @property
    def counter(self) -> str:
        """The field of status that counts the action's failures."""
        return "installFailures" if self.action == INSTALL else "upgradeFailures"

    def failures(self, obj: Object) -> int:
        return int((obj.get("status") or {}).get(self.counter, 0))

    def count(self, obj: Object) -> None:
        """Notes one more failure."""
        obj["status"][self.counter] = self.failures(obj) + 1

    def exhausted(self, obj: Object) -> bool:
        return self.retries >= 0 and self.failures(obj) > self.retries

    def ignores_tests(self, obj: Object) -> bool:
        """Whether a failed test is no failure of the release."""
        return bool(part(obj, "test").get("ignoreFailures")) if self.ignore_tests is None else self.ignore_tests

    @property
    def uninstalls_after_upgrade(self) -> bool:
        return self.action == UPGRADE and self.strategy == UNINSTALL


def active_remediation(obj: Object) -> Remediation | None:
    """The remediation of the action that was attempted last."""
    action = (obj.get("status") or {}).get("lastAttemptedReleaseAction")
    return Remediation.of(obj, action) if action in (INSTALL, UPGRADE) else None


def retry_interval(obj: Object, action: str, *, by_default: bool = False) -> float | None:
    """Seconds after which a failed action is tried again where its strategy is RetryOnFailure, or None.

    `by_default` says that it is where the spec names none.
    """
    strategy = part(obj, action).get("strategy") or ({"name": "RetryOnFailure"} if by_default else {})
    if strategy.get("name") != "RetryOnFailure":
        return None
    return seconds(strategy["retryInterval"]) if strategy.get("retryInterval") else RETRY_INTERVAL


def active_retry(obj: Object, *, by_default: bool = False) -> float | None:
    """`retry_interval` of the action that was attempted last."""
    action = (obj.get("status") or {}).get("lastAttemptedReleaseAction")
    return retry_interval(obj, action, by_default=by_default) if action in (INSTALL, UPGRADE) else None


def clear_failures(obj: Object) -> None:
    """Forgets how often actions failed."""
    for field in ("failures", "installFailures", "upgradeFailures"):
        obj["status"].pop(field, None)


def fail(obj: Object) -> None:
    """Notes one more failure of whatever kind."""
    obj["status"]["failures"] = obj["status"].get("failures", 0) + 1
