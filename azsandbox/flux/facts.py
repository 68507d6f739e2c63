"""What is known of Flux: its controllers, their releases, kinds and access rules (data/flux)."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from azsandbox import yaml_files


def _text(name: str) -> str:
    return (resources.files("azsandbox") / "data" / "flux" / name).read_text("utf-8")


@cache
def _controllers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_text("controllers.json"))
    return found


def namespace() -> str:
    """The namespace that Flux is installed in unless another is named."""
    return str(_controllers()["namespace"])


def registry() -> str:
    """Where the images of the controllers are."""
    return str(_controllers()["registry"])


def controllers() -> dict[str, dict[str, Any]]:
    """Flux's controllers by name, which is that of their Deployments: ports, arguments, kinds …"""
    found: dict[str, dict[str, Any]] = _controllers()["controllers"]
    return found


def default_distribution() -> str:
    """The newest release of Flux that the sandbox knows: "v2.9.5"."""
    return str(_controllers()["default"])


def distributions() -> list[str]:
    """Releases of Flux that the sandbox knows, newest first."""
    return list(_controllers()["distributions"])


def release(distribution: str, controller: str) -> str:
    """The release of a controller in a distribution of Flux. KeyError for what is not known."""
    return str(_controllers()["distributions"][distribution][controller])


@cache
def cdevents() -> dict[str, Any]:
    """The types of events that CDEvents knows: `prefix` and `custom` begin their names, `types` are the known ones."""
    found: dict[str, Any] = json.loads(_text("cdevents.json"))
    return found


@cache
def definitions() -> tuple[dict[str, Any], ...]:
    """Every CustomResourceDefinition of Flux."""
    return tuple(json.loads(_text("crds.json"))["items"])


def definitions_of(controller: str) -> list[dict[str, Any]]:
    """The definitions that come with a controller."""
    kinds = controllers()[controller]["kinds"]
    return [d for d in definitions() if d["spec"]["names"]["plural"] in kinds.get(d["spec"]["group"], ())]


def access(installed_in: str) -> list[dict[str, Any]]:
    """Roles, bindings, quota and network policies of an installation in a namespace."""
    return yaml_files.load_all(_text("access.yaml").replace("NAMESPACE", installed_in))
