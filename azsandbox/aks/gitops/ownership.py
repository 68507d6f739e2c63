"""Whose an object is that a release of Helm would bring: Helm takes over none that does not say that it is the release's."""

from __future__ import annotations

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.flux import installation

LABEL = "app.kubernetes.io/managed-by"
ANNOTATIONS = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")


async def conflict(client: KubeClient, wanted: list[Object]) -> str:
    """Helm's sentence about the first object of `wanted` that is there and somebody else's; "" when there is none.

    Helm, pkg/action/validate.go (existingResourceConflict, checkOwnership).
    """
    for obj in wanted:
        if obj["kind"] == "Namespace":  # made before Helm is run
            continue
        live = await client.find(installation.address(obj))
        problems = _problems(obj["metadata"], live["metadata"]) if live else []
        if problems:
            name, space = obj["metadata"]["name"], obj["metadata"].get("namespace", "")
            return (
                f'Unable to continue with install: {obj["kind"]} "{name}" in namespace "{space}" exists and cannot be '
                f"imported into the current release: invalid ownership metadata; {'; '.join(problems)}"
            )
    return ""


async def released(client: KubeClient, obj: Object) -> bool:
    """Whether an object is there and of a release of Helm, whatever its name."""
    live = await client.find(installation.address(obj))
    return bool(live) and ANNOTATIONS[0] in ((live or {})["metadata"].get("annotations") or {})


def _problems(wanted: Object, live: Object) -> list[str]:
    found = []
    for what, part, keys in (("label", "labels", (LABEL,)), ("annotation", "annotations", ANNOTATIONS)):
        have = live.get(part) or {}
        for key in keys:
            expected = wanted[part][key]
            if key not in have:
                found.append(f'{what} validation error: missing key "{key}": must be set to "{expected}"')
            elif have[key] != expected:
                found.append(
                    f'{what} validation error: key "{key}" must equal "{expected}": current value is "{have[key]}"'
                )
    return found
