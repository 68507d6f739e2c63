"""Validation of mutating and validating webhook configurations.

Rules and texts: k8s.io/kubernetes, pkg/apis/admissionregistration/validation, and k8s.io/apiserver, pkg/util/webhook.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.admission_rules import (
    FAILURE_POLICIES,
    GROUP,
    MATCH_POLICIES,
    match_conditions,
    rule_with_operations,
)
from azsandbox.kubernetes.validation.common import formatted, label_selector, supported
from azsandbox.kubernetes.validation.errors import Errors, duplicate, invalid, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

_KINDS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_FORM = "; desired format: https://host[/path]"


@on_create(GROUP, *_KINDS)
def webhooks(obj: Object) -> Errors:
    found: Errors = []
    names: set[str] = set()
    for index, webhook in enumerate(obj.get("webhooks") or []):
        here, name = f"webhooks[{index}]", webhook.get("name") or ""
        found += _webhook(webhook, here)
        found += _review_versions(webhook.get("admissionReviewVersions") or [], f"{here}.admissionReviewVersions")
        if name and name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
    return found


on_update(GROUP, *_KINDS)(lambda new, old: webhooks(new))


def _full_name(name: str, path: str) -> Errors:
    """A name of three parts at least, with dots between."""
    if not name:
        return [required(path)]
    faults = formats.dns_subdomain(name)
    if faults:
        return [invalid(path, name, ",".join(faults))]
    if name.count(".") < 2:
        return [invalid(path, name, "should be a domain with at least three segments separated by dots")]
    return []


def _webhook(webhook: Object, path: str) -> Errors:
    found = _full_name(webhook.get("name") or "", f"{path}.name")
    for index, rule in enumerate(webhook.get("rules") or []):
        found += rule_with_operations(rule, f"{path}.rules[{index}]")
    for key, values in (("failurePolicy", FAILURE_POLICIES), ("matchPolicy", MATCH_POLICIES)):
        if webhook.get(key) is not None:
            found += supported(webhook[key], f"{path}.{key}", values)
    effects, where = webhook.get("sideEffects"), f"{path}.sideEffects"
    if effects is None:
        found.append(required(where, "must specify one of None, NoneOnDryRun"))
    else:
        found += supported(effects, where, ("None", "NoneOnDryRun"))
    seconds = webhook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        found.append(invalid(f"{path}.timeoutSeconds", seconds, text))
    for key in ("namespaceSelector", "objectSelector"):
        found += label_selector(webhook.get(key), f"{path}.{key}")
    if webhook.get("reinvocationPolicy") is not None:
        found += supported(webhook["reinvocationPolicy"], f"{path}.reinvocationPolicy", ("IfNeeded", "Never"))
    found += _client(webhook.get("clientConfig") or {}, f"{path}.clientConfig")
    return found + match_conditions(webhook.get("matchConditions") or [], f"{path}.matchConditions")


def _client(config: Object, path: str) -> Errors:
    address, service = config.get("url"), config.get("service")
    if (address is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    return url(address, f"{path}.url") if address is not None else service_reference(service or {}, f"{path}.service")


def url(text: str, path: str) -> Errors:
    """The address of a webhook: https, a host, perhaps a path."""
    try:
        parsed = urlsplit(text)
        host = parsed.netloc.rpartition("@")[2]
    except ValueError as error:
        return [required(path, f"url must be a valid URL: {error}{_FORM}")]
    found: Errors = []
    if parsed.scheme != "https":
        found.append(invalid(path, parsed.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not host:
        found.append(invalid(path, host, f"host must be specified{_FORM}"))
    if "@" in parsed.netloc:
        user = parsed.netloc.rpartition("@")[0]
        found.append(invalid(path, user, "user information is not permitted in the URL"))
    if parsed.fragment:
        found.append(invalid(path, parsed.fragment, "fragments are not permitted in the URL"))
    if parsed.query:
        found.append(invalid(path, parsed.query, "query parameters are not permitted in the URL"))
    return found


def service_reference(service: Object, path: str) -> Errors:
    """A service that answers a webhook, with a path of names."""
    # Kubernetes takes one for the other here: a missing namespace is told of the name
    swapped = (("name", "namespace"), ("namespace", "name"))
    found = [required(f"{path}.{told}") for told, key in swapped if not service.get(key)]
    port = service.get("port", 443)
    if formats.port_number(port):
        found.append(invalid(f"{path}.port", port, f"port is not valid: {formats.range_text(1, 65535)}"))
    place = service.get("path")
    if place in (None, "", "/"):
        return found
    if place == "//":
        return [*found, invalid(f"{path}.path", place, "segment[0] may not be empty")]
    if not place.startswith("/"):
        found.append(invalid(f"{path}.path", place, "must start with a '/'"))
    for index, step in enumerate(place[1:].removesuffix("/").split("/")):
        faults = formats.dns_subdomain(step)
        if not step:
            found.append(invalid(f"{path}.path", place, f"segment[{index}] may not be empty"))
            continue
        found += [invalid(f"{path}.path", place, f"segment[{index}]: {text}") for text in faults]
    return found


def _review_versions(versions: list[str], path: str) -> Errors:
    if not versions:
        return [required(path, "must specify one of v1, v1beta1")]
    found: Errors = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            found.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        found += formatted(version, f"{path}[{index}]", formats.dns_1035_label)
    if not set(versions) & set(_REVIEW_VERSIONS):
        found.append(invalid(path, versions, "must include at least one of v1, v1beta1"))
    return found
