"""The checks of the Pod Security Standards, each as a function of a pod: (reason, detail) or None.

Rules and texts: k8s.io/pod-security-admission, package policy. Reasons come in the order of the checks' ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.containers import each

LATEST = 1 << 16
NEWEST = 35  # the latest minor version whose standards are known

Finding = tuple[str, str]
Check = Callable[[Object, Object, int], Finding | None]

_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SYSCTLS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        0,
        (
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
        ),
    ),
    (27, ("net.ipv4.ip_local_reserved_ports",)),
    (
        29,
        (
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
        ),
    ),
    (32, ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")),
)
_ALLOWED_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


def evaluate(level: str, minor: int, meta: Object, spec: Object) -> list[Finding]:
    """What a level at a minor version finds wrong with a pod; [] if nothing."""
    if level == "privileged":
        return []
    minor = min(minor, NEWEST)
    restricted = level == "restricted"
    found = []
    for since, overridden_since, check in _BASELINE:
        if minor < since or (restricted and overridden_since is not None and minor >= overridden_since):
            continue
        found.append(check(meta, spec, minor))
    if restricted:
        found += [check(meta, spec, minor) for since, check in _RESTRICTED if minor >= since]
    return [finding for finding in found if finding is not None]


def _quoted(names: Iterable[str]) -> str:
    return '"' + '", "'.join(names) + '"'


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _containers(names: list[str]) -> str:
    return f"{_plural('container', len(names))} {_quoted(names)}"


def _setters(pod: bool, names: list[str]) -> str:
    return " and ".join((["pod"] if pod else []) + ([_containers(names)] if names else []))


def _contexts(spec: Object) -> list[tuple[str, Object]]:
    return [(item.get("name") or "", item.get("securityContext") or {}) for item, _ in each(spec)]


def _windows(spec: Object) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


def _own_users(spec: Object, minor: int) -> bool:
    return minor >= 35 and spec.get("hostUsers") is False


def _app_armor(meta: Object, spec: Object, minor: int) -> Finding | None:
    def bad(context: Object) -> str | None:
        profile = context.get("appArmorProfile")
        return (
            None
            if profile is None or profile.get("type") in ("RuntimeDefault", "Localhost")
            else profile.get("type") or ""
        )

    values: set[str] = set()
    pod = bad(spec.get("securityContext") or {})
    values |= {pod} if pod is not None else set()
    names = []
    for name, context in _contexts(spec):
        kind = bad(context)
        if kind is not None:
            names.append(name)
            values.add(kind)
    setters = [part for part in (_setters(pod is not None, names),) if part]
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in (meta.get("annotations") or {}).items()
        if key.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    listed = sorted(values) + annotations
    if annotations:
        setters.append(_plural("annotation", len(annotations)))
    if not setters:
        return None
    reason = _plural("forbidden AppArmor profile", len(listed))
    return reason, f"{' and '.join(setters)} must not set AppArmor profile type to {_quoted(listed)}"


def _baseline_capabilities(meta: Object, spec: Object, minor: int) -> Finding | None:
    names, bad = [], set()
    for name, context in _contexts(spec):
        added = set((context.get("capabilities") or {}).get("add") or []) - _CAPABILITIES
        if added:
            names.append(name)
            bad |= added
    if not names:
        return None
    said = f"{_containers(names)} must not include {_quoted(sorted(bad))} in securityContext.capabilities.add"
    return "non-default capabilities", said


def _host_namespaces(meta: Object, spec: Object, minor: int) -> Finding | None:
    shared = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return ("host namespaces", ", ".join(shared)) if shared else None


def _host_path(meta: Object, spec: Object, minor: int) -> Finding | None:
    names = [volume.get("name") or "" for volume in spec.get("volumes") or [] if volume.get("hostPath") is not None]
    return ("hostPath volumes", f"{_plural('volume', len(names))} {_quoted(names)}") if names else None


def _host_ports(meta: Object, spec: Object, minor: int) -> Finding | None:
    names, ports = [], set()
    for container, _ in each(spec):
        taken = {str(port["hostPort"]) for port in container.get("ports") or [] if port.get("hostPort")}
        if taken:
            names.append(container.get("name") or "")
            ports |= taken
    if not names:
        return None
    use = "uses" if len(names) == 1 else "use"
    return "hostPort", f"{_containers(names)} {use} {_plural('hostPort', len(ports))} {', '.join(sorted(ports))}"


def _probe_hosts(meta: Object, spec: Object, minor: int) -> Finding | None:
    names, hosts = set(), set()
    for container, _ in each(spec):
        handlers = [container.get(key) for key in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += [(container.get("lifecycle") or {}).get(key) for key in ("postStart", "preStop")]
        for handler in handlers:
            for key in ("httpGet", "tcpSocket"):
                host = ((handler or {}).get(key) or {}).get("host")
                if host:
                    names.add(container.get("name") or "")
                    hosts.add(host)
    if not names:
        return None
    use = "uses" if len(names) == 1 else "use"
    said = (
        f"{_containers(sorted(names))} {use} {_plural('probe or lifecycle host', len(hosts))} {_quoted(sorted(hosts))}"
    )
    return "probe or lifecycle host", said


def _privileged(meta: Object, spec: Object, minor: int) -> Finding | None:
    names = [name for name, context in _contexts(spec) if context.get("privileged")]
    return ("privileged", f"{_containers(names)} must not set securityContext.privileged=true") if names else None


def _proc_mount(meta: Object, spec: Object, minor: int) -> Finding | None:
    return None if _own_users(spec, minor) else _restricted_proc_mount(meta, spec, minor)


def _restricted_proc_mount(meta: Object, spec: Object, minor: int) -> Finding | None:
    """A pod with users of its own is not spared."""
    bad = [(name, c["procMount"]) for name, c in _contexts(spec) if c.get("procMount") not in (None, "Default")]
    if not bad:
        return None
    values = _quoted(sorted({value for _, value in bad}))
    return "procMount", f"{_containers([name for name, _ in bad])} must not set securityContext.procMount to {values}"


def _selinux(meta: Object, spec: Object, minor: int) -> Finding | None:
    allowed = {"", "container_t", "container_init_t", "container_kvm_t"} | (
        {"container_engine_t"} if minor >= 31 else set()
    )
    kinds: set[str] = set()
    user = role = False

    def bad(options: Any) -> bool:
        nonlocal user, role
        if options is None:
            return False
        kind = options.get("type") or ""
        if kind not in allowed:
            kinds.add(kind)
        user = user or bool(options.get("user"))
        role = role or bool(options.get("role"))
        return kind not in allowed or bool(options.get("user") or options.get("role"))

    pod = bad((spec.get("securityContext") or {}).get("seLinuxOptions"))
    names = [name for name, context in _contexts(spec) if bad(context.get("seLinuxOptions"))]
    if not pod and not names:
        return None
    data = [f"{_plural('type', len(kinds))} {_quoted(sorted(kinds))}"] if kinds else []
    data += (["user may not be set"] if user else []) + (["role may not be set"] if role else [])
    return "seLinuxOptions", f"{_setters(pod, names)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"


def _bad_seccomp(context: Object) -> str | None:
    profile = context.get("seccompProfile")
    return (
        None if profile is None or profile.get("type") in ("RuntimeDefault", "Localhost") else profile.get("type") or ""
    )


def _seccomp(meta: Object, spec: Object, minor: int) -> Finding | None:
    if minor < 19:
        return _seccomp_annotations(meta, spec)
    pod = _bad_seccomp(spec.get("securityContext") or {})
    bad = [(name, value) for name, context in _contexts(spec) if (value := _bad_seccomp(context)) is not None]
    if pod is None and not bad:
        return None
    values = {value for _, value in bad} | ({pod} if pod is not None else set())
    setters = _setters(pod is not None, [name for name, _ in bad])
    return "seccompProfile", f"{setters} must not set securityContext.seccompProfile.type to {_quoted(sorted(values))}"


def _seccomp_annotations(meta: Object, spec: Object) -> Finding | None:
    annotations = meta.get("annotations") or {}
    keys = ["seccomp.security.alpha.kubernetes.io/pod"]
    keys += [f"container.seccomp.security.alpha.kubernetes.io/{name}" for name, _ in _contexts(spec)]
    bad = sorted(
        f'{key}="{annotations[key]}"'
        for key in keys
        if key in annotations
        and annotations[key] not in ("runtime/default", "docker/default")
        and not annotations[key].startswith("localhost/")
    )
    return ("seccompProfile", f"forbidden {_plural('annotation', len(bad))} {', '.join(bad)}") if bad else None


def _sysctls(meta: Object, spec: Object, minor: int) -> Finding | None:
    allowed = {name for since, names in _SYSCTLS if minor >= since for name in names}
    items = (spec.get("securityContext") or {}).get("sysctls") or []
    bad = [item.get("name") or "" for item in items if item.get("name") not in allowed]
    return ("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(meta: Object, spec: Object, minor: int) -> Finding | None:
    def asks(context: Object) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    pod = asks(spec.get("securityContext") or {})
    names = [name for name, context in _contexts(spec) if asks(context)]
    if not pod and not names:
        return None
    return "hostProcess", f"{_setters(pod, names)} must not set securityContext.windowsOptions.hostProcess=true"


def _escalation(meta: Object, spec: Object, minor: int) -> Finding | None:
    if minor >= 25 and _windows(spec):
        return None
    names = [name for name, context in _contexts(spec) if context.get("allowPrivilegeEscalation") is not False]
    said = f"{_containers(names)} must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", said) if names else None


def _restricted_capabilities(meta: Object, spec: Object, minor: int) -> Finding | None:
    if minor >= 25 and _windows(spec):
        return None
    missing, adding, bad = [], [], set()
    for name, context in _contexts(spec):
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []):
            missing.append(name)
        added = set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}
        if added:
            adding.append(name)
            bad |= added
    said = []
    if missing:
        said.append(f'{_containers(missing)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        listed = _quoted(sorted(bad))
        said.append(f"{_containers(adding)} must not include {listed} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(said)) if said else None


def _restricted_volumes(meta: Object, spec: Object, minor: int) -> Finding | None:
    names, kinds = [], set()
    for volume in spec.get("volumes") or []:
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        if not any(key in _ALLOWED_VOLUMES for key in sources):
            names.append(volume.get("name") or "")
            kinds.add(sources[0] if sources else "unknown")
    if not names:
        return None
    use = "uses" if len(names) == 1 else "use"
    what = f"{_plural('restricted volume type', len(kinds))} {_quoted(sorted(kinds))}"
    return "restricted volume types", f"{_plural('volume', len(names))} {_quoted(names)} {use} {what}"


def _non_root(meta: Object, spec: Object, minor: int) -> Finding | None:
    if _own_users(spec, minor):
        return None
    reason = "runAsNonRoot != true"
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    contexts = _contexts(spec)
    refusing = [name for name, context in contexts if context.get("runAsNonRoot") is False]
    if pod is False or refusing:
        return reason, f"{_setters(pod is False, refusing)} must not set securityContext.runAsNonRoot=false"
    silent = [name for name, context in contexts if context.get("runAsNonRoot") is None and not pod]
    return (reason, f"pod or {_containers(silent)} must set securityContext.runAsNonRoot=true") if silent else None


def _run_as_user(meta: Object, spec: Object, minor: int) -> Finding | None:
    if _own_users(spec, minor):
        return None
    pod = (spec.get("securityContext") or {}).get("runAsUser") == 0
    names = [name for name, context in _contexts(spec) if context.get("runAsUser") == 0]
    return ("runAsUser=0", f"{_setters(pod, names)} must not set runAsUser=0") if pod or names else None


def _restricted_seccomp(meta: Object, spec: Object, minor: int) -> Finding | None:
    if minor >= 25 and _windows(spec):
        return None
    found = _seccomp(meta, spec, minor)
    if found is not None:
        return found
    if (spec.get("securityContext") or {}).get("seccompProfile") is not None:
        return None
    silent = [name for name, context in _contexts(spec) if context.get("seccompProfile") is None]
    said = (
        f'pod or {_containers(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    )
    return ("seccompProfile", said) if silent else None


# (minor version since which, minor version since which the restricted level has a check of its own, check)
_BASELINE: tuple[tuple[int, int | None, Check], ...] = (
    (0, None, _app_armor),
    (0, 22, _baseline_capabilities),
    (0, None, _host_namespaces),
    (0, 0, _host_path),
    (0, None, _host_ports),
    (34, None, _probe_hosts),
    (0, None, _privileged),
    (0, 35, _proc_mount),
    (0, None, _selinux),
    (0, 19, _seccomp),
    (0, None, _sysctls),
    (0, None, _host_process),
)
_RESTRICTED: tuple[tuple[int, Check], ...] = (
    (8, _escalation),
    (22, _restricted_capabilities),
    (35, _restricted_proc_mount),
    (0, _restricted_volumes),
    (0, _non_root),
    (23, _run_as_user),
    (19, _restricted_seccomp),
)
