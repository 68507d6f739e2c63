"""CustomResourceDefinitions: the resources that one makes, and its conditions.

Source: k8s.io/apiextensions-apiserver, pkg/controller/status and establish.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.resources import Resource, Subresource

_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


def _condition(crd: Object, kind: str) -> str:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return str(next((item["status"] for item in conditions if item["type"] == kind), ""))


def is_accepted(crd: Object) -> bool:
    """Whether a definition has its names."""
    return _condition(crd, "NamesAccepted") == "True"


def is_established(crd: Object) -> bool:
    """Whether a definition is served."""
    return _condition(crd, "Established") == "True"


def resources_of(crd: Object) -> list[Resource]:
    """The resources of the served versions of a definition, the most stable version first."""
    spec = crd["spec"]
    names = (crd.get("status") or {}).get("acceptedNames") or spec["names"]
    versions = spec["versions"]
    storage = next(version["name"] for version in versions if version.get("storage"))
    found = []
    for version in sorted(versions, key=lambda item: version_order(item["name"])):
        if not version.get("served"):
            continue
        gvk = GroupVersionKind(spec["group"], version["name"], names["kind"])
        parts = version.get("subresources") or {}
        subresources = []
        if parts.get("status") is not None:
            subresources.append(Subresource("status", gvk, ("get", "patch", "update")))
        if parts.get("scale") is not None:
            scale = GroupVersionKind("autoscaling", "v1", "Scale")
            subresources.append(Subresource("scale", scale, ("get", "patch", "update")))
        found.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                name=names["plural"],
                singular=names.get("singular", ""),
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                verbs=_VERBS,
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=tuple(subresources),
                storage_version=storage,
                custom=True,
                list_kind=names.get("listKind") or f"{names['kind']}List",
                selectable=tuple(item["jsonPath"] for item in version.get("selectableFields") or ()),
            )
        )
    return found


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def version_order(name: str) -> tuple[Any, ...]:
    """Sorts versions as Kubernetes prefers them: stable, beta, alpha, each the newest first, then others by name."""
    found = _VERSION.fullmatch(name)
    if not found:
        return (3, 0, 0, name)
    stage = {None: 0, "beta": 1, "alpha": 2}[found.group(2)]
    return (stage, -int(found.group(1)), -int(found.group(3) or 0), "")


def with_status(crd: Object, others: list[Object], now: str) -> Object:
    """A definition with its names judged against those of its group, and established once they are accepted.

    Only what changes is copied: the schemas are long.
    """
    status = copy.deepcopy(crd.get("status") or {})
    crd = {**crd, "metadata": dict(crd["metadata"]), "status": status}
    spec, wanted = crd["spec"], crd["spec"]["names"]
    taken = _taken(crd, others)
    accepted = dict(status.get("acceptedNames") or {})
    problem: tuple[str, str] | None = None
    for field, reason in (
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("shortNames", "ShortNamesConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ):
        value = wanted.get(field)
        values = value if isinstance(value, list) else [value]
        used = [item for item in values if item and item in taken["kinds" if "ind" in field else "names"]]
        if used:
            problem = (reason, "; ".join(f'"{item}" is already in use' for item in used))
        elif value:
            accepted[field] = value
        else:
            accepted.pop(field, None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    accepted.setdefault("plural", "")
    accepted.setdefault("kind", "")
    status["acceptedNames"] = accepted
    conditions = [dict(item) for item in status.get("conditions") or ()]
    if problem is None:
        _set(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
        _set(conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)
    else:
        _set(conditions, "NamesAccepted", "False", *problem, now)
        if not any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
            _set(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now)
    status["conditions"] = conditions
    stored = status.setdefault("storedVersions", [])
    for version in spec["versions"]:
        if version.get("storage") and version["name"] not in (stored or ()):
            status["storedVersions"] = [*(stored or ()), version["name"]]
    return crd


def _taken(crd: Object, others: list[Object]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"names": set(), "kinds": set()}
    for other in others:
        same = other["metadata"]["name"] == crd["metadata"]["name"]
        if same or other["spec"]["group"] != crd["spec"]["group"]:
            continue
        names = (other.get("status") or {}).get("acceptedNames") or {}
        found["names"].update(
            filter(None, [names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())])
        )
        found["kinds"].update(filter(None, [names.get("kind"), names.get("listKind")]))
    return found


def set_condition(crd: Object, kind: str, status: str, reason: str, message: str, now: str) -> None:
    """Sets a condition of a definition's status, in place."""
    found = crd.setdefault("status", {})
    conditions = found["conditions"] = list(found.get("conditions") or ())
    _set(conditions, kind, status, reason, message, now)


def _set(conditions: list[Object], kind: str, status: str, reason: str, message: str, now: str) -> None:
    condition = next((item for item in conditions if item["type"] == kind), None)
    if condition is None:
        condition = {"type": kind}
        conditions.append(condition)
    changed = condition.get("status") != status
    since = now if changed else condition.get("lastTransitionTime", now)
    condition |= {"status": status, "lastTransitionTime": since}
    condition |= {"reason": reason, "message": message}
