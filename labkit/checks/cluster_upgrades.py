"""Checks of how the cluster is kept up to date: channels, windows, surge, node images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from math import ceil

from labkit.checks.core import Finding, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import retirement
from labkit.checks.lookup import at, same
from labkit.checks.registry import judges

WINDOWS = {"Kubernetes": "aksManagedAutoUpgradeSchedule", "node image": "aksManagedNodeOSUpgradeSchedule"}
LEAST_HOURS = 4
RETIRED_IMAGES = re.compile(
    r"ubuntu-?1604|ubuntu-?1804|ubuntu-?2004|CBLMariner|AzureLinux-?V2|Flatcar|Windows-?2019", re.I
)


@judges("cluster.auto-upgrade")
def auto_upgrade(evidence: Evidence) -> Finding:
    """A channel upgrades Kubernetes by itself; an absent one means none."""
    channel = at(evidence.cluster, "properties.autoUpgradeProfile.upgradeChannel") or "none"
    expected = "patch, stable or rapid"
    if str(channel).lower() in ("patch", "stable", "rapid"):
        return passed(channel, expected, evidence.cluster_id)
    if same(channel, "node-image"):
        return warned(
            channel, expected, "this channel renews node images only, and never Kubernetes", evidence.cluster_id
        )
    if evidence.settings.manual_upgrade_process:
        reason = "no channel is set; the lab's settings say that upgrades are done by hand, by a written process"
        return warned(channel, expected, reason, evidence.cluster_id)
    return failed(channel, expected, "nothing upgrades Kubernetes before its support ends", evidence.cluster_id)


@judges("cluster.node-os-upgrade")
def node_os_upgrade(evidence: Evidence) -> Finding:
    """Node images, or at least their security patches, come by themselves."""
    channel = at(evidence.cluster, "properties.autoUpgradeProfile.nodeOSUpgradeChannel")
    expected = "NodeImage or SecurityPatch"
    if channel is None:
        return unknown(
            "the answer does not hold the key; its API version is older than 2023-06-01", expected, evidence.cluster_id
        )
    if any(same(channel, name) for name in ("NodeImage", "SecurityPatch")):
        return passed(channel, expected, evidence.cluster_id)
    if same(channel, "Unmanaged"):
        reason = "the node's own patches are applied, but nothing reboots it: that is left to you"
        return warned(channel, expected, reason, evidence.cluster_id)
    return failed(channel, expected, "nothing patches the nodes' operating system", evidence.cluster_id)


@judges("cluster.maintenance-window", reads=("cluster", "maintenance"))
def maintenance_window(evidence: Evidence) -> Iterator[Finding]:
    """For each channel that is on, a window of at least four hours with the name that AKS reserves."""
    profile = at(evidence.cluster, "properties.autoUpgradeProfile") or {}
    channel, os_channel = at(profile, "upgradeChannel"), at(profile, "nodeOSUpgradeChannel")
    on = {
        "Kubernetes": bool(channel) and not same(channel, "none"),
        "node image": any(same(os_channel, name) for name in ("NodeImage", "SecurityPatch")),
    }
    found = {str(item.get("name", "")).lower(): item for item in evidence.read("maintenance")}
    for what, name in WINDOWS.items():
        if not on[what]:
            yield skipped(f"no channel upgrades the {what}, so there is nothing to plan", name, evidence.cluster_id)
            continue
        yield _window(what, name, found.get(name.lower()), evidence.cluster_id)


def _window(what: str, name: str, item: Object | None, cluster_id: str) -> Finding:
    expected = f"{name} of at least {LEAST_HOURS} hours"
    object_id = f"{cluster_id}/maintenanceConfigurations/{name}"
    if item is None:
        return failed("absent", expected, f"{what} upgrades may come at any hour", object_id)
    hours = at(item, "properties.maintenanceWindow.durationHours")
    if not isinstance(hours, int) or hours < LEAST_HOURS:
        return failed(
            f"{name}, {hours} hours", expected, "the window is too short for an upgrade to end in it", object_id
        )
    return passed(f"{name}, {hours} hours", expected, object_id)


@judges("cluster.max-surge")
def max_surge(evidence: Evidence) -> Iterator[Finding]:
    """Upgrades add a third of a pool's nodes or more, by choice."""
    for pool in evidence.pools:
        object_id = evidence.pool_id(pool)
        if same(at(pool, "scaleSetPriority"), "Spot"):
            yield skipped(f"pool {pool.get('name')} is a Spot pool, which is not upgraded by surge", "", object_id)
            continue
        yield _surge(evidence, pool, object_id)


def _surge(evidence: Evidence, pool: Object, object_id: str) -> Finding:
    surge = str(at(pool, "upgradeSettings.maxSurge") or "0")
    unavailable = str(at(pool, "upgradeSettings.maxUnavailable") or "0")
    name, count = pool.get("name"), int(at(pool, "count") or 0)
    observed = f"pool {name}: maxSurge {surge}, maxUnavailable {unavailable}"
    if evidence.profile == "2021":
        if surge == "33%":
            return passed(observed, "33%", object_id)
        return failed(observed, "33%", f"the series sets 33%, and pool {name} has {surge}", object_id)
    expected = f"33% to 50%, or a count of at least {max(1, ceil(count / 3))}"
    if surge in ("0", "0%"):
        if unavailable in ("0", "0%"):
            return failed(
                observed,
                expected,
                f"pool {name} may neither add a node nor miss one, so it cannot be upgraded",
                object_id,
            )
        reason = "upgrades take nodes away instead of adding some: cheaper, slower, with less headroom"
        return passed(observed, expected, object_id, reason)
    good = 33 <= int(surge[:-1]) <= 50 if surge.endswith("%") else int(surge) >= ceil(count / 3)
    if good:
        return passed(observed, expected, object_id)
    return warned(
        observed, expected, f"{surge} is not the third of the nodes that AKS recommends for production", object_id
    )


@judges("cluster.node-os", also=("nodes",))
def node_os(evidence: Evidence) -> Iterator[Finding]:
    """Node images that still get patches, and containerd."""
    for pool in evidence.pools:
        yield _image(evidence, pool)
    for node in evidence.maybe("nodes") or []:
        runtime = str(at(node, "nodeInfo.containerRuntimeVersion") or "")
        if virtual(node):
            continue
        if not runtime.startswith("containerd://"):
            yield failed(
                f"node {node['name']}: {runtime}", "containerd://…", "only containerd is supported", evidence.cluster_id
            )


def _image(evidence: Evidence, pool: Object) -> Finding:
    image, sku = str(at(pool, "nodeImageVersion") or ""), at(pool, "osSKU")
    observed, expected = f"pool {pool.get('name')}: {image or 'no image'}, {sku}", "an image that is supported"
    object_id = evidence.pool_id(pool)
    retired = RETIRED_IMAGES.search(image)
    if retired or same(sku, "CBLMariner"):
        what = retired.group(0) if retired else str(sku)
        return failed(observed, expected, f"{what} gets no patches any more", object_id)
    if re.search(r"ubuntu-?2204", image, re.I):
        end = retirement("ubuntu-2204")
        reason = f"support of Ubuntu 22.04 ends on {end:%d %b %Y}"
        if evidence.now.date() > end:
            return failed(observed, expected, f"support of Ubuntu 22.04 ended on {end:%d %b %Y}", object_id)
        return warned(observed, expected, reason, object_id)
    if not image:
        return unknown("the answer names no node image", expected, object_id)
    return passed(observed, expected, object_id)


def virtual(node: Object) -> bool:
    """True for a virtual node, which is no machine."""
    labels = node.get("labels") or {}
    return labels.get("type") == "virtual-kubelet" or str(node.get("name", "")).startswith("virtual-node-aci")


@judges("cluster.node-image-current", reads=("cluster", "upgrade-profiles"))
def node_image_current(evidence: Evidence) -> Iterator[Finding]:
    """The newest image, or one that is not older than a month."""
    profiles = evidence.read("upgrade-profiles")
    for pool in evidence.pools:
        latest = str(at(profiles.get(str(pool.get("name"))) or {}, "properties.latestNodeImageVersion") or "")
        yield _age(evidence, pool, str(at(pool, "nodeImageVersion") or ""), latest)


def _age(evidence: Evidence, pool: Object, image: str, latest: str) -> Finding:
    observed, object_id = f"pool {pool.get('name')}: {image or 'no image'}", evidence.pool_id(pool)
    expected = latest or "an image of the last 30 days"
    if image and same(image, latest):
        return passed(observed, expected, object_id)
    built = image_date(image)
    if built is None:
        return unknown("the image's name holds no date", expected, object_id)
    days = (evidence.now.date() - built).days
    if days <= 30:
        return passed(f"{observed}, {days} days old", expected, object_id)
    reason = f"the image is {days} days old"
    if days <= 90:
        return warned(f"{observed}, {days} days old", expected, reason, object_id)
    return failed(f"{observed}, {days} days old", expected, reason, object_id)


def image_date(image: str) -> date | None:
    """The day in the end of an image's name, YYYYMM.DD.revision, or None."""
    found = re.search(r"(\d{4})(\d{2})\.(\d{2})\.\d+$", image)
    if not found:
        return None
    try:
        return date(*(int(part) for part in found.groups()))
    except ValueError:
        return None
