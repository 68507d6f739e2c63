"""Tables of stored objects as bytes: a row is made once for each revision of an object, and then only its ages change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.tables.cells import Age
from azsandbox.store import Record

MOST_ROWS = 20_000  # that are kept

Part = bytes | Age


class StoredRows:
    """Rows of built-in kinds, with the metadata of their objects."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], tuple[int, tuple[Part, ...]]] = {}

    def table(
        self,
        resource: Resource,
        records: list[Record],
        head: Object,
        load: Callable[[bytes], Object],
        row: Callable[[Object], Object],
    ) -> bytes:
        """A Table's JSON: `head` with the rows of `records`. `load` reads an object, `row` makes its row."""
        now = time.time()
        out = [orjson.dumps(head)[:-1], b',"rows":[']
        for index, record in enumerate(records):
            if index:
                out.append(b",")
            for part in self._parts(resource, record, load, row):
                out.append(part if isinstance(part, bytes) else part.text(now).encode())
        out.append(b"]}")
        return b"".join(out)

    def _parts(
        self, resource: Resource, record: Record, load: Callable[[bytes], Object], row: Callable[[Object], Object]
    ) -> tuple[Part, ...]:
        key = (f"{resource.version}/{resource.qualified}", record.key)
        known = self._rows.get(key)
        if known is not None and known[0] == record.revision:
            return known[1]
        parts = tuple(_parts(row(load(record.value))))
        if known is None and len(self._rows) >= MOST_ROWS:
            del self._rows[next(iter(self._rows))]
        self._rows[key] = (record.revision, parts)
        return parts


def _parts(row: dict[str, Any]) -> list[Part]:
    """The JSON of a row, cut where its ages stand."""
    found: list[Part] = []
    text = b'{"cells":['
    for index, cell in enumerate(row["cells"]):
        text += b"," if index else b""
        if isinstance(cell, Age):
            found += [text + b'"', cell]
            text = b'"'
        else:
            text += orjson.dumps(cell)
    rest = {key: value for key, value in row.items() if key != "cells"}
    return [*found, text + b"]," + orjson.dumps(rest)[1:]]
