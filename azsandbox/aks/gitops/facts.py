"""What is known of the extension microsoft.flux: releases, images, settings (data/aks/gitops)."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from azsandbox import yaml_files

Document = dict[str, Any]


def _text(name: str) -> str:
    return (resources.files("azsandbox") / "data" / "aks" / "gitops" / name).read_text("utf-8")


@functools.cache
def extension() -> Document:
    """The releases of the extension, its images, and what its containers ask for."""
    found: Document = json.loads(_text("flux-extension.json"))
    return found


def definitions() -> list[Document]:
    """The definitions that the extension brings besides Flux's own."""
    return yaml_files.load_all(_text("definitions.yaml"))


def namespace() -> str:
    """Where the extension is installed, whatever its scope says (Microsoft Learn, "Flux cluster extension")."""
    return str(extension()["namespace"])


def seconds(name: str) -> float:
    """Seconds of Azure's time that something of the extension takes or may take."""
    return float(extension()["seconds"][name])
