"""Container registries: the data plane at NAME.azurecr.io."""

from azsandbox.registry.app import DataPlane
from azsandbox.registry.registries import Registries, Registry
from azsandbox.registry.upstream_app import PublicRegistries

__all__ = ["DataPlane", "PublicRegistries", "Registries", "Registry"]
