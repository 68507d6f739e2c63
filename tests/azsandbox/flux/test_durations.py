from __future__ import annotations

import pytest

from azsandbox.flux.durations import go_duration, seconds


@pytest.mark.parametrize(
    ("text", "value"), [("10m0s", 600), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("0s", 0), ("1µs", 1e-6)]
)
def test_a_duration_of_go_is_read_in_seconds(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(600, "10m0s"), (3600, "1h0m0s"), (90, "1m30s"), (1.5, "1.5s"), (0.25, "250ms"), (0, "0s"), (0.0015, "1.5ms")],
)
def test_a_duration_is_written_as_go_does(value: float, text: str) -> None:
    assert go_duration(value) == text
