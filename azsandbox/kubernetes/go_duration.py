"""Durations as Go's time.ParseDuration reads them ("1h30m", "1.5s")."""

from __future__ import annotations

import re

from azsandbox.kubernetes.validation.errors import quoted

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_MOST = (2**63 - 1) / 1e9  # seconds that 63 bits of nanoseconds hold


def parse(text: str) -> float:
    """Seconds. Raises ValueError in Go's words."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    sign = -1.0 if text[:1] == "-" else 1.0
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    total = 0.0
    while rest:
        found = _PART.match(rest)
        assert found is not None
        whole, fraction, unit = found[1], found[2] or "", found[3]
        if not whole and not fraction.strip("."):
            raise ValueError(f"time: invalid duration {quoted(text)}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        total += (float(whole or 0) + float(f"0{fraction}" if fraction.strip(".") else 0)) * _UNITS[unit]
        rest = rest[found.end() :]
    if total > _MOST:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    return sign * total
