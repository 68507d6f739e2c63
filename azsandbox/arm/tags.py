"""Limits of tags (Azure Resource Manager, "Use tags to organize your Azure resources", limitations)."""

from __future__ import annotations

import re
from typing import Any

from azsandbox.arm import errors

LIMIT = 50  # tags a resource
NAME_LIMIT, VALUE_LIMIT = 512, 256  # characters


def check(tags: Any) -> None:
    """Raises what Azure says of tags beyond its limits or of the wrong form."""
    if tags is None:
        return
    if not isinstance(tags, dict) or any(
        v is not None and not isinstance(v, (str, int, float, bool)) for v in tags.values()
    ):
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'The tags must be an object with string values.'."
        )
    if len(tags) > LIMIT:
        raise errors.gateway(
            400,
            "InvalidTagsCount",
            f"The number of tags provided '{len(tags)}' exceeds the maximum number of tags allowed '{LIMIT}'.",
        )
    for name, value in tags.items():
        if len(name) > NAME_LIMIT or re.search(r"[<>%&\\?/]", name) or not name.strip():
            raise errors.gateway(
                400,
                "InvalidTagNameCharacters",
                f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.",
            )
        if len(str(value)) > VALUE_LIMIT:
            raise errors.gateway(
                400,
                "TagValueTooLong",
                f"The tag value '{value}' is too long. The maximum length is {VALUE_LIMIT} characters.",
            )
