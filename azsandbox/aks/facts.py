"""Facts of AKS from azsandbox/data/aks; each file has its source and date."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from azsandbox import yaml_files

WORKLOADS = ("base", "network", "add-ons")


def _text(name: str) -> str:
    return resources.files("azsandbox").joinpath("data", "aks", name).read_text(encoding="utf-8")


@functools.cache
def read(name: str) -> dict[str, Any]:
    """A JSON file, parsed once: "defaults", "durations", "features" …"""
    found: dict[str, Any] = json.loads(_text(f"{name}.json"))
    return found


@functools.cache
def storage_classes() -> list[dict[str, Any]]:
    """The storage classes of a new cluster."""
    found: list[dict[str, Any]] = yaml_files.load(_text("storage-classes.yaml"))
    return found


@functools.cache
def workloads() -> list[dict[str, Any]]:
    """The system workloads, each with the features it needs (`when`)."""
    return [entry for name in WORKLOADS for entry in yaml_files.load(_text(f"workloads/{name}.yaml"))]


@functools.cache
def objects() -> list[dict[str, Any]]:
    """The other objects of kube-system."""
    found: list[dict[str, Any]] = yaml_files.load(_text("workloads/objects.yaml"))
    return found


def seconds(group: str, name: str) -> float:
    """How long an operation takes Azure."""
    return float(read("durations")[group][name])
