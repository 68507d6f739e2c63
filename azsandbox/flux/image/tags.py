"""The tags that were found in registries, by the image's full name: in the memory of one process."""

from __future__ import annotations

import json
import zlib


class Tags:
    """What image-reflector-controller keeps in its database."""

    def __init__(self) -> None:
        self._tags: dict[str, list[str]] = {}

    def set(self, image: str, tags: list[str]) -> str:
        """Keeps the tags of an image; returns their checksum."""
        self._tags[image] = list(tags)
        return str(zlib.adler32(json.dumps(tags, separators=(",", ":")).encode()))

    def get(self, image: str) -> list[str]:
        """The tags of an image, none for one that was not looked for."""
        return list(self._tags.get(image, ()))
