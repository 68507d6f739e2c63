"""Node images: their names and what a node of one says of itself."""

from __future__ import annotations

from typing import Any

from azsandbox.aks import facts, versions


def skus() -> list[str]:
    """The operating system SKUs that the sandbox's nodes can have."""
    return list(facts.read("node-images")["images"])


def image(os_sku: str, version: str) -> dict[str, Any]:
    """The image of an OS SKU for a Kubernetes version: name, effective SKU, kernel, containerd, OS name."""
    rows: list[dict[str, Any]] = facts.read("node-images")["images"][os_sku]
    for row in rows:
        if "below" not in row or versions.parts(version)[:2] < versions.parts(row["below"]):
            return row
    return rows[-1]


def latest(os_sku: str, version: str) -> str:
    """The newest nodeImageVersion, "AKSUbuntu-2404gen2containerd-202611.03.0"."""
    return f"{image(os_sku, version)['name']}-{facts.read('node-images')['releases'][-1]}"


def described(node_image_version: str) -> dict[str, Any]:
    """What nodes with this image say: osImage, kernel, containerd, effective."""
    for rows in facts.read("node-images")["images"].values():
        for row in rows:
            if node_image_version.startswith(row["name"] + "-"):
                return dict(row)
    message = f"no node image is called {node_image_version!r}"
    raise ValueError(message)
