"""The cluster's capabilities in a chart's templates.

Helm's library renders with capabilities of its own making: a fixed Kubernetes version, and API versions without kinds.
A chart that asks for them gets one more template in each of its charts, which is rendered before all others there and
puts the cluster's in their place. What is put there is a map, while Helm has Go values with methods; so the one method
that charts call, `.Capabilities.APIVersions.Has`, is written as the template function that does the same on a map.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from azsandbox.controllers.client import KubeClient
from azsandbox.flux.helm.charts import ChartArchive, is_template, is_values
from azsandbox.flux.rest_mapping import RestMapping

WORD = "Capabilities"
_SET = "APIVersionSet"  # where the map for `hasKey` is, beside the list that a chart may range over
_HAS = re.compile(rb"((?:\$[\w.]*|\.)?[\w.]*|\([^()]*\))\.APIVersions\.Has\b")
_PRINTED = re.compile(rb"(\{\{-?\s*[$\w.]*Capabilities\.KubeVersion)(?=\s*-?\}\})")
_QUOTED = re.compile(rb"([$\w.]*Capabilities\.KubeVersion)(?=\s*\|\s*(?:s?quote|toString)\b)")
# deeper than any other template of the chart, and last by name: such are rendered first
_PLACE = "templates/~/~/~/~/~/~/~/~/capabilities"


@dataclass(frozen=True)
class Capabilities:
    """A cluster's version, as /version has it, and its API versions: groups' (apps/v1) and kinds' (apps/v1/Deployment)."""

    version: dict[str, Any]
    api_versions: tuple[str, ...]

    @property
    def kube_version(self) -> str:
        """The version with its v: v1.35.4."""
        return str(self.version["gitVersion"])


async def capabilities(client: KubeClient, mapping: RestMapping) -> Capabilities:
    """What the cluster has now."""
    version = await client.get("/version")
    resources = await mapping.all()
    found = {r.api_version for r in resources} | {f"{r.api_version}/{r.kind}" for r in resources}
    return Capabilities(version, tuple(sorted(found)))


def given(archive: ChartArchive, known: Capabilities) -> ChartArchive:
    """A chart that finds the cluster's capabilities where it looks for them."""
    files = {}
    for name, content in archive.files.items():
        if is_template(name) or is_values(name):
            content = _HAS.sub(rb"hasKey \1." + _SET.encode(), content)
            content = _PRINTED.sub(rb"\1.Version", content)
            content = _QUOTED.sub(rb"\1.Struct", content)  # Go shows the fields of a value, whose text has a pointer
        files[name] = content
    template = _template(known).encode()
    for folder in {name.rpartition("templates/")[0] for name in files if is_template(name)}:
        if folder == "" or folder.endswith("/"):
            files[folder + _PLACE] = template
    return ChartArchive(files, archive.folder, archive.times)


def without(rendered: dict[str, str]) -> dict[str, str]:
    """What was rendered, without the templates that were added."""
    return {name: text for name, text in rendered.items() if not name.endswith("/" + _PLACE)}


def _template(known: Capabilities) -> str:
    version = known.version
    found = {
        "KubeVersion": {
            "Version": known.kube_version,
            "GitVersion": known.kube_version,
            "String": known.kube_version,
            "Struct": f"{{{known.kube_version}  {version.get('major', '')} {version.get('minor', '')}}}",
            "Major": version.get("major", ""),
            "Minor": version.get("minor", ""),
        },
        "APIVersions": list(known.api_versions),
        _SET: dict.fromkeys(known.api_versions, True),
    }
    text = orjson.dumps(found).decode()
    return f'{{{{- $_ := set . "{WORD}" (set (fromJson `{text}`) "HelmVersion" .{WORD}.HelmVersion) -}}}}'
