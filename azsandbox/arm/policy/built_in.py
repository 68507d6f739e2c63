"""Azure's own policy definitions and initiatives (data/policy), by their GUIDs."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

Document = dict[str, Any]

DEFINITIONS = "Microsoft.Authorization/policyDefinitions"
INITIATIVES = "Microsoft.Authorization/policySetDefinitions"
ASSIGNMENTS = "Microsoft.Authorization/policyAssignments"
EXEMPTIONS = "Microsoft.Authorization/policyExemptions"
KUBERNETES = "Microsoft.Kubernetes.Data"


@functools.cache
def _read(name: str, key: str) -> dict[str, Document]:
    text = resources.files("azsandbox").joinpath("data", "policy", name).read_text(encoding="utf-8")
    return {row["name"]: row for row in json.loads(text)[key]}


def built_in(type_: str) -> dict[str, Document]:
    """The built-in definitions, or initiatives, by name, in the order of names: {"name", "properties"}."""
    if type_ == INITIATIVES:
        return _read("built-in-initiatives.json", "initiatives")
    return _definitions()


@functools.cache
def _definitions() -> dict[str, Document]:
    """The definitions, each with what its rule deploys, which is in a file of its own."""
    found = _read("built-in-definitions.json", "definitions")
    text = resources.files("azsandbox").joinpath("data", "policy", "deployments.json").read_text(encoding="utf-8")
    for name, deployment in json.loads(text)["deployments"].items():
        found[name]["properties"]["policyRule"]["then"]["details"]["deployment"] = deployment
    return found
