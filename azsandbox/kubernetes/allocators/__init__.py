"""Cluster IPs and node ports of Services."""

from __future__ import annotations

from azsandbox.kubernetes.allocators.services import ServiceAllocation

__all__ = ["ServiceAllocation"]
