"""A few odd requests, and a body of a hundred megabytes, to a cluster over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fuzz.__main__ import line, run
from tests.fuzz.requests import Sent
from tests.fuzz.server import Fault, Line, judge

REQUESTS = 400
SIZE = 100 * 1024 * 1024


@pytest.fixture(scope="module")
def to() -> Iterator[Line]:
    with line() as found:
        yield found


def test_no_odd_request_is_answered_with_an_error_of_the_servers_own(to: Line) -> None:
    seen = run(to, REQUESTS, start=20261125)
    assert sum(seen.values()) >= REQUESTS // 2
    assert {200, 404, 422} <= seen.keys()


def test_a_body_of_a_hundred_megabytes_is_refused_and_the_next_request_is_answered(to: Line) -> None:
    sent = to.open(60)
    sent.putrequest("POST", "/api/v1/namespaces/default/configmaps")
    for name, text in {**to.headers({"Content-Type": "application/json"}), "Content-Length": str(SIZE)}.items():
        sent.putheader(name, text)
    sent.endheaders()
    try:
        for _ in range(SIZE // (1 << 20)):
            sent.send(b"[" * (1 << 20))
    except OSError:
        pass  # the server has heard enough
    answer = sent.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["message"] == "Request entity too large: limit is 3145728"
    assert to.request("GET", "/api/v1/namespaces/default")[0] == 200


def test_an_exception_in_the_server_is_a_fault() -> None:
    body = json.dumps({"message": "Internal error occurred: KeyError: 'spec'"}).encode()
    with pytest.raises(Fault, match="KeyError"):
        judge(Sent("GET", "/x"), 500, body)
    judge(Sent("GET", "/x"), 500, b'{"message":"resourceVersion: Invalid value: \\"x\\""}')
