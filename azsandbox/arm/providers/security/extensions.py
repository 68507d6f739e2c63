"""Extensions of a plan of Defender for Cloud: parts of it that are switched on and off by themselves.

Switching a plan on switches on those that the request does not name as the plan has them; later requests change only
what they name. `isEnabled` is "True" or "False", a text.
"""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.resources import Document

ENABLED = {"code": "Succeeded", "message": "Successfully enabled extension"}


def bad_request(message: str) -> errors.ArmError:
    return errors.ArmError(400, "BadRequest", message)


def sent(value: Any) -> dict[str, Document]:
    """What a request says of extensions, by name. Raises ArmError for what is no list of extensions."""
    if value is None:
        return {}
    if not isinstance(value, list) or not all(isinstance(one, dict) and one.get("name") for one in value):
        raise bad_request("'extensions' must be a list of objects with 'name' and 'isEnabled'.")
    return {str(one["name"]): one for one in value}


def accept(
    plan: Document, sub_plan: str, value: Any, before: list[Document] | None, private: Document
) -> list[Document]:
    """The extensions that the plan has after a request, in the plan's order.

    `before` are those of a plan that was on already, None where it was off. `private["extensions"]` keeps the
    additional properties of each over the time that the plan is off.
    """
    wanted = sent(value)
    offered = {row["name"].lower(): row for row in plan.get("extensions", [])}
    for name in wanted:
        if name.lower() not in offered:
            known = ", ".join(row["name"] for row in offered.values()) or "none"
            raise bad_request(f"The plan '{plan['name']}' has no extension '{name}'. Possible extensions: {known}.")
    by_name = {name.lower(): one for name, one in wanted.items()}
    was = {one["name"].lower(): one for one in before or []}
    out = []
    for key, row in offered.items():
        if sub_plan and row.get("subPlans") and sub_plan not in row["subPlans"]:
            if _on(by_name.get(key)):
                raise bad_request(f"The extension '{row['name']}' is not part of the sub-plan '{sub_plan}'.")
            continue
        on = row["on"] if before is None or key not in was else was[key]["isEnabled"] == "True"
        out.append(_one(row, by_name.get(key), on, private["extensions"]))
    return out


def _one(row: Document, given: Document | None, on: bool, kept: Document) -> Document:
    name = row["name"]
    if given is not None:
        on = _on(given)
        extra = given.get("additionalExtensionProperties")
        if extra and not on:
            text = (
                f"AdditionalProperties of Extension '{name}' can't be updated while the extension is disabled "
                "(IsEnabled = False)"
            )
            raise errors.ArmError(500, "InternalServerError", text)
        if extra:
            kept[name] = {**row.get("properties", {}), **kept.get(name, {}), **extra}
    out: Document = {"name": name, "isEnabled": str(on)}
    if on and (properties := kept.get(name) or row.get("properties")):
        out["additionalExtensionProperties"] = copy.deepcopy(properties)
    return out


def _on(given: Document | None) -> bool:
    value = (given or {}).get("isEnabled", "False")
    if value not in ("True", "False"):
        raise bad_request(f"The value '{value}' of 'isEnabled' is not valid. Possible values: True, False.")
    return bool(value == "True")


def with_status(found: list[Document], wanted: dict[str, Document]) -> list[Document]:
    """The extensions as the answer to a PUT has them: each that is on tells how switching it on went."""
    names = {name.lower() for name in wanted}
    return [
        {**one, "operationStatus": dict(ENABLED)}
        if one["isEnabled"] == "True" and (not names or one["name"].lower() in names)
        else one
        for one in found
    ]
