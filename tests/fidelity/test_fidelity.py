"""Each recorded case: equal, or on the list of known differences, which must stay true."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.fidelity.cases import Case, known_differences, load
from tests.fidelity.compare import Outcome
from tests.fidelity.services import SERVICES
from tests.fidelity.steps import has_flux, needs_flux

CASES = [case for service in SERVICES for case in load(service)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_sandbox_answers_as_the_real_service(case: Case, outcome_of: Callable[[Case], Outcome]) -> None:
    if not shutil.which("kubectl") and any("kubectl" in step for step in case.content["steps"]):
        pytest.skip("kubectl is not on PATH")
    if needs_flux(case) and not has_flux():
        pytest.skip("the flux command of the recordings is not on PATH")
    outcome = outcome_of(case)
    listed = known_differences().get(case.id)
    if listed is None:
        assert outcome.good, "\n".join(outcome.notes)
    elif not listed.sometimes:
        assert not outcome.good, f"{case.id} is equal now: remove it from tests/fidelity/known-differences.toml"


def test_every_known_difference_is_a_case_with_a_reason() -> None:
    ids = {case.id for case in CASES}
    for difference in known_differences().values():
        assert difference.case in ids
        assert len(difference.reason) > 20 and len(difference.notice) > 20, difference.case
