"""Types that are made when one of them is first asked for: their names stand twice, before they are made and in them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import pytest

from azsandbox.arm import providers
from azsandbox.arm.provider import Provider

for module in iter_modules(providers.__path__):
    import_module(f"{providers.__name__}.{module.name}")


def _kinds(kind: type[Provider] = Provider) -> Iterator[type[Provider]]:
    for found in kind.__subclasses__():
        if found.__module__.startswith(providers.__name__):
            yield found
        yield from _kinds(found)


@pytest.mark.parametrize("kind", [kind for kind in _kinds() if kind().types.late], ids=lambda kind: kind.__name__)
def test_the_names_that_a_provider_announces_are_those_of_the_types_that_it_makes(kind: type[Provider]) -> None:
    announced = kind().types.late
    for load in set(announced.values()):
        assert {type_.name.lower() for type_ in load()} == {name for name, made in announced.items() if made is load}
