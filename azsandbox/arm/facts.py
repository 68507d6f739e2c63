"""Facts of Azure from data files: locations, resource types with api-versions, roles, VM sizes, quotas."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Any


@functools.cache
def read(name: str) -> dict[str, Any]:
    """A file of azsandbox/data/azure, parsed once. Each has `source` and `date`."""
    text = resources.files("azsandbox").joinpath("data", "azure", name).read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def normal(location: str) -> str:
    """ "West Europe" and "westeurope" are one location."""
    return location.replace(" ", "").lower()


class Facts:
    """What Resource Manager knows of locations and resource types."""

    def __init__(self) -> None:
        self.locations: dict[str, dict[str, Any]] = {row["name"]: row for row in read("locations.json")["locations"]}
        self.providers: dict[str, dict[str, dict[str, Any]]] = read("resource-types.json")["providers"]
        self._namespaces = {name.lower(): name for name in self.providers}
        self._types = {
            f"{namespace}/{name}".lower(): f"{namespace}/{name}"
            for namespace, types in self.providers.items()
            for name in types
        }
        self._versions = {
            namespace: sorted({v for row in types.values() for v in row["apiVersions"]}, reverse=True)
            for namespace, types in self.providers.items()
        }

    def namespace(self, name: str) -> str | None:
        """The namespace in canonical case, if Azure has it as far as the data goes."""
        return self._namespaces.get(name.lower())

    def type(self, full: str) -> str | None:
        """The full type in canonical case."""
        return self._types.get(full.lower())

    def versions(self, full: str) -> list[str]:
        """Api-versions of a type, newest first."""
        namespace, _, name = full.partition("/")
        versions: list[str] = self.providers[namespace][name]["apiVersions"]
        return versions

    def has_version(self, full: str, version: str) -> bool:
        """Whether a request with that api-version is served. Types of a namespace share their api-versions here:
        one store serves them all, and clients use several for one type."""
        namespace, _, name = full.partition("/")
        if name.lower() == "operations":
            return version.lower() in self.versions(full)
        return version.lower() in self._versions[namespace]

    def location(self, name: str) -> str:
        """The normalized name of a location."""
        return normal(name)

    def locations_of(self, full: str) -> list[str]:
        """Names of the locations that a type is offered in; [] for a type without location."""
        canonical = self.type(full)
        where = "none"
        if canonical:
            namespace, _, name = canonical.partition("/")
            where = self.providers[namespace][name]["locations"]
        if where == "global":
            return ["global"]
        return list(self.locations) if where == "all" else []

    def display_names(self, names: list[str]) -> list[str]:
        """What people call the locations: "West Europe"."""
        return [self.locations[name]["displayName"] if name in self.locations else name for name in names]


VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[A-Za-z][A-Za-z0-9.-]*)?")
