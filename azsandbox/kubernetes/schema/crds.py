"""CustomResourceDefinitions: what is wrong with one, the resources it makes, and its conditions.

Source: k8s.io/apiextensions-apiserver, pkg/apis/apiextensions/validation, pkg/apiserver/schema,
pkg/controller/status and establish.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from azsandbox.kubernetes.request import GroupVersionKind, Object
from azsandbox.kubernetes.resources import Resource, Subresource
from azsandbox.kubernetes.schema import string_formats
from azsandbox.kubernetes.schema.crd_schemas import validate_schema
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.errors import Errors, duplicate, invalid, not_supported, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

GROUP = "apiextensions.k8s.io"
KIND = "CustomResourceDefinition"
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_MIXED = "may have mixed case, but should otherwise match: "


@on_create(GROUP, KIND)
def validate(crd: Object) -> Errors:
    """Errors of a new definition."""
    spec, names = crd["spec"], crd["spec"].get("names") or {}
    found: Errors = []
    name, group, plural = crd["metadata"].get("name", ""), spec.get("group", ""), names.get("plural", "")
    if name != f"{plural}.{group}":
        found.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    found += _spec(crd)
    stored = (crd.get("status") or {}).get("storedVersions")
    storage = [version["name"] for version in spec.get("versions") or () if version.get("storage")]
    if not stored and not storage:
        found.append(invalid("status.storedVersions", None, "must have at least one stored version"))
    elif len(storage) > 1 and (stored or storage[:1])[0] != storage[-1]:
        found.append(
            invalid("status.storedVersions", stored or storage[:1], f"must have the storage version {storage[-1]}")
        )
    return found


@on_update(GROUP, KIND)
def validate_update(new: Object, old: Object) -> Errors:
    """Errors of a changed definition: group, scope and names of an established one stay."""
    found = _spec(new)
    before, after = old["spec"], new["spec"]
    if _condition(old, "Established") == "True":
        for path in ("scope", "names.kind"):
            if _at(before, path) != _at(after, path):
                found.append(invalid(f"spec.{path}", _at(after, path), "field is immutable"))
    for path in ("group", "names.plural"):
        if _at(before, path) != _at(after, path):
            found.append(invalid(f"spec.{path}", _at(after, path), "field is immutable"))
    served = {version["name"] for version in after.get("versions") or ()}
    for index, version in enumerate((new.get("status") or {}).get("storedVersions") or ()):
        if version not in served:
            text = f"missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {version} and removes {version} from status.storedVersions"
            found.append(invalid(f"status.storedVersions[{index}]", version, text))
    return found


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = (value or {}).get(part)
    return value


def _condition(crd: Object, kind: str) -> str:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return str(next((item["status"] for item in conditions if item["type"] == kind), ""))


def _spec(crd: Object) -> Errors:
    spec = crd["spec"]
    found: Errors = []
    group = spec.get("group", "")
    if not group:
        found.append(required("spec.group"))
    else:
        found += [invalid("spec.group", group, text) for text in formats.dns_subdomain(group)]
        if len(group.split(".")) < 2:
            found.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    scope = spec.get("scope", "")
    if not scope:
        found.append(required("spec.scope"))
    elif scope not in ("Cluster", "Namespaced"):
        found.append(not_supported("spec.scope", scope, ("Cluster", "Namespaced")))
    versions = spec.get("versions") or []
    seen = [version.get("name", "") for version in versions]
    if len(set(seen)) != len(seen):
        found.append(invalid("spec.versions", _internal(versions), "must contain unique version names"))
    single = len(versions) == 1
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        name = version.get("name", "")
        found += [invalid(f"{path}.name", name, text) for text in formats.dns_1035_label(name)]
        found += _version(version, "spec" if single else path, path, single)
    if sum(bool(version.get("storage")) for version in versions) != 1:
        found.append(
            invalid("spec.versions", _internal(versions), "must have exactly one version marked as storage version")
        )
    if versions and formats.dns_1035_label(seen[0]):
        found += [invalid("spec.version", seen[0], text) for text in formats.dns_1035_label(seen[0])]
    found += _names(spec.get("names") or {}, "spec.names")
    found += _conversion(spec.get("conversion") or {})
    return found


def _internal(versions: list[Any]) -> list[Any]:
    """Versions as the internal Go type is printed."""
    return [
        {
            "Name": version.get("name", ""),
            "Served": bool(version.get("served")),
            "Storage": bool(version.get("storage")),
            "Deprecated": bool(version.get("deprecated")),
            "DeprecationWarning": version.get("deprecationWarning"),
            "Schema": None,
            "Subresources": None,
            "AdditionalPrinterColumns": None,
            "SelectableFields": None,
        }
        for version in versions
    ]


def _version(version: Object, path: str, own: str, single: bool) -> Errors:
    found: Errors = []
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        found.append(required(f"{own}.schema.openAPIV3Schema"))
    else:
        found += validate_schema(schema, f"{path}.{'validation' if single else 'schema'}.openAPIV3Schema")
    scale = (version.get("subresources") or {}).get("scale")
    if scale is not None:
        found += _scale(scale, f"{path}.subresources.scale")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        found += _column(column, f"{path}.additionalPrinterColumns[{index}]")
    seen: set[str] = set()
    for index, item in enumerate(version.get("selectableFields") or ()):
        json_path = item.get("jsonPath", "")
        where = f"{path}.selectableFields[{index}].jsonPath"
        if not json_path:
            found.append(required(where))
        elif not _simple(json_path):
            found.append(invalid(where, json_path, "is an invalid path: must be a simple json path starting with ."))
        elif json_path in seen:
            found.append(duplicate(where, json_path))
        seen.add(json_path)
    return found


def _simple(path: str) -> bool:
    return re.fullmatch(r"(\.[^.\[\]*]+|\[['\"][^'\"]+['\"]\])+", path) is not None


def _scale(scale: Object, path: str) -> Errors:
    found: Errors = []
    for name, root, needed in (
        ("specReplicasPath", ".spec.", True),
        ("statusReplicasPath", ".status.", True),
        ("labelSelectorPath", "", False),
    ):
        value = scale.get(name) or ""
        if not value:
            if needed:
                found.append(required(f"{path}.{name}"))
        elif root and not value.startswith(root):
            found.append(invalid(f"{path}.{name}", value, f"should be a json path under {root.rstrip('.')}"))
        elif not root and not value.startswith((".spec.", ".status.")):
            found.append(invalid(f"{path}.{name}", value, "should be a json path under either .spec or .status"))
    return found


def _column(column: Object, path: str) -> Errors:
    found: Errors = []
    if not column.get("name"):
        found.append(required(f"{path}.name"))
    kind = column.get("type", "")
    if not kind:
        found.append(required(f"{path}.type", f"must be one of {','.join(_COLUMN_TYPES)}"))
    elif kind not in _COLUMN_TYPES:
        found.append(invalid(f"{path}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}"))
    form = column.get("format")
    if form and form not in _COLUMN_FORMATS:
        found.append(invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    json_path = column.get("jsonPath", "")
    if not json_path:
        found.append(required(f"{path}.JSONPath"))
    elif not json_path.startswith((".", "[", "{")) or json_path.startswith("{"):
        found.append(invalid(f"{path}.JSONPath", json_path, "must be a simple json path starting with ."))
    return found


def _names(names: Object, path: str) -> Errors:
    found: Errors = []
    for name in ("plural", "singular"):
        value = names.get(name, "")
        if not value:
            found.append(required(f"{path}.{name}"))
        else:
            found += [invalid(f"{path}.{name}", value, text) for text in formats.dns_1035_label(value)]
    for name in ("kind", "listKind"):
        value = names.get(name, "")
        if not value:
            found.append(required(f"{path}.{name}"))
        else:
            found += [invalid(f"{path}.{name}", value, _MIXED + text) for text in formats.dns_1035_label(value.lower())]
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        found.append(invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same"))
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            found += [invalid(f"{path}.{field}[{index}]", value, text) for text in formats.dns_1035_label(value)]
    return found


def _conversion(conversion: Object) -> Errors:
    found: Errors = []
    strategy = conversion.get("strategy", "")
    path = "spec.conversion"
    webhook = conversion.get("webhook")
    if not strategy:
        return [required(f"{path}.strategy")]
    if strategy not in ("None", "Webhook"):
        return [not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))]
    if strategy == "None":
        return found
    client = (webhook or {}).get("clientConfig")
    if client is None:
        found.append(required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook"))
    elif bool(client.get("url")) == bool(client.get("service")):
        found.append(required(f"{path}.webhookClientConfig", "exactly one of url or service is required"))
    if not (webhook or {}).get("conversionReviewVersions"):
        found.append(required(f"{path}.conversionReviewVersions"))
    return found


def warnings(crd: Object) -> list[str]:
    """What the author of a definition is warned of: formats that mean nothing."""
    found: list[str] = []
    for version in crd["spec"].get("versions") or ():
        _unknown_formats((version.get("schema") or {}).get("openAPIV3Schema"), found)
    return found


def _unknown_formats(schema: Any, found: list[str]) -> None:
    if not isinstance(schema, dict):
        return
    form = schema.get("format")
    text = f'unrecognized format "{form}"'
    if form and not string_formats.known(form) and text not in found:
        found.append(text)
    for child in (schema.get("properties") or {}).values():
        _unknown_formats(child, found)
    for name in ("items", "additionalProperties"):
        _unknown_formats(schema.get(name), found)


# --- resources and conditions


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
    """A definition with its names judged against those of its group, and established once they are accepted."""
    crd = copy.deepcopy(crd)
    status = crd["status"] = crd.get("status") or {}
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
