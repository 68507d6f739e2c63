"""The node pools as a picture: a band for each pool, a column for each zone, a box for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.views.rows import node_status
from labkit.views.surface import escape, show

WIDTH, BAND, HEAD, BOX, LABEL = 760, 84, 30, 74, 200


@dataclass(frozen=True)
class Diagram:
    """An SVG with a title and a description, and the same said in words."""

    svg: str
    description: str

    def show(self) -> None:
        """Show it below the cell; its description when headless."""
        show(self.svg, self.description)

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.description


def pools(cluster: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]) -> Diagram:
    """A picture of the pools of `cluster` (as Azure answers it) and of its `nodes` (as Kubernetes does)."""
    profiles = list((cluster.get("properties") or {}).get("agentPoolProfiles") or [])
    placed: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for item in nodes:
        labels = (item.get("metadata") or {}).get("labels") or {}
        pool = labels.get("kubernetes.azure.com/agentpool", "")
        placed.setdefault((pool, _zone(labels)), []).append(item)
    zones = sorted({zone for _, zone in placed}) or ["no zone"]
    words = [_sentence(pool, placed, zones) for pool in profiles]
    title = f"Node pools of {cluster.get('name', 'the cluster')}"
    description = f"{title}. " + " ".join(words) if words else f"{title}. There are none."
    return Diagram(_svg(title, description, profiles, zones, placed), description)


def _zone(labels: Mapping[str, str]) -> str:
    zone = labels.get("topology.kubernetes.io/zone", "0")
    return "no zone" if zone == "0" else f"zone {zone.rsplit('-', 1)[-1]}"


def _sentence(pool: Mapping[str, Any], placed: Mapping[tuple[str, str], list[Any]], zones: list[str]) -> str:
    name = str(pool.get("name"))
    spread = [f"{len(placed[name, zone])} in {zone}" for zone in zones if placed.get((name, zone))]
    taints = ", ".join(pool.get("nodeTaints") or []) or "no taint"
    where = ", ".join(spread) or "no nodes yet"
    return f"Pool {name}, mode {pool.get('mode')}, {pool.get('vmSize')}, {taints}: {where}."


def _svg(
    title: str, description: str, profiles: list[Any], zones: list[str], placed: Mapping[tuple[str, str], list[Any]]
) -> str:
    column = (WIDTH - LABEL) // len(zones)
    height = HEAD + BAND * max(1, len(profiles)) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" viewBox="0 0 {WIDTH} {height}" '
        f'style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="12">',
        f'<title id="t">{escape(title)}</title><desc id="d">{escape(description)}</desc>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    parts += [
        f'<text x="{LABEL + index * column + 8}" y="20" font-weight="600" fill="#1f1f1f">{escape(zone)}</text>'
        for index, zone in enumerate(zones)
    ]
    for row, pool in enumerate(profiles):
        parts += _band(pool, HEAD + row * BAND, zones, column, placed)
    return "".join(parts) + "</svg>"


def _band(
    pool: Mapping[str, Any], top: int, zones: list[str], column: int, placed: Mapping[tuple[str, str], list[Any]]
) -> list[str]:
    name, mode = str(pool.get("name")), str(pool.get("mode"))
    system = mode.lower() == "system"
    fill, dash = ("#e8eef9", "") if system else ("#eef6ea", ' stroke-dasharray="5 3"')
    bounds = (
        f"{pool.get('minCount')} to {pool.get('maxCount')} nodes"
        if pool.get("enableAutoScaling")
        else f"{pool.get('count')} node{'' if pool.get('count') == 1 else 's'}"
    )
    taint = (pool.get("nodeTaints") or ["no taint"])[0]
    lines = [f"{name} ({mode})", str(pool.get("vmSize")), bounds, taint if len(taint) < 28 else taint[:25] + "…"]
    parts = [
        f'<rect x="4" y="{top}" width="{WIDTH - 8}" height="{BAND - 8}" rx="6" fill="{fill}" stroke="#5b6472"{dash}/>'
    ]
    parts += [
        f'<text x="14" y="{top + 18 + index * 16}" fill="#1f1f1f"{" font-weight=" + chr(34) + "600" + chr(34) if index == 0 else ""}>'
        f"{escape(line)}</text>"
        for index, line in enumerate(lines)
    ]
    for index, zone in enumerate(zones):
        parts += _boxes(placed.get((name, zone), []), LABEL + index * column + 4, top + 8, column - 8)
    return parts


def _boxes(items: list[Any], left: int, top: int, width: int) -> list[str]:
    room = max(1, width // (BOX + 4))
    fitting = items if len(items) <= room else items[: room - 1]
    parts = []
    for index, item in enumerate(fitting):
        status = node_status(item)
        x = left + index * (BOX + 4)
        number = str((item.get("metadata") or {}).get("name", ""))[-6:]
        parts.append(
            f'<rect x="{x}" y="{top}" width="{BOX}" height="{BAND - 24}" rx="4" fill="#ffffff" stroke="#1f1f1f"/>'
            f'<text x="{x + 5}" y="{top + 22}" fill="#1f1f1f">…{escape(number)}</text>'
            f'<text x="{x + 5}" y="{top + 42}" font-size="10" fill="#1f1f1f">{escape(status.split(",")[0])}</text>'
        )
    if len(fitting) < len(items):
        x = left + len(fitting) * (BOX + 4)
        parts.append(f'<text x="{x + 4}" y="{top + 34}" fill="#1f1f1f">+{len(items) - len(fitting)} more</text>')
    return parts
