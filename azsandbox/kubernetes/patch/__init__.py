"""PATCH bodies applied: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch.

Texts and codes: k8s.io/apiserver, pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.patch import json_patch, merge_patch, strategic
from azsandbox.kubernetes.patch.go_text import go_value
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema.decode import IGNORE, MAX_STRICT_ERRORS, STRICT, WARN, strict_text
from azsandbox.kubernetes.schema.definitions import Type
from azsandbox.kubernetes.schema.json_text import BadJson, go_kind, parse, plain, repeated_fields
from azsandbox.kubernetes.schema.typed_values import DecodeError
from azsandbox.kubernetes.validation.errors import FieldError, invalid

JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

# reads a patched object back: (value, whether its kind counts) → object and errors of strict decoding
Reader = Callable[[Any, bool], tuple[Object, list[str]]]


def apply_patch(
    media: str, current: Object, body: bytes, type_: Type | None, reader: Reader, field_validation: str = WARN
) -> tuple[Object, list[str]]:
    """`current` with a patch applied, decoded by `reader`, and the warnings for it. `current` may be changed.

    Raises 400 for a patch that cannot be read, 422 where its result is no object of the type or, for a JSON patch,
    where an operation does not apply; 500 for a strategic merge patch with a bad directive.
    """
    if type_ is not None and "metadata" in current:  # a refusal shows the object as Go serializes it
        order = type_.properties["metadata"].by_name
        metadata = current["metadata"]
        current["metadata"] = {name: metadata[name] for name in order if name in metadata}
    if media == JSON:
        operations, strict = _operations(body, field_validation)
        patched = json_patch.apply(current, operations)
    else:
        patch = _object(body, plain_text=media == STRATEGIC)
        strict = [] if field_validation == IGNORE else repeated_fields(patch)
        patch = plain(patch)
        if media == MERGE:
            patched = merge_patch.apply(current, patch)
        else:
            assert type_ is not None
            patched = strategic.apply(current, patch, type_)
    try:
        obj, unknown = reader(patched, media != STRATEGIC)
    except DecodeError as error:
        raise _invalid(_shown(media, body, patched), str(error)) from None
    strict = [*strict, *unknown][:MAX_STRICT_ERRORS]
    if not strict or field_validation == IGNORE:
        return obj, []
    if field_validation == STRICT:
        raise _invalid(_shown(media, body, patched), strict_text(strict))
    return obj, strict


def _shown(media: str, body: bytes, patched: Any) -> str:
    """What a refusal shows: a strategic merge patch as Go prints it, and of other patches what they made."""
    return go_value(plain(_object(body, plain_text=True))) if media == STRATEGIC else _compact(patched)


def _invalid(shown: str, message: str) -> errors.StatusError:
    found: list[FieldError] = [invalid("patch", shown, message)]
    return errors.invalid("", "", "", found)


def _compact(value: Any) -> str:
    """JSON as Go's encoder writes it, with the characters of HTML escaped."""
    text = orjson.dumps(value).decode()
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _object(body: bytes, plain_text: bool) -> dict[str, Any]:
    prefix = "" if plain_text else "error decoding patch: "
    try:
        found = parse(body)
    except BadJson as error:
        raise errors.bad_request(f"{prefix}{error}") from None
    if found is None:
        if plain_text:
            return {}
        raise errors.bad_request("Invalid JSON Patch")
    if not isinstance(found, dict):
        text = f"json: cannot unmarshal {go_kind(found)} into Go value of type map[string]interface {{}}"
        raise errors.bad_request(prefix + text)
    return found


_OPERATION_FIELDS = ("op", "path", "from", "value")


def _operations(body: bytes, field_validation: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        found = parse(body)
    except BadJson as error:
        prefix = "" if field_validation == IGNORE else "error decoding patch: "
        raise errors.bad_request(f"{prefix}{error}") from None
    if found is None:
        return [], []
    go = "[]handlers.jsonPatchOp" if field_validation != IGNORE else "jsonpatch.Patch"
    if not isinstance(found, list):
        text = f"json: cannot unmarshal {go_kind(found)} into Go value of type {go}"
        raise errors.bad_request(f"error decoding patch: {text}" if field_validation != IGNORE else text)
    strict: list[str] = []
    for index, operation in enumerate(found):
        if operation is None:
            continue
        if not isinstance(operation, dict):
            text = f"json: cannot unmarshal {go_kind(operation)} into Go value of type {go.removeprefix('[]')}"
            raise errors.bad_request(f"error decoding patch: {text}")
        for name, value in operation.items():
            if name not in _OPERATION_FIELDS:
                strict.append(f'json patch unknown field "[{index}].{name}"')
            elif name != "value" and value is not None and not isinstance(value, str):
                text = f"json: cannot unmarshal {go_kind(value)} into Go struct field jsonPatchOp.{name} of type string"
                raise errors.bad_request(f"error decoding patch: {text}")
    strict += [f"json patch {text}" for text in repeated_fields(found)]
    if len(found) > json_patch.MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {json_patch.MAX_OPERATIONS}, got {len(found)}"
        raise errors.StatusError(413, "RequestEntityTooLarge", text)
    return plain(found), [] if field_validation == IGNORE else strict
