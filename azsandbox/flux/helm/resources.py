"""The objects of a release in the cluster: built from manifests, created, updated and deleted as Helm's client does.

Rules and texts: helm.sh/helm/v4, pkg/kube/client.go and pkg/action/validate.go.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from azsandbox.controllers.client import APPLY, JSON_PATCH, KubeClient, Object
from azsandbox.flux.helm import manifests, merging
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.logs import HelmLog
from azsandbox.flux.helm.spec import MANAGER
from azsandbox.flux.object_refs import ObjectRef, group_of
from azsandbox.flux.rest_mapping import NoMatch, Resource, RestMapping
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.schema import yaml_text
from azsandbox.kubernetes.schema.yaml_text import BadYaml

MANAGED_BY, HELM = "app.kubernetes.io/managed-by", "Helm"
RELEASE_NAME, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
POLICY, KEEP = "helm.sh/resource-policy", "keep"


class ResourceFailed(HelmFailed):
    """Objects could not be built, written or deleted; the message is Helm's."""


@dataclass
class Info:
    """An object, and the resource it is one of."""

    resource: Resource
    obj: Object

    @property
    def namespace(self) -> str:
        return str(self.obj["metadata"].get("namespace") or "") if self.resource.namespaced else ""

    @property
    def name(self) -> str:
        return str(self.obj["metadata"].get("name") or "")

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, self.name)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two versions of a release know an object by."""
        return group_of(self.resource.api_version), self.resource.kind, self.namespace, self.name

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(*self.key)

    @property
    def names(self) -> dict[str, str]:
        """What lines of Helm's log know an object by."""
        return {"kind": self.resource.kind, "name": self.name, "namespace": self.namespace}

    @property
    def shown(self) -> str:
        """The object in messages of ownership."""
        return f'{self.resource.kind} "{self.name}" in namespace "{self.namespace}"'

    @property
    def named(self) -> str:
        """The object in messages of applying."""
        group, _, version = self.resource.api_version.rpartition("/")
        return f"{self.namespace}/{self.name} {group}/{version}, Kind={self.resource.kind}"


@dataclass
class Changed:
    """What an update did, as far as it came."""

    created: list[Info] = field(default_factory=list)


@dataclass(frozen=True)
class How:
    """How objects are written."""

    server_side: bool = True
    force_conflicts: bool = False
    replace: bool = False
    take_managers: bool = False  # turn what client-side applies own into what server-side ones do
    three_way: bool = False  # merge custom resources with what the cluster has, where no apply is server-side


class ResourceClient:
    """Writes a release's objects as `client`. `namespace` is where objects go that name none."""

    def __init__(self, client: KubeClient, mapping: RestMapping, namespace: str, log: HelmLog) -> None:
        self.client, self.mapping, self.namespace, self.log = client, mapping, namespace, log

    # --- building

    async def build(self, text: str, *, validate: bool = False) -> list[Info]:
        """The objects of manifests. Raises ResourceFailed with kubectl's words."""
        found, wrong = [], []
        for document in manifests.split(text):
            try:
                obj, _ = yaml_text.parse(document.encode())
            except BadYaml as error:
                raise ResourceFailed(f"error parsing : error converting YAML to JSON: {error}") from None
            for item in _items(obj):
                if validate and not item.get("apiVersion"):
                    raise ResourceFailed('error validating "": error validating data: apiVersion not set')
                try:
                    found.append(await self._info(item))
                except NoMatch as error:
                    metadata = item.get("metadata") or {}
                    names = f'name: "{metadata.get("name", "")}" namespace: "{metadata.get("namespace", "")}"'
                    hint = "ensure CRDs are installed first"
                    wrong.append(f'resource mapping not found for {names} from "": {error}\n{hint}')
        if wrong:
            wrong = list(dict.fromkeys(wrong))
            raise ResourceFailed(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
        return found

    async def _info(self, obj: Object) -> Info:
        resource = await self.mapping.of(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
        metadata = obj.setdefault("metadata", {})
        if resource.namespaced and not metadata.get("namespace"):
            metadata["namespace"] = self.namespace
        return Info(resource, obj)

    # --- ownership

    async def existing(self, infos: list[Info], name: str, namespace: str, *, take: bool) -> list[Info]:
        """Those that are in the cluster already; unless they may be taken, they must be the release's own."""
        found = []
        for info in infos:
            metadata = info.obj["metadata"]
            if metadata.get("generateName"):
                if info.name:
                    raise ResourceFailed("metadata.name and metadata.generateName cannot both be set")
                continue
            try:
                there = await self.client.find(info.path)
            except StatusError as error:
                text = f"could not get information about the resource {info.shown}: {error.message}"
                raise ResourceFailed(text) from None
            if there is None:
                continue
            wrong = "" if take else _ownership_error(there, name, namespace)
            if wrong:
                raise ResourceFailed(f"{info.shown} exists and cannot be imported into the current release: {wrong}")
            found.append(Info(info.resource, copy.deepcopy(info.obj)))
        return found

    # --- writing

    async def create(self, infos: list[Info], how: How) -> None:
        """Creates objects, those of one kind after another together. Raises ResourceFailed for all that failed."""
        self.log.say("creating resource(s)", resources=len(infos))
        self._say_how("creation", how)
        errors = await self._by_kind(infos, lambda info: self._create(info, how))
        if errors:
            raise ResourceFailed("\n".join(map(str, errors)))

    async def update(self, originals: list[Info], targets: list[Info], how: How, changed: Changed) -> None:
        """Brings the cluster from one version of a release to another. Notes in `changed` what it creates."""
        self._say_how("creation", how)
        if how.replace:
            self.log.say("using resource replace update strategy", fieldValidationDirective="Strict")
        elif how.server_side:
            self._say_how("update", how, upgradeClientSideFieldManager=how.take_managers)
        else:
            self._say_how("update", how, threeWayMergeForUnstructured=how.three_way)
        self.log.say("checking resources for changes", resources=len(targets))
        before = {info.key: info for info in originals}
        errors = []
        for target in targets:
            try:
                there = await self.client.find(target.path)
            except StatusError as error:
                raise ResourceFailed(f"could not get information about the resource: {error.message}") from None
            if there is None:
                changed.created.append(target)
                try:
                    await self._create(target, how)
                except ResourceFailed as error:
                    raise ResourceFailed(f"failed to create resource: {error}") from None
                self.log.say("created a new resource", **target.names)
                continue
            original = before.get(target.key)
            try:
                await self._update(original.obj if original else there, there, target, how)
            except ResourceFailed as error:
                errors.append(str(error))
        if not errors:
            kept = {info.key for info in targets}
            errors = [text for info in originals if info.key not in kept for text in await self._drop(info)]
        if errors:
            raise ResourceFailed(" && ".join(errors))

    async def delete(self, infos: list[Info], propagation: str) -> list[Exception]:
        """Deletes objects, those of one kind after another together. What has gone is no error; returns the errors."""
        if not infos:
            return [ResourceFailed("object not found, skipping delete: no objects visited")]
        return await self._by_kind(infos, lambda info: self._delete(info, propagation))

    async def _by_kind(self, infos: list[Info], act: Callable[[Info], Awaitable[None]]) -> list[Exception]:
        errors: list[Exception] = []
        for _, group in groupby(infos, key=lambda info: info.resource.kind):
            for outcome in await asyncio.gather(*(act(info) for info in group), return_exceptions=True):
                if isinstance(outcome, (ResourceFailed, StatusError)):
                    errors.append(outcome)
                elif isinstance(outcome, BaseException):
                    raise outcome
        return errors

    async def _create(self, info: Info, how: How) -> None:
        if how.server_side:
            await self._apply(info, how, "Error creating resource via patch")
            self._say("Created resource via patch", info)
            return
        try:
            info.obj = await self.client.create(info.resource.path(info.namespace), info.obj)
        except StatusError as error:
            raise ResourceFailed(error.message) from error

    async def _update(self, original: Object, there: Object, target: Info, how: How) -> None:
        if how.replace:
            body = copy.deepcopy(target.obj)
            body["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
            try:
                target.obj = await self.client.update(target.path, body)
            except StatusError as error:
                failed = ResourceFailed(f"failed to replace object: {error.message}")
                self._say("error replacing the resource", target, error=failed)
                raise failed from None
            kind = target.resource.kind
            self.log.say("replace succeeded", name=target.name, initialKind=original.get("kind", kind), kind=kind)
        elif how.server_side:
            if how.take_managers:
                await self._take_managers(target, there)
            await self._apply(target, how, "Error patching resource")
            self._say("Patched resource", target)
        else:
            try:
                change, media = merging.client_side(original, target.obj, there, three_way=how.three_way)
            except StatusError as error:
                raise ResourceFailed(f"failed to create patch: {error.message}") from None
            if not change:
                target.obj = there
                return
            try:
                target.obj = await self.client.patch(target.path, change, media)
            except StatusError as error:
                text = f'cannot patch "{target.name}" with kind {target.resource.kind}: {error.message}'
                raise ResourceFailed(text) from None

    async def _apply(self, info: Info, how: How, failure: str) -> None:
        query = {
            "fieldManager": MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if how.force_conflicts else "false",
        }
        try:
            info.obj = await self.client.request("PATCH", info.path, info.obj, query, APPLY)
        except StatusError as error:
            what = "conflict occurred while applying" if error.code == 409 else "server-side apply failed for"
            failed = ResourceFailed(f"{what} object {info.named}: {error.message}")
            self._say(failure, info, error=failed)
            raise failed from None

    async def _take_managers(self, info: Info, there: Object) -> None:
        change = merging.managers_taken(there, MANAGER)
        if not change:
            return
        try:
            await self.client.patch(info.path, change, JSON_PATCH)
        except StatusError as error:
            failed = ResourceFailed(
                f"failed to patch object to upgrade CSA field manager {info.named}: {error.message}"
            )
            self.log.say("Error patching resource to replace CSA field management", error=failed)
            raise failed from None
        self._say("Upgraded object client-side field management with server-side apply field management", info)

    async def _drop(self, info: Info) -> list[str]:
        """Deletes an object that the new version has no more, unless the cluster says to keep it."""
        names = info.names
        self.log.say("deleting resource", **names)
        try:
            there = await self.client.get(info.path)
        except StatusError as error:
            self.log.say("unable to get object", error=error, **names)
            return []
        if (there["metadata"].get("annotations") or {}).get(POLICY) == KEEP:
            self.log.say("skipping delete due to annotation", annotation=POLICY, value=KEEP, **names)
            return []
        try:
            await self.client.delete(info.path, {"propagationPolicy": "Background"})
        except StatusError as error:
            self.log.say("failed to delete resource", error=error, **names)
            if error.code == 404:
                return []
            shown = f"namespace={info.namespace}, name={info.name}, kind={info.resource.kind}"
            return [f"failed to delete resource {shown}: {error.message}"]
        return []

    async def _delete(self, info: Info, propagation: str) -> None:
        names = info.names
        self.log.say("starting delete resource", **names)
        try:
            await self.client.delete(info.path, {"propagationPolicy": propagation})
        except StatusError as error:
            if error.code != 404:
                raise
            self.log.say("ignoring delete failure", error=error, **names)

    def _say_how(self, what: str, how: How, **more: Any) -> None:
        """Notes by which kind of apply objects are created or updated."""
        if how.server_side:
            options = {"dryRun": False, "fieldValidationDirective": "Strict", "forceConflicts": how.force_conflicts}
            self.log.say(f"using server-side apply for resource {what}", **options, **more)
        else:
            self.log.say(f"using client-side apply for resource {what}", **more)

    def _say(self, message: str, info: Info, **more: Any) -> None:
        group, _, version = info.resource.api_version.rpartition("/")
        gvk = f"{group}/{version}, Kind={info.resource.kind}"
        self.log.say(message, namespace=info.namespace, name=info.name, gvk=gvk, **more)


def _items(obj: Any) -> list[Object]:
    """The objects of a document: one, or those of a list."""
    if not isinstance(obj, dict):
        return []
    if str(obj.get("kind", "")).endswith("List") and isinstance(obj.get("items"), list):
        return [item for item in obj["items"] if isinstance(item, dict)]
    return [obj]


def owned_by(obj: Object, name: str, namespace: str) -> None:
    """Marks an object as a release's, as Helm does before it writes one."""
    metadata = obj["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), MANAGED_BY: HELM}
    own = {RELEASE_NAME: name, RELEASE_NAMESPACE: namespace}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **own}


def _ownership_error(obj: Object, name: str, namespace: str) -> str:
    metadata = obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    required = [
        ("label", labels, MANAGED_BY, HELM),
        ("annotation", annotations, RELEASE_NAME, name),
        ("annotation", annotations, RELEASE_NAMESPACE, namespace),
    ]
    errors = []
    for kind, values, key, value in required:
        if key not in values:
            errors.append(f'{kind} validation error: missing key "{key}": must be set to "{value}"')
        elif values[key] != value:
            what = f'key "{key}" must equal "{value}": current value is "{values[key]}"'
            errors.append(f"{kind} validation error: {what}")
    return f"invalid ownership metadata; {'; '.join(errors)}" if errors else ""
