"""Admission: what may change an object, or keep it out, once the caller is allowed to ask."""

from __future__ import annotations

from azsandbox.kubernetes.admission.attributes import CONNECT, CREATE, DELETE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Admission, Reader

__all__ = ["CONNECT", "CREATE", "DELETE", "UPDATE", "Admission", "Attributes", "Reader"]
