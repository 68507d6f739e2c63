"""Why a query is refused, in Kusto's codes and words.

KqlError
├── QuerySyntaxError    SYN0002: it does not parse; line, position and token say where
├── SemanticError   SEM0xxx: a name, a type or a call means nothing
├── TooLarge        it makes more rows than a query may
├── TimeIsUp        it takes longer than it may
└── NotSupported    what Kusto has and the sandbox has not
"""

from __future__ import annotations

from dataclasses import dataclass


class KqlError(Exception):
    """A query that cannot be answered; `code` is Kusto's."""

    code = ""


class QuerySyntaxError(KqlError):
    """The query cannot be parsed at a token. Lines count from 1, positions in a line from 0."""

    code = "SYN0002"

    def __init__(self, line: int, position: int, token: str) -> None:
        super().__init__(f"Query could not be parsed at '{token}' on line [{line},{position}]")
        self.line, self.position, self.token = line, position, token


class SemanticError(KqlError):
    """The query parses and means nothing. `operator` is the one whose part it is."""

    def __init__(self, code: str, message: str, operator: str = "") -> None:
        super().__init__(f"'{operator}' operator: {message}" if operator else message)
        self.code, self.bare, self.operator = code, message, operator

    def within(self, operator: str) -> SemanticError:
        """The same, as part of an operator, unless it is part of one already."""
        return self if self.operator else SemanticError(self.code, self.bare, operator)


class TooLarge(KqlError):
    """More rows than a query may make."""

    code = "E_QUERY_RESULT_SET_TOO_LARGE"

    def __init__(self, most: int) -> None:
        super().__init__(f"Query result set has exceeded the internal record count limit {most} ({self.code})")


@dataclass(frozen=True)
class PartialError:
    """What went wrong with a query that is answered all the same; `code` is the engine's number."""

    code: str
    message: str


def record_limit(most: int) -> PartialError:
    """A result cut to `most` rows (answers recorded by the tests of Azure.Monitor.Query)."""
    text = f"Query result set has exceeded the internal record count limit {most}"
    return PartialError("-2133196797", f"{text} ({TooLarge.code}; see https://aka.ms/kustoquerylimits)")


class TimeIsUp(KqlError):
    """The query takes longer than the client waits."""

    code = "GatewayTimeout"

    def __init__(self) -> None:
        super().__init__("Gateway timeout")


class NotSupported(KqlError):
    """What the sandbox does not do, by name."""

    code = "NotSupportedInSandbox"

    def __init__(self, what: str) -> None:
        super().__init__(f"The sandbox does not support {what} in queries.")


def unresolved(name: str) -> SemanticError:
    """A name that is no column."""
    return SemanticError("SEM0100", f"Failed to resolve column or scalar expression named '{name}'")


def unresolved_table(name: str) -> SemanticError:
    """A name that is no table."""
    return SemanticError("SEM0100", f"Failed to resolve table or column expression named '{name}'")


def unresolved_alone(name: str) -> SemanticError:
    """A name that is a whole query and means nothing (recorded by the tests of Azure.Monitor.Query)."""
    text = f"'' operator: Failed to resolve table or column or scalar expression named '{name}'"
    return SemanticError("SEM0100", text)
