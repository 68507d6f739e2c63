"""ImagePolicy: which of an image's tags is the latest."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informer, Informers, key_of
from azsandbox.flux.azure import GATE_DISABLED
from azsandbox.flux.durations import go_duration, seconds
from azsandbox.flux.flags import Flags
from azsandbox.flux.image.image_repositories import API_VERSION
from azsandbox.flux.image.outcomes import Failed, ImageReconciler, Stalled, Waiting
from azsandbox.flux.image.policies import InvalidPolicy, NoChoice, latest
from azsandbox.flux.image.registry_access import BadImage, NoAccess, access, gate_missing, image_repository, timeout
from azsandbox.flux.image.tags import Tags
from azsandbox.flux.oci import BadName, RegistryError, Repository, check_tag
from azsandbox.flux.quoting import quoted
from azsandbox.flux.reconciler import NEVER
from azsandbox.flux.web import Web

KIND = "ImageRepository"
DEPENDENCY_WAIT = 30.0  # seconds (--requeue-dependency)
TAGS_WAIT = 4.75  # seconds for tags that are on their way (three more looks, after 1, 1.5 and 2.25)
_NOT_READY = "DependencyNotReady"


def reference(ref: Object) -> str:
    """An image with its tag and digest."""
    return f"{ref['name']}:{ref['tag']}" + (f"@{ref['digest']}" if ref.get("digest") else "")


class ImagePolicies(ImageReconciler):
    """Chooses tags."""

    name = "image-reflector-controller"
    api_version = API_VERSION
    resource = "imagepolicies"
    kind = "ImagePolicy"
    persists_requests = False

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        flags = Flags(options.get("arguments", ()))
        self.own_namespace_only = flags.is_set("no-cross-namespace-refs")
        self.wait = flags.seconds("requeue-dependency", DEPENDENCY_WAIT)
        self.web = Web(self.flux.outbound)
        self.tags: Tags = options.setdefault("memory", {}).setdefault("tags", Tags())
        self.repositories: Informer = informers.of(API_VERSION, "imagerepositories")
        self.repositories.on_change(self._scanned)

    async def close(self) -> None:
        await self.web.close()

    def _scanned(self, kind: str, repository: Object, old: Object | None) -> None:
        """Queues the policies of a repository in which other tags were found."""

        def revision(obj: Object | None) -> Any:
            return (((obj or {}).get("status") or {}).get("lastScanResult") or {}).get("revision")

        if kind == "MODIFIED" and (revision(repository) is None or revision(repository) == revision(old)):
            return
        for policy in self.objects.list():
            if _repository_key(policy) == key_of(repository):
                self.queue.add(key_of(policy))

    async def work(self, obj: Object, before: Object) -> tuple[str, float]:
        """The stages of one reconciliation."""
        spec, status = obj["spec"], obj["status"]
        reflects = spec.get("digestReflectionPolicy") or "Never"
        if reflects == "Always" and "interval" not in spec:
            text = "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"
            raise Stalled("IntervalNotConfigured", text)
        await self.begin(obj)

        # The repository that it is for
        repository = await self._repository(obj)
        try:
            image_repository(repository["spec"]["image"], insecure=bool(repository["spec"].get("insecure")))
        except BadImage as error:
            raise Stalled("ImageURLInvalid", str(error)) from None
        if gate_missing(repository["spec"]):
            field = "spec.serviceAccountName"
            raise Stalled("FeatureGateDisabled", GATE_DISABLED.replace(field, f"{field} in the ImageRepository"))

        # The latest of its tags
        tag = await self._latest(spec, repository)

        # What the tag stands for
        found: Object = {"name": repository["spec"]["image"], "tag": tag}
        known = status.get("latestRef") or {}
        if reflects != "Never":
            same = known.get("name") == found["name"] and known.get("tag") == tag and known.get("digest")
            if reflects == "IfNotPresent" and same:
                found["digest"] = known["digest"]
            else:
                found["digest"] = await self._digest(found, repository)
        if found != known:
            status.pop("observedPreviousRef", None)
            if known:
                status["observedPreviousRef"] = known
            status["latestRef"] = found
        after = (seconds(spec["interval"]) or 600.0) if reflects == "Always" else NEVER
        message = _message(status)
        self.said[obj["metadata"]["uid"]] = message
        return message, after

    async def _repository(self, obj: Object) -> Object:
        """The ImageRepository of a policy. Raises Failed."""
        failed = "failed to get the referred ImageRepository"
        key, own = _repository_key(obj), obj["metadata"]["namespace"]
        namespace, _, name = key.partition("/")
        if self.own_namespace_only and namespace != own:
            text = f"cannot access '{KIND}/{key}', cross-namespace references have been blocked"
            raise Failed("AccessDenied", f"{failed}: {text}")
        found = self.repositories.get(key)
        if found is None:
            text = f"referenced {KIND} does not exist: {KIND}.image.toolkit.fluxcd.io {quoted(name)} not found"
            raise Failed(_NOT_READY, f"{failed}: {text}")
        denied = await self._denied(own, key, found)
        if denied:
            raise Failed("AccessDenied", f"{failed}: access denied: {denied}")
        return found

    async def _denied(self, own: str, key: str, repository: Object) -> str:
        """Why objects of a namespace may not use a repository, empty if they may (spec.accessFrom)."""
        if own == repository["metadata"]["namespace"]:
            return ""
        rules = repository["spec"].get("accessFrom")
        if rules is None:
            return f"'{key}' can't be accessed due to missing ACL labels on 'accessFrom'"
        labels = (await self.client.get(path("v1", "namespaces", name=own)))["metadata"].get("labels") or {}
        for selector in rules.get("namespaceSelectors") or ():
            if all(labels.get(label) == value for label, value in (selector.get("matchLabels") or {}).items()):
                return ""
        return f"'{key}' can't be accessed due to ACL labels mismatch on namespace '{own}'"

    async def _latest(self, spec: Object, repository: Object) -> str:
        """The latest tag. Raises Stalled, Waiting and Failed."""
        try:
            latest(["0.0.0"], {"policy": spec["policy"]})
        except InvalidPolicy as error:
            raise Stalled("InvalidPolicy", str(error)) from None
        except NoChoice:
            pass

        def image() -> str:
            found = self.repositories.get(key_of(repository)) or repository
            return str((found.get("status") or {}).get("canonicalImageName", ""))

        await self.repositories.until(lambda: bool(self.tags.get(image())), TAGS_WAIT)
        tags = self.tags.get(image())
        if not tags:
            text = f"retrying in {go_duration(self.wait)} error: no tags in database"
            raise Waiting(_NOT_READY, text, self.wait)
        try:
            return latest(tags, spec)
        except InvalidPolicy as error:
            raise Stalled("InvalidPolicy", str(error)) from None
        except NoChoice as error:
            raise Failed("Failure", str(error)) from None

    async def _digest(self, ref: Object, repository: Object) -> str:
        """The digest of a tag. Raises Failed."""
        image = reference(ref)
        failed = f"failed fetching digest of {image}"
        try:
            name = Repository.parse(ref["name"])
            check_tag(ref["tag"])
        except BadName:
            raise Failed(
                "", f"{failed}: failed parsing reference {quoted(image)}: could not parse reference: {image}"
            ) from None
        try:
            way = await access(self.client, self.web, self.flux, repository)
            return await way.client(self.web, name, timeout(repository["spec"])).digest(ref["tag"])
        except NoAccess as error:
            raise Failed("", f"{failed}: {error}") from None
        except RegistryError as error:
            raise Failed("", f"{failed}: failed fetching descriptor for {quoted(image)}: {error}") from None


def _repository_key(policy: Object) -> str:
    ref = policy["spec"]["imageRepositoryRef"]
    return f"{ref.get('namespace') or policy['metadata']['namespace']}/{ref['name']}"


def _message(status: Object) -> str:
    latest_ref, previous = status["latestRef"], status.get("observedPreviousRef")
    text = f"Latest image tag for {latest_ref['name']} resolved to {latest_ref['tag']}"
    if latest_ref.get("digest"):
        text += f" with digest {latest_ref['digest']}"
    if previous and previous != latest_ref:
        text += f" (previously {reference(previous)})"
    return text
