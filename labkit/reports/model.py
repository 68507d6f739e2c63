"""The report: results, where they were found, and when; every format is written from this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.checks.core import Result, Status
from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit.settings import Settings
    from labkit.targets import Connection

TOOL = "labkit"
FORMATS = {".html": "html", ".xml": "junit", ".sarif": "sarif", ".json": "json"}


@dataclass(frozen=True)
class Report:
    """Results of one run, and what they are of."""

    results: tuple[Result, ...]
    place: str
    cluster: str
    resource_group: str
    profile: str
    moment: datetime

    @classmethod
    def of(cls, results: Iterable[Result], settings: Settings, connection: Connection) -> Report:
        """A report of `results` that were found just now."""
        return cls(
            results=tuple(results),
            place=connection.place,
            cluster=settings.cluster,
            resource_group=settings.resource_group,
            profile=settings.profile,
            moment=datetime.now(UTC),
        )

    def count(self, status: Status) -> int:
        """How many results have `status`."""
        return sum(result.status is status for result in self.results)

    @property
    def ok(self) -> bool:
        """True if nothing failed and nothing is unknown."""
        return all(result.ok for result in self.results)

    def text(self, form: str) -> str:
        """The report as "html", "junit", "sarif" or "json". Raises LabError for another form."""
        from labkit.reports import html, json_, junit, sarif

        writers = {"html": html.write, "junit": junit.write, "sarif": sarif.write, "json": json_.write}
        if form not in writers:
            raise LabError(
                f"no report is written as {form!r}; the forms are {', '.join(writers)}", "labkit check --help"
            )
        return writers[form](self)

    def save(self, path: Path | str, form: str = "") -> Path:
        """Write the report to `path`, in the form of its ending (.html .xml .sarif .json) unless `form` is given."""
        file = Path(path)
        chosen = form or FORMATS.get(file.suffix.lower(), "")
        if not chosen:
            raise LabError(
                f"{file.name} says no form; end it in {', '.join(FORMATS)}", "labkit check --report report.html"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.text(chosen), encoding="utf-8")
        return file
