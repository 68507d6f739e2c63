"""Validation of Jobs and CronJobs."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import formats, metadata, pods
from azsandbox.kubernetes.validation.common import (
    formatted,
    label_selector,
    nonnegative,
    one_of,
    selects,
    shown_selector,
    supported,
    unchanged,
)
from azsandbox.kubernetes.validation.errors import (
    INVALID,
    Errors,
    FieldError,
    duplicate,
    invalid,
    not_supported,
    omitted,
    required,
    too_long,
    too_many,
)
from azsandbox.kubernetes.validation.job_indexes import indexes_in
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.schedules import schedule_error
from azsandbox.kubernetes.validation.workloads import NO_MATCH, shown_labels

_MODES = ("NonIndexed", "Indexed")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_INDEXED_LIMIT = 100_000
_PREFIX = "batch.kubernetes.io/"


@on_create("batch", "Job")
def job(obj: Object) -> Errors:
    spec, meta = obj.get("spec") or {}, obj.get("metadata") or {}
    found = _generated_selector(obj) + _spec_with_selector(spec)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        host = f"{meta.get('name') or ''}-{completions - 1}"
        if formats.dns_label(host):
            text = f"will not able to create pod with invalid DNS label: {host}"
            found.append(invalid("metadata.name", meta.get("name") or "", text))
    return found


def _generated_selector(obj: Object) -> Errors:
    spec, meta = obj.get("spec") or {}, obj.get("metadata") or {}
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    uid, name = meta.get("uid") or "", meta.get("name") or ""
    expected = {
        "controller-uid": uid,
        "job-name": name,
        f"{_PREFIX}controller-uid": uid,
        f"{_PREFIX}job-name": name,
    }
    found: Errors = []
    path = "spec.template.metadata.labels"
    for key, value in expected.items():
        if key not in labels:
            found.append(required(f"{path}[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            shown = dict(sorted(labels.items()))
            found.append(invalid(f"{path}[{key}]", shown, f"must be '{value}'"))
    if not label_selector(spec["selector"], "") and not selects(spec["selector"], expected):
        text = "`selector` not auto-generated"
        found.append(invalid("spec.selector", shown_selector(spec["selector"]), text))
    return found


def _spec_with_selector(spec: Object) -> Errors:
    found = job_spec(spec, "spec")
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        found.append(required("spec.selector"))
    faults = label_selector(selector, "spec.selector")
    found += faults
    if not faults and not selects(selector, (template.get("metadata") or {}).get("labels")):
        found.append(invalid("spec.template.metadata.labels", shown_labels(template), NO_MATCH))
    return found


def job_spec(spec: Object, path: str) -> Errors:
    """A Job's spec, in a Job or in a CronJob's template, without its selector."""
    found: Errors = []
    keys = "parallelism completions activeDeadlineSeconds backoffLimit ttlSecondsAfterFinished backoffLimitPerIndex"
    for key in keys.split():
        found += nonnegative(spec.get(key), f"{path}.{key}")
    failed, per_index = spec.get("maxFailedIndexes"), spec.get("backoffLimitPerIndex")
    if failed is not None:
        found += nonnegative(failed, f"{path}.maxFailedIndexes")
        if per_index is None:
            found.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.get("managedBy") is not None:
        found += _managed_by(spec["managedBy"], f"{path}.managedBy")
    found += _mode(spec, path)
    if spec.get("podFailurePolicy") is not None:
        found += _failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None:
        found += _success_policy(spec, f"{path}.successPolicy")
    replacement = spec.get("podReplacementPolicy")
    if replacement is not None:
        values = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        found += supported(replacement, f"{path}.podReplacementPolicy", values)
    template = spec.get("template") or {}
    found += pods.template(template, f"{path}.template")
    restart, where = (template.get("spec") or {}).get("restartPolicy") or "", f"{path}.template.spec.restartPolicy"
    if restart in ("Always", ""):
        found.append(required(where, 'valid values: "OnFailure", "Never"'))
    elif restart not in ("OnFailure", "Never"):
        found.append(not_supported(where, restart, ("OnFailure", "Never")))
    elif spec.get("podFailurePolicy") is not None and restart != "Never":
        text = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(invalid(where, restart, text))
    return found


def _managed_by(value: str, path: str) -> Errors:
    if not value:
        return [required(path)]
    host, slash, rest = value.partition("/")
    if not slash or not host or not rest:
        found = [invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    else:
        found = [invalid(path, host, text) for text in formats.dns_subdomain(host)]
        if not formats.http_path(rest):
            found.append(invalid(path, rest, formats.invalid_http_path_text()))
    return found + ([too_long(path, 63)] if len(value) > 63 else [])


def _mode(spec: Object, path: str) -> Errors:
    found: Errors = []
    mode, failed = spec.get("completionMode"), spec.get("maxFailedIndexes")
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    if mode is not None and mode not in _MODES:
        found.append(not_supported(f"{path}.completionMode", mode, _MODES))
    if mode == "Indexed":
        if completions is None:
            found.append(required(f"{path}.completions", "when completion mode is Indexed"))
        if parallelism is not None and parallelism > _INDEXED_LIMIT:
            text = f"must be less than or equal to {_INDEXED_LIMIT} when completion mode is Indexed"
            found.append(invalid(f"{path}.parallelism", parallelism, text))
        if completions is not None and failed is not None and failed > completions:
            found.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
        if failed is not None and failed > _INDEXED_LIMIT:
            found.append(invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_INDEXED_LIMIT}"))
    elif mode in (None, "NonIndexed"):
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                found.append(invalid(f"{path}.{key}", spec[key], "requires indexed completion mode"))
    return found


def _failure_policy(spec: Object, path: str) -> Errors:
    rules = spec["podFailurePolicy"].get("rules") or []
    inner = (spec.get("template") or {}).get("spec") or {}
    names = {c.get("name") for key in ("containers", "initContainers") for c in inner.get(key) or []}
    found = [too_many(f"{path}.rules", len(rules), 20)] if len(rules) > 20 else []
    for index, rule in enumerate(rules):
        here, action = f"{path}.rules[{index}]", rule.get("action") or ""
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
        if not action:
            found.append(required(f"{here}.action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'))
        elif action == "FailIndex":
            text = "requires the backoffLimitPerIndex to be set"
            found += [] if spec.get("backoffLimitPerIndex") is not None else [invalid(f"{here}.action", action, text)]
        elif action not in _ACTIONS:
            found.append(not_supported(f"{here}.action", action, _ACTIONS))
        if codes is not None:
            found += _exit_codes(codes, f"{here}.onExitCodes", names)
        for place, condition in enumerate(conditions):
            where = f"{here}.onPodConditions[{place}]"
            found += formatted(condition.get("type") or "", f"{where}.type", formats.qualified_name)
            values = ("False", "True", "Unknown")
            found += one_of(
                condition.get("status"), f"{where}.status", values, 'valid values: ["False" "True" "Unknown"]'
            )
        if codes is not None and conditions:
            found.append(omitted(here, "specifying both OnExitCodes and OnPodConditions is not supported"))
        if codes is None and not conditions:
            found.append(omitted(here, "specifying one of OnExitCodes and OnPodConditions is required"))
    return found


def _exit_codes(codes: Object, path: str, names: set[Any]) -> Errors:
    found = one_of(codes.get("operator"), f"{path}.operator", ("In", "NotIn"), 'valid values: ["In" "NotIn"]')
    name = codes.get("containerName")
    if name is not None and name not in names:
        found.append(
            invalid(
                f"{path}.containerName", name, "must be one of the container or initContainer names in the pod template"
            )
        )
    values = codes.get("values") or []
    if not values:
        found.append(FieldError(INVALID, f"{path}.values", codes.get("values"), "at least one value is required"))
    elif len(values) > 255:
        found.append(too_many(f"{path}.values", len(values), 255))
    for place, value in enumerate(values):
        if value == 0 and codes.get("operator") == "In":
            found.append(invalid(f"{path}.values[{place}]", 0, "must not be 0 for the In operator"))
        if value in values[:place]:
            found.append(duplicate(f"{path}.values[{place}]", value))
    if sorted(values) != values:
        found.append(invalid(f"{path}.values", values, "must be ordered"))
    return found


def _success_policy(spec: Object, path: str) -> Errors:
    policy = spec["successPolicy"]
    if spec.get("completionMode") != "Indexed":
        return [invalid(path, internal.shown(policy, "batch.SuccessPolicy"), "requires indexed completion mode")]
    rules = policy.get("rules") or []
    if not rules:
        return [required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")]
    found: Errors = []
    for index, rule in enumerate(rules):
        here, count, indexes = f"{path}.rules[{index}]", rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and indexes is None:
            found.append(required(here, "at least one of succeededCount or succeededIndexes must be specified"))
        completions, total = spec.get("completions"), None
        if indexes is not None:
            total, fault = indexes_in(indexes, completions or 0)
            if fault:
                found.append(invalid(f"{here}.succeededIndexes", indexes, f"error parsing succeededIndexes: {fault}"))
        if count is not None:
            found += nonnegative(count, f"{here}.succeededCount")
            if completions is not None and count > completions:
                text = f"must be less than or equal to {completions} (the number of specified completions)"
                found.append(invalid(f"{here}.succeededCount", count, text))
            if total is not None and count > total:
                text = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                found.append(invalid(f"{here}.succeededCount", count, text))
    return found


@on_update("batch", "Job")
def job_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = job(new) + _spec_with_selector(spec) + _completions(spec, before)  # Kubernetes judges the spec twice
    found += unchanged(
        spec.get("selector"), before.get("selector"), "spec.selector", shown_selector(spec.get("selector"))
    )
    found += _template_kept(spec, before, (old.get("status") or {}).get("startTime") is None)
    for key, shape in (
        ("completionMode", ""),
        ("podFailurePolicy", "batch.PodFailurePolicy"),
        ("backoffLimitPerIndex", ""),
        ("managedBy", ""),
        ("successPolicy", "batch.SuccessPolicy"),
    ):
        if not same(spec.get(key), before.get(key)):
            shown = internal.shown(spec[key], shape) if shape and spec.get(key) is not None else spec.get(key)
            found.append(invalid(f"spec.{key}", shown, metadata.IMMUTABLE))
    return found


def _completions(spec: Object, before: Object) -> Errors:
    new, old = spec.get("completions"), before.get("completions")
    if new == old:
        return []
    if spec.get("completionMode") != "Indexed":
        return [invalid("spec.completions", new, metadata.IMMUTABLE)]
    if new is None or new == spec.get("parallelism"):
        return []
    return [invalid("spec.completions", new, "can only be modified in tandem with spec.parallelism")]


def _template_kept(spec: Object, before: Object, not_started: bool) -> Errors:
    """A Job's template is fixed; while it is suspended and never started, where its pods go is not."""
    new, old = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend") and not_started:
        inner, past = new.get("spec") or {}, dict(old.get("spec") or {})
        for key in ("nodeSelector", "tolerations", "schedulingGates"):
            past[key] = inner.get(key)
        affinity = {**(past.get("affinity") or {}), "nodeAffinity": (inner.get("affinity") or {}).get("nodeAffinity")}
        past["affinity"] = {key: value for key, value in affinity.items() if value is not None}
        meta = {**(old.get("metadata") or {})}
        meta |= {key: (new.get("metadata") or {}).get(key) for key in ("labels", "annotations")}
        old = {**old, "metadata": meta, "spec": past}
    if same(new, old):
        return []
    return [invalid("spec.template", internal.shown(new, "core.PodTemplateSpec"), metadata.IMMUTABLE)]


def _true(status: Object, kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or [])


@on_update("batch", "Job", subresource="status")
def job_status(new: Object, old: Object) -> Errors:
    status, before, path = new.get("status") or {}, old.get("status") or {}, "status"
    found: Errors = []
    for key in ("active", "succeeded", "failed", "ready", "terminating"):
        found += nonnegative(status.get(key), f"{path}.{key}")
    complete, failed = _true(status, "Complete"), _true(status, "Failed")
    met, target = _true(status, "SuccessCriteriaMet"), _true(status, "FailureTarget")
    where = f"{path}.conditions"
    if complete and failed:
        found.append(omitted(where, "cannot set Complete=True and Failed=true conditions"))
    if complete and target:
        found.append(omitted(where, "cannot set Complete=True and FailureTarget=true conditions"))
    finished_at = status.get("completionTime")
    if finished_at is not None and not complete:
        text = "cannot set completionTime when there is no Complete=True condition"
        found.append(invalid(f"{path}.completionTime", finished_at, text))
    if complete and finished_at is None:
        found.append(required(f"{path}.completionTime", "completionTime is required for Complete jobs"))
    if finished_at and status.get("startTime") and finished_at < status["startTime"]:
        found.append(invalid(f"{path}.completionTime", finished_at, "must be equal to or after `startTime`"))
    if failed and not target:
        found.append(omitted(where, "cannot set Failed=True condition without the FailureTarget=true condition"))
    if complete and not met:
        text = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        found.append(omitted(where, text))
    if complete or failed:
        found += _finished(status)
    if (status.get("ready") or 0) > (status.get("active") or 0):
        found.append(invalid(f"{path}.ready", status["ready"], "cannot set more ready pods than active"))
    if met and failed:
        found.append(omitted(where, "cannot set SuccessCriteriaMet=True and Failed=true conditions"))
    if met and target:
        found.append(omitted(where, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"))
    return found + _not_undone(status, before)


def _finished(status: Object) -> Errors:
    found: Errors = []
    if (status.get("active") or 0) > 0:
        found.append(invalid("status.active", status["active"], "active>0 is invalid for finished job"))
    if status.get("startTime") is None:
        found.append(required("status.startTime", "startTime is required for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if uncounted.get("failed") or uncounted.get("succeeded"):
        shown = {"Succeeded": uncounted.get("succeeded"), "Failed": uncounted.get("failed")}
        found.append(invalid("status.uncountedTerminatedPods", shown, "must be empty for finished job"))
    if (status.get("terminating") or 0) > 0:
        found.append(invalid("status.terminating", status["terminating"], "terminating>0 is invalid for finished job"))
    return found


def _not_undone(status: Object, before: Object) -> Errors:
    found: Errors = []
    for kind in ("Failed", "Complete", "FailureTarget"):
        if _true(before, kind) and not _true(status, kind):
            found.append(omitted("status.conditions", f"cannot disable the terminal {kind}=True condition"))
    for key in ("failed", "succeeded"):
        if (status.get(key) or 0) < (before.get(key) or 0):
            text = f"cannot decrease the {key} counter"
            found.append(invalid(f"status.{key}", status.get(key) or 0, text))
    if _true(before, "SuccessCriteriaMet") and not _true(status, "SuccessCriteriaMet"):
        found.append(omitted("status.conditions", "cannot disable the SuccessCriteriaMet=True condition"))
    return found


@on_create("batch", "CronJob")
def cron_job(obj: Object) -> Errors:
    found = _cron_spec(obj.get("spec") or {}, {})
    name = (obj.get("metadata") or {}).get("name") or ""
    if len(name) > 52:
        found.append(invalid("metadata.name", name, "must be no more than 52 characters"))
    return found


@on_update("batch", "CronJob")
def cron_job_update(new: Object, old: Object) -> Errors:
    return _cron_spec(new.get("spec") or {}, old.get("spec") or {})


def _cron_spec(spec: Object, before: Object) -> Errors:
    found: Errors = []
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not schedule:
        found.append(required("spec.schedule"))
    else:
        error = schedule_error(schedule)
        found += [invalid("spec.schedule", schedule, error)] if error else []
        if "TZ" in schedule:
            allowed = "TZ" in (before.get("schedule") or "")
            if allowed and zone is not None:
                text = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
                found.append(invalid("spec.schedule", schedule, text))
            elif not allowed:
                text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
                found.append(invalid("spec.schedule", schedule, text))
    found += nonnegative(spec.get("startingDeadlineSeconds"), "spec.startingDeadlineSeconds")
    if zone != before.get("timeZone"):
        found += _time_zone(zone)
    found += one_of(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", ("Allow", "Forbid", "Replace"))
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    found += job_spec(inner, "spec.jobTemplate.spec")
    if inner.get("selector") is not None:
        text = "`selector` will be auto-generated"
        found.append(invalid("spec.jobTemplate.spec.selector", shown_selector(inner["selector"]), text))
    if inner.get("manualSelector"):
        found.append(not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        found += nonnegative(spec.get(key), f"spec.{key}")
    return found


def _time_zone(zone: str | None) -> Errors:
    path = "spec.timeZone"
    if zone is None:
        return []
    if not zone:
        return [invalid(path, zone, "timeZone must be nil or non-empty string")]
    unknown = invalid(path, zone, f"unknown time zone {zone}")
    parts = zone.split("/")
    if any(
        part in (".", "..") or not re.fullmatch(r"[A-Za-z.+_][A-Za-z0-9._+\-]{0,13}|[A-Za-z0-9._+\-]{1,14}", part)
        for part in parts
    ):
        return [unknown]
    if any(part.startswith("-") for part in parts):
        return [unknown]
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [invalid(path, zone, text)]
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return [unknown]
    return []
