"""What a Kustomization has applied, as its status lists it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.kustomize.ordering import order
from azsandbox.flux.object_refs import ObjectRef


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of an inventory, with the version that it was applied in."""

    who: ObjectRef
    version: str

    @property
    def row(self) -> Object:
        """As a status has it."""
        return {"id": self.who.id, "v": self.version}


def read(status: Object) -> list[Entry]:
    """The entries of a status. Raises ValueError for an id that is none."""
    rows: Objects = (status.get("inventory") or {}).get("entries") or []
    return [Entry(ObjectRef.parse(row["id"]), row["v"]) for row in rows]


def rows(entries: Iterable[Entry]) -> Object:
    """An inventory as a status has it."""
    return {"entries": [entry.row for entry in entries]}


def missing(old: Iterable[Entry], new: Iterable[Entry]) -> list[Entry]:
    """Entries of `old` that `new` lacks, whatever their version, in the order in which they were applied."""
    still = {entry.who for entry in new}
    return sorted((entry for entry in old if entry.who not in still), key=lambda entry: order(entry.who))


def merged(entries: list[Entry], others: Iterable[Entry]) -> list[Entry]:
    """`entries`, and after them those of `others` that they lack."""
    have = {entry.who for entry in entries}
    return entries + [entry for entry in others if entry.who not in have]
