"""A sandbox with a registry in it, as the tests of registries have it."""

from tests.azsandbox.registry.conftest import azure, home, made_home, registry

__all__ = ["azure", "home", "made_home", "registry"]
