"""Validation of API priority and fairness: FlowSchemas and PriorityLevelConfigurations.

Source: k8s.io/kubernetes, pkg/apis/flowcontrol/validation.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import DEFAULT_MINOR
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import formatted
from azsandbox.kubernetes.validation.errors import Errors, duplicate, forbidden, invalid, not_supported, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

_GROUP = "flowcontrol.apiserver.k8s.io"
_MOST_PRECEDENCE = 10000
_MOST_QUEUES = 10 * 1000 * 1000
_HASH_BITS = 60  # of a request's hash, which deals its queues
_MANDATORY = ("exempt", "catch-all")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_ZERO_SHARES = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
_MEMBER = "each member of this list must be '*' or a DNS-1123 label; "


@cache
def _mandatory(kind: str) -> dict[str, Object]:
    """The specs of the objects that must be as they are, by name."""
    return {
        obj["metadata"]["name"]: obj["spec"]
        for obj in bootstrap.objects(DEFAULT_MINOR)
        if obj["kind"] == kind and obj["metadata"]["name"] in _MANDATORY
    }


@on_create(_GROUP, "FlowSchema")
def flow_schema(obj: Object) -> Errors:
    name, spec = obj["metadata"].get("name") or "", obj.get("spec") or {}
    found = _flow_schema_spec(name, spec)
    fixed = _mandatory("FlowSchema").get(name)
    if fixed is not None and not same(spec, fixed):
        shown: Any = internal.shown(spec, "flowcontrol.FlowSchemaSpec")
        found.append(invalid("spec", shown, f"spec of '{name}' must equal the fixed value"))
    return found + _conditions(obj)


on_update(_GROUP, "FlowSchema")(lambda new, old: flow_schema(new))
on_update(_GROUP, "FlowSchema", subresource="status")(lambda new, old: _conditions(new))


def _flow_schema_spec(name: str, spec: Object) -> Errors:
    found: Errors = []
    precedence, path = spec.get("matchingPrecedence") or 0, "spec.matchingPrecedence"
    if precedence <= 0:
        found.append(invalid(path, precedence, "must be a positive value"))
    if precedence > _MOST_PRECEDENCE:
        found.append(invalid(path, precedence, f"must not be greater than {_MOST_PRECEDENCE}"))
    if precedence == 1 and name != "exempt":
        found.append(invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        shown = {"Type": method.get("type") or ""}
        found.append(not_supported("spec.distinguisherMethod.type", shown, ("ByNamespace", "ByUser")))
    level, path = (spec.get("priorityLevelConfiguration") or {}).get("name"), "spec.priorityLevelConfiguration.name"
    if level:
        found += formatted(level, path, formats.dns_subdomain)
    else:
        found.append(required(path, "must reference a priority level"))
    for index, rule in enumerate(spec.get("rules") or []):
        found += _rule(rule, f"spec.rules[{index}]")
    return found


def _rule(rule: Object, path: str) -> Errors:
    found: Errors = []
    subjects, resources, others = (rule.get(k) or [] for k in ("subjects", "resourceRules", "nonResourceRules"))
    for index, subject in enumerate(subjects):
        found += _subject(subject, f"{path}.subjects[{index}]")
    if not subjects:
        found.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    if not resources and not others:
        found.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for index, item in enumerate(resources):
        found += _resource_rule(item, f"{path}.resourceRules[{index}]")
    for index, item in enumerate(others):
        found += _other_rule(item, f"{path}.nonResourceRules[{index}]")
    return found


def _subject(subject: Object, path: str) -> Errors:
    kind = subject.get("kind") or ""
    own = _SUBJECTS.get(kind)
    if own is None:
        return [not_supported(f"{path}.kind", kind, tuple(_SUBJECTS))]
    found = _subject_name(own, kind, subject.get(own), f"{path}.{own}")
    for key in ("serviceAccount", "user", "group"):
        if key != own and subject.get(key) is not None:
            word = next(name for name, field in _SUBJECTS.items() if field == key)
            found.append(forbidden(f"{path}.{key}", f"{key} is forbidden when subject kind is not '{word}'"))
    return found


def _subject_name(key: str, kind: str, named: Object | None, path: str) -> Errors:
    if named is None:
        return [required(path, f"{key} is required when subject kind is '{kind}'")]
    name, namespace = named.get("name") or "", named.get("namespace") or ""
    found: Errors = [] if name else [required(f"{path}.name")]
    if key != "serviceAccount":
        return found
    if name and name != "*":
        found += formatted(name, f"{path}.name", formats.dns_subdomain)
    if not namespace:
        return [*found, required(f"{path}.namespace", "must specify namespace for service account")]
    return found + formatted(namespace, f"{path}.namespace", formats.dns_label)


def _alone(values: list[str], path: str, what: str) -> Errors:
    """An asterisk stands alone in its list."""
    if "*" not in values or len(values) == 1:
        return []
    return [invalid(path, values, f"if '*' is present, must not specify other {what}")]


def _verbs(rule: Object, path: str) -> Errors:
    verbs = rule.get("verbs") or []
    if not verbs:
        return [required(path, "verbs must contain at least one value")]
    if "*" in verbs:
        return _alone(verbs, path, "verbs")
    return [] if set(verbs) <= set(_VERBS) else [not_supported(path, verbs, _VERBS)]


def _resource_rule(rule: Object, path: str) -> Errors:
    found = _verbs(rule, f"{path}.verbs")
    for key, one, several in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        values, where = rule.get(key) or [], f"{path}.{key}"
        found += _alone(values, where, several)
        if not values:
            found.append(required(where, f"resource rules must supply at least one {one}"))
    namespaces, where = rule.get("namespaces") or [], f"{path}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        text = "resource rules that are not cluster scoped must supply at least one namespace"
        return [*found, required(where, text)]
    if "*" in namespaces:
        return found + _alone(namespaces, where, "namespaces")
    return found + [
        invalid(f"{where}[{index}]", name, _MEMBER + text)
        for index, name in enumerate(namespaces)
        for text in formats.dns_label(name)
    ]


def _other_rule(rule: Object, path: str) -> Errors:
    found = _verbs(rule, f"{path}.verbs")
    urls, where = rule.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    if not urls:
        return [*found, required(where, "nonResourceURLs must contain at least one value")]
    if "*" in urls:
        return found + _alone(urls, where, "non-resource URLs")
    faults = ((index, url, _url_fault(url)) for index, url in enumerate(urls))
    return found + [invalid(f"{where}[{index}]", url, fault) for index, url, fault in faults if fault]


def _url_fault(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    suffix = url.count("*") == 1 and url.endswith("/*")
    return "" if "*" not in url or suffix else "wildcard can only do suffix matching"


def _conditions(obj: Object) -> Errors:
    found: Errors = []
    seen: set[str] = set()
    for index, condition in enumerate((obj.get("status") or {}).get("conditions") or []):
        path, kind = f"status.conditions[{index}].type", condition.get("type") or ""
        found += [duplicate(path, kind)] if kind in seen else []
        seen.add(kind)
        found += [] if kind else [required(path)]
    return found


@on_create(_GROUP, "PriorityLevelConfiguration")
def priority_level(obj: Object) -> Errors:
    meta, spec = obj["metadata"], obj.get("spec") or {}
    name = meta.get("name") or ""
    found: Errors = []
    if _ZERO_SHARES in (meta.get("annotations") or {}):
        found.append(forbidden("metadata.annotations", f"annotation '{_ZERO_SHARES}' is forbidden"))
    found += _priority_level_spec(name, spec)
    fixed = _mandatory("PriorityLevelConfiguration").get(name)
    if fixed is not None:
        exempt = name == "exempt"
        judged = {**spec, "exempt": fixed.get("exempt")} if exempt else spec
        if not same(judged, fixed):
            part = " except the 'spec.exempt' field" if exempt else ""
            shown: Any = internal.shown(spec, "flowcontrol.PriorityLevelConfigurationSpec")
            found.append(invalid("spec", shown, f"spec of '{name}'{part} must equal the fixed value"))
    return found + _conditions(obj)


on_update(_GROUP, "PriorityLevelConfiguration")(lambda new, old: priority_level(new))
on_update(_GROUP, "PriorityLevelConfiguration", subresource="status")(lambda new, old: _conditions(new))


def _priority_level_spec(name: str, spec: Object) -> Errors:
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    found: Errors = []
    if (name == "exempt") != (kind == "Exempt"):
        found.append(invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            found.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        return found + (_shares(exempt, "spec.exempt") if exempt is not None else [])
    if kind != "Limited":
        return [*found, not_supported("spec.type", kind, ("Exempt", "Limited"))]
    if exempt is not None:
        found.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
    if limited is None:
        return [*found, required("spec.limited", "must not be empty when type is Limited")]
    return found + _limited(limited, "spec.limited")


def _shares(part: Object, path: str, between: Errors | None = None) -> Errors:
    found: Errors = []
    shares, lendable = part.get("nominalConcurrencyShares"), part.get("lendablePercent")
    if (shares or 0) < 0:
        found.append(invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    found += between or []
    if lendable is not None and not 0 <= lendable <= 100:
        found.append(invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive"))
    return found


def _limited(part: Object, path: str) -> Errors:
    found = _shares(part, path, _limit_response(part.get("limitResponse") or {}, f"{path}.limitResponse"))
    borrowing = part.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        text = "if specified, must be a non-negative integer"
        found.append(invalid(f"{path}.borrowingLimitPercent", borrowing, text))
    return found


def _limit_response(response: Object, path: str) -> Errors:
    kind, queuing, where = response.get("type") or "", response.get("queuing"), f"{path}.queuing"
    if kind == "Reject":
        text = "must be nil if limited.limitResponse.type is not Limited"
        return [forbidden(where, text)] if queuing is not None else []
    if kind != "Queue":
        return [not_supported(f"{path}.type", kind, ("Queue", "Reject"))]
    if queuing is None:
        return [required(where, "must not be empty if limited.limitResponse.type is Limited")]
    return _queuing(queuing, where)


def _queuing(queuing: Object, path: str) -> Errors:
    queues, hand, limit = (queuing.get(key) or 0 for key in ("queues", "handSize", "queueLengthLimit"))
    found: Errors = []
    if limit <= 0:
        found.append(invalid(f"{path}.queueLengthLimit", limit, "must be positive"))
    if queues <= 0:
        found.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > _MOST_QUEUES:
        found.append(invalid(f"{path}.queues", queues, f"must not be greater than {_MOST_QUEUES}"))
    if hand <= 0:
        found.append(invalid(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        found.append(invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > _HASH_BITS:
        text = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_HASH_BITS}"
        found.append(invalid(f"{path}.handSize", hand, text))
    return found
