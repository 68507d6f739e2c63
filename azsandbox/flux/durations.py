"""Go's durations, as Flux reads and writes them."""

from __future__ import annotations

import random
import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds(duration: str) -> float:
    """A duration such as 1m30s, in seconds."""
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)(ms|us|µs|ns|h|m|s)", duration))


def jittered(value: float, part: float) -> float:
    """Seconds, a little more or less: by `part` of them at most."""
    part = part if 0 < part < 1 else 0.0
    return value * (1 + random.uniform(-part, part))  # noqa: S311 - it spreads load


def go_duration(value: float) -> str:
    """Seconds as time.Duration prints them: 9m30s, 1h0m0s, 1.5s, 250ms, 0s."""
    nanoseconds = round(value * 1e9)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for size, unit in ((1_000_000, "ms"), (1_000, "µs"), (1, "ns")):
            if nanoseconds >= size:
                return f"{_decimal(nanoseconds, size)}{unit}"
    hours, rest = divmod(nanoseconds, 3_600_000_000_000)
    minutes, left = divmod(rest, 60_000_000_000)
    text = f"{_decimal(left, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = str(part).rjust(len(str(unit)) - 1, "0").rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)
