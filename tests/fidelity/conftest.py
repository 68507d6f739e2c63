"""Starts each service once, and plays the cases that this session has selected at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fidelity.cases import Case
from tests.fidelity.compare import Outcome
from tests.fidelity.services import SERVICES, Playing


@pytest.fixture(scope="session")
def outcome_of(request: pytest.FixtureRequest) -> Iterator[Callable[[Case], Outcome]]:
    """Gives the outcome of a case."""
    selected: dict[str, list[Case]] = {}
    for item in request.session.items:
        case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
        if isinstance(case, Case):
            selected.setdefault(case.service, []).append(case)
    playing: dict[str, Playing] = {}
    stack = []

    def outcome(case: Case) -> Outcome:
        if case.service not in playing:
            service = SERVICES[case.service]()
            player = service.__enter__()
            stack.append(service)
            playing[case.service] = Playing(player, selected[case.service])
        return playing[case.service].outcome(case)

    yield outcome
    for played in playing.values():
        played.end()
    for service in stack:
        service.__exit__(None, None, None)
