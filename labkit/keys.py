"""The keys of lab.toml: the table of each, the rule that its value keeps, and whether a class decorates it."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.rules import (
    Rule,
    boolean,
    cidr,
    count,
    guid_or_empty,
    ip_address,
    list_of,
    name,
    namespace,
    namespaced,
    one_of,
    region_name,
    subject,
    surge,
    taint,
    text,
    vm_size,
    zone,
)


@dataclass(frozen=True)
class Key:
    """One key of lab.toml: its table, its rule, and whether a class's prefix and suffix go around it."""

    table: str
    name: str
    rule: Rule
    decorated: bool = False

    @property
    def path(self) -> str:
        return f"{self.table}.{self.name}"


def _keys(table: str, rules: dict[str, Rule], decorated: bool = False) -> dict[str, Key]:
    return {key: Key(table, key, rule, decorated) for key, rule in rules.items()}


POOL_RULES: dict[str, Rule] = {
    "name": name("node pool"),
    "min_count": count(0, 1000),
    "max_count": count(1, 1000),
    "vm_size": vm_size,
    "os_disk_gb": count(30, 2048),
    "max_pods": count(10, 250),
    "zones": list_of(zone),
    "max_surge": surge,
    "taints": list_of(taint),
}

KEYS: dict[str, Key] = {
    **_keys(
        "lab",
        {
            "target": one_of("sandbox", "aks", "context"),
            "context": text,
            "profile": one_of("modern", "2021"),
            "prefix": text,
            "suffix": text,
        },
    ),
    **_keys("azure", {"subscription_id": guid_or_empty, "tenant_id": guid_or_empty, "region": region_name}),
    **_keys(
        "names",
        {
            "resource_group": name("resource group"),
            "cluster": name("cluster"),
            "vnet": name("virtual network"),
            "cluster_subnet": name("subnet"),
            "aci_subnet": name("subnet"),
            "workspace": name("workspace"),
            "registry": name("registry"),
            "vault": name("vault"),
            "repository": name("repository"),
        },
        decorated=True,
    ),
    **_keys(
        "network",
        {
            "vnet_cidr": cidr,
            "cluster_subnet_cidr": cidr,
            "aci_subnet_cidr": cidr,
            "pod_cidr": cidr,
            "service_cidr": cidr,
            "dns_service_ip": ip_address,
        },
    ),
    **_keys("workspace", {"retention_days": count(30, 730)}),
    **_keys(
        "cluster",
        {
            "kubernetes_version": text,
            "tier": one_of("Free", "Standard", "Premium"),
            "network_plugin_mode": one_of("overlay", ""),
            "network_policy": one_of("calico", "cilium", "azure", "none"),
            "upgrade_channel": one_of("none", "patch", "stable", "rapid", "node-image"),
            "node_os_upgrade_channel": one_of("NodeImage", "SecurityPatch", "Unmanaged", "None"),
            "authorized_ip_ranges": list_of(cidr),
            "admin_group_object_ids": list_of(text),
            "local_accounts_disabled": boolean,
        },
    ),
    **_keys(
        "people",
        {
            "admin_group": text,
            "developer_group": text,
            "reader_group": text,
            "admin": text,
            "developer": text,
            "reader": text,
        },
    ),
    **_keys(
        "gitops",
        {
            "repository_owner": name("repository"),
            "repository_url": text,
            "branch": name("branch"),
        },
    ),
    **_keys(
        "checks",
        {
            "manual_upgrade_process": boolean,
            "command_invoke_allowed": boolean,
            "defender_plan_optional": boolean,
            "application_namespaces": list_of(namespace),
            "cluster_admins": list_of(subject),
            "allowed_principals": list_of(text),
            "platform_namespaces": list_of(namespace),
            "public_services": list_of(namespaced),
            "writable_root": list_of(namespaced),
        },
    ),
}
# A subnet belongs to its network and a repository to its owner: neither needs a name of its own in a class.
UNDECORATED = ("cluster_subnet", "aci_subnet", "repository")
POOL_TABLES = {"system_pool": tuple(POOL_RULES), "user_pool": tuple(POOL_RULES), "temporary_pool": ("name",)}


def pool_keys() -> list[Key]:
    """The keys of the node pools' tables."""
    return [Key(table, key, POOL_RULES[key]) for table, keys in POOL_TABLES.items() for key in keys]
