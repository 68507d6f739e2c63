"""Warnings of volumes that put two files at one path. Source: k8s.io/kubernetes, pkg/api/pod/warnings.go."""

from __future__ import annotations

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.errors import quoted

_Place = tuple[str, str]  # a path, and where it comes from


def overlapping(volumes: list[Object]) -> list[str]:
    """Of all volumes of a pod."""
    found: list[str] = []
    for volume in volumes:
        name = volume.get("name") or ""
        for key in ("configMap", "secret", "downwardAPI"):
            source = volume.get(key) or {}
            if source.get("items"):
                places = [(item.get("path") or "", "") for item in source["items"]]
                found += _warnings(name, _described(key, source), places)
        if volume.get("projected") is not None:
            found += _projected(name, volume["projected"].get("sources") or [])
    return found


def _described(key: str, source: Object) -> str:
    if key == "configMap":
        return f"ConfigMap {quoted(source.get('name') or '')}"
    return f"Secret {quoted(source.get('secretName') or '')}" if key == "secret" else "DownwardAPI"


def _projected(name: str, sources: list[Object]) -> list[str]:
    found: list[str] = []
    places: list[_Place] = []
    for source in sources:
        if not source:
            found.append(f"volume {quoted(name)} (Projected) has no sources provided")
            continue
        for place in _places(source):
            found += _collisions(name, "Projected", places, place)
            places.append((place[0].rstrip("/"), place[1]))
    return found


def _places(source: Object) -> list[_Place]:
    for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if (source.get(key) or {}).get("items"):
            origin = f"{kind} {quoted(source[key].get('name') or '')}"
            return [(item.get("path") or "", origin) for item in source[key]["items"]]
    if (source.get("downwardAPI") or {}).get("items"):
        return [(item.get("path") or "", "DownwardAPI") for item in source["downwardAPI"]["items"]]
    token = source.get("serviceAccountToken")
    return [(token.get("path") or "", "ServiceAccountToken")] if token is not None else []


def _warnings(name: str, described: str, places: list[_Place]) -> list[str]:
    found: list[str] = []
    seen: list[_Place] = []
    for place in places:
        found += _collisions(name, described, seen, place)
        seen.append((place[0].rstrip("/"), place[1]))
    return found


def _collisions(name: str, described: str, seen: list[_Place], place: _Place) -> list[str]:
    path, origin = place[0].rstrip("/"), place[1]
    if not path:
        return []
    return [
        f"volume {quoted(name)} ({described}): overlapping paths: {_shown((path, origin))} with {_shown(other)}"
        for other in seen
        if other[0] and (f"{other[0]}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other[0]}/"))
    ]


def _shown(place: _Place) -> str:
    return f"{quoted(place[0])} ({place[1]})" if place[1] else quoted(place[0])
