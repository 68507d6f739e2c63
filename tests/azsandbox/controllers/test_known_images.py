"""Which images are known to end when their own command runs."""

from __future__ import annotations

import pytest

from azsandbox.controllers.kubelet.commands import outcome_of
from azsandbox.controllers.kubelet.images import official_name


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("node", "node"),
        ("node:22", "node"),
        ("docker.io/library/node:22", "node"),
        ("lab.azurecr.io/busybox", "busybox"),
        ("mcr.microsoft.com/oss/busybox/busybox:1.33", "busybox"),
        ("mcr.microsoft.com/oss/v2/calico/node:v3.30.3", ""),
        ("quay.io/someone/python", ""),
    ],
)
def test_an_image_is_official_by_its_whole_path(image: str, name: str) -> None:
    assert official_name(image) == name


def test_the_network_agent_called_node_does_not_end_as_a_shell_does() -> None:
    """calico-node ended with code 0 and was restarted for ever: its last name is that of the Node.js image."""
    pod = {"metadata": {"name": "calico-node"}, "spec": {}}
    assert outcome_of(pod, {"image": "mcr.microsoft.com/oss/v2/calico/node:v3.30.3"}).seconds is None
    assert outcome_of(pod, {"image": "docker.io/library/node:22"}).seconds == 0.0
