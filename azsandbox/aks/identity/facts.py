"""What is known of the workload identity webhook and of the Secrets Store add-on (azsandbox/data/aks/identity)."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from azsandbox import yaml_files


def _text(name: str) -> str:
    return resources.files("azsandbox").joinpath("data", "aks", "identity", name).read_text(encoding="utf-8")


@functools.cache
def read(name: str) -> dict[str, Any]:
    """A JSON file, parsed once."""
    found: dict[str, Any] = json.loads(_text(f"{name}.json"))
    return found


def objects(name: str, **words: str) -> list[dict[str, Any]]:
    """The manifests of a YAML file, with {words} filled in."""
    text = _text(f"{name}.yaml")
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    found: list[dict[str, Any]] = yaml_files.load(text)
    return found
