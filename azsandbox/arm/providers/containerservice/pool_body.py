"""The body of an agent pool: AKS's rules for it and the defaults it fills in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from azsandbox.aks import facts, images, machines, versions, vm_sizes
from azsandbox.aks.node_objects import SPOT_TAINT
from azsandbox.arm.providers.containerservice.base import known
from azsandbox.arm.providers.containerservice.errors import (
    VERSION_HELP,
    aks,
    invalid,
    missing,
    not_supported,
    unchangeable,
)

Document = dict[str, Any]
NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
TAINT = re.compile(r"[A-Za-z0-9]([\w./-]{0,251}[A-Za-z0-9])?(=([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?)?:(\w+)")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
LABEL_KEY = re.compile(r"(?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?")
CRITICAL = "CriticalAddonsOnly=true:NoSchedule"
P = "agentPoolProfile"


@dataclass
class Setting:
    """Where a pool lies: what of its cluster decides about its defaults."""

    location: str
    version: str  # the cluster's kubernetesVersion as kept
    current: str  # its full version
    network: Document
    support_plan: str = versions.OFFICIAL
    auto_provisioning: bool = False
    zones: list[str] = field(default_factory=list)  # availability zones of the region
    registered: set[str] = field(default_factory=set)  # feature flags registered, "Microsoft.Compute/EncryptionAtHost"


def accept(name: str, sent: Document, current: Document | None, setting: Setting) -> Document:
    """The properties to store for pool `name`. Raises AKS's errors.

    `current` are the stored properties of a pool that exists: what cannot be changed must be as it is.
    """
    if not NAME.fullmatch(name):
        details = (
            "The length of the node pool name must be between 1 and 12 characters; it may only contain lowercase "
            "alphanumeric characters and must begin with a lowercase letter. "
            "Please see https://aka.ms/aks-naming-rules for more details."
        )
        raise invalid(f"{P}.name", details)
    own = known(facts.read("features")["poolProperties"], sent, P, not_supported)
    own = {k: v for k, v in own.items() if v != "" or k in ("messageOfTheDay",)}
    if current is not None:
        _check_immutable(own, current)
    base = current or {}
    out: Document = {}
    out["count"] = _integer(own, "count", base.get("count", 1 if own.get("enableAutoScaling") else 3))
    size = own.get("vmSize") or base.get("vmSize")
    chosen = not size
    size = size or vm_sizes.default(setting.location, facts.read("defaults")["vmSizes"])
    vm = vm_sizes.check(str(size), setting.location)
    out["vmSize"] = vm["name"]
    out |= _disk(own, base, vm, chosen)
    out["kubeletDiskType"] = own.get("kubeletDiskType") or base.get("kubeletDiskType") or "OS"
    out["maxPods"] = _max_pods(own, base, setting)
    out["type"] = own.get("type") or base.get("type") or "VirtualMachineScaleSets"
    if out["type"] != "VirtualMachineScaleSets":
        raise not_supported(f"node pools of type {out['type']}")
    out["enableAutoScaling"] = bool(own.get("enableAutoScaling", False))
    out["mode"] = own.get("mode") or base.get("mode") or "User"
    if out["mode"] not in ("System", "User"):
        if out["mode"] == "Gateway":
            raise not_supported("gateway node pools")
        raise invalid(f"{P}.mode", f"The mode {out['mode']} is not one of System, User.")
    out |= _counts(own, out, base)
    out["scaleDownMode"] = own.get("scaleDownMode") or base.get("scaleDownMode") or "Delete"
    if out["scaleDownMode"] != "Delete":
        raise not_supported(f"scale-down mode {out['scaleDownMode']}")
    out["powerState"] = {"code": (own.get("powerState") or {}).get("code") or "Running"}
    out |= _version(name, own, base, setting)
    out["enableNodePublicIP"] = bool(own.get("enableNodePublicIP", base.get("enableNodePublicIP", False)))
    for key in ("enableEncryptionAtHost", "enableUltraSSD", "enableFIPS"):
        out[key] = bool(own.get(key, base.get(key, False)))
    _check_registered(out, setting)
    out |= _system(own, base, out)
    out |= _kept(own, base)
    out |= _spot(own, base, out)
    out["upgradeSettings"] = _upgrade_settings(own.get("upgradeSettings") or {}, base, out)
    out["securityProfile"] = {"enableVTPM": False, "enableSecureBoot": False} | (own.get("securityProfile") or {})
    out |= _taints_labels(own, out)
    out |= _zones(own, base, vm, setting)
    if setting.auto_provisioning:
        out.setdefault("nodeLabels", {})
    return out


def _integer(own: Document, key: str, default: int) -> int:
    value = own.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise invalid(f"{P}.{key}", f"{key} must be a non-negative integer.")
    return value


def _check_immutable(own: Document, current: Document) -> None:
    for key in facts.read("features")["immutablePoolProperties"]:
        value, old = own.get(key), current.get(key)
        if value is None or (key == "osDiskSizeGB" and value == 0):
            continue
        if key == "scaleSetPriority":
            old = old or "Regular"
        if key in ("scaleSetEvictionPolicy",) and current.get("scaleSetPriority") != "Spot":
            continue
        same = str(value).lower() == str(old).lower() if isinstance(value, str) else value == old
        if not same and not (value in ([], False) and old is None):
            raise unchangeable(f"{P}.{key}")


def _disk(own: Document, base: Document, vm: Document, chosen: bool) -> Document:
    """osDiskSizeGB and osDiskType: ephemeral where the size has room for it and nothing else was said."""
    if base:
        return {"osDiskSizeGB": base["osDiskSizeGB"], "osDiskType": base["osDiskType"]}
    rule = facts.read("defaults")
    wanted = _integer(own, "osDiskSizeGB", 0)
    kind = own.get("osDiskType")
    if kind not in (None, "Managed", "Ephemeral"):
        raise invalid(f"{P}.osDiskType", f"{kind} is not one of Managed, Ephemeral.")
    low, high = rule["osDiskRange"]
    if wanted and not low <= wanted <= high:
        raise invalid(f"{P}.osDiskSizeGB", f"The OS disk size must be between {low} and {high} GB, or 0.")
    least = wanted or rule["ephemeralAtLeastGB"]
    room = vm_sizes.ephemeral_room(vm, least)
    if kind is None:
        kind = "Ephemeral" if room else "Managed"
        if chosen and not room and not wanted:
            kind = "Managed"
    if kind == "Ephemeral":
        if not room:
            bytes_ = least * 1024**3
            cache, temporary = vm["cachedDiskGB"] * 1024**3, vm["temporaryDiskGB"] * 1024**3
            if temporary > cache:
                raise aks(
                    400,
                    "VMTemporaryDiskTooSmall",
                    f"The virtual machine size {vm['name']} has a temporary disk of size {temporary} bytes, but the OS "
                    f"disk requires {bytes_} bytes. Use a VM size with larger temporary disk or disable ephemeral OS.",
                )
            raise aks(
                400,
                "VMCacheSizeTooSmall",
                f"The virtual machine size {vm['name']} has a cache size of {cache} bytes, but the OS disk requires "
                f"{bytes_} bytes. Use a VM size with larger cache or disable ephemeral OS.",
            )
        return {"osDiskSizeGB": wanted or min(room, high), "osDiskType": "Ephemeral"}
    size = wanted or next(gb for cores, gb in rule["osDiskSizeGB"] if vm["cores"] <= cores)
    return {"osDiskSizeGB": size, "osDiskType": "Managed"}


def _max_pods(own: Document, base: Document, setting: Setting) -> int:
    rule = facts.read("defaults")
    network = setting.network
    plugin = network.get("networkPlugin", "azure")
    pod_subnet = own.get("podSubnetID") or base.get("podSubnetID")
    kind = "overlay" if network.get("networkPluginMode") == "overlay" or pod_subnet else plugin
    value = _integer(own, "maxPods", base.get("maxPods", 0)) or int(rule["maxPods"][kind])
    low, high = rule["maxPodsRange"]
    if not low <= value <= high:
        raise invalid(f"{P}.maxPods", f"The maximum number of pods a node must be between {low} and {high}.")
    return value


def _counts(own: Document, out: Document, base: Document) -> Document:
    """minCount and maxCount, and the count between them."""
    limit = facts.read("defaults")["nodeLimits"]["pool"]
    least = 1 if out["mode"] == "System" else 0
    if out["count"] > limit:
        raise invalid(f"{P}.count", f"The number of nodes of a pool must be between {least} and {limit}.")
    if not out["enableAutoScaling"]:
        for key in ("minCount", "maxCount"):
            if own.get(key):
                raise invalid(f"{P}.{key}", f"{key} must not be set when autoscaling is disabled.")
        stopped = (own.get("powerState") or {}).get("code") == "Stopped"
        if out["count"] < least and not stopped:
            raise invalid(
                f"{P}.count", f"The value of count for a {out['mode']} node pool must be between {least} and {limit}."
            )
        return {}
    for key in ("minCount", "maxCount"):
        if own.get(key) is None:
            raise missing(f"{P}.{key}")
    low, high = _integer(own, "minCount", 0), _integer(own, "maxCount", 0)
    if low < least or low > limit:
        raise invalid(f"{P}.minCount", f"minCount of a {out['mode']} node pool must be between {least} and {limit}.")
    if high < low or high > limit or high < 1:
        raise invalid(f"{P}.maxCount", f"maxCount must be between minCount {low} and {limit}.")
    if not base and not low <= out["count"] <= high:
        raise invalid(f"{P}.count", f"count {out['count']} must be between minCount {low} and maxCount {high}.")
    return {"minCount": low, "maxCount": high}


def _version(name: str, own: Document, base: Document, setting: Setting) -> Document:
    wanted = own.get("orchestratorVersion")
    kept = base.get("orchestratorVersion")
    if not wanted or (base and wanted in (kept, base.get("currentOrchestratorVersion"))):
        if base:
            return {k: base[k] for k in ("orchestratorVersion", "currentOrchestratorVersion")}
        return {"orchestratorVersion": setting.version, "currentOrchestratorVersion": setting.current}
    if wanted == setting.version or wanted == setting.current:
        return {"orchestratorVersion": wanted, "currentOrchestratorVersion": setting.current}
    found = versions.resolve(str(wanted), setting.support_plan)
    if found is None:
        raise aks(
            400,
            "AgentPoolK8sVersionNotSupported",
            f"Version {wanted} of node pool {name} is not supported in this region. {VERSION_HELP}",
        )
    if versions.parts(found[1]) > versions.parts(setting.current) and versions.minor(found[1]) == versions.minor(
        setting.current
    ):
        found = (found[0], setting.current) if found[0].count(".") == 1 else found
    high, low = versions.parts(setting.current), versions.parts(found[1])
    if low > high:
        raise aks(
            400,
            "NodePoolMcVersionIncompatible",
            f"Node pool version {found[1]} and control plane version {setting.current} are incompatible. Node pool "
            "version is bigger than control plane version. For more information, please check "
            "https://aka.ms/aks/UpgradeVersionRules",
        )
    if high[1] - low[1] > facts.read("kubernetes-versions")["poolSkewMinors"]:
        raise aks(
            400,
            "NodePoolMcVersionIncompatible",
            f"Node pool version {found[1]} and control plane version {setting.current} are incompatible. Minor version "
            f"of node pool cannot be more than {facts.read('kubernetes-versions')['poolSkewMinors']} versions less than "
            "control plane's version. For more information, please check https://aka.ms/aks/UpgradeVersionRules",
        )
    if base and low < versions.parts(base["currentOrchestratorVersion"]):
        raise aks(
            400,
            "OperationNotAllowed",
            f"Downgrading Kubernetes version {base['currentOrchestratorVersion']} of node pool {name} to {found[1]} is "
            "not allowed.",
        )
    return {"orchestratorVersion": found[0], "currentOrchestratorVersion": found[1]}


def _system(own: Document, base: Document, out: Document) -> Document:
    """osType, osSKU and the node image."""
    kind = own.get("osType") or base.get("osType") or "Linux"
    if kind != "Linux":
        raise not_supported(f"{kind} node pools")
    sku = own.get("osSKU") or base.get("osSKU") or "Ubuntu"
    refused = facts.read("node-images")["refusedSkus"]
    if sku in refused:
        raise not_supported(refused[sku])
    if sku not in images.skus():
        raise invalid(f"{P}.osSKU", f"{sku} is not one of {', '.join(images.skus())}.")
    image = base.get("nodeImageVersion")
    name = images.image(sku, out["currentOrchestratorVersion"])["name"]
    if not image or base.get("osSKU") != sku or not image.startswith(name + "-"):
        image = images.latest(sku, out["currentOrchestratorVersion"])
    if base and base.get("currentOrchestratorVersion") != out["currentOrchestratorVersion"]:
        image = images.latest(sku, out["currentOrchestratorVersion"])
    return {"osType": kind, "osSKU": sku, "nodeImageVersion": image}


def _kept(own: Document, base: Document) -> Document:
    """What is stored as sent, or stays as it was where it cannot change."""
    out: Document = {}
    for key in ("vnetSubnetID", "podSubnetID", "proximityPlacementGroupID", "kubeletConfig", "linuxOSConfig"):
        if found := own.get(key) or base.get(key):
            out[key] = found
    for key in ("tags", "messageOfTheDay", "networkProfile", "workloadRuntime", "localDNSProfile"):
        if own.get(key):
            out[key] = own[key]
    if own.get("workloadRuntime") not in (None, "OCIContainer"):
        raise not_supported(f"the workload runtime {own['workloadRuntime']}")
    for key in ("podIPAllocationMode", "upgradeStrategy", "nodePublicIPPrefixID", "gpuProfile"):
        if own.get(key) not in (None, "Rolling", "DynamicIndividual"):
            raise not_supported(f"{key} {own[key]} of a node pool")
    if own.get("nodeInitializationTaints"):
        out["nodeInitializationTaints"] = own["nodeInitializationTaints"]
    return out


def _spot(own: Document, base: Document, out: Document) -> Document:
    priority = own.get("scaleSetPriority") or base.get("scaleSetPriority") or "Regular"
    if priority == "Regular":
        return {}
    if priority != "Spot":
        raise invalid(f"{P}.scaleSetPriority", f"{priority} is not one of Regular, Spot.")
    if out["mode"] == "System":
        raise invalid(f"{P}.scaleSetPriority", "A system node pool cannot be a spot node pool.")
    return {
        "scaleSetPriority": "Spot",
        "scaleSetEvictionPolicy": own.get("scaleSetEvictionPolicy") or base.get("scaleSetEvictionPolicy") or "Delete",
        "spotMaxPrice": own.get("spotMaxPrice", base.get("spotMaxPrice", -1.0)),
    }


def _upgrade_settings(sent: Document, base: Document, out: Document) -> Document:
    spot = out.get("scaleSetPriority") == "Spot"
    settings = dict(sent) if sent else dict(base.get("upgradeSettings") or {})
    if not spot:
        settings.setdefault("maxSurge", "10%")
    settings.setdefault("maxUnavailable", "0")
    for key in ("maxSurge", "maxUnavailable"):
        if key in settings:
            settings[key] = str(settings[key])
            if not re.fullmatch(r"\d+|(100|[1-9]?\d)%", settings[key]):
                raise invalid(f"{P}.upgradeSettings.{key}", f"{settings[key]} is neither a number nor a percentage.")
    if spot and settings.get("maxSurge"):
        raise invalid(f"{P}.upgradeSettings.maxSurge", "Spot pools can't set max surge.")
    count = out["count"] or 1
    if (
        not spot
        and not machines.surge(count, settings["maxSurge"])
        and not machines.unavailable(count, settings["maxUnavailable"])
    ):
        raise invalid(f"{P}.upgradeSettings", "maxSurge and maxUnavailable cannot both be 0.")
    if settings.get("undrainableNodeBehavior") not in (None, "Schedule", "Cordon"):
        raise invalid(f"{P}.upgradeSettings.undrainableNodeBehavior")
    for key, low, high in (("drainTimeoutInMinutes", 1, 1440), ("nodeSoakDurationInMinutes", 0, 30)):
        if settings.get(key) is not None and not low <= int(settings[key]) <= high:
            raise invalid(f"{P}.upgradeSettings.{key}", f"{key} must be between {low} and {high}.")
    return settings


def _taints_labels(own: Document, out: Document) -> Document:
    found: Document = {}
    for taint in own.get("nodeTaints") or []:
        match = TAINT.fullmatch(str(taint))
        if not match or match.group(5) not in EFFECTS:
            raise invalid(
                f"{P}.nodeTaints", f"Taint '{taint}' is invalid: it must be key=value:effect with one of {EFFECTS}."
            )
        hard = match.group(5) != "PreferNoSchedule"
        if out["mode"] == "System" and hard and taint != CRITICAL:
            raise invalid(
                f"{P}.nodeTaints",
                f"Hard taint '{taint}' (NoSchedule or NoExecute) is not supported on system node pools; "
                f"only {CRITICAL} is.",
            )
        if str(taint).startswith("kubernetes.azure.com/") and taint != SPOT_TAINT:
            raise invalid(f"{P}.nodeTaints", f"Taint '{taint}' uses the reserved prefix kubernetes.azure.com.")
    if own.get("nodeTaints"):
        found["nodeTaints"] = list(own["nodeTaints"])
    for key, value in (own.get("nodeLabels") or {}).items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(str(value)):
            raise invalid(f"{P}.nodeLabels", f"Label '{key}={value}' is not a valid Kubernetes label.")
        prefix = key.rpartition("/")[0]
        if prefix == "kubernetes.azure.com" or re.search(r"(^|\.)(kubernetes|k8s)\.io$", prefix):
            raise invalid(f"{P}.nodeLabels", f"Label '{key}' uses a reserved prefix.")
    if own.get("nodeLabels"):
        found["nodeLabels"] = dict(own["nodeLabels"])
    return found


def _zones(own: Document, base: Document, vm: Document, setting: Setting) -> Document:
    zones = base.get("availabilityZones") if base else [str(z) for z in own.get("availabilityZones") or []]
    if not zones:
        return {}
    offered = setting.zones
    wrong = [z for z in zones if z not in offered]
    if wrong:
        raise aks(
            400,
            "AvailabilityZoneNotSupported",
            f"Preflight validation check for resource(s) for container service failed. Message: The zone(s) "
            f"'{','.join(wrong)}' for resource 'agentPoolProfile' is not supported. The supported zones for location "
            f"'{setting.location}' are '{','.join(offered)}'",
            target=f"{P}.availabilityZones",
        )
    if len(set(zones)) != len(zones):
        raise invalid(f"{P}.availabilityZones", "A zone must be named once.")
    return {"availabilityZones": zones}


def _check_registered(out: Document, setting: Setting) -> None:
    for key, flag in facts.read("features")["requiredRegistrations"].items():
        if out.get(key) and flag not in setting.registered:
            namespace, _, feature = flag.partition("/")
            raise aks(
                400,
                "SubscriptionNotEnabledEncryptionAtHost" if key == "enableEncryptionAtHost" else "FeatureNotRegistered",
                f"Subscription does not enable {feature}. Register the feature {flag} first: "
                f"az feature register --namespace {namespace} --name {feature}",
                target=f"{P}.{key}",
            )
