"""What policies need to know of other objects: the add-on's Config names their kinds for Gatekeeper to sync.

Templates say so in an annotation (gatekeeper, "Syncing Data"); Azure's definitions say it in their texts.
"""

from __future__ import annotations

import json

from azsandbox.controllers.client import KubeClient, Object, path

NAMESPACE = "gatekeeper-system"
REQUIRES = "metadata.gatekeeper.sh/requires-sync-data"
CONFIGS = ("config.gatekeeper.sh/v1alpha1", "configs")


def kinds_of(templates: list[Object]) -> list[Object]:
    """Groups, versions and kinds that templates ask for, each once, sorted. Of alternatives the first is taken."""
    found = set()
    for template in templates:
        text = (template["metadata"].get("annotations") or {}).get(REQUIRES)
        for alternatives in json.loads(json.loads(text)) if text else []:
            first = alternatives[0]
            found |= {
                (group, version, kind)
                for group in first["groups"]
                for version in first["versions"]
                for kind in first["kinds"]
            }
    return [{"group": group, "version": version, "kind": kind} for group, version, kind in sorted(found)]


async def keep(client: KubeClient, templates: list[Object]) -> None:
    """Has Gatekeeper sync what the templates ask for; what else the Config says stays."""
    url = path(*CONFIGS, NAMESPACE, "config")
    wanted, config = kinds_of(templates), await client.find(url)
    if config is None:
        if wanted:
            metadata = {"name": "config", "namespace": NAMESPACE}
            body = {"apiVersion": CONFIGS[0], "kind": "Config", "metadata": metadata}
            await client.create(path(*CONFIGS, NAMESPACE), {**body, "spec": {"sync": {"syncOnly": wanted}}})
        return
    spec = config.get("spec") or {}
    if ((spec.get("sync") or {}).get("syncOnly") or []) != wanted:
        await client.update(url, {**config, "spec": {**spec, "sync": {**(spec.get("sync") or {}), "syncOnly": wanted}}})
