"""Validation of CustomResourceDefinitions.

Source: k8s.io/apiextensions-apiserver, pkg/apis/apiextensions/validation. Its internal type has what all versions
share (schema, subresources, columns, selectable fields) beside the versions, and so have the errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import crd_paths, crd_schemas
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.common import formatted, one_of, unchanged
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    quoted,
    required,
    too_many,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.webhook_configurations import service_reference, url

_GROUP, _KIND = "apiextensions.k8s.io", "CustomResourceDefinition"
_COLUMN_TYPES = "boolean,date,integer,number,string"
_COLUMN_FORMATS = "byte,date,date-time,double,float,int32,int64,password"
_REVIEW_VERSIONS = ("v1", "v1beta1")
_MIXED = "may have mixed case, but should otherwise match: "
_APPROVAL = "api-approved.kubernetes.io"
_PULL = "see https://github.com/kubernetes/enhancements/pull/1111"
_MAX_SELECTABLE = 8
_MAX_WARNING = 256


@on_create(_GROUP, _KIND, validates_metadata=True)
def create(crd: Object) -> Errors:
    """Errors of a new definition."""
    spec = crd.get("spec") or {}
    wanted = f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}"
    found = metadata.on_create(crd.get("metadata") or {}, False, _named(wanted)) + _spec(spec)
    found += _names((crd.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    stored = (crd.get("status") or {}).get("storedVersions")
    storage = [version.get("name") or "" for version in spec.get("versions") or () if version.get("storage")]
    found += _stored_versions(stored or storage[:1], spec)
    return found + _approval(crd, None) + _preserving(spec, {})


@on_update(_GROUP, _KIND)
def update(new: Object, old: Object) -> Errors:
    """Errors of a changed definition: group and plural stay, of an established one scope and kind as well."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    names, names_before = after.get("names") or {}, before.get("names") or {}
    found = _spec(after) if after != before else []  # a specification that is stored was found good
    if _is_established(old):
        found += unchanged(after.get("scope"), before.get("scope"), "spec.scope")
        found += unchanged(names.get("kind"), names_before.get("kind"), "spec.names.kind")
    found += unchanged(after.get("group"), before.get("group"), "spec.group")
    found += unchanged(names.get("plural"), names_before.get("plural"), "spec.names.plural")
    status = new.get("status") or {}
    found += _names(status.get("acceptedNames") or {}, "status.acceptedNames")
    found += _stored_versions(status.get("storedVersions") or [], after)
    return found + _approval(new, old) + _preserving(after, before)


@on_update(_GROUP, _KIND, subresource="status")
def update_status(new: Object, old: Object) -> Errors:
    return _names((new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")


def _named(wanted: str) -> formats.Format:
    def check(name: str) -> list[str]:
        faults = formats.dns_subdomain(name)
        return faults if name == wanted else [*faults, 'must be spec.names.plural+"."+spec.group']

    return check


def _is_established(crd: Object) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Established" and item.get("status") == "True" for item in conditions)


def _stored_versions(stored: list[str], spec: Object) -> Errors:
    path = "status.storedVersions"
    if not stored:
        return [invalid(path, None, "must have at least one stored version")]
    versions = spec.get("versions") or ()
    names = {version.get("name") for version in versions}
    found = [
        invalid(path, stored, f"must have the storage version {version['name']}")
        for version in versions
        if version.get("storage") and version.get("name") not in stored
    ]
    for index, name in enumerate(stored):
        if name not in names:
            text = f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            found.append(invalid(f"{path}[{index}]", name, text))
    return found


def _approval_state(crd: Object) -> tuple[str, str]:
    """What the annotation says of a group of Kubernetes' own, and why that is not enough."""
    said = ((crd.get("metadata") or {}).get("annotations") or {}).get(_APPROVAL) or ""
    needed = f"protected groups must have approval annotation {quoted(_APPROVAL)}"
    if not said:
        return "missing", f"{needed}, {_PULL}"
    address = urlsplit(said)
    if said.startswith("unapproved") or (address.scheme and address.netloc):
        return "approved" if address.scheme else "bypassed", ""
    return "invalid", f'{needed} with either a URL or a reason starting with "unapproved", {_PULL}'


def _approval(new: Object, old: Object | None) -> Errors:
    group = (new.get("spec") or {}).get("group") or ""
    if not any(group == domain or group.endswith(f".{domain}") for domain in ("k8s.io", "kubernetes.io")):
        return []
    state, why = _approval_state(new)
    if old is not None and _approval_state(old)[0] == state:
        return []
    path = f"metadata.annotations[{_APPROVAL}]"
    if state == "missing":
        return [required(path, why)]
    return [invalid(path, new["metadata"]["annotations"][_APPROVAL], why)] if state == "invalid" else []


def _preserving(new: Object, old: Object) -> Errors:
    if not new.get("preserveUnknownFields") or old.get("preserveUnknownFields"):
        return []
    text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    return [invalid("spec.preserveUnknownFields", True, text)]


@dataclass(frozen=True)
class _Shared:
    """Which parts of the versions are the same in all, and so stand beside them."""

    schema: bool
    subresources: bool
    columns: bool
    selectable: bool


def _shared(versions: list[Object]) -> _Shared:
    def same(key: str) -> bool:
        return all((version.get(key) or None) == (versions[0].get(key) or None) for version in versions)

    return _Shared(*map(same, ("schema", "subresources", "additionalPrinterColumns", "selectableFields")))


def _schema_of(version: Object) -> Any:
    return (version.get("schema") or {}).get("openAPIV3Schema")


def _has_status(version: Object) -> bool:
    return (version.get("subresources") or {}).get("status") is not None


def _spec(spec: Object) -> Errors:
    group, versions = spec.get("group") or "", [version or {} for version in spec.get("versions") or []]
    found: Errors = []
    faults = formats.dns_subdomain(group)
    if not group:
        found.append(required("spec.group"))
    elif faults:
        found.append(invalid("spec.group", group, ",".join(faults)))
    elif "." not in group:
        found.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    found += one_of(spec.get("scope"), "spec.scope", ("Cluster", "Namespaced"))
    shared = _shared(versions)
    found += [
        required(f"spec.versions[{index}].schema.openAPIV3Schema")
        for index, version in enumerate(versions)
        if _schema_of(version) is None
    ]
    for index, version in enumerate(versions):
        name = version.get("name") or ""
        faults = formats.dns_1035_label(name)
        if faults:
            found.append(invalid(f"spec.versions[{index}].name", name, ",".join(faults)))
        found += _version(version, f"spec.versions[{index}]", shared)
    found += _versions(versions, spec.get("versions"))
    names = spec.get("names") or {}
    found += [required(f"spec.names.{key}") for key in ("plural", "singular", "kind", "listKind") if not names.get(key)]
    found += _names(names, "spec.names")
    if versions:
        found += _shared_parts(versions, shared)
    return found + _conversion(spec)


def _versions(versions: list[Object], given: list[Object] | None) -> Errors:
    """What concerns all versions together."""
    found: Errors = []
    names = [version.get("name") or "" for version in versions]
    if len(set(names)) != len(names):
        found.append(invalid("spec.versions", _internal(versions), "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(invalid("spec.versions", None if given is None else _internal(versions), text))
    faults = formats.dns_1035_label(names[0]) if names and names[0] else []
    return [*found, invalid("spec.version", names[0], ",".join(faults))] if faults else found


def _internal(versions: list[Object]) -> list[Any]:
    """Versions as the internal Go type is printed, where they share all parts."""
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


def _version(version: Object, path: str, shared: _Shared) -> Errors:
    """What a version has of its own."""
    found = _deprecation(version, f"{path}.deprecationWarning")
    schema = _schema_of(version)
    if not shared.schema and schema is not None:
        found += crd_schemas.validate_schema(schema, f"{path}.schema.openAPIV3Schema", _has_status(version))
    if not shared.subresources:
        found += _scale(version, f"{path}.subresources")
    if not shared.columns:
        found += _columns(version, f"{path}.additionalPrinterColumns")
    if not shared.selectable and version.get("selectableFields"):
        where = f"{path}.selectableFields"
        if shared.schema or schema is None:
            text = "may only be set when `version.schema.openAPIV3Schema` is not included"
            found.append(invalid(where, "", text))
        else:
            found += _selectable(version, schema, where)
    return found


def _shared_parts(versions: list[Object], shared: _Shared) -> Errors:
    """What stands beside the versions."""
    first = versions[0]
    schema = _schema_of(first)
    found: Errors = []
    if shared.schema and schema is not None:
        found += crd_schemas.validate_schema(schema, "spec.validation.openAPIV3Schema", any(map(_has_status, versions)))
    if shared.subresources:
        found += _scale(first, "spec.subresources")
    if shared.columns:
        found += _columns(first, "spec.additionalPrinterColumns")
    if shared.selectable and first.get("selectableFields"):
        if not shared.schema or first.get("schema") is None:
            text = "may only be set when validations.schema is included"
            found.append(invalid("spec.selectableFields", "", text))
        else:
            found += _selectable(first, schema or {}, "spec.selectableFields")
    return found


def _deprecation(version: Object, path: str) -> Errors:
    text = version.get("deprecationWarning")
    if text is None:
        return []
    if not version.get("deprecated"):
        return [invalid(path, text, "can only be set for deprecated versions")]
    found: Errors = []
    if len(text.encode()) > _MAX_WARNING:
        found.append(invalid(path, text, f"must be <= {_MAX_WARNING} characters long"))
    if not text:
        found.append(invalid(path, text, "must not be an empty string"))
    odd = next((index for index, letter in enumerate(text) if not letter.isprintable()), None)
    if odd is not None:
        at = len(text[:odd].encode())
        told = f"must only contain printable UTF-8 characters; non-printable character found at index {at}"
        found.append(invalid(path, text, told))
    return found


def _scale(version: Object, path: str) -> Errors:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return []
    found: Errors = []
    for name, roots, told in (
        ("specReplicasPath", (".spec.",), ".spec"),
        ("statusReplicasPath", (".status.",), ".status"),
        ("labelSelectorPath", (".spec.", ".status."), "either .spec or .status"),
    ):
        value, where = scale.get(name) or "", f"{path}.scale.{name}"
        if not value:
            found += [required(where)] if name != "labelSelectorPath" else []
            continue
        faults = _simple(value, where)
        if not faults and not value.startswith(roots):
            faults = [invalid(where, value, f"should be a json path under {told}")]
        found += faults
    return found


def _simple(value: str, path: str) -> Errors:
    return [] if value.startswith(".") else [invalid(path, value, "must be a simple json path starting with .")]


def _columns(version: Object, path: str) -> Errors:
    found: Errors = []
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        where, kind, form = f"{path}[{index}]", column.get("type") or "", column.get("format") or ""
        place = column.get("jsonPath") or ""
        if not column.get("name"):
            found.append(required(f"{where}.name"))
        if not kind:
            found.append(required(f"{where}.type", f"must be one of {_COLUMN_TYPES}"))
        elif kind not in _COLUMN_TYPES.split(","):
            found.append(invalid(f"{where}.type", kind, f"must be one of {_COLUMN_TYPES}"))
        if form and form not in _COLUMN_FORMATS.split(","):
            found.append(invalid(f"{where}.format", form, f"must be one of {_COLUMN_FORMATS}"))
        found += _simple(place, f"{where}.JSONPath") if place else [required(f"{where}.JSONPath")]
    return found


def _selectable(version: Object, schema: Object, path: str) -> Errors:
    found: Errors = []
    seen: set[tuple[str, ...]] = set()
    for index, item in enumerate(version.get("selectableFields") or ()):
        where, place = f"{path}[{index}].jsonPath", item.get("jsonPath") or ""
        if not place:
            found.append(required(where))
            continue
        try:
            names, part = crd_paths.field_path(place, schema, arrays=False)
        except crd_paths.FieldPathError as error:
            found.append(invalid(where, place, f"is an invalid path: {error}"))
            continue
        if names[:1] == ("metadata",):
            found.append(invalid(where, place, "must not point to fields in metadata"))
        if part.get("type") not in ("string", "boolean", "integer"):
            text = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            found.append(invalid(where, place, text))
        if names in seen:
            found.append(duplicate(where, place))
        seen.add(names)
    return [*found, too_many(path, len(seen), _MAX_SELECTABLE)] if len(seen) > _MAX_SELECTABLE else found


def _names(names: Object, path: str) -> Errors:
    found: Errors = []
    for key, mixed in (("plural", False), ("singular", False), ("kind", True), ("listKind", True)):
        value = names.get(key) or ""
        faults = formats.dns_1035_label(value.lower() if mixed else value) if value else []
        if faults:
            found.append(invalid(f"{path}.{key}", value, (_MIXED if mixed else "") + ",".join(faults)))
    found += _labels(names.get("shortNames"), f"{path}.shortNames")
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        found.append(invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same"))
    return found + _labels(names.get("categories"), f"{path}.categories")


def _labels(values: list[str] | None, path: str) -> Errors:
    found: Errors = []
    for index, value in enumerate(values or ()):
        faults = formats.dns_1035_label(value)
        if faults:
            found.append(invalid(f"{path}[{index}]", value, ",".join(faults)))
    return found


def _conversion(spec: Object) -> Errors:
    conversion, path = spec.get("conversion"), "spec.conversion"
    if conversion is None:
        return []
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook") or {}
    client, reviews = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    found: Errors = []
    if strategy != "None" and spec.get("preserveUnknownFields"):
        text = "must be None if spec.preserveUnknownFields is true"
        found.append(invalid(f"{path}.strategy", strategy or "", text))
    found += one_of(strategy, f"{path}.strategy", ("None", "Webhook"))
    if strategy != "Webhook":
        text = "should not be set when strategy is not set to Webhook"
        if client is not None:
            found.append(forbidden(f"{path}.webhookClientConfig", text))
        return [*found, forbidden(f"{path}.conversionReviewVersions", text)] if reviews else found
    where = f"{path}.webhookClientConfig"
    if client is None:
        found.append(required(where, "required when strategy is set to Webhook"))
    elif (client.get("url") is None) == (client.get("service") is None):
        found.append(required(where, "exactly one of url or service is required"))
    elif client.get("url") is not None:
        found += url(client["url"], f"{where}.url")
    else:
        found += service_reference(client["service"], f"{where}.service")
    return found + _review_versions(reviews, f"{path}.conversionReviewVersions")


def _review_versions(versions: list[str], path: str) -> Errors:
    if not versions:
        return [required(path)]
    found: Errors = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            found.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        found += formatted(version, f"{path}[{index}]", formats.dns_1035_label)
    if not set(versions) & set(_REVIEW_VERSIONS):
        found.append(invalid(path, versions, "must include at least one of v1, v1beta1"))
    return found
