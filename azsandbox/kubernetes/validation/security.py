"""Validation of security contexts: users, profiles, and what Windows adds."""

from __future__ import annotations

import re
from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import INT32_MAX, descending_path, formatted, one_of, supported
from azsandbox.kubernetes.validation.errors import Errors, invalid, not_supported, required, too_long

_CREDENTIAL_SPEC = 64  # KiB
_DOMAIN, _USER = 256, 104  # characters
_NETBIOS = re.compile(r"""[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}""")
_DNS_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DNS_NAME = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ONLY_DOTS = re.compile(r"[. ]+")
_NOT_IN_USERS = re.compile(r"""["/\\:;|=,+*?<>@\[\]]""")


def identity(value: Any, path: str) -> Errors:
    """A user or group of Linux."""
    return [invalid(path, value, formats.range_text(0, INT32_MAX))] if not 0 <= value <= INT32_MAX else []


def security_context(context: Object, path: str, host_users: bool) -> Errors:
    """A container's security context."""
    found: Errors = []
    for key in ("runAsUser", "runAsGroup"):
        if context.get(key) is not None:
            found += identity(context[key], f"{path}.{key}")
    mount = context.get("procMount")
    if mount is not None:
        found += supported(mount, f"{path}.procMount", ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            text = "`hostUsers` must be false to use `Unmasked`"
            found.append(invalid(f"{path}.procMount", mount, text))
    found += seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        shown = internal.shown(context, "core.SecurityContext")
        if context.get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(invalid(path, shown, text))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or []):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(invalid(path, shown, text))
    found += windows_options(context.get("windowsOptions"), f"{path}.windowsOptions")
    return found + app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")


def seccomp(profile: Object | None, path: str) -> Errors:
    """A seccomp profile."""
    if profile is None:
        return []
    kinds = ("Localhost", "RuntimeDefault", "Unconfined")
    found = one_of(profile.get("type"), f"{path}.type", kinds, "type is required when seccompProfile is set")
    local = profile.get("localhostProfile")
    if profile.get("type") == "Localhost":
        if local is None:
            found.append(required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            found += descending_path(local, f"{path}.localhostProfile")
    elif local is not None:
        shown = internal.shown(profile, "core.SeccompProfile")
        text = "can only be set when seccomp type is Localhost"
        found.append(invalid(f"{path}.localhostProfile", shown, text))
    return found


def app_armor(profile: Object | None, path: str) -> Errors:
    """An AppArmor profile."""
    if profile is None:
        return []
    here, kind, local = f"{path}.localhostProfile", profile.get("type"), profile.get("localhostProfile")
    needed = "must be set when AppArmor type is Localhost"
    if kind == "Localhost":
        if local is None or not local:
            return [required(here, needed)]
        found = [] if local == local.strip() else [invalid(here, local, "must not be padded with whitespace")]
        return found + ([too_long(here, 4095)] if len(local) > 4095 else [])
    if kind in ("RuntimeDefault", "Unconfined"):
        return [] if local is None else [invalid(here, local, "can only be set when AppArmor type is Localhost")]
    if not kind:
        return [required(f"{path}.type", "type is required when appArmorProfile is set")]
    return [not_supported(f"{path}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))]


def windows_options(options: Object | None, path: str) -> Errors:
    """What the security context of a pod or a container says for Windows."""
    options = options or {}
    found: Errors = []
    if options.get("gmsaCredentialSpecName") is not None:
        where = f"{path}.gmsaCredentialSpecName"
        found += formatted(options["gmsaCredentialSpecName"], where, formats.dns_subdomain)
    spec = options.get("gmsaCredentialSpec")
    if spec is not None and not spec:
        found.append(invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string"))
    elif spec is not None and len(spec.encode()) > _CREDENTIAL_SPEC * 1024:
        text = f"gmsaCredentialSpec size must be under {_CREDENTIAL_SPEC} KiB"
        found.append(invalid(f"{path}.gmsaCredentialSpec", spec, text))
    name = options.get("runAsUserName")
    if name is not None:
        found += [invalid(f"{path}.runAsUserName", name, text) for text in _user_name(name)]
    return found


def _user_name(name: str) -> list[str]:
    if not name:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(name):
        return ["runAsUserName cannot contain control characters"]
    *domains, user = name.split("\\")
    if len(domains) > 1:
        return ["runAsUserName cannot contain more than one backslash"]
    found = []
    if domains and len(domains[0]) >= _DOMAIN:
        found.append(f"runAsUserName's Domain length must be under {_DOMAIN} characters")
    if domains and not (_NETBIOS.fullmatch(domains[0]) or _DNS_NAME.fullmatch(domains[0])):
        found.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        found.append("runAsUserName's User cannot be empty")
    elif len(user) > _USER:
        found.append(f"runAsUserName's User length must not be longer than {_USER} characters")
    if _ONLY_DOTS.fullmatch(user):
        found.append("runAsUserName's User cannot contain only periods or spaces")
    if _NOT_IN_USERS.search(user):
        found.append("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    return found


def host_process(spec: Object, path: str) -> Errors:
    """Containers that are processes of a Windows host: all of a pod are, or none, and they use the host's network."""
    from azsandbox.kubernetes.validation.containers import each

    own = _is_host_process(spec)
    found: Errors = []
    count = hosted = 0
    for container, here in each(spec, path):
        count += 1
        asked = _is_host_process(container)
        if own is not None and asked is not None and own != asked:
            text = f"pod hostProcess value must be identical if both are specified, was {str(own).lower()}"
            found.append(invalid(f"{here}.securityContext.windowsOptions.hostProcess", asked, text))
        hosted += bool(own if asked is None else asked)
    if hosted and hosted != count:
        text = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        found.append(invalid(path, "", text))
    if hosted and not spec.get("hostNetwork"):
        text = "hostNetwork must be true if pod contains any hostProcess containers"
        found.append(invalid(f"{path}.hostNetwork", False, text))
    return found


def _is_host_process(holder: Object) -> bool | None:
    return ((holder.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
