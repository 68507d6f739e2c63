"""Indexes of a Job as text: "1,3-5,7".

Rules and texts: k8s.io/kubernetes, pkg/apis/batch/validation (validateIndexesFormat).
"""

from __future__ import annotations

import re

from azsandbox.kubernetes.quoting import quoted

_NUMBER = re.compile(r"[+-]?[0-9]+\Z")


def indexes_in(text: str, completions: int) -> tuple[int, str]:
    """How many indexes below `completions` a text names, and what is wrong with it ("" if nothing)."""
    last: int | None = None
    total = 0
    for fragment in text.split(",") if text else []:
        limits = fragment.split("-")
        if len(limits) > 2:
            return 0, (
                f"the fragment {quoted(fragment)} violates the requirement that an index interval can have at most two"
                " parts separated by '-'"
            )
        for place, limit in enumerate(limits):
            if not _NUMBER.match(limit):
                return 0, f"cannot convert string to integer for index: {quoted(limit)}"
            index = int(limit)
            if index >= completions:
                return 0, f"too large index: {quoted(limit)}"
            if last is not None and last >= index:
                return 0, f"non-increasing order, previous: {last}, current: {index}"
            total += index - (last or 0) if place else 1
            last = index
    return total, ""
