"""Rows on their way: late by the clock, in batches, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from azsandbox.clock import Clock
from azsandbox.loganalytics import ingestion as module
from azsandbox.loganalytics.ingestion import Ingestion
from azsandbox.loganalytics.rows import Row, Rows
from azsandbox.store import Store


@pytest.fixture
async def ingestion() -> AsyncIterator[Ingestion]:
    made = Ingestion(Rows(Store(None)), Clock("stepped"), 180)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def record(text: str = "x") -> tuple[str, Row]:
    return "AKSControlPlane", {"TimeGenerated": "2026-01-02T03:04:05.000000Z", "Message": text}


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_row_arrives_when_azure_would_have_brought_it(ingestion: Ingestion) -> None:
    ingestion.put("w", record)
    await turns()
    assert ingestion.rows.count("w", "AKSControlPlane") == 0
    ingestion.clock.advance(179)
    await turns()
    assert ingestion.rows.count("w", "AKSControlPlane") == 0
    ingestion.clock.advance(1)
    await turns()
    assert ingestion.rows.count("w", "AKSControlPlane") == 1


async def test_a_full_batch_is_written_before_its_time(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    for _ in range(10):
        ingestion.put("w", record)
    await turns()
    assert ingestion.rows.count("w", "AKSControlPlane") == 10


async def test_a_record_that_cannot_be_made_keeps_no_other_back(ingestion: Ingestion) -> None:
    def broken() -> tuple[str, Row]:
        raise ValueError("no row")

    for make in (record, broken, record):
        ingestion.put("w", make)
    await ingestion.flush()
    assert ingestion.rows.count("w", "AKSControlPlane") == 2


async def test_what_is_on_its_way_is_written_when_the_sandbox_stops() -> None:
    made = Ingestion(Rows(Store(None)), Clock("stepped"), 180)
    task = asyncio.create_task(made.run())
    made.put("w", record)
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert made.rows.count("w", "AKSControlPlane") == 1


async def test_more_than_may_wait_lets_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    made = Ingestion(Rows(Store(None)), Clock("stepped"), 180)
    for number in range(5):
        made.put("w", lambda number=number: record(str(number)))  # type: ignore[misc]
    await made.flush()
    assert next(b'"Message":"2"' in row for row in made.rows.read("w", "AKSControlPlane"))
    assert made.rows.count("w", "AKSControlPlane") == 3
