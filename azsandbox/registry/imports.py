"""Imports into a registry: from another of the sandbox's, or from a public one that the kit knows.

Rules: "Import container images to a container registry".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from azsandbox.registry import upstream
from azsandbox.registry.content import Content
from azsandbox.registry.names import is_digest, is_repository, is_tag

_SOURCE = re.compile(r"(?P<name>[^:@]+)(?::(?P<tag>[^:@]+))?(?:@(?P<digest>[^@]+))?")


class SourceMissing(Exception):
    """There is no such image at the source; the message says what there is."""


class TargetTaken(Exception):
    """A tag of the target exists, and may not be moved."""


@dataclass(frozen=True)
class Source:
    """An image somewhere: content of a registry, repository, tag or digest, and the name that people know it by."""

    content: Content
    repository: str
    reference: str
    name: str


@dataclass(frozen=True)
class Target:
    """Where an image goes: a repository, under a tag or under none."""

    repository: str
    tag: str = ""


def read_image(text: str) -> tuple[str, str] | None:
    """Repository and reference of `name:tag` or `name@digest`; None if it is neither. Without a tag it is latest."""
    found = _SOURCE.fullmatch(text)
    if found is None:
        return None
    reference = found["digest"] or found["tag"] or "latest"
    good = is_digest(reference) if found["digest"] else is_tag(reference)
    return (found["name"], reference) if good and is_repository(found["name"]) else None


def read_target(text: str) -> Target | None:
    """The target of `name:tag` or `name`, which means latest."""
    name, _, tag = text.partition(":")
    target = Target(name, tag or "latest")
    return target if is_repository(target.repository) and is_tag(target.tag) else None


def known_tags(host: str, repository: str) -> list[str]:
    """Tags of a public image that the catalogue has, and versions of a chart."""
    from azsandbox.registry import charts

    full = f"{host}/{repository}"
    tags = list(catalogue.keys()) if (catalogue := upstream.catalogue()["images"].get(full)) else []
    for row in charts.offered().values():
        if row["oci"] == full:
            tags += [version["version"] for version in row["versions"]]
    return tags


def copy(source: Source, target: Content, places: list[Target], *, force: bool) -> None:
    """Copies an image with all that it refers to. Nothing is written unless all of it can be.

    Raises SourceMissing, and TargetTaken for a tag that stands for another image unless `force` is set.
    """
    found = source.content.manifest(source.repository, source.reference)
    if found is None:
        raise SourceMissing(source.name)
    for place in places:
        held = target.tag(place.repository, place.tag) if place.tag else None
        if held is not None and not force and held.digest != found.digest:
            raise TargetTaken(f"{place.repository}:{place.tag}")
    for place in places:
        _copy(source.content, source.repository, found.digest, target, place.repository, place.tag)


def _copy(source: Content, repository: str, digest: str, target: Content, name: str, tag: str) -> None:
    found = source.manifest(repository, digest)
    if found is None:
        raise SourceMissing(f"{repository}@{digest}")
    for child in found.children:
        _copy(source, repository, child["digest"], target, name, "")
    for blob in found.blobs:
        target.link(name, blob)
    target.put_manifest(name, found, [tag] if tag else [])
