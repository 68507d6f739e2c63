"""The configuration settings of microsoft.flux: which controllers there are, what they may use, whether tenants are apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from azsandbox.aks.gitops import facts
from azsandbox.flux import facts as flux

MULTI_TENANCY = "multiTenancy.enforce"
_RESOURCE = re.compile(r"(?P<controller>[a-z-]+)\.resources\.(?P<kind>requests|limits)\.(?P<name>cpu|memory)")


class UnsupportedSetting(ValueError):
    """A setting that the sandbox does not know, or a value that it has not; the text names it."""


@dataclass(frozen=True)
class Settings:
    """What the settings ask for: `resources` are (controller, requests or limits, cpu or memory) → quantity."""

    controllers: tuple[str, ...]
    multi_tenancy: bool = True
    resources: dict[tuple[str, str, str], str] = field(default_factory=dict)


def parse(settings: dict[str, str]) -> Settings:
    """Reads the settings. Raises UnsupportedSetting.

    Source and meaning: Microsoft Learn, "Deploy applications using GitOps with Flux v2" (controllers, multi-tenancy),
    "Troubleshoot GitOps" (resources).
    """
    enabled = {name: name in facts.extension()["enabled"] for name in flux.controllers()}
    tenancy, resources = True, {}
    for key, value in settings.items():
        controller, _, rest = key.partition(".")
        found = _RESOURCE.fullmatch(key)
        if key.lower() == MULTI_TENANCY.lower():
            tenancy = _true(key, value)
        elif controller in enabled and rest == "enabled":
            enabled[controller] = _true(key, value)
        elif found and found["controller"] in enabled:
            resources[found["controller"], found["kind"], found["name"]] = value
        else:
            raise UnsupportedSetting(f"the setting '{key}' of microsoft.flux")
    return Settings(tuple(name for name, on in enabled.items() if on), tenancy, resources)


def _true(key: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise UnsupportedSetting(f"the value '{value}' of the setting '{key}' of microsoft.flux; it is true or false")
    return value.lower() == "true"
