"""The kit of the AKS baseline lab: settings, waiting, live views, checks and reports.

Names are imported when they are first used, so that `import labkit` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.checks.core import Check, Result, Status
    from labkit.errors import LabError
    from labkit.lab import Lab
    from labkit.reports.model import Report
    from labkit.settings import Settings

__version__ = "0.1.0"

_HOMES = {
    "Check": "labkit.checks.core",
    "Lab": "labkit.lab",
    "LabError": "labkit.errors",
    "Report": "labkit.reports.model",
    "Result": "labkit.checks.core",
    "Settings": "labkit.settings",
    "Status": "labkit.checks.core",
}

__all__ = ["Check", "Lab", "LabError", "Report", "Result", "Settings", "Status", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'labkit' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
