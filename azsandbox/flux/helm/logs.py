"""The last lines that Helm wrote in an action, which go with the event of its failure (helm-controller, LogBuffer)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from azsandbox.flux import go_json
from azsandbox.flux.helm import releases
from azsandbox.kubernetes.errors import StatusError

KEPT = 10


def _shown(value: Any) -> Any:
    """An error of the API server is its Status; of any other error Go writes nothing but that it is there."""
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, StatusError):
        return {"ErrStatus": value.status}
    return {} if isinstance(value, Exception) else value


@dataclass
class _Line:
    text: str
    first: str
    last: str = ""
    repeats: int = 0

    def __str__(self) -> str:
        found = f"{self.first}: {self.text}"
        if self.repeats:
            found += f"\n{self.last}: {self.text}"
        omitted = self.repeats - 1
        return f"{found} ({omitted} duplicate line{'s' if omitted > 1 else ''} omitted)" if omitted > 0 else found


class HelmLog:
    """The last ten lines, a line that comes again counted."""

    def __init__(self) -> None:
        self._lines: deque[_Line] = deque(maxlen=KEPT)

    def say(self, message: str, **attributes: Any) -> None:
        """Notes a line with its attributes. Errors among them are written as Go's JSON has them."""
        shown = {key: _shown(attributes[key]) for key in sorted(attributes)}
        text = f"{message}: {go_json.write(shown)}"
        if self._lines and self._lines[-1].text == text:
            self._lines[-1].repeats += 1
            self._lines[-1].last = releases.now()
        else:
            self._lines.append(_Line(text, releases.now()))

    def after(self, message: str) -> str:
        """A message with the lines below it, if there are any."""
        if not self._lines:
            return message
        return f"{message}\n\nLast Helm logs:\n\n" + "\n".join(str(line) for line in self._lines)
