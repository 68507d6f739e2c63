"""How fast and how far a HorizontalPodAutoscaler may scale. Pure but for the clock that is passed in.

Source of the rules: Kubernetes 1.35, pkg/controller/podautoscaler, horizontal.go.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object

DOWNSCALE_WINDOW = 300  # seconds, kube-controller-manager's default stabilization
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_DOWN_STABLE = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
_UP_STABLE = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
_READY = ("ReadyForNewScale", "recommended size matches current size")

Said = tuple[str, str]  # reason and message


@dataclass
class Memory:
    """What an autoscaler remembers of one HorizontalPodAutoscaler: when it recommended and did what."""

    recommendations: list[tuple[dt.datetime, int]] = field(default_factory=list)
    ups: list[tuple[dt.datetime, int]] = field(default_factory=list)
    downs: list[tuple[dt.datetime, int]] = field(default_factory=list)

    def recommend(self, now: dt.datetime, replicas: int, longest: int) -> None:
        """Remembers a recommendation, and forgets those older than `longest` seconds."""
        cutoff = now - dt.timedelta(seconds=longest)
        self.recommendations = [r for r in self.recommendations if r[0] >= cutoff]
        self.recommendations.append((now, replicas))

    def scaled(self, now: dt.datetime, before: int, after: int) -> None:
        """Remembers a change of size."""
        cutoff = now - dt.timedelta(seconds=1800)  # no policy looks further back
        (self.ups if after > before else self.downs).append((now, abs(after - before)))
        self.ups = [e for e in self.ups if e[0] >= cutoff]
        self.downs = [e for e in self.downs if e[0] >= cutoff]


@dataclass(frozen=True)
class Verdict:
    """The size to go to, and what the conditions AbleToScale and ScalingLimited say of it."""

    replicas: int
    able: Said
    limited: bool
    limit: Said


def normalize(hpa: Object, memory: Memory, current: int, wanted: int, now: dt.datetime) -> Verdict:
    """Stabilizes what the metrics want by recent recommendations, and keeps it within rates and bounds."""
    spec = hpa["spec"]
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    behavior = spec.get("behavior")
    if behavior is None:
        cutoff = now - dt.timedelta(seconds=DOWNSCALE_WINDOW)
        stable = max([wanted, *(r for t, r in memory.recommendations if t >= cutoff)])
        memory.recommend(now, wanted, DOWNSCALE_WINDOW)
        able = _DOWN_STABLE if stable != wanted else _READY
        replicas, limit = _by_default_rules(current, stable, least, most)
    else:
        stable = _stabilize(behavior, memory, current, wanted, now)
        able = _READY if stable == wanted else _UP_STABLE if wanted >= current else _DOWN_STABLE
        replicas, limit = _by_behavior(behavior, memory, current, stable, least, most, now)
    return Verdict(replicas, able, replicas != stable, limit)


def _by_default_rules(current: int, wanted: int, least: int, most: int) -> tuple[int, Said]:
    rate = max(2 * current, 4)
    allowed, said = (rate, _UP_LIMIT) if most > rate else (most, _TOO_MANY)
    if wanted < least:
        return least, _TOO_FEW
    if wanted > allowed:
        return allowed, said
    return wanted, _WITHIN


def _window(rules: Object | None, default: int) -> int:
    value = (rules or {}).get("stabilizationWindowSeconds")
    return default if value is None else int(value)


def _stabilize(behavior: Object, memory: Memory, current: int, wanted: int, now: dt.datetime) -> int:
    up_window = _window(behavior.get("scaleUp"), 0)
    down_window = _window(behavior.get("scaleDown"), DOWNSCALE_WINDOW)
    up_cutoff, down_cutoff = (now - dt.timedelta(seconds=s) for s in (up_window, down_window))
    up = min([wanted, *(r for t, r in memory.recommendations if t > up_cutoff)])
    down = max([wanted, *(r for t, r in memory.recommendations if t > down_cutoff)])
    memory.recommend(now, wanted, max(up_window, down_window))
    return min(max(current, up), down)


def _by_behavior(
    behavior: Object, memory: Memory, current: int, wanted: int, least: int, most: int, now: dt.datetime
) -> tuple[int, Said]:
    if wanted > current:
        rate = max(_rate(behavior.get("scaleUp") or {}, memory, current, now, up=True), current)
        allowed, said = (rate, _UP_LIMIT) if most > rate else (most, _TOO_MANY)
        if wanted > allowed:
            return allowed, said
    elif wanted < current:
        rate = min(_rate(behavior.get("scaleDown") or {}, memory, current, now, up=False), current)
        allowed, said = (rate, _DOWN_LIMIT) if least < rate else (least, _TOO_FEW)
        if wanted < allowed:
            return allowed, said
    return wanted, _WITHIN


def _rate(rules: Object, memory: Memory, current: int, now: dt.datetime, up: bool) -> int:
    """The size that the policies allow now."""
    select = rules.get("selectPolicy") or "Max"
    if select == "Disabled":
        return current
    sizes = []
    for policy in rules.get("policies") or ():
        cutoff = now - dt.timedelta(seconds=policy["periodSeconds"])
        added = sum(n for t, n in memory.ups if t > cutoff)
        removed = sum(n for t, n in memory.downs if t > cutoff)
        start, value = current - added + removed, policy["value"]
        if policy["type"] == "Pods":
            sizes.append(start + value if up else start - value)
        elif up:
            sizes.append(math.ceil(start * (1 + value / 100)))
        else:
            sizes.append(int(start * (1 - value / 100)))
    if not sizes:
        return 2**31 - 1 if up else -(2**31)
    return max(sizes) if up == (select == "Max") else min(sizes)
