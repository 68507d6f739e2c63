"""Refusals of AKS, which it does not wrap in `error`: code, details, message, subcode, and a target if it has one."""

from __future__ import annotations

from typing import Any

from azsandbox.arm.errors import ArmError, not_supported

__all__ = ["aks", "invalid", "missing", "not_allowed", "not_supported", "unchangeable"]

VERSION_HELP = (
    "Please use [az aks get-versions] command to get the supported version list in this region. "
    "For more information, please check https://aka.ms/supported-version-list"
)


def aks(status: int, code: str, message: str, *, target: str | None = None, subcode: str = "") -> ArmError:
    """An error in the form that AKS itself answers."""
    body: dict[str, Any] = {"code": code, "details": None, "message": message, "subcode": subcode}
    if target is not None:
        body["target"] = target
    return ArmError(status, code, message, target=target, body=body)


def invalid(parameter: str, details: str = "") -> ArmError:
    """A parameter that breaks a rule."""
    tail = f" Error details: {details}" if details else ""
    return aks(400, "InvalidParameter", f"The value of parameter {parameter} is invalid.{tail}", target=parameter)


def missing(parameter: str) -> ArmError:
    """A parameter that must be given."""
    return aks(400, "InvalidParameter", f"Required parameter {parameter} is missing (null).", target=parameter)


def unchangeable(parameter: str) -> ArmError:
    """A change of what can only be set at creation."""
    message = f"Changing property '{parameter}' is not allowed."
    return aks(400, "PropertyChangeNotAllowed", message, target=parameter)


def not_allowed(message: str, status: int = 409) -> ArmError:
    """An operation that the present state does not allow."""
    return aks(status, "OperationNotAllowed", message)
