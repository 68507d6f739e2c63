"""status.history: what the controller saw of each release that it made (helm-controller, Snapshot and Observation)."""

from __future__ import annotations

import hashlib
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux import go_json, go_yaml
from azsandbox.flux.helm import releases
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.spec import MAX_HISTORY

VERSION = "v2"  # of the way that digests are made
Snapshot = dict[str, Any]

_INFO = ("first_deployed", "last_deployed", "deleted", "description", "status", "notes")
_METADATA = (
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
)
_HOOK = ("name", "kind", "path", "manifest", "events", "last_run", "weight", "delete_policies", "output_log_policies")
_NESTED = {
    "maintainers": ("name", "email", "url"),
    "dependencies": ("name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"),
    "last_run": ("started_at", "completed_at", "phase"),
}


def sha256(text: str) -> str:
    """A digest as Flux writes it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def config_digest(values: dict[str, Any] | None) -> str:
    """The digest of values (fluxcd/pkg/chartutil): of their YAML, and of nothing where there are none."""
    return sha256(go_yaml.write(values)) if values else sha256("")


def release_digest(release: Release, oci_digest: str = "") -> str:
    """The digest of a release as it was observed: tests are left out, since anybody may run them."""
    chart = (release.get("chart") or {}).get("metadata") or {}
    hooks = [hook for hook in release.get("hooks") or () if not releases.is_hook_for(hook, releases.TEST)]
    observed: dict[str, Any] = {
        "name": release["name"],
        "version": release["version"],
        "info": _picked(release["info"], _INFO),
        "chartMetadata": _picked(chart, _METADATA),
        "config": go_json.in_order(release.get("config")) or None,
        "manifest": release.get("manifest", ""),
        "hooks": [_picked(hook, _HOOK) for hook in hooks] or None,
        "namespace": release["namespace"],
    }
    if oci_digest:
        observed["ociDigest"] = oci_digest
    return sha256(go_json.write(observed) + "\n")


def _picked(value: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The fields that are not empty, in the order of the Go type that has them."""
    found = {}
    for field in fields:
        if value.get(field) in (None, "", [], {}, 0):
            continue
        inner = _NESTED.get(field)
        if inner is None:
            found[field] = go_json.in_order(value[field])
        elif isinstance(value[field], list):
            found[field] = [_ordered(one, inner) for one in value[field]]
        else:
            found[field] = _ordered(value[field], inner)
    return found


def _ordered(value: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: go_json.in_order(value[field]) for field in fields if field in value}


def snapshot(release: Release, oci_digest: str = "", action: str = "") -> Snapshot:
    """A release as the status shows it."""
    info, chart = release["info"], (release.get("chart") or {}).get("metadata") or {}
    found: Snapshot = {
        "apiVersion": VERSION,
        "digest": release_digest(release, oci_digest),
        "name": release["name"],
        "namespace": release["namespace"],
        "version": release["version"],
        "status": info.get("status", ""),
        "action": action,
        "chartName": chart.get("name", ""),
        "chartVersion": chart.get("version", ""),
        "appVersion": chart.get("appVersion", ""),
        "configDigest": config_digest(release.get("config")),
        "ociDigest": oci_digest,
    }
    for field, moment in (
        ("firstDeployed", "first_deployed"),
        ("lastDeployed", "last_deployed"),
        ("deleted", "deleted"),
    ):
        if info.get(moment):
            found[field] = releases.in_seconds(info[moment])
    return {key: value for key, value in found.items() if value != ""}


def observed_test_hooks(release: Release, filters: Objects) -> dict[str, Object]:
    """The results of a release's tests that `filters` (spec.test.filters) select."""
    excluded = {f["name"] for f in filters if f.get("exclude")}
    included = {f["name"] for f in filters if not f.get("exclude")}
    found = {}
    for name, hook in releases.test_hooks(release).items():
        if name in excluded or (included and name not in included):
            continue
        run = hook.get("last_run") or {}
        result = {
            "lastStarted": releases.in_seconds(run["started_at"]) if run.get("started_at") else "",
            "lastCompleted": releases.in_seconds(run["completed_at"]) if run.get("completed_at") else "",
            "phase": run.get("phase", ""),
        }
        found[name] = {key: value for key, value in result.items() if value}
    return found


# --- the history of an object


def history(obj: Object) -> list[Snapshot]:
    """The snapshots, put in order: the newest version first."""
    found = snapshots(obj)
    found.sort(key=lambda one: -int(one["version"]))
    return found


def snapshots(obj: Object) -> list[Snapshot]:
    """The snapshots as they are."""
    found: list[Snapshot] = (obj.get("status") or {}).get("history") or []
    return found


def clear(obj: Object) -> None:
    """Forgets all releases."""
    obj.setdefault("status", {}).pop("history", None)


def latest(obj: Object) -> Snapshot | None:
    """The newest release."""
    known = history(obj)
    return known[0] if known else None


def previous(obj: Object, ignore_tests: bool) -> Snapshot | None:
    """The newest release before the latest that went well; its tests too, unless they do not count."""
    return next((one for one in history(obj)[1:] if _went_well(one, ignore_tests)), None)


def truncate(obj: Object, ignore_tests: bool) -> None:
    """Forgets what came before the previous release that went well, or all but five where there is none."""
    known = history(obj)
    for place, one in enumerate(known[1:], 1):
        if _went_well(one, ignore_tests):
            del known[place + 1 :]
            return
    del known[MAX_HISTORY:]


def keep_newest(obj: Object) -> None:
    """Forgets all but five releases."""
    del history(obj)[MAX_HISTORY:]


def prepend(obj: Object, new: Snapshot) -> None:
    """Adds a release in front."""
    obj.setdefault("status", {}).setdefault("history", []).insert(0, new)


def replace(obj: Object, release: Release, oci_digest: str | None = None, action: str | None = None) -> bool:
    """Renews the snapshot of a release that is in the history; returns whether there is one.

    What is not given (the digest, the action) stays as it was; so do the results of tests.
    """
    for place, old in enumerate(snapshots(obj)):
        if targets(old, release):
            new = snapshot(
                release,
                old.get("ociDigest", "") if oci_digest is None else oci_digest,
                old.get("action", "") if action is None else action,
            )
            if "testHooks" in old:
                new["testHooks"] = old["testHooks"]
            obj["status"]["history"][place] = new
            return True
    return False


def targets(one: Snapshot | None, release: Release) -> bool:
    """Whether a snapshot is one of a release's version."""
    return one is not None and all(one[field] == release[field] for field in ("name", "namespace", "version"))


def full_name(one: Snapshot | None) -> str:
    """A release's name in messages: namespace/name.v1."""
    return f"{one['namespace']}/{one['name']}.v{one['version']}" if one else ""


def versioned_chart(one: Snapshot | None) -> str:
    """A chart's name in messages: name@version."""
    return f"{one['chartName']}@{one['chartVersion']}" if one else ""


def has_been_tested(one: Snapshot | None) -> bool:
    """Whether all tests have come to an end that counts; none to run is an end too."""
    if one is None or one.get("testHooks") is None:
        return False
    phases = [test.get("phase") for test in one["testHooks"].values()]
    return "Failed" in phases or all(phase == "Succeeded" for phase in phases)


def has_failed_test(one: Snapshot | None) -> bool:
    """Whether a test has failed."""
    return bool(one) and any(test.get("phase") == "Failed" for test in ((one or {}).get("testHooks") or {}).values())


def _went_well(one: Snapshot, ignore_tests: bool) -> bool:
    return one["status"] in (releases.DEPLOYED, releases.SUPERSEDED) and (ignore_tests or not has_failed_test(one))
