"""ControllerRevisions: the history of StatefulSets and DaemonSets.

Source of the rules: Kubernetes 1.35, pkg/controller/history.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import annotations_of, by_age, controller_reference, copy_of, labels_of, name_of
from azsandbox.controllers.template_hash import canonical, canonical_bytes, fnv32a, safe_encode

HASH_LABEL = "controller-revision-hash"


def template_patch(owner: Object) -> Object:
    """What a revision keeps: the owner's pod template, as a patch that replaces it.

    Its keys are sorted, as it is compared byte by byte by clients that make it themselves.
    """
    patch = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
    found: Object = orjson.loads(orjson.dumps(patch, option=orjson.OPT_SORT_KEYS))
    return found


def data_hash(data: Object, collisions: int | None) -> str:
    """The hash in a revision's name."""
    return safe_encode(str(fnv32a(canonical_bytes(data) + (b"" if collisions is None else str(collisions).encode()))))


def new_revision(
    owner: Object, api_version: str, kind: str, revision: int, label: str, name_limit: int = 223
) -> Object:
    """A ControllerRevision of the owner's present template; `label` is its hash."""
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(owner)[:name_limit]}-{label}",
            "namespace": owner["metadata"]["namespace"],
            "labels": {**labels_of(owner["spec"]["template"]), HASH_LABEL: label},
            "ownerReferences": [controller_reference(owner, api_version, kind)],
        },
        "data": template_patch(owner),
        "revision": revision,
    }
    if annotations_of(owner):
        made["metadata"]["annotations"] = dict(annotations_of(owner))
    return made


def same_data(one: Object, other: Object) -> bool:
    """Whether two revisions keep the same template."""
    return canonical(one.get("data")) == canonical(other.get("data"))


def in_order(revisions: Iterable[Object]) -> list[Object]:
    """The oldest revision first."""
    return sorted(revisions, key=lambda r: (r["revision"], by_age(r)))


def applied(owner: Object, revision: Object) -> Object:
    """A copy of the owner with the template that a revision keeps."""
    restored = copy_of(owner)
    template = copy_of(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    restored["spec"]["template"] = template
    return restored
