"""The recorded cases, an area a file of YAML documents, and the list of those known to differ."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is


@dataclass(frozen=True)
class Case:
    """One rule of a service, shown by steps and what the service answered to each."""

    service: str  # kubernetes, flux, gatekeeper or arm
    area: str
    name: str
    content: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.service}/{self.area}/{self.name}"

    @property
    def serial(self) -> bool:
        """It changes what the whole cluster shares, so it runs alone."""
        return bool(self.content.get("serial"))


@dataclass(frozen=True)
class Difference:
    """A case that is known to differ: why, and what of it a learner would notice.

    `sometimes` is for a race alone: the case may be equal, too.
    """

    case: str
    reason: str
    notice: str
    sometimes: bool = False


@functools.cache
def load(service: str) -> tuple[Case, ...]:
    """All cases of a service, those that run alone last."""
    found = []
    for file in sorted((HERE / service).glob("*.yaml")):
        with file.open() as text:
            documents = list(yaml.load_all(text, LOADER))
        found += [Case(service, file.stem, document["case"], document) for document in documents]
    return tuple(sorted(found, key=lambda case: case.serial))


@functools.cache
def known_differences() -> dict[str, Difference]:
    """The list of known differences by case."""
    listed = tomllib.loads((HERE / "known-differences.toml").read_text()).get("difference", [])
    return {entry["case"]: Difference(**entry) for entry in listed}
