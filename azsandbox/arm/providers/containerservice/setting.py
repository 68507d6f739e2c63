"""Where an agent pool lies, read from its cluster."""

from __future__ import annotations

from typing import Any

from azsandbox.aks import facts
from azsandbox.arm.providers import compute, features
from azsandbox.arm.providers.containerservice.pool_body import Setting
from azsandbox.arm.resources import Document


def registered_features(arm: Any) -> set[str]:
    """Of the feature flags that pools may need, those that the subscription has registered."""
    wanted = facts.read("features")["requiredRegistrations"].values()
    return {flag for flag in wanted if features.state(arm, *flag.split("/", 1)) == "Registered"}


def setting_of(arm: Any, cluster: Document) -> Setting:
    """What of a cluster decides about its pools; `cluster` is its body, stored or to be."""
    own = cluster["properties"]
    return Setting(
        location=cluster["location"],
        version=own["kubernetesVersion"],
        current=own["currentKubernetesVersion"],
        network=own["networkProfile"],
        support_plan=own["supportPlan"],
        auto_provisioning=own["nodeProvisioningProfile"]["mode"] == "Auto",
        zones=compute.zones(arm, cluster["location"]),
        registered=registered_features(arm),
    )
