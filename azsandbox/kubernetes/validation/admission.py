"""Validation of webhook configurations and of admission policies and their bindings."""

from __future__ import annotations

from urllib.parse import urlparse

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import formatted, label_selector, named, supported
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_many,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update

_GROUP = "admissionregistration.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_REQUEST = ("object", "oldObject", "request", "namespaceObject", "authorizer")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")


def full_name(name: str, path: str) -> Errors:
    """A name of three parts at least, with dots between."""
    if not name:
        return [required(path)]
    faults = formats.dns_subdomain(name)
    if faults:
        return [invalid(path, name, ",".join(faults))]
    if name.count(".") < 2:
        return [invalid(path, name, "should be a domain with at least three segments separated by dots")]
    return []


@on_create(_GROUP, "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
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


on_update(_GROUP, "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")(lambda new, old: webhooks(new))


def _webhook(webhook: Object, path: str) -> Errors:
    found = full_name(webhook.get("name") or "", f"{path}.name")
    for index, rule in enumerate(webhook.get("rules") or []):
        found += _rule(rule, f"{path}.rules[{index}]")
    for key, values in (("failurePolicy", ("Fail", "Ignore")), ("matchPolicy", ("Equivalent", "Exact"))):
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
    return found + _match_conditions(webhook.get("matchConditions") or [], f"{path}.matchConditions")


def _client(config: Object, path: str) -> Errors:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    return _url(url, f"{path}.url") if url is not None else _service(service or {}, f"{path}.service")


def _url(text: str, path: str) -> Errors:
    form = "; desired format: https://host[/path]"
    parsed = urlparse(text)
    found: Errors = []
    if parsed.scheme != "https":
        found.append(invalid(path, text, f"'https' is the only allowed URL scheme{form}"))
    if not parsed.netloc:
        found.append(invalid(path, text, f"host must be specified{form}"))
    if parsed.username is not None:
        found.append(invalid(path, text, "user information is not permitted in the URL"))
    if parsed.fragment:
        found.append(invalid(path, text, "fragments are not permitted in the URL"))
    if parsed.query:
        found.append(invalid(path, text, "query parameters are not permitted in the URL"))
    return found


def _service(service: Object, path: str) -> Errors:
    found = [
        required(f"{path}.{key}", f"service {key} is required") for key in ("name", "namespace") if not service.get(key)
    ]
    port = service.get("port")
    if port is not None and formats.port_number(port):
        found.append(invalid(f"{path}.port", port, f"port is not valid: {formats.range_text(1, 65535)}"))
    place = service.get("path")
    if place is None:
        return found
    if not place.startswith("/"):
        found.append(invalid(f"{path}.path", place, "must start with a '/'"))
    for index, step in enumerate(place[1:].removesuffix("/").split("/") if place not in ("/", "") else ()):
        if not step:
            found.append(invalid(f"{path}.path", place, f"segment[{index}] may not be empty"))
            continue
        for text in formats.dns_subdomain(step):
            found.append(invalid(f"{path}.path", place, f"segment[{index}]: {text}"))
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
    if not set(versions) & set(_VERSIONS):
        found.append(invalid(path, versions, "must include at least one of v1, v1beta1"))
    return found


def _rule(rule: Object, path: str) -> Errors:
    found: Errors = []
    operations = rule.get("operations") or []
    if not operations:
        found.append(required(f"{path}.operations"))
    if len(operations) > 1 and "*" in operations:
        text = "if '*' is present, must not specify other operations"
        found.append(invalid(f"{path}.operations", operations, text))
    for index, operation in enumerate(operations):
        found += supported(operation, f"{path}.operations[{index}]", _OPERATIONS)
    for key, word in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(key) or []
        if not values:
            found.append(required(f"{path}.{key}"))
        if len(values) > 1 and "*" in values:
            text = f"if '*' is present, must not specify other {word}"
            found.append(invalid(f"{path}.{key}", values, text))
        if key == "apiVersions":
            found += [required(f"{path}.{key}[{index}]") for index, value in enumerate(values) if not value]
    resources = rule.get("resources") or []
    if not resources:
        found.append(required(f"{path}.resources"))
    found += [required(f"{path}.resources[{index}]") for index, value in enumerate(resources) if not value]
    if len(resources) > 1 and "*/*" in resources:
        text = "if '*/*' is present, must not specify other resources"
        found.append(invalid(f"{path}.resources", resources, text))
    if "*" in resources and any("/" not in value and value != "*" for value in resources):
        text = "if '*' is present, must not specify other resources without subresources"
        found.append(invalid(f"{path}.resources", resources, text))
    if rule.get("scope") is not None:
        found += supported(rule["scope"], f"{path}.scope", ("*", "Cluster", "Namespaced"))
    return found


def _expression(text: str, path: str, wanted: str, names: tuple[str, ...] = _REQUEST) -> Errors:
    from azsandbox.kubernetes.admission import expressions

    try:
        program = expressions.compiled(text, names)
    except expressions.CompileError as error:
        return [invalid(path, text, f"compilation failed: {_as_cel_go(str(error))}")]
    found = program.return_type().name().lower()
    if found in ("dyn", "*dynamic*", wanted) or (wanted == "string" and found == "null_type"):
        return []
    words = {"double": "double", "int": "int", "bool": "bool", "string": "string"}
    return [invalid(path, text, f"must evaluate to {wanted} but got {words.get(found, found)}")]


def _as_cel_go(text: str) -> str:
    return text.removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")


def _match_conditions(items: list[Object], path: str) -> Errors:
    found: Errors = []
    names: set[str] = set()
    if len(items) > 64:
        found.append(too_many(path, len(items), 64))
    for index, item in enumerate(items):
        here, name, expression = f"{path}[{index}]", item.get("name") or "", (item.get("expression") or "").strip()
        if not expression:
            found.append(required(f"{here}.expression"))
        else:
            found += _expression(item["expression"], f"{here}.expression", "bool")
        found += named(name, f"{here}.name", formats.qualified_name)
        if name and name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
    return found


@on_create(_GROUP, "ValidatingAdmissionPolicy")
def policy(obj: Object) -> Errors:
    spec, path = obj.get("spec") or {}, "spec"
    found: Errors = []
    if spec.get("failurePolicy") is None:
        found.append(required(f"{path}.failurePolicy"))
    else:
        found += supported(spec["failurePolicy"], f"{path}.failurePolicy", ("Fail", "Ignore"))
    kind = spec.get("paramKind")
    if kind is not None:
        found += [required(f"{path}.paramKind.{key}") for key in ("apiVersion", "kind") if not kind.get(key)]
    constraints = spec.get("matchConstraints")
    if constraints is None:
        found.append(required(f"{path}.matchConstraints"))
    else:
        found += _match_resources(constraints, f"{path}.matchConstraints")
        if not constraints.get("resourceRules"):
            found.append(required(f"{path}.matchConstraints.resourceRules"))
    found += _match_conditions(spec.get("matchConditions") or [], f"{path}.matchConditions")
    found += _variables(spec.get("variables") or [], f"{path}.variables")
    names = _REQUEST + (("params",) if kind is not None else ()) + (("variables",) if spec.get("variables") else ())
    rules, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not rules and not annotations:
        text = "validations or auditAnnotations must contain at least one item"
        found += [required(f"{path}.validations", text), required(f"{path}.auditAnnotations", text)]
    for index, rule in enumerate(rules):
        found += _validation(rule, f"{path}.validations[{index}]", names)
    for index, item in enumerate(annotations):
        here = f"{path}.auditAnnotations[{index}]"
        found += named(item.get("key"), f"{here}.key", formats.qualified_name)
        if not (item.get("valueExpression") or "").strip():
            found.append(required(f"{here}.valueExpression"))
    return found


on_update(_GROUP, "ValidatingAdmissionPolicy")(lambda new, old: policy(new))


def _variables(items: list[Object], path: str) -> Errors:
    found: Errors = []
    names: set[str] = set()
    for index, item in enumerate(items):
        here, name = f"{path}[{index}]", item.get("name") or ""
        if not name:
            found.append(required(f"{here}.name", "name is not specified"))
        elif formats.c_identifier(name):
            found.append(invalid(f"{here}.name", name, "name is not a valid CEL identifier"))
        if name and name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
        if not (item.get("expression") or "").strip():
            found.append(required(f"{here}.expression", "expression is not specified"))
    return found


def _validation(rule: Object, path: str, names: tuple[str, ...]) -> Errors:
    found: Errors = []
    expression, message = rule.get("expression") or "", rule.get("message") or ""
    if not expression.strip():
        found.append(required(f"{path}.expression", "expression is not specified"))
    else:
        found += _expression(expression, f"{path}.expression", "bool", names)
    said = rule.get("messageExpression") or ""
    if said.strip():
        found += _expression(said, f"{path}.messageExpression", "string", names)
    elif said:
        found.append(invalid(f"{path}.messageExpression", said, "must be non-empty if specified"))
    if message and not message.strip():
        found.append(invalid(f"{path}.message", message, "message must be non-empty if specified"))
    elif "\n" in message.strip():
        found.append(invalid(f"{path}.message", message, "message must not contain line breaks"))
    elif "\n" in expression and not message and not said:
        text = "message must be specified if expression contains line breaks"
        found.append(required(f"{path}.message", text))
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        found.append(not_supported(f"{path}.reason", rule["reason"], _REASONS))
    return found


def _match_resources(item: Object, path: str) -> Errors:
    found: Errors = []
    if item.get("matchPolicy") is None:
        found.append(required(f"{path}.matchPolicy"))
    else:
        found += supported(item["matchPolicy"], f"{path}.matchPolicy", ("Equivalent", "Exact"))
    for key in ("namespaceSelector", "objectSelector"):
        if item.get(key) is None:
            found.append(required(f"{path}.{key}"))
        else:
            found += label_selector(item[key], f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(item.get(key) or []):
            found += _rule(rule, f"{path}.{key}[{index}]")
    return found


@on_create(_GROUP, "ValidatingAdmissionPolicyBinding")
def binding(obj: Object) -> Errors:
    spec, path = obj.get("spec") or {}, "spec"
    found = named(spec.get("policyName"), f"{path}.policyName", formats.dns_subdomain)
    reference = spec.get("paramRef")
    if reference is not None:
        found += _parameters(reference, f"{path}.paramRef")
    if spec.get("matchResources") is not None:
        found += _match_resources(spec["matchResources"], f"{path}.matchResources")
    actions, where = spec.get("validationActions") or [], f"{path}.validationActions"
    if not actions:
        return [*found, required(where, "at least one validation action is required")]
    for index, action in enumerate(actions):
        if action not in ("Audit", "Deny", "Warn"):
            found.append(not_supported(f"{where}[{index}]", action, ("Audit", "Deny", "Warn")))
        if action in actions[:index]:
            found.append(duplicate(f"{where}[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
        found.append(invalid(where, actions, text))
    return found


on_update(_GROUP, "ValidatingAdmissionPolicyBinding")(lambda new, old: binding(new))


def _parameters(reference: Object, path: str) -> Errors:
    found: Errors = []
    name, selector = reference.get("name") or "", reference.get("selector")
    if name:
        found += formatted(name, f"{path}.name", formats.path_segment)
        if selector is not None:
            text = "name and selector are mutually exclusive"
            found.append(forbidden(f"{path}.name", text))
    elif selector is None:
        found.append(required(path, "one of name or selector must be specified"))
    found += label_selector(selector, f"{path}.selector")
    action = reference.get("parameterNotFoundAction")
    if action is None:
        found.append(required(f"{path}.parameterNotFoundAction"))
    else:
        found += supported(action, f"{path}.parameterNotFoundAction", ("Allow", "Deny"))
    return found
