"""What is known of the add-on (data/aks/policy), and the constraint templates of the container policies."""

from __future__ import annotations

import copy
import functools
import json
from importlib import resources
from typing import Any

from azsandbox import yaml_files

Document = dict[str, Any]


@functools.cache
def add_on() -> Document:
    """The facts of the add-on."""
    text = resources.files("azsandbox").joinpath("data", "aks", "policy", "add-on.json").read_text("utf-8")
    found: Document = json.loads(text)
    return found


def access() -> list[Document]:
    """Role and binding of the agent."""
    text = resources.files("azsandbox").joinpath("data", "aks", "policy", "access.yaml").read_text("utf-8")
    return yaml_files.load_all(text)


@functools.cache
def _index() -> dict[str, Document]:
    text = resources.files("azsandbox").joinpath("data", "policy", "templates", "index.json").read_text("utf-8")
    found: dict[str, Document] = json.loads(text)["templates"]
    return found


def has_template(url: str) -> bool:
    """Whether the template at one of Azure's addresses is known."""
    return url in _index()


@functools.cache
def _template(url: str) -> Document:
    name = str(_index()[url]["file"])
    text = resources.files("azsandbox").joinpath("data", "policy", "templates", name).read_text("utf-8")
    found: Document = yaml_files.load(text)
    return found


def template(url: str) -> Document:
    """The constraint template at one of Azure's addresses. KeyError for one that is not known."""
    return copy.deepcopy(_template(url))
