"""The body of a managed cluster: AKS's rules for it and the defaults it fills in (baseline appendix E)."""

from __future__ import annotations

import copy
import ipaddress
import re
from typing import Any

from azsandbox.aks import facts, versions
from azsandbox.arm.providers.containerservice import security_profile
from azsandbox.arm.providers.containerservice.base import known
from azsandbox.arm.providers.containerservice.errors import (
    VERSION_HELP,
    aks,
    invalid,
    missing,
    not_allowed,
    not_supported,
    unchangeable,
)

Document = dict[str, Any]
TIERS = ("Free", "Standard", "Premium")
DNS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,52}[A-Za-z0-9])?")
CHANNELS = ("rapid", "stable", "patch", "node-image", "none")
NODE_CHANNELS = ("None", "Unmanaged", "NodeImage", "SecurityPatch")
# A PUT changes what it holds, and leaves the rest: built-in policies send clusters in part (the template of "Configure
# Azure Kubernetes Service clusters to enable Defender profile", 4.3.0, has neither pools nor add-ons nor tags).
KEPT_WHEN_LEFT_OUT = (
    "linuxProfile", "windowsProfile", "nodeResourceGroup", "dnsPrefix", "fqdnSubdomain", "supportPlan",
    "oidcIssuerProfile", "autoUpgradeProfile", "storageProfile", "diskEncryptionSetID", "servicePrincipalProfile",
    "aadProfile", "apiServerAccessProfile", "disableLocalAccounts", "workloadAutoScalerProfile", "azureMonitorProfile",
    "ingressProfile", "metricsProfile", "nodeProvisioningProfile", "bootstrapProfile", "upgradeSettings",
    "publicNetworkAccess", "httpProxyConfig",
)  # fmt: skip
SUPPORTED_VALUES: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("networkProfile", "networkPlugin"): ("azure", "kubenet", "none"),
    ("networkProfile", "networkPluginMode"): ("overlay",),
    ("networkProfile", "networkPolicy"): ("none", "calico", "azure", "cilium"),
    ("networkProfile", "networkDataplane"): ("azure", "cilium"),
    ("networkProfile", "outboundType"): ("loadBalancer", "userDefinedRouting", "managedNATGateway", "none"),
    ("networkProfile", "loadBalancerSku"): ("standard",),
    ("autoUpgradeProfile", "upgradeChannel"): CHANNELS,
    ("autoUpgradeProfile", "nodeOSUpgradeChannel"): NODE_CHANNELS,
    ("bootstrapProfile", "artifactSource"): ("Direct", "Cache"),
    ("nodeProvisioningProfile", "mode"): ("Manual", "Auto"),
    ("publicNetworkAccess",): ("Enabled", "Disabled"),
    ("supportPlan",): (versions.OFFICIAL, versions.LONG_TERM),
}


def sku(sent: Document | None, current: Document | None) -> Document:
    """The pricing tier: name Base, tier Free, Standard or Premium."""
    found = {"name": "Base", "tier": "Free"} | (current or {}) | {k: v for k, v in (sent or {}).items() if v}
    if found["name"] == "Basic":
        found["name"] = "Base"
    if found["tier"] == "Paid":
        found["tier"] = "Standard"
    if found["name"] == "Automatic":
        raise not_supported("AKS Automatic (sku.name Automatic)")
    if found["name"] != "Base":
        raise invalid("sku.name", f"{found['name']} is not one of Base, Automatic.")
    if found["tier"] not in TIERS:
        raise invalid("sku.tier", f"{found['tier']} is not one of {', '.join(TIERS)}.")
    return {"name": found["name"], "tier": found["tier"]}


def accept(
    name: str,
    sent: Document,
    current: Document | None,
    tier: Document,
    tenant: str,
    *,
    identity: bool,
    api_version: str,
) -> Document:
    """The properties to store for a cluster, agent pools left out. Raises AKS's errors.

    `current` are the stored properties of one that exists. Empty strings count as left out.
    """
    section = facts.read("features")["clusterProperties"]
    own = {k: v for k, v in known(section, sent, "properties", not_supported).items() if v != ""}
    own.pop("agentPoolProfiles", None)
    own.pop("identityProfile", None)
    own.pop("nodeResourceGroupProfile", None) if not own.get("nodeResourceGroupProfile") else None
    _check_values(own)
    if current is not None:
        _check_immutable(own, current)
        for key in KEPT_WHEN_LEFT_OUT:
            if key in current and key not in own:
                own[key] = copy.deepcopy(current[key])
        own["addonProfiles"] = _with_kept(own.get("addonProfiles") or {}, current.get("addonProfiles") or {})
    out: Document = {}
    plan = own.get("supportPlan") or versions.OFFICIAL
    if plan == versions.LONG_TERM and tier["tier"] != "Premium":
        raise aks(400, "BadRequest", "AKSLongTermSupport is only available in the Premium tier.", target="supportPlan")
    out |= _version(name, own, current, plan)
    if not own.get("dnsPrefix") and not own.get("fqdnSubdomain"):
        raise missing("dnsPrefix")
    for key in ("dnsPrefix", "fqdnSubdomain"):
        if key in own:
            if not DNS.fullmatch(own[key]):
                raise invalid(
                    key,
                    "DNS prefix must be between 1 and 54 characters, contain only alphanumerics and hyphens, and start "
                    "and end with an alphanumeric.",
                )
            out[key] = own[key]
    for key in ("linuxProfile", "windowsProfile", "httpProxyConfig", "diskEncryptionSetID", "publicNetworkAccess"):
        if own.get(key) is not None:
            out[key] = own[key]
    out["servicePrincipalProfile"] = _principal(own, identity=identity)
    out["addonProfiles"] = _addons(own.get("addonProfiles") or {})
    out["enableRBAC"] = bool(own.get("enableRBAC", (current or {}).get("enableRBAC", True)))
    out["supportPlan"] = plan
    out["networkProfile"] = network(own.get("networkProfile") or {}, (current or {}).get("networkProfile"))
    if aad := own.get("aadProfile"):
        out["aadProfile"] = _aad(aad, tenant)
    out["maxAgentPools"] = facts.read("defaults")["maxAgentPools"]
    if access := own.get("apiServerAccessProfile"):
        out["apiServerAccessProfile"] = _access(access, (current or {}).get("apiServerAccessProfile"))
    out["autoUpgradeProfile"] = {"nodeOSUpgradeChannel": "NodeImage"} | (own.get("autoUpgradeProfile") or {})
    if own.get("upgradeSettings"):
        out["upgradeSettings"] = own["upgradeSettings"]
    if own.get("autoScalerProfile"):
        out["autoScalerProfile"] = _autoscaler(own["autoScalerProfile"])
    elif current and current.get("autoScalerProfile"):
        out["autoScalerProfile"] = current["autoScalerProfile"]
    out["disableLocalAccounts"] = bool(own.get("disableLocalAccounts", False))
    if out["disableLocalAccounts"] and "aadProfile" not in out:
        raise aks(
            400,
            "BadRequest",
            "disableLocalAccounts can be set to true only on AAD integration enabled cluster.",
            target="disableLocalAccounts",
        )
    before = (current or {}).get("securityProfile")
    out["securityProfile"] = security_profile.accept(own.get("securityProfile") or {}, before, api_version)
    on = {"enabled": True}
    storage = {key: dict(on) for key in ("diskCSIDriver", "fileCSIDriver", "snapshotController")}
    out["storageProfile"] = storage | (own.get("storageProfile") or {})
    out["oidcIssuerProfile"] = {"enabled": bool((own.get("oidcIssuerProfile") or {}).get("enabled", False))}
    if current and current["oidcIssuerProfile"]["enabled"] and not out["oidcIssuerProfile"]["enabled"]:
        raise aks(400, "BadRequest", "OIDC issuer cannot be disabled once enabled.", target="oidcIssuerProfile.enabled")
    if (out["securityProfile"].get("workloadIdentity") or {}).get("enabled") and not out["oidcIssuerProfile"][
        "enabled"
    ]:
        raise aks(
            400,
            "BadRequest",
            "Workload identity requires the OIDC issuer to be enabled.",
            target="securityProfile.workloadIdentity",
        )
    out["workloadAutoScalerProfile"] = own.get("workloadAutoScalerProfile") or {}
    for key in ("azureMonitorProfile", "ingressProfile"):
        if own.get(key):
            out[key] = own[key]
    if (own.get("podIdentityProfile") or {}).get("enabled"):
        raise not_supported("Microsoft Entra pod-managed identity (retired; use workload identity)")
    if (own.get("aiToolchainOperatorProfile") or {}).get("enabled"):
        raise not_supported("the AI toolchain operator")
    out["metricsProfile"] = {"costAnalysis": {"enabled": False}} | (own.get("metricsProfile") or {})
    if (out["metricsProfile"].get("costAnalysis") or {}).get("enabled") and tier["tier"] == "Free":
        raise aks(400, "BadRequest", "Cost analysis needs the Standard or Premium tier.", target="metricsProfile")
    out["nodeProvisioningProfile"] = {"mode": "Manual", "defaultNodePools": "Auto"} | (
        own.get("nodeProvisioningProfile") or {}
    )
    out["bootstrapProfile"] = {"artifactSource": "Direct"} | (own.get("bootstrapProfile") or {})
    return out


def _check_values(own: Document) -> None:
    for where, allowed in SUPPORTED_VALUES.items():
        value: Any = own
        for key in where:
            value = value.get(key) if isinstance(value, dict) else None
        if value in (None, ""):
            continue
        spelled = next((a for a in allowed if str(a).lower() == str(value).lower()), None)
        if spelled is None:
            if where[-1] == "loadBalancerSku" and str(value).lower() == "basic":
                raise not_supported("the Basic load balancer (retired)")
            raise invalid(".".join(where), f"{value} is not one of {', '.join(allowed)}.")
        inner = own
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = spelled


def _check_immutable(own: Document, current: Document) -> None:
    rules = facts.read("features")
    for key, shown in rules["immutableClusterProperties"].items():
        if key in own and own[key] != current.get(key, own[key] if key == "nodeResourceGroup" else None):
            raise unchangeable(shown)
    old = current.get("networkProfile") or {}
    for key, shown in rules["immutableNetwork"].items():
        value = (own.get("networkProfile") or {}).get(key)
        if value and value != old.get(key):
            raise unchangeable(shown)
    if current.get("aadProfile") and "aadProfile" in own and not (own["aadProfile"] or {}).get("managed", True):
        raise unchangeable("aadProfile.managed")
    before = (current.get("apiServerAccessProfile") or {}).get("enablePrivateCluster") or False
    access = own.get("apiServerAccessProfile") or {}
    if "enablePrivateCluster" in access and bool(access["enablePrivateCluster"]) != before:
        raise unchangeable("apiServerAccessProfile.enablePrivateCluster")


def _version(name: str, own: Document, current: Document | None, plan: str) -> Document:
    """kubernetesVersion as asked for and the full one; an upgrade goes one minor at a time."""
    wanted = str(own.get("kubernetesVersion") or "")
    if current is not None:
        now = current["currentKubernetesVersion"]
        if not wanted or wanted in (current["kubernetesVersion"], now):
            return {"kubernetesVersion": current["kubernetesVersion"], "currentKubernetesVersion": now}
    found = versions.resolve(wanted, plan)
    if found is None:
        raise aks(
            400,
            "K8sVersionNotSupported",
            f"Managed cluster {name} is on version {wanted} which is not supported in this region. {VERSION_HELP}",
        )
    if current is not None and found[1] != current["currentKubernetesVersion"]:
        now = current["currentKubernetesVersion"]
        possible = versions.upgrades(now, plan)
        if found[1] not in possible:
            word = "Upgrading" if versions.parts(found[1]) > versions.parts(now) else "Downgrading"
            raise not_allowed(
                f"{word} Kubernetes version {now} to {found[1]} is not allowed. Available upgrades: "
                f"[{' '.join(possible)}]. Please see https://aka.ms/aks-supported-k8s-ver for version details.",
                400,
            )
    return {"kubernetesVersion": found[0], "currentKubernetesVersion": found[1]}


def _principal(own: Document, *, identity: bool) -> Document:
    sent = own.get("servicePrincipalProfile")
    if identity:
        return {"clientId": "msi"}
    if not sent:
        raise missing("servicePrincipalProfile")
    if not sent.get("clientId"):
        raise missing("servicePrincipalProfile.clientId")
    return {"clientId": sent["clientId"]}


def _with_kept(sent: Document, current: Document) -> Document:
    """The add-ons sent, and those of the cluster that are not among them."""
    lower = {name.lower() for name in sent}
    kept = {
        k: {"enabled": v["enabled"], "config": v.get("config")} for k, v in current.items() if k.lower() not in lower
    }
    spelled = {name.lower(): name for name in current}
    return {**kept, **{spelled.get(k.lower(), k): v for k, v in sent.items()}}


def _addons(sent: Document) -> Document:
    rules = facts.read("features")["addons"]
    spelled = {name.lower(): name for name in rules["supported"]}
    out: Document = {}
    for key, value in sent.items():
        name = spelled.get(key.lower())
        if name is None:
            raise invalid("addonProfiles", f"addon {key} is not supported.")
        enabled = bool((value or {}).get("enabled"))
        if enabled and name in rules["refusedWhenEnabled"]:
            raise not_supported(rules["refusedWhenEnabled"][name])
        config = (value or {}).get("config") or None
        if enabled and name == "omsagent" and not _look(config, "logAnalyticsWorkspaceResourceID"):
            raise missing("addonProfiles.omsagent.config.logAnalyticsWorkspaceResourceID")
        if enabled and name == "azureKeyvaultSecretsProvider" and config is None:
            config = {"enableSecretRotation": "false", "rotationPollInterval": "2m"}
        out[key] = {"enabled": enabled, "config": config}
    return out


def _look(config: Document | None, name: str) -> Any:
    return next((v for k, v in (config or {}).items() if k.lower() == name.lower()), None)


def _aad(sent: Document, tenant: str) -> Document:
    if sent.get("clientAppID") or sent.get("serverAppID") or sent.get("managed") is False:
        raise aks(
            400,
            "BadRequest",
            "Legacy Azure AD integration is no longer supported. Please use AKS-managed Microsoft Entra integration. "
            "See https://aka.ms/aks/aad-legacy",
            target="aadProfile",
        )
    return {
        "managed": True,
        "adminGroupObjectIDs": sent.get("adminGroupObjectIDs"),
        "enableAzureRBAC": bool(sent.get("enableAzureRBAC", False)),
        "tenantID": sent.get("tenantID") or tenant,
    }


def _access(sent: Document, current: Document | None) -> Document:
    out = {k: v for k, v in sent.items() if k != "privateClusterVersion" and v is not None}
    ranges = out.get("authorizedIPRanges") or []
    if len(ranges) > 200:
        raise invalid("apiServerAccessProfile.authorizedIPRanges", "At most 200 ranges are allowed.")
    for text in ranges:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise invalid("apiServerAccessProfile.authorizedIPRanges", f"{text} is not an IP range.") from None
    private = bool(out.get("enablePrivateCluster"))
    if private and ranges:
        raise aks(
            400,
            "BadRequest",
            "apiServerAccessProfile.authorizedIPRanges is not supported on private clusters.",
            target="apiServerAccessProfile.authorizedIPRanges",
        )
    out["enablePrivateCluster"] = private
    if private:
        out.setdefault("privateDNSZone", "system")
        if current and "privateClusterVersion" in current:
            out["privateClusterVersion"] = current["privateClusterVersion"]
    return out


def _autoscaler(sent: Document) -> Document:
    known_names = facts.read("defaults")["autoScalerProfile"]
    for key in sent:
        if key not in known_names:
            raise invalid("autoScalerProfile", f"{key} is not a property of the autoscaler profile.")
    expander = sent.get("expander")
    if expander not in (None, "random", "least-waste", "most-pods", "priority"):
        raise invalid("autoScalerProfile.expander", f"{expander} is not an expander.")
    return known_names | {k: v for k, v in sent.items() if v is not None}


def network(sent: Document, current: Document | None) -> Document:
    """networkProfile with AKS's defaults: CNI Overlay, no policy, ranges 10.244.0.0/16 and 10.0.0.0/16."""
    defaults = facts.read("defaults")["networkProfile"]
    own = dict(current or {}) | {k: v for k, v in sent.items() if v not in (None, "", [])}
    plugin = own.get("networkPlugin") or "azure"
    mode = own.get("networkPluginMode") or ("overlay" if not own.get("networkPlugin") else None)
    plane = own.get("networkDataplane") or ("azure" if plugin == "azure" else None)
    policy = own.get("networkPolicy") or ("cilium" if plane == "cilium" else "none")
    out: Document = {"networkPlugin": plugin}
    if mode:
        out["networkPluginMode"] = mode
    out["networkPolicy"] = policy
    if plane:
        out["networkDataplane"] = plane
    _check_network(plugin, mode, plane, policy)
    outbound = own.get("outboundType") or defaults["outboundType"]
    out["loadBalancerSku"] = defaults["loadBalancerSku"]
    if outbound == "loadBalancer":
        profile = {k: v for k, v in (own.get("loadBalancerProfile") or {}).items() if k != "effectiveOutboundIPs"}
        if not any(k in profile for k in ("outboundIPs", "outboundIPPrefixes", "managedOutboundIPs")):
            profile["managedOutboundIPs"] = {"count": 1}
        profile.setdefault("backendPoolType", "nodeIPConfiguration")
        out["loadBalancerProfile"] = profile
        found = ((current or {}).get("loadBalancerProfile") or {}).get("effectiveOutboundIPs")
        if found:
            profile["effectiveOutboundIPs"] = found
    elif own.get("natGatewayProfile"):
        out["natGatewayProfile"] = own["natGatewayProfile"]
    pods = mode == "overlay" or plugin in ("kubenet", "none")
    if pods:
        out["podCidr"] = own.get("podCidr") or (own.get("podCidrs") or [defaults["podCidr"]])[0]
    out["serviceCidr"] = own.get("serviceCidr") or (own.get("serviceCidrs") or [defaults["serviceCidr"]])[0]
    out["dnsServiceIP"] = own.get("dnsServiceIP") or _tenth(out["serviceCidr"])
    out["outboundType"] = outbound
    if pods:
        out["podCidrs"] = [out["podCidr"]]
    out["serviceCidrs"] = [out["serviceCidr"]]
    out["ipFamilies"] = own.get("ipFamilies") or ["IPv4"]
    if out["ipFamilies"] != ["IPv4"]:
        raise not_supported("IPv6 and dual-stack clusters (networkProfile.ipFamilies)")
    for key in ("advancedNetworking", "staticEgressGatewayProfile", "kubeProxyConfig", "networkMode"):
        if own.get(key):
            raise not_supported(f"networkProfile.{key}")
    _check_ranges(out)
    return out


def _check_network(plugin: str, mode: str | None, plane: str | None, policy: str) -> None:
    if plugin == "none":
        raise not_supported("networkPlugin none (bring your own CNI)")
    if mode == "overlay" and plugin != "azure":
        raise invalid("networkProfile.networkPluginMode", "overlay can only be used with networkPlugin azure.")
    if plane == "cilium" and (plugin != "azure" or policy not in ("cilium", "none")):
        raise invalid("networkProfile.networkDataplane", "cilium needs networkPlugin azure and networkPolicy cilium.")
    if policy == "cilium" and plane != "cilium":
        raise invalid("networkProfile.networkPolicy", "cilium needs networkDataplane cilium.")
    if policy == "azure" and plugin != "azure":
        raise invalid("networkProfile.networkPolicy", "azure needs networkPlugin azure.")


def _tenth(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)[10])
    except (ValueError, IndexError):
        raise invalid("networkProfile.serviceCidr", f"{text} is not a usable CIDR.") from None


def _check_ranges(profile: Document) -> None:
    ranges = {}
    for key in ("podCidr", "serviceCidr"):
        if key in profile:
            try:
                ranges[key] = ipaddress.ip_network(profile[key])
            except ValueError:
                raise invalid(f"networkProfile.{key}", f"{profile[key]} is not a CIDR.") from None
    services = ranges["serviceCidr"]
    if services.prefixlen < 12:
        raise invalid("networkProfile.serviceCidr", "The service CIDR must be /12 or smaller.")
    if "podCidr" in ranges and ranges["podCidr"].overlaps(services):
        raise aks(
            400,
            "PodCidrOverlapServiceCidr",
            f"The specified pod CIDR {profile['podCidr']} is conflicted with the service CIDR {profile['serviceCidr']}",
            target="networkProfile.podCIDR",
        )
    try:
        dns = ipaddress.ip_address(profile["dnsServiceIP"])
    except ValueError:
        raise invalid("networkProfile.dnsServiceIP", f"{profile['dnsServiceIP']} is not an IP address.") from None
    if dns not in services:
        raise invalid("networkProfile.dnsServiceIP", f"{dns} is not in the service CIDR {services}.")
    if dns == services[1] or dns == services[0]:
        raise invalid(
            "networkProfile.dnsServiceIP", f"{dns} is reserved: it must not be the first address of {services}."
        )
