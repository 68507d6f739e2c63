"""lab.toml: names, region, sizes; read, checked, and written back with its comments kept.

    settings = Settings.load(Path("lab.toml"))
    settings.cluster                 # "aks-baseline", with the prefix and suffix of a class
    settings.system_pool.max_count   # 5
    settings.region = "northeurope"  # checked at once; settings.save() writes it

The defaults are in data/lab.toml, which is also the file that a new lab starts with.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from labkit.errors import SettingsError
from labkit.keys import KEYS, POOL_RULES, POOL_TABLES, UNDECORATED, Key, pool_keys

FILE_NAME = "lab.toml"


class Pool:
    """The settings of one node pool; `settings.system_pool.min_count` and so on."""

    name: str
    """Name of the pool: up to 12 lower-case letters and digits, a letter first."""
    min_count: int
    """Fewest nodes that the autoscaler keeps."""
    max_count: int
    """Most nodes that the autoscaler makes."""
    vm_size: str
    """Size of each node, for example Standard_D4ds_v5."""
    os_disk_gb: int
    """Size of the ephemeral OS disk in GB."""
    max_pods: int
    """Pods that a node takes."""
    zones: list[str]
    """Availability zones to spread over."""
    max_surge: str
    """Extra nodes during an upgrade: a percentage such as 33%, or a count."""
    taints: list[str]
    """Taints of every node, as key=value:Effect."""

    def __init__(self, settings: Settings, table: str) -> None:
        object.__setattr__(self, "_settings", settings)
        object.__setattr__(self, "_table", table)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute not in POOL_TABLES[self._table]:
            raise AttributeError(attribute)
        return self._settings.read(self._table, attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        if attribute not in POOL_TABLES[self._table]:
            message = f"{self._table} has no key {attribute!r}; it has {', '.join(POOL_TABLES[self._table])}"
            raise AttributeError(message)
        self._settings.change(Key(self._table, attribute, POOL_RULES[attribute]), value)

    def __dir__(self) -> list[str]:
        return sorted(POOL_TABLES[self._table])

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={getattr(self, key)!r}" for key in POOL_TABLES[self._table])
        return f"Pool({values})"


class Settings:
    """What lab.toml says, checked; attributes are its keys, names carry the class's prefix and suffix.

    Setting an attribute checks the value at once and raises SettingsError; `save()` writes the file and keeps
    the comments in it.
    """

    target: str
    """Where the lab runs: sandbox, aks or context."""
    context: str
    profile: str
    """modern, or 2021: which expectation a check holds where the two differ."""
    prefix: str
    suffix: str
    subscription_id: str
    tenant_id: str
    region: str
    resource_group: str
    cluster: str
    vnet: str
    cluster_subnet: str
    aci_subnet: str
    workspace: str
    registry: str
    vault: str
    """Name of the key vault, which no other vault in the world may have."""
    repository: str
    vnet_cidr: str
    cluster_subnet_cidr: str
    aci_subnet_cidr: str
    pod_cidr: str
    service_cidr: str
    dns_service_ip: str
    retention_days: int
    """Days that the workspace keeps logs."""
    kubernetes_version: str
    tier: str
    network_plugin_mode: str
    network_policy: str
    upgrade_channel: str
    node_os_upgrade_channel: str
    authorized_ip_ranges: list[str]
    admin_group_object_ids: list[str]
    local_accounts_disabled: bool
    admin_group: str
    """Name of the Entra ID group that administers clusters; developer_group and reader_group are the others'."""
    developer_group: str
    reader_group: str
    admin: str
    """User principal name of the person that a lesson tries things as; empty: the lab's own, where it has people."""
    developer: str
    reader: str
    repository_owner: str
    repository_url: str
    branch: str
    manual_upgrade_process: bool
    command_invoke_allowed: bool
    defender_plan_optional: bool
    application_namespaces: list[str]
    """Namespaces that the applications run in; each has a team that may reach it."""
    cluster_admins: list[str]
    """Who else may be cluster-admin: User:NAME, Group:NAME, ServiceAccount:NAMESPACE/NAME."""
    allowed_principals: list[str]
    """Object ids of people and applications that may hold a role on the cluster themselves."""
    platform_namespaces: list[str]
    """Namespaces that the workload checks leave out, besides those of AKS and Flux."""
    public_services: list[str]
    """Services of type LoadBalancer that are meant to be public, as namespace/name."""
    writable_root: list[str]
    """Workloads whose containers may write to their root file system, as namespace/name."""

    def __init__(self, values: dict[str, Any] | None = None, path: Path | None = None) -> None:
        """Settings from the tables of a TOML document; a key that is not there has its default.

        Raises SettingsError for an unknown table or key, and for a value that breaks its rule.
        """
        defaults = tomllib.loads(template())
        _refuse_unknown(values or {}, defaults)
        merged = {table: {**keys, **(values or {}).get(table, {})} for table, keys in defaults.items()}
        object.__setattr__(self, "_values", merged)
        object.__setattr__(self, "_changed", {})
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "system_pool", Pool(self, "system_pool"))
        object.__setattr__(self, "user_pool", Pool(self, "user_pool"))
        object.__setattr__(self, "temporary_pool", Pool(self, "temporary_pool"))
        self.validate()

    path: Path | None
    system_pool: Pool
    user_pool: Pool
    temporary_pool: Pool

    @classmethod
    def load(cls, path: Path) -> Settings:
        """The settings in the file at `path`. Raises SettingsError, also for text that is not TOML."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(FILE_NAME, "a file", f"none at {path}", "labkit settings --create") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(FILE_NAME, "TOML", str(error), f"correct {path}, then run: labkit settings") from error
        return cls(values, path)

    @property
    def audit_resource_group(self) -> str:
        """The group of the second workspace, which keeps the control plane's logs."""
        return f"{self.resource_group}-audit"

    @property
    def audit_workspace(self) -> str:
        """The workspace that keeps the control plane's logs."""
        return f"{self.workspace}-audit"

    @property
    def registry_resource_group(self) -> str:
        """The group of the registry, which outlives the cluster."""
        return f"{self.resource_group}-acr"

    @property
    def repository_address(self) -> str:
        """Where the repository is: the address that the settings name, or that of GitHub."""
        return self.repository_url or f"https://github.com/{self.repository_owner}/{self.repository}"

    def read(self, table: str, key: str) -> Any:
        """The value of `key` in `table` as the file says it, without prefix and suffix."""
        return self._values[table][key]

    def change(self, key: Key, value: object) -> None:
        """Check `value`, and make it the value of `key`. Raises SettingsError and changes nothing."""
        before = self._values[key.table][key.name]
        self._values[key.table][key.name] = value
        try:
            self.validate()
        except SettingsError:
            self._values[key.table][key.name] = before
            raise
        self._changed[(key.table, key.name)] = value

    def assign(self, text: str) -> None:
        """Change one setting from text such as `azure.region=northeurope`; the value is TOML, or else plain text.

        Raises SettingsError for a key that is not there, and for a value that breaks its rule.
        """
        path, equals, given = text.partition("=")
        table, _, name = path.strip().partition(".")
        key = next((key for key in [*KEYS.values(), *pool_keys()] if (key.table, key.name) == (table, name)), None)
        if key is None or not equals:
            raise SettingsError(path.strip(), "a key of lab.toml and a value, as in azure.region=northeurope", text)
        try:
            value = tomllib.loads(f"value = {given.strip()}")["value"]
        except tomllib.TOMLDecodeError:
            value = given.strip()
        # 2021 is a number in TOML and the name of a profile here.
        self.change(
            key, given.strip() if isinstance(self.read(table, name), str) and not isinstance(value, str) else value
        )

    def validate(self) -> None:
        """Check each value by its rule, then the values against each other. Raises SettingsError."""
        for key in [*KEYS.values(), *pool_keys()]:
            key.rule(key.path, self._values[key.table][key.name])
        for attribute, key in KEYS.items():
            if key.decorated:
                key.rule(key.path, getattr(self, attribute))
        _check_together(self)

    def save(self, path: Path | None = None) -> Path:
        """Write the file, its comments kept, and return its path. A new file starts from the template."""
        import tomlkit

        target = path or self.path or Path(FILE_NAME)
        source = target.read_text(encoding="utf-8") if target.exists() else template()
        document = tomlkit.parse(source)
        changes = self._changed if target.exists() else dict(self._items())
        for (table, key), value in changes.items():
            if table not in document:
                document[table] = tomlkit.table()
            section: Any = document[table]
            if section.get(key) != value:
                section[key] = value
        temporary = target.with_name(target.name + ".new")
        temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
        temporary.replace(target)
        object.__setattr__(self, "path", target)
        self._changed.clear()
        return target

    def _items(self) -> Iterator[tuple[tuple[str, str], Any]]:
        for table, keys in self._values.items():
            for key, value in keys.items():
                yield (table, key), value

    def rows(self) -> list[dict[str, str]]:
        """Every setting as a row: its key in lab.toml, and its value with prefix and suffix."""
        rows = [{"setting": key.path, "value": _shown(getattr(self, attribute))} for attribute, key in KEYS.items()]
        rows += [{"setting": key.path, "value": _shown(self.read(key.table, key.name))} for key in pool_keys()]
        return rows

    def __getattr__(self, attribute: str) -> Any:
        key = KEYS.get(attribute)
        if key is None:
            raise AttributeError(f"lab.toml has no setting {attribute!r}")
        value = self._values[key.table][key.name]
        if not key.decorated or attribute in UNDECORATED:
            return value
        whole = f"{self.prefix}{value}{self.suffix}"
        # A registry's name allows letters and digits only, so the hyphen of a prefix cannot stay in it.
        return whole.replace("-", "") if attribute == "registry" else whole

    def __setattr__(self, attribute: str, value: object) -> None:
        key = KEYS.get(attribute)
        if key is None:
            raise AttributeError(f"lab.toml has no setting {attribute!r}; see: labkit settings")
        self.change(key, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *KEYS})

    def __repr__(self) -> str:
        return f"Settings(target={self.target!r}, resource_group={self.resource_group!r}, cluster={self.cluster!r})"


def template() -> str:
    """The text of a new lab.toml: every key with its default and a word on it."""
    return resources.files("labkit").joinpath("data/lab.toml").read_text(encoding="utf-8")


def find(start: Path | None = None) -> Path:
    """Where lab.toml is, or belongs: the nearest one above `start`, else beside the lab's pyproject.toml.

    The environment variable LABKIT_SETTINGS names another file.
    """
    named = os.environ.get("LABKIT_SETTINGS")
    if named:
        return Path(named)
    here = (start or Path.cwd()).resolve()
    for folder in [here, *here.parents]:
        if (folder / FILE_NAME).exists():
            return folder / FILE_NAME
    for folder in [here, *here.parents]:
        if (folder / "pyproject.toml").exists() and (folder / "notebooks").is_dir():
            return folder / FILE_NAME
    return here / FILE_NAME


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value != "" else "(empty)"


def _refuse_unknown(values: dict[str, Any], defaults: dict[str, Any]) -> None:
    for table, keys in values.items():
        if table not in defaults:
            raise SettingsError(table, f"one of the tables {', '.join(defaults)}", table)
        if not isinstance(keys, dict):
            raise SettingsError(table, "a table", keys)
        for key in keys:
            if key not in defaults[table]:
                raise SettingsError(f"{table}.{key}", f"one of the keys {', '.join(defaults[table])}", key)


def _check_together(settings: Settings) -> None:
    """The rules that need two values: ranges inside ranges, and a least below a most."""
    network = ipaddress.ip_network
    vnet, nodes = network(settings.vnet_cidr), network(settings.cluster_subnet_cidr)
    containers, services = network(settings.aci_subnet_cidr), network(settings.service_cidr)
    for key, subnet in (("network.cluster_subnet_cidr", nodes), ("network.aci_subnet_cidr", containers)):
        if subnet.version != vnet.version or not subnet.subnet_of(vnet):  # type: ignore[arg-type]
            raise SettingsError(key, f"inside network.vnet_cidr, {vnet}", str(subnet))
    _apart("network.aci_subnet_cidr", containers, "network.cluster_subnet_cidr", nodes)
    _apart("network.service_cidr", services, "network.vnet_cidr", vnet)
    pods = network(settings.pod_cidr)
    _apart("network.pod_cidr", pods, "network.service_cidr", services)
    _apart("network.pod_cidr", pods, "network.vnet_cidr", vnet)
    address = ipaddress.ip_address(settings.dns_service_ip)
    if address not in services or address == services[1]:
        expected = f"an address in network.service_cidr, {services}, other than its first, {services[1]}"
        raise SettingsError("network.dns_service_ip", expected, settings.dns_service_ip)
    for table in ("system_pool", "user_pool"):
        pool: Pool = getattr(settings, table)
        if pool.min_count > pool.max_count:
            expected = f"at most {table}.max_count, {pool.max_count}"
            raise SettingsError(f"{table}.min_count", expected, pool.min_count)
    if settings.system_pool.min_count < 1:
        raise SettingsError("system_pool.min_count", "at least 1", settings.system_pool.min_count)
    names = [settings.read(table, "name") for table in POOL_TABLES]
    for table, pool_name in zip(POOL_TABLES, names, strict=True):
        if names.count(pool_name) > 1:
            raise SettingsError(f"{table}.name", "a name that no other pool has", pool_name)


def _apart(key: str, one: Any, other_key: str, other: Any) -> None:
    if one.version == other.version and one.overlaps(other):
        raise SettingsError(key, f"apart from {other_key}, {other}", str(one))
