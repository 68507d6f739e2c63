"""The query API of Log Analytics, at api.loganalytics.io and api.loganalytics.azure.com.

errors   what it refuses with
query    one query, on a workspace or a resource
app      paths, batches, headers
"""

from azsandbox.loganalytics.api.app import QueryApi

__all__ = ["QueryApi"]
