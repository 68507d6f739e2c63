from __future__ import annotations

import asyncio

import pytest

from azsandbox.flux.notification import posting
from azsandbox.flux.notification.posting import Http, SendError
from azsandbox.flux.runtime import Outbound
from tests.azsandbox.flux.web import Web


async def send(url: str, seconds: float = 5.0) -> None:
    async with Http(Outbound(), asyncio.get_running_loop().time() + seconds) as http:
        await http.send(url, b"{}", {})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "FIRST_WAIT", 0.01)


async def test_a_service_that_fails_is_asked_again_until_it_answers(hooks: Web) -> None:
    hooks.answer = lambda asked: (500 if len(hooks.asked) < 2 else 200, b"")
    await send(hooks.url)
    assert len(hooks.asked) == 3


async def test_a_refusal_is_final_and_says_what_was_answered(hooks: Web) -> None:
    hooks.answer = lambda asked: (404, b"no such hook")
    with pytest.raises(SendError) as error:
        await send(hooks.url)
    assert str(error.value) == "request failed: request failed with status code 404: no such hook"
    assert len(hooks.asked) == 1


async def test_a_service_that_keeps_failing_is_given_up(hooks: Web) -> None:
    hooks.answer = lambda asked: (502, b"")
    with pytest.raises(SendError) as error:
        await send(f"{hooks.url}/x")
    gave_up = f"failed to execute request: POST {hooks.url}/x giving up after 5 attempt(s)"
    assert str(error.value).startswith(f"{gave_up}: unexpected HTTP status 502 ")


async def test_too_many_requests_wait_as_long_as_the_service_asks(hooks: Web) -> None:
    hooks.answer = lambda asked: (429 if not hooks.asked else 200, b"")
    await send(hooks.url)
    assert len(hooks.asked) == 2


async def test_nobody_there_is_given_up_when_the_time_of_the_provider_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "FIRST_WAIT", 1.0)
    with pytest.raises(SendError) as error:
        await send("http://127.0.0.1:9/", seconds=0.5)
    assert str(error.value) == "failed to execute request: context deadline exceeded"


async def test_a_service_that_does_not_answer_in_time_is_given_up(hooks: Web) -> None:
    never = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(SendError) as error:
            await send(url, seconds=0.1)
        never.set()
    gave_up = f"failed to execute request: POST {url} giving up after 1 attempt(s)"
    assert str(error.value) == f"{gave_up}: context deadline exceeded"


async def test_an_address_that_no_client_can_reach_is_final() -> None:
    with pytest.raises(SendError) as error:
        await send("gopher://x/")
    assert str(error.value) == (
        'failed to execute request: POST gopher://x/ giving up after 1 attempt(s): Post "gopher://x/": '
        'unsupported protocol scheme "gopher"'
    )
