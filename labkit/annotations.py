"""Annotations on objects of a cluster: Flux is asked by one to look now. All else that labkit changes goes by kubectl."""

from __future__ import annotations

import json
from collections.abc import Mapping

from labkit.readers import KubernetesReader


class Annotator(KubernetesReader):
    """A reader that also puts annotations on objects, over the same connection."""

    def annotate(self, path: str, annotations: Mapping[str, str], manager: str) -> None:
        """Set `annotations` of the object at `path`, as the field manager `manager`. Raises ReadError."""
        body = json.dumps({"metadata": {"annotations": dict(annotations)}})
        response = self._open(path, {"fieldManager": manager}, timeout=60, method="PATCH", body=body)
        response.drain_conn()
        response.release_conn()
