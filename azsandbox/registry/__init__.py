"""Container registries: the data plane at NAME.azurecr.io."""

from azsandbox.registry.app import DataPlane
from azsandbox.registry.registries import Registries, Registry

__all__ = ["DataPlane", "Registries", "Registry"]
