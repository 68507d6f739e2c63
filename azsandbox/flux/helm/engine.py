"""Helm's own engine (helm-python-sdk): charts are read and rendered by it, everything else is this package's.

The library is loaded when the first chart is, in a thread, since it takes a third of a second and 55 MB. A process that
has loaded it must not fork: Go's threads do not survive that, and the child hangs (subprocesses are no forks).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from azsandbox.flux.helm import capabilities as caps
from azsandbox.flux.helm.capabilities import Capabilities
from azsandbox.flux.helm.charts import BadChart, ChartArchive
from azsandbox.flux.helm.errors import HelmFailed

if TYPE_CHECKING:
    import helm_python

NOTES = "NOTES.txt"


class RenderFailed(HelmFailed):
    """A chart could not be rendered; the message is Helm's."""


class BadValues(RenderFailed):
    """Values that the chart's schema does not take; the message is Helm's."""


@dataclass(frozen=True)
class Chart:
    """A chart that has been read."""

    archive: ChartArchive
    metadata: dict[str, Any]
    definitions: list[dict[str, str]]  # of crds/, its dependencies' included: name, filename, data

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))

    @property
    def version(self) -> str:
        return str(self.metadata.get("version", ""))

    @property
    def app_version(self) -> str:
        return str(self.metadata.get("appVersion", ""))


@dataclass(frozen=True)
class Rendered:
    """What came of a chart: files by path, notes, and the chart as a release records it."""

    files: dict[str, str]
    notes: str
    chart: dict[str, Any]


@dataclass(frozen=True)
class Purpose:
    """What a chart is rendered for."""

    name: str
    namespace: str
    revision: int
    is_upgrade: bool = False
    skip_schema: bool = False
    capabilities: Capabilities | None = None
    lookup: dict[str, Any] = field(default_factory=dict)  # how the library reaches a server that answers `lookup`


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="helm")


async def load(archive: ChartArchive) -> Chart:
    """Reads a chart. Raises BadChart with Helm's words."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _load, archive)


async def render(chart: Chart, values: dict[str, Any], purpose: Purpose) -> Rendered:
    """Renders a chart. Raises RenderFailed with Helm's words."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _render, chart, values, purpose)


def parse_set(expression: str, text: bool) -> dict[str, Any]:
    """The values that `--set` makes of an expression such as a.b[0]=c; with `text`, those of `--set-string`.

    Raises ValueError with Helm's words.
    """
    import helm_python

    try:
        return dict((helm_python.parse_set_string_values if text else helm_python.parse_set_string)(expression))
    except helm_python.HelmError as error:
        raise ValueError(error.detail) from None


def _open(archive: ChartArchive) -> helm_python.Chart:
    import helm_python

    try:
        return helm_python.Chart.load_archive(archive.pack())
    except helm_python.HelmError as error:
        raise BadChart(error.detail.strip()) from None


def _load(archive: ChartArchive) -> Chart:
    with _open(archive) as handle:
        return Chart(archive, handle.metadata, handle.crds)


def _render(chart: Chart, values: dict[str, Any], purpose: Purpose) -> Rendered:
    import helm_python

    archive = chart.archive.without_schemas() if purpose.skip_schema else chart.archive
    if purpose.capabilities is not None:
        archive = caps.given(archive, purpose.capabilities)
    options: dict[str, Any] = {
        "name": purpose.name,
        "namespace": purpose.namespace,
        "revision": purpose.revision,
        "is_install": not purpose.is_upgrade,
        "is_upgrade": purpose.is_upgrade,
    }
    with _open(archive) as handle:
        try:
            if purpose.lookup:
                with helm_python.Config(**purpose.lookup) as config:
                    files = config.render(handle, values, **options)
            else:
                files = handle.render(values, **options)
        except helm_python.HelmValuesError as error:
            raise BadValues(error.detail) from None
        except helm_python.HelmError as error:
            raise RenderFailed(error.detail) from None
        recorded = _recorded(handle, chart)
    files = caps.without(files)
    notes = files.get(f"{chart.name}/templates/{NOTES}", "")
    return Rendered({n: text for n, text in files.items() if not n.endswith(NOTES)}, notes, recorded)


def _recorded(handle: helm_python.Chart, chart: Chart) -> dict[str, Any]:
    """The chart as a release records it: as it was read, but for what its dependencies' conditions have changed."""
    return {**chart.archive.recorded(), "metadata": handle.metadata, "values": handle.values}
