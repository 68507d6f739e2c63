from __future__ import annotations

import logging

from azsandbox.logs import OneLine


def formatted(message: str, error: Exception | None = None) -> str:
    info = (type(error), error, None) if error else None
    return OneLine("%(levelname)s %(message)s").format(
        logging.LogRecord("azsandbox.requests", logging.INFO, "", 0, message, None, info)
    )


def test_what_a_client_sends_begins_no_line_and_commands_no_terminal() -> None:
    assert formatted("GET /a\r\nERROR b\0\x1b[2J\x9b") == r"INFO GET /a\x0d\x0aERROR b\x00\x1b[2J\x9b"


def test_an_error_has_its_lines_below() -> None:
    assert formatted("failed", ValueError("a\x1b[2J")) == "INFO failed\nValueError: a\\x1b[2J"
