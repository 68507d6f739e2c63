"""Adoption and release: an owner claims what its selector matches and lets go of what it no longer does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from azsandbox.controllers.client import STRATEGIC, Object
from azsandbox.controllers.informer import Informer, Writes, controller_of
from azsandbox.controllers.objects import controller_reference, is_going, labels_of, uid_of
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.selectors import LabelSelector, from_object


class Claims:
    """Claims of owners of one kind on objects of one informer (pkg/controller, controller_ref_manager.go)."""

    def __init__(self, writes: Writes, owners: Informer, objects: Informer, api_version: str, kind: str) -> None:
        self.writes, self.owners, self.objects = writes, owners, objects
        self.api_version, self.kind = api_version, kind

    def selector(self, owner: Object) -> LabelSelector:
        """The label selector of an owner; a ReplicationController's is a plain map."""
        selector = owner["spec"].get("selector")
        if self.kind == "ReplicationController":
            selector = {"matchLabels": selector or {}}
        return from_object(selector)

    def candidates(self, owner: Object) -> list[Object]:
        """What the owner has, and what nobody has."""
        return self.objects.owned_by(uid_of(owner)) + self.objects.orphans(owner["metadata"]["namespace"])

    async def claim(
        self,
        owner: Object,
        candidates: Iterable[Object],
        fits: Callable[[Object], bool] = lambda obj: True,
        finalizer: str = "",
    ) -> list[Object]:
        """Those of `candidates` that are the owner's, after adopting and releasing.

        `fits` is a condition beside the selector; `finalizer` is put on what is adopted and taken off what is let go.
        """
        selector = self.selector(owner)
        claimed = []
        checked = False
        for obj in candidates:
            reference = controller_of(obj)
            matches = bool(selector) and selector.matches_labels(labels_of(obj)) and fits(obj)
            if reference is not None:
                if reference["uid"] != uid_of(owner):
                    continue
                if matches:
                    claimed.append(obj)
                elif not is_going(owner):
                    await self._release(owner, obj, finalizer)
                continue
            if not matches or is_going(owner) or is_going(obj):
                continue
            if not checked:  # by the server: the cache may not know yet that the owner goes
                fresh = await self.writes.client.get(self.owners.path_of(owner))
                if uid_of(fresh) != uid_of(owner) or is_going(fresh):
                    break
                checked = True
            adopted = await self._adopt(owner, obj, finalizer)
            if adopted is not None:
                claimed.append(adopted)
        return claimed

    async def _adopt(self, owner: Object, obj: Object, finalizer: str) -> Object | None:
        metadata: Object = {
            "ownerReferences": [controller_reference(owner, self.api_version, self.kind)],
            "uid": uid_of(obj),
        }
        if finalizer:
            metadata["finalizers"] = [finalizer]
        try:
            return await self.writes.patch(self.objects, obj, {"metadata": metadata}, STRATEGIC)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def _release(self, owner: Object, obj: Object, finalizer: str) -> None:
        metadata: Object = {"ownerReferences": [{"$patch": "delete", "uid": uid_of(owner)}], "uid": uid_of(obj)}
        if finalizer:
            metadata["$deleteFromPrimitiveList/finalizers"] = [finalizer]
        try:
            await self.writes.patch(self.objects, obj, {"metadata": metadata}, STRATEGIC)
        except StatusError as error:
            if error.code not in (404, 422):  # gone already, or another object of that name
                raise

    def owners_of(self, obj: Object) -> list[str]:
        """Keys of the owners to wake when `obj` changes: its owner, or any that could adopt it."""
        namespace = obj["metadata"].get("namespace", "")
        reference = controller_of(obj)
        if reference is not None:
            if reference["kind"] != self.kind or reference["apiVersion"] != self.api_version:
                return []
            return [f"{namespace}/{reference['name']}"]
        found = []
        for key, owner in self.owners.by_namespace.get(namespace, {}).items():
            selector = self.selector(owner)
            if selector and selector.matches_labels(labels_of(obj)):
                found.append(key)
        return found
