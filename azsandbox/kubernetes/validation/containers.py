"""Validation of containers: names, images, ports, environment, probes, hooks and security contexts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats, volumes
from azsandbox.kubernetes.validation.common import (
    PROTOCOLS,
    formatted,
    named,
    no_backsteps,
    nonnegative,
    one_of,
    port_number_or_name,
    supported,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_found,
    required,
    too_long,
)
from azsandbox.kubernetes.validation.resource_names import requirements
from azsandbox.kubernetes.validation.security import security_context
from azsandbox.kubernetes.validation.volume_sources import Check

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_SIDECAR_ONLY = "may not be set for init containers without restartPolicy=Always"
_EPHEMERAL_FIELDS = frozenset(
    {
        "name",
        "image",
        "command",
        "args",
        "workingDir",
        "envFrom",
        "env",
        "volumeMounts",
        "volumeDevices",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "securityContext",
        "stdin",
        "stdinOnce",
        "tty",
        "targetContainerName",
    }
)
_SUFFIXES = [
    "ABRT",
    "ALRM",
    "BUS",
    "CHLD",
    "CLD",
    "CONT",
    "FPE",
    "HUP",
    "ILL",
    "INT",
    "IO",
    "IOT",
    "KILL",
    "PIPE",
    "POLL",
    "PROF",
    "PWR",
    "QUIT",
    "RTMAX",
]
_LATER = [
    "SEGV",
    "STKFLT",
    "STOP",
    "SYS",
    "TERM",
    "TRAP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "USR1",
    "USR2",
    "VTALRM",
    "WINCH",
    "XCPU",
    "XFSZ",
]
_REAL_TIME = [f"RTMAX-{i}" for i in range(1, 15)] + ["RTMIN"] + [f"RTMIN+{i}" for i in range(1, 16)]
LINUX_SIGNALS = tuple(sorted(f"SIG{name}" for name in (*_SUFFIXES, *_LATER, *_REAL_TIME)))
WINDOWS_SIGNALS = ("SIGKILL", "SIGTERM")


@dataclass(frozen=True)
class PodContext:
    """What the checks of a container need to know of its pod."""

    volumes: dict[str, Object]
    claims: frozenset[str] = frozenset()
    grace: int | None = 30  # seconds
    os: str | None = None
    restart_policy: str = "Always"
    host_users: bool = True
    spec: Object = field(default_factory=dict)


def each(spec: Object, path: str = "spec") -> Iterator[tuple[Object, str]]:
    """Every container of a pod with its path: init containers, then containers, then ephemeral ones."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(key) or []):
            yield container, f"{path}.{key}[{index}]"


def containers(items: list[Object], context: PodContext, path: str) -> Errors:
    """The containers proper of a pod."""
    if not items:
        return [required(path)]
    found: Errors = []
    names: set[str] = set()
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        found += common(item, context, here)
        if item.get("name") in names:
            found.append(duplicate(f"{here}.name", item.get("name") or ""))
        names.add(item.get("name") or "")
        if item.get("lifecycle") is not None:
            found += lifecycle(item["lifecycle"], context, f"{here}.lifecycle")
        found += _probes(item, context, here)
        found += _restart_policy(item.get("restartPolicy"), item.get("restartPolicyRules") or [], here)
    return found + host_ports(items, path)


def init_containers(items: list[Object], regular: list[Object], context: PodContext, path: str) -> Errors:
    found: Errors = []
    names = {item.get("name") or "" for item in regular}
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        found += common(item, context, here)
        policy, rules = item.get("restartPolicy"), item.get("restartPolicyRules") or []
        if policy is None and rules:
            found.append(required(f"{here}.restartPolicy", "must specify restartPolicy when restart rules are used"))
        elif policy == "Always" and rules:
            text = "restartPolicyRules are not allowed for init containers with restart policy Always"
            found.append(forbidden(f"{here}.restartPolicyRules", text))
        elif policy not in (None, "Always"):
            found += _restart_policy(policy, rules, here)
        name = item.get("name") or ""
        if name in names:
            found.append(duplicate(f"{here}.name", name))
        elif name:
            names.add(name)
        found += host_ports([item], path)
        if policy == "Always":
            if item.get("lifecycle") is not None:
                found += lifecycle(item["lifecycle"], context, f"{here}.lifecycle")
            found += _probes(item, context, here)
        else:
            found += [
                forbidden(f"{here}.{key}", _SIDECAR_ONLY)
                for key in ("lifecycle", *_PROBES)
                if item.get(key) is not None
            ]
    return found


def ephemeral_containers(items: list[Object], context: PodContext, path: str) -> Errors:
    found: Errors = []
    spec = context.spec
    others = {c.get("name") or "" for c in (spec.get("containers") or []) + (spec.get("initContainers") or [])}
    names = set(others)
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        found += common(item, context, here) + untrimmed_image(item, here)
        name = item.get("name") or ""
        if name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
        target = item.get("targetContainerName")
        if target and target not in others:
            found.append(not_found(f"{here}.targetContainerName", target))
        text = "cannot be set for an Ephemeral Container"
        found += [forbidden(f"{here}.{key}", text) for key in item if key not in _EPHEMERAL_FIELDS and item[key]]
        for place, mount in enumerate(item.get("volumeMounts") or []):
            for key in ("subPath", "subPathExpr"):
                if mount.get(key):
                    found.append(forbidden(f"{here}.volumeMounts[{place}].{key}", text))
    return found


def common(item: Object, context: PodContext, path: str) -> Errors:
    """What is asked of every kind of container."""
    found = named(item.get("name"), f"{path}.name", formats.dns_label)
    if not item.get("image"):
        found.append(required(f"{path}.image"))
    messages = ("File", "FallbackToLogsOnError")
    found += one_of(item.get("terminationMessagePolicy"), f"{path}.terminationMessagePolicy", messages)
    if item.get("ports"):
        found += _ports(item["ports"], f"{path}.ports")
    if item.get("env"):
        found += _env(item["env"], f"{path}.env")
    if item.get("envFrom"):
        found += _env_from(item["envFrom"], f"{path}.envFrom")
    if item.get("volumeMounts") or item.get("volumeDevices"):
        found += volumes.mounts(item, context.volumes, path)
    found += one_of(item.get("imagePullPolicy"), f"{path}.imagePullPolicy", volumes.PULL_POLICIES)
    found += requirements(item.get("resources"), context.claims, f"{path}.resources")
    if item.get("resizePolicy"):
        found += _resize_policy(item["resizePolicy"], f"{path}.resizePolicy", context.restart_policy)
    if item.get("securityContext"):
        found += security_context(item["securityContext"], f"{path}.securityContext", context.host_users)
    return found


def untrimmed_image(item: Object, path: str) -> Errors:
    image = item.get("image") or ""
    text = "must not have leading or trailing whitespace"
    return [] if image == image.strip() else [invalid(f"{path}.image", image, text)]


def _ports(items: list[Object], path: str) -> Errors:
    found: Errors = []
    names: set[str] = set()
    for index, item in enumerate(items):
        here, name = f"{path}[{index}]", item.get("name") or ""
        if name:
            faults = formats.port_name(name)
            found += [invalid(f"{here}.name", name, text) for text in faults]
            if not faults and name in names:
                found.append(duplicate(f"{here}.name", name))
            if not faults:
                names.add(name)
        number, host = item.get("containerPort") or 0, item.get("hostPort") or 0
        if not number:
            found.append(required(f"{here}.containerPort"))
        else:
            found += [invalid(f"{here}.containerPort", number, text) for text in formats.port_number(number)]
        if host:
            found += [invalid(f"{here}.hostPort", host, text) for text in formats.port_number(host)]
        found += one_of(item.get("protocol"), f"{here}.protocol", PROTOCOLS)
    return found


def host_ports(items: list[Object], path: str) -> Errors:
    """Host ports that two ports of these containers ask for."""
    found: Errors = []
    taken: set[str] = set()
    for index, item in enumerate(items):
        for place, port in enumerate(item.get("ports") or []):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol') or ''}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if key in taken:
                found.append(duplicate(f"{path}[{index}].ports[{place}].hostPort", key))
            taken.add(key)
    return found


_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def _env(items: list[Object], path: str) -> Errors:
    found: Errors = []
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        found += named(item.get("name"), f"{here}.name", formats.relaxed_env_name)
        source = item.get("valueFrom")
        if source is not None:
            found += _env_source(source, item.get("value") or "", f"{here}.valueFrom")
    return found


def _env_source(source: Object, value: str, path: str) -> Errors:
    found: Errors = []
    given = [key for key in _ENV_SOURCES if source.get(key) is not None]
    for key in given:
        found += _ENV_CHECKS[key](source[key], f"{path}.{key}")
    if not given:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(invalid(path, "", text))
    elif value:
        found.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        found.append(invalid(path, "", "may not have more than one field specified at a time"))
    return found


def _key_reference(reference: Object, path: str) -> Errors:
    found = formatted(reference.get("name") or "", f"{path}.name", formats.dns_subdomain)
    return found + named(reference.get("key"), f"{path}.key", formats.config_key)


def _file_reference(reference: Object, path: str) -> Errors:
    found = named(reference.get("key"), f"{path}.key", formats.relaxed_env_name)
    found += named(reference.get("volumeName"), f"{path}.volumeName", formats.dns_label)
    place = reference.get("path")
    return found + (no_backsteps(place, f"{path}.path") if place else [required(f"{path}.path")])


_ENV_CHECKS: dict[str, Check] = {
    "fieldRef": volumes.env_field,
    "resourceFieldRef": lambda reference, path: volumes.resource_reference(reference, path),
    "configMapKeyRef": _key_reference,
    "secretKeyRef": _key_reference,
    "fileKeyRef": _file_reference,
}


def _env_from(items: list[Object], path: str) -> Errors:
    from azsandbox.kubernetes.validation.metadata import generated_prefix

    found: Errors = []
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        if item.get("prefix"):
            found += formatted(item["prefix"], f"{here}.prefix", formats.relaxed_env_name)
        given = [key for key in ("configMapRef", "secretRef") if item.get(key) is not None]
        for key in given:
            name = item[key].get("name") or ""
            if not name:
                found.append(required(f"{here}.{key}.name"))
            else:
                faults = formats.dns_subdomain(generated_prefix(name))
                found += [invalid(f"{here}.{key}.name", name, text) for text in faults]
        if not given:
            found.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            found.append(invalid(path, "", "may not have more than one field specified at a time"))
    return found


def handler(item: Object, grace: int | None, path: str, kinds: tuple[str, ...] = _HANDLERS) -> Errors:
    """A probe's or hook's way to act: exactly one."""
    found: Errors = []
    given = [key for key in kinds if item.get(key) is not None]
    if not given:
        return [required(path, "must specify a handler type")]
    found += _handler_part(given[0], item[given[0]], grace, f"{path}.{given[0]}")
    return found + [forbidden(f"{path}.{key}", "may not specify more than 1 handler type") for key in given[1:]]


def _handler_part(key: str, part: Object, grace: int | None, path: str) -> Errors:
    if key == "exec":
        return [] if part.get("command") else [required(f"{path}.command")]
    if key == "httpGet":
        found = [] if part.get("path") else [required(f"{path}.path")]
        found += port_number_or_name(part.get("port"), f"{path}.port")
        found += supported(part.get("scheme"), f"{path}.scheme", ("HTTP", "HTTPS"))
        for header in part.get("httpHeaders") or []:
            found += formatted(header.get("name") or "", f"{path}.httpHeaders", formats.http_header_name)
        return found
    if key == "sleep":
        seconds = part.get("seconds") or 0
        if grace is not None and not 0 <= seconds <= grace:
            text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            return [invalid(path, seconds, text)]
        return []
    return port_number_or_name(part.get("port"), f"{path}.port")


def lifecycle(item: Object, context: PodContext, path: str) -> Errors:
    found: Errors = []
    kinds = ("exec", "httpGet", "tcpSocket", "sleep")
    for key in ("postStart", "preStop"):
        if item.get(key) is not None:
            found += handler(item[key], context.grace, f"{path}.{key}", kinds)
    signal = item.get("stopSignal")
    if signal is not None:
        here = f"{path}.stopSignal"
        if context.os is None:
            found.append(forbidden(here, "may not be set for containers with empty `spec.os.name`"))
        elif context.os == "windows":
            found += supported(signal, here, WINDOWS_SIGNALS)
        else:
            found += supported(signal, here, LINUX_SIGNALS)
    return found


def _probes(item: Object, context: PodContext, path: str) -> Errors:
    found: Errors = []
    for key in _PROBES:
        probe = item.get(key)
        if probe is None:
            continue
        here = f"{path}.{key}"
        found += _probe(probe, context.grace, here)
        seconds = probe.get("terminationGracePeriodSeconds")
        if key == "readinessProbe":
            if seconds is not None:
                text = "must not be set for readinessProbes"
                found.append(invalid(f"{here}.terminationGracePeriodSeconds", seconds, text))
        elif (probe.get("successThreshold") or 0) != 1:
            found.append(invalid(f"{here}.successThreshold", probe.get("successThreshold") or 0, "must be 1"))
    return found


def _probe(probe: Object, grace: int | None, path: str) -> Errors:
    found = handler(probe, grace, path, _HANDLERS[:4])
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        found += nonnegative(probe.get(key), f"{path}.{key}")
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        found.append(invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0"))
    return found


def _restart_policy(policy: str | None, rules: list[Object], path: str) -> Errors:
    found: Errors = []
    if policy is None:
        text = "must specify restartPolicy when restart rules are used"
        found += [required(f"{path}.restartPolicy", text)] if rules else []
    else:
        found += supported(policy, f"{path}.restartPolicy", ("Always", "Never", "OnFailure"))
    if len(rules) > 20:
        found.append(too_long(f"{path}.restartPolicyRules", 20))
    for index, rule in enumerate(rules):
        here = f"{path}.restartPolicyRules[{index}]"
        found += supported(rule.get("action"), f"{here}.action", ("Restart",))
        codes = rule.get("exitCodes")
        if codes is None:
            found.append(required(f"{here}.exitCodes", "must be specified"))
            continue
        found += supported(codes.get("operator"), f"{here}.exitCodes.operator", ("In", "NotIn"))
        if len(codes.get("values") or []) > 255:
            found.append(too_long(f"{here}.exitCodes.values", 255))
    return found


def _resize_policy(items: list[Object], path: str, restart_policy: str) -> Errors:
    found: Errors = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        name, policy = item.get("resourceName") or "", item.get("restartPolicy") or ""
        if name in seen:
            found.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
        found += one_of(name, path, ("cpu", "memory"))
        found += one_of(policy, path, ("NotRequired", "RestartContainer"))
        if restart_policy == "Never" and policy != "NotRequired":
            text = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            found.append(invalid(path, policy, text))
    return found
