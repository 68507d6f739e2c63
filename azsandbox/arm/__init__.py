"""Azure Resource Manager and its resource providers."""

from azsandbox.arm.arm import Arm

__all__ = ["Arm"]
