"""What `include-statistics` of Prefer adds: what a query used, and what it read and made.

The names are those that the service writes, as the tests of @azure/monitor-query recorded them. There is no cache, no
network and no store of extents here, so their numbers are zero, as they are on Azure for an empty table.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from azsandbox.loganalytics.kql import values

_NEVER = "0001-01-01T00:00:00.0000000Z"


class Meter:
    """Time that a query takes, from when the meter is made; `measured` runs the work in the thread that is measured."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.user = 0.0

    def measured(self, work: Any, *arguments: Any) -> Any:
        """What `work` returns; its processor time is noted."""
        before = time.thread_time()
        try:
            return work(*arguments)
        finally:
            self.user += time.thread_time() - before

    def read(self, tables: list[dict[str, Any]], scanned: int) -> dict[str, Any]:
        """The statistics of a query that read `scanned` rows and made `tables`."""
        from resource import RUSAGE_SELF, getrusage

        cpu = values.written_timespan(dt.timedelta(seconds=self.user))
        usage = {
            "cache": {
                "memory": {"hits": 0, "misses": 0, "total": 0},
                "disk": {"hits": 0, "misses": 0, "total": 0},
                "shards": {
                    "hot": {"hitbytes": 0, "missbytes": 0, "retrievebytes": 0},
                    "cold": {"hitbytes": 0, "missbytes": 0, "retrievebytes": 0},
                    "bypassbytes": 0,
                },
            },
            "cpu": {"user": cpu, "kernel": "00:00:00", "totalCpu": cpu},
            "memory": {"peakPerNode": getrusage(RUSAGE_SELF).ru_maxrss * 1024},
            "network": {"interClusterTotalBytes": 0, "crossClusterTotalBytes": 0},
        }
        read = {
            "extents": {"total": 0, "scanned": 0, "scannedMinDatetime": _NEVER, "scannedMaxDatetime": _NEVER},
            "rows": {"total": scanned, "scanned": scanned},
            "rowstores": {"scannedRows": 0, "scannedValuesSize": 0},
            "shards": {"queriesGeneric": 0, "queriesSpecialized": 0},
        }
        made = [{"tableRowCount": len(table["rows"]), "tableSize": _size(table)} for table in tables]
        took = time.perf_counter() - self._began
        return {
            "query": {
                "executionTime": took,
                "resourceUsage": usage,
                "inputDatasetStatistics": read,
                "datasetStatistics": made,
            }
        }


def _size(table: dict[str, Any]) -> int:
    return sum(len(str(cell)) for row in table["rows"] for cell in row)
