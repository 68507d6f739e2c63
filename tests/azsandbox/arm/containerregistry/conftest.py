"""The sandbox that the registry's own tests use."""

from tests.azsandbox.registry.conftest import azure, home, made_home

__all__ = ["azure", "home", "made_home"]
