"""Query options of requests (ListOptions, DeleteOptions …) and the refusals of impossible ones.

Rules and texts: k8s.io/apimachinery, meta/v1/validation and meta/internalversion/validation.
"""

from __future__ import annotations

import re

from azsandbox.kubernetes import errors, go_duration
from azsandbox.kubernetes.request import Object, Request
from azsandbox.kubernetes.validation.errors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
)

INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1


def timeout(request: Request) -> float:
    """The seconds that a client gives a request, 0 if it says nothing. Raises 400 (WithRequestDeadline)."""
    text = request.param("timeout")
    try:
        return go_duration.parse(text) if text else 0.0
    except ValueError as error:
        raise errors.bad_request(f"invalid timeout specified in the request URL - {error}") from None


def list_options(request: Request) -> None:
    """Refuses combinations of resourceVersion, resourceVersionMatch, watch and sendInitialEvents that make no sense."""
    for name in ("limit", "timeoutSeconds"):
        integer(request.param(name))
    version, match = request.param("resourceVersion"), request.param("resourceVersionMatch")
    found: list[FieldError] = []
    if request.verb == "watch":
        found = _watch_options(request, version, match)
    else:
        if match:
            if not version:
                found.append(
                    forbidden(
                        "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
                    )
                )
            if request.param("continue"):
                found.append(
                    forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
                )
            if match not in ("Exact", "NotOlderThan"):
                found.append(not_supported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]))
            elif match == "Exact" and version == "0":
                text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
                found.append(forbidden("resourceVersionMatch", text))
        if "sendInitialEvents" in request.query:
            found.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if found:
        raise errors.invalid("ListOptions", "meta.k8s.io", "", found)


def integer(text: str, required: bool = False) -> None:
    """Refuses what Go's ParseInt takes for no number; an absent or empty parameter is 0 unless it is required."""
    if (text or required) and not re.fullmatch(r"[+-]?[0-9]+", text):
        raise errors.bad_request(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    if text and not -INT64_MAX - 1 <= int(text) <= INT64_MAX:
        raise errors.bad_request(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")


def _watch_options(request: Request, version: str, match: str) -> list[FieldError]:
    found: list[FieldError] = []
    initial = "sendInitialEvents" in request.query
    if not initial:
        if match:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            found.append(forbidden("resourceVersionMatch", text))
        return found
    if match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        found.append(forbidden("resourceVersionMatch", text))
        if match:
            found.append(not_supported("resourceVersionMatch", match, ["NotOlderThan"]))
    return found


def parse_uint(text: str) -> int:
    """A number of 64 bits without a sign. Raises ValueError with the words of Go's ParseUint."""
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
    if int(text) > UINT64_MAX:
        raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
    return int(text)


def resource_version(text: str) -> int:
    """A resourceVersion parameter as a number. Raises ValueError with Go's words."""
    try:
        return parse_uint(text)
    except ValueError as error:
        raise ValueError(f"resourceVersion: Invalid value: {quoted(text)}: {error}") from None


def limit(request: Request) -> int:
    """The limit parameter; 0 is none, as is a negative one."""
    text = request.param("limit")
    return int(text) if re.fullmatch(r"\d+", text) else 0


def write_options(request: Request, kind: str) -> None:
    """Checks dryRun, fieldManager and fieldValidation of a CreateOptions, UpdateOptions or PatchOptions."""
    found: list[FieldError] = []
    manager = request.param("fieldManager")
    apply = kind == "PatchOptions" and request.headers.get("content-type", "").startswith("application/apply-patch")
    if kind == "PatchOptions":
        if apply and not manager:
            found.append(required("fieldManager", "is required for apply patch"))
        if not apply and "force" in request.query:
            found.append(forbidden("force", "may not be specified for non-apply patch"))
    found += manager_errors(manager) + dry_run_errors(request.query.get("dryRun") or [])
    validation = request.param("fieldValidation")
    if validation not in ("", "Ignore", "Warn", "Strict"):
        found.append(not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"]))
    if found:
        raise errors.invalid(kind, "meta.k8s.io", "", found)


def told(request: Request, kind: str) -> Object:
    """A CreateOptions or UpdateOptions as webhooks are told it (k8s.io/apiserver, package endpoints/handlers)."""
    asked: Object = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if request.query.get("dryRun"):
        asked["dryRun"] = request.query["dryRun"]
    return asked | {name: request.param(name) for name in ("fieldManager", "fieldValidation") if request.param(name)}


def dry_run_errors(values: list[str], path: str = "dryRun") -> list[FieldError]:
    if all(value == "All" for value in values):
        return []
    return [not_supported(path, values, ["All"])]


def manager_errors(manager: str) -> list[FieldError]:
    if len(manager) > 128:
        return [too_long("fieldManager", 128)]
    for index, char in enumerate(manager):
        if not char.isprintable():
            return [invalid("fieldManager", manager, f"invalid character U+{ord(char):04X} (at position {index})")]
    return []


def field_manager(request: Request) -> str:
    """Who owns the fields that a request sets: the fieldManager asked for, or the user agent up to the first slash."""
    name = request.param("fieldManager") or request.user_agent.partition("/")[0]
    return name[:128]
