"""fluxconfig-controller: makes of a FluxConfig the objects that Flux works on, keeps them so, and says how they are."""

from __future__ import annotations

import base64
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azsandbox.aks.gitops import compliance, facts, objects, release
from azsandbox.aks.gitops.ssh_keys import new_key
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Again, Informer, Informers, key_of, split_key
from azsandbox.flux.reconciler import FluxReconciler
from azsandbox.flux.status import StatusWriter
from azsandbox.kubernetes.errors import StatusError

if TYPE_CHECKING:
    from azsandbox.arm.providers.kubernetesconfiguration.data_plane import DataPlane

SOURCE = "source.toolkit.fluxcd.io/v1"
FOLLOWED = {
    "GitRepository": SOURCE,
    "OCIRepository": SOURCE,
    "Bucket": SOURCE,
    "HelmRepository": SOURCE,
    "HelmChart": SOURCE,
    "Kustomization": "kustomize.toolkit.fluxcd.io/v1",
    "HelmRelease": "helm.toolkit.fluxcd.io/v2",
}
"""Kinds whose status goes into a FluxConfig's."""
PLURALS = {
    **objects.PLURALS,
    "HelmRepository": "helmrepositories",
    "HelmChart": "helmcharts",
    "HelmRelease": "helmreleases",
}
OWNED = ("Kustomization", "GitRepository", "OCIRepository", "Bucket")
"""Kinds that a FluxConfig makes, in the order in which they go: what is applied is pruned while its source is there."""
ACCESS = {
    "ServiceAccount": "v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
}
SETTLE = 10.0  # seconds of this machine that first results get at least
WAIT = 120.0  # and reconciliation, unless less was asked for
AGAIN = 600.0  # seconds after which everything is compared again though nothing changed
SOON = 0.5
TOLD = 0.2  # seconds from a change of an object's status until it is told: a commit changes those of many objects


@dataclass(frozen=True)
class _Kept:
    """What the objects of a FluxConfig were made to be, and when (time.monotonic)."""

    wanted: list[Object]
    secret: Object | None
    enforce: bool
    at: float


class FluxConfigController(FluxReconciler):
    """The controller of one cluster."""

    name = user_agent = "fluxconfig-controller"
    api_version, resource, kind = objects.API, "fluxconfigs", "FluxConfig"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.plane: DataPlane = options["data_plane"]
        self.kinds: dict[str, Informer] = {k: informers.of(api, PLURALS[k]) for k, api in FOLLOWED.items()}
        self.kinds |= {kind: informers.of(api, PLURALS[kind]) for kind, api in ACCESS.items()}
        for informer in self.kinds.values():
            informer.on_change(self._moved)
        self._kept: dict[str, _Kept] = {}  # by key
        self._stirred: set[str] = set()  # keys of FluxConfigs whose objects have another status than was told

    def _changed(self, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "DELETED" or old is None or self.asks(obj) != self.asks(old):
            self._kept.pop(key_of(obj), None)
        super()._changed(kind, obj, old)

    def _moved(self, kind: str, obj: Object, old: Object | None) -> None:
        """Queues the FluxConfig that an object is of. Where only a status changed it is told, in a moment; for anything
        else all objects are compared with what they should be."""
        keys = {*self._owners(obj), *(self._owners(old) if old else ())}
        if kind == "MODIFIED" and old is not None and _written(obj) == _written(old):
            self._stirred |= keys
            for key in keys:
                self.queue.add_after(key, TOLD)
            return
        for key in keys:
            self._kept.pop(key, None)
            self.queue.add(key)

    def _owners(self, obj: Object) -> list[str]:
        """The FluxConfig that an object is of: by its labels, or those of the Kustomization that applied it."""
        for _ in range(10):  # Kustomizations may apply Kustomizations
            own = objects.owner(obj)
            if own:
                return [own]
            above = self.kinds["Kustomization"].get(compliance.applied_by(obj) or "")
            if above is None:
                return []
            obj = above
        return []

    # --- one FluxConfig

    async def rest(self, obj: Object) -> None:
        """A suspended configuration is no less kept: it is Flux's objects that are suspended."""
        await self.act(obj)

    async def act(self, obj: Object) -> float | None:
        status = dict(obj.get("status") or {})
        status.setdefault("provisioningState", "Creating")
        fresh = status.get("observedGeneration") != obj["metadata"]["generation"]
        if fresh:
            begun = "Updating" if status.get("observedGeneration") else "Creating"
            status |= {"lastConfigUpdateTime": timestamp(), "provisioningState": begun, "message": ""}

        # 1. What the source signs in with
        secret, public = await self._secret(obj)
        enforce = await self._enforced()

        # 2. The objects that shall be there, and those that shall not; where only a status has changed, the Secret alone,
        # of which nobody tells
        key = key_of(obj)
        kept = self._kept.get(key)
        if (
            kept is None
            or fresh
            or (kept.secret, kept.enforce) != (secret, enforce)
            or kept.at + AGAIN <= time.monotonic()
        ):
            kept = await self._keep(obj, status["lastConfigUpdateTime"], secret, enforce)
        elif secret is not None:
            await self._put(secret)

        # 3. How they are
        self._stirred.discard(key)
        status |= self._status(obj, kept.wanted)
        status |= {"publicKey": public, "observedGeneration": obj["metadata"]["generation"]}
        after = self._conclude(obj, status, kept.wanted)
        await StatusWriter(self.client, self.objects.path_of(obj, "status"), obj).write({**obj, "status": status})
        return min(after, TOLD) if key in self._stirred else after

    async def _keep(self, obj: Object, updated: str, secret: Object | None, enforce: bool) -> _Kept:
        """Makes the objects what they should be, and deletes those that shall not be there any more."""
        key = key_of(obj)
        now = _Kept([], secret, enforce, time.monotonic())
        self._kept[key] = now  # whatever changes from here on takes it away
        try:
            requested = await self._requested(obj, updated)
            wanted = objects.desired(obj, enforce=enforce, secret=secret, requested=requested)
            for one in wanted:
                await self._put(one)
            await self._drop(key, wanted)
        except BaseException:
            self._kept.pop(key, None)
            raise
        found = _Kept(wanted, secret, enforce, now.at)
        if self._kept.get(key) is now:
            self._kept[key] = found
        return found

    async def finalize(self, obj: Object) -> None:
        """Deletes what it made, Kustomizations first: each prunes as its spec says, and goes once it has."""
        for kind in OWNED:
            found = await self._owned(kind, obj)
            for one in found:
                if "deletionTimestamp" not in one["metadata"]:
                    await self.client.gone(self.kinds[kind].path_of(one))
            if found:
                raise Again
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            for one in await self._owned(kind, obj):
                await self.client.gone(self.kinds[kind].path_of(one))
        metadata = obj["metadata"]
        await self.client.gone(path("v1", "secrets", metadata["namespace"], f"{metadata['name']}-auth"))
        others = [o for o in self.objects.list(metadata["namespace"]) if o["metadata"]["name"] != metadata["name"]]
        if not others:
            await self.client.gone(path("v1", "serviceaccounts", metadata["namespace"], release.APPLIER))

    # --- what it writes

    async def _put(self, wanted: Object) -> None:
        """Creates an object or puts it back to what it should be."""
        metadata = wanted["metadata"]
        space = metadata.get("namespace", "")
        collection = path(wanted["apiVersion"], PLURALS[wanted["kind"]], space)
        url = f"{collection}/{metadata['name']}"
        live = await self.client.find(url)
        if live is None:
            await self.client.create(collection, wanted)
            return
        shared = wanted["kind"] == "ServiceAccount"  # one for all configurations of a namespace
        if shared or not objects.differs(wanted, live):
            return
        if wanted.get("roleRef") and wanted["roleRef"] != live.get("roleRef"):  # it cannot be changed
            await self.client.gone(url)
            await self.client.create(collection, wanted)
            return
        own = live["metadata"]
        marks = {p: {**(own.get(p) or {}), **(metadata.get(p) or {})} for p in ("labels", "annotations")}
        parts: Object = {part: wanted[part] for part in ("spec", "data", "subjects") if part in wanted}
        await self.client.update(url, {**live, **parts, "metadata": {**own, **marks}})

    async def _drop(self, key: str, wanted: list[Object]) -> None:
        """Deletes objects of kustomizations and sources that the configuration of that key has no more.

        The caches know them: what they have yet to hear of comes as a change, after which all is compared again.
        """
        names = {(one["kind"], one["metadata"]["name"]) for one in wanted}
        for kind in (*OWNED, "ClusterRoleBinding", "RoleBinding"):
            space = "" if kind == "ClusterRoleBinding" else split_key(key)[0]
            for one in self.kinds[kind].list(space):
                if (
                    objects.owner(one) == key
                    and (kind, one["metadata"]["name"]) not in names
                    and "deletionTimestamp" not in one["metadata"]
                ):
                    await self.client.gone(self.kinds[kind].path_of(one))

    async def _owned(self, kind: str, config: Object) -> list[Object]:
        """The live objects of a kind that are marked as the configuration's."""
        metadata, informer = config["metadata"], self.kinds[kind]
        words = {objects.MANAGED: "true", objects.NAME: metadata["name"], objects.NAMESPACE: metadata["namespace"]}
        selector = ",".join(f"{key}={value}" for key, value in words.items())
        space = "" if kind == "ClusterRoleBinding" else metadata["namespace"]
        try:
            found = await self.client.list(path(informer.api_version, informer.resource, space), labelSelector=selector)
        except StatusError as error:
            if error.code == 404:  # the kind's controller was never installed, or its definition has gone
                return []
            raise
        return [{"kind": kind, "apiVersion": informer.api_version, **one} for one in found]

    async def _secret(self, config: Object) -> tuple[Object | None, str]:
        """The Secret of the source, and the public key that goes with it, made once and kept in that Secret."""
        spec, metadata = config["spec"], config["metadata"]
        parameters = await self._data(metadata, (spec.get("protectedParametersSecretRef") or {}).get("name", ""))
        body = spec[objects.SOURCES[spec["sourceKind"]][2]]
        if "sshPrivateKey" in parameters or not objects.is_ssh(body["url"]) or body.get("localAuthRef"):
            return objects.auth_secret(config, parameters), ""
        kept = await self._data(metadata, f"{metadata['name']}-auth")
        private, public = kept.get("identity", ""), kept.get("identity.pub", "")
        if not public:
            private, public = new_key()
        return objects.auth_secret(config, parameters, public, private), public

    async def _data(self, metadata: Object, name: str) -> dict[str, str]:
        """What a Secret of the configuration's namespace says."""
        found = await self.client.find(path("v1", "secrets", metadata["namespace"], name)) if name else None
        return {k: base64.b64decode(v).decode() for k, v in ((found or {}).get("data") or {}).items()}

    async def _enforced(self) -> bool:
        """Whether tenants are kept apart, as the Deployment of this controller says."""
        url = path("apps/v1", "deployments", self.namespace, self.name)
        own = await self.client.find(url)
        containers = own["spec"]["template"]["spec"]["containers"] if own else []
        found = (e for c in containers for e in c.get("env") or [] if e["name"] == release.ENFORCE)
        return next((e.get("value") != "false" for e in found), True)

    async def _requested(self, config: Object, updated: str) -> str:
        """When reconciliations were asked for: with the last change, or later by somebody else."""
        metadata = config["metadata"]
        api, kind, _ = objects.SOURCES[config["spec"]["sourceKind"]]
        live = await self.client.find(path(api, PLURALS[kind], metadata["namespace"], metadata["name"]))
        own = (live or {}).get("metadata") or {}
        same = (own.get("labels") or {}).get(objects.OPERATION) == config["spec"].get("operationId", "")
        return str((own.get("annotations") or {}).get(objects.REQUESTED) or updated) if same else updated

    # --- what it says

    def _status(self, config: Object, wanted: list[Object]) -> Object:
        """The states of the objects, and of the configuration as a whole."""
        space = config["metadata"]["namespace"]
        source = next(o for o in wanted if o["kind"] in ("GitRepository", "OCIRepository", "Bucket"))
        found = self._live(source)
        statuses: Object = {compliance.CHILDREN[source["kind"]]: compliance.managed(found)}
        kustomizations: Object = {}
        states = [statuses[compliance.CHILDREN[source["kind"]]]["complianceState"]]
        for one in wanted:
            if one["kind"] != "Kustomization":
                continue
            entry = compliance.managed(self._live(one))
            entry["childStatuses"] = self._children(f"{space}/{one['metadata']['name']}")
            states.append(entry["complianceState"])
            states += [c["complianceState"] for group in entry["childStatuses"].values() for c in group.values()]
            kustomizations[f"{space}/{one['metadata']['name']}"] = entry
        artifact = ((found or {}).get("status") or {}).get("artifact") or {}
        suspended = bool(config["spec"].get("suspend"))
        out: Object = {
            "managedStatuses": statuses | {"kustomizations": kustomizations},
            "complianceState": compliance.SUSPENDED if suspended else compliance.overall(states),
        }
        if artifact.get("revision"):
            out |= {
                "lastSyncedCommit": artifact["revision"],
                "lastSourceSyncedTime": artifact.get("lastUpdateTime", ""),
            }
        return out

    def _children(self, kustomization: str) -> Object:
        """Entries of the objects that a Kustomization applied, and those that its Kustomizations did."""
        out: Object = {}
        above = [kustomization]
        seen: set[str] = set()
        while above:
            parent = above.pop()
            if parent in seen:
                continue
            seen.add(parent)
            for kind in FOLLOWED:
                for obj in self.kinds[kind].list():
                    if compliance.applied_by(obj) != parent or objects.owner(obj):
                        continue
                    out.setdefault(compliance.CHILDREN[kind], {})[key_of(obj)] = compliance.child({"kind": kind, **obj})
                    if kind == "Kustomization":
                        above.append(key_of(obj))
        return out

    def _live(self, wanted: Object) -> Object | None:
        """The object as the cache has it, if it has seen the generation that was written."""
        return self.kinds[wanted["kind"]].get(f"{wanted['metadata']['namespace']}/{wanted['metadata']['name']}")

    def _conclude(self, config: Object, status: Object, wanted: list[Object]) -> float:
        """Sets the provisioning state; returns after how many seconds to look again."""
        generation = config["metadata"]["generation"]
        if status.get("lastSucceededGeneration") == generation:
            status |= {"provisioningState": "Succeeded", "message": ""}
            return AGAIN
        spec, clock = config["spec"], self.plane.clock
        begun = dt.datetime.fromisoformat(status["lastConfigUpdateTime"].replace("Z", "+00:00"))
        passed = (self.now() - begun).total_seconds()
        if spec.get("waitForReconciliation"):
            asked = _seconds(spec.get("reconciliationWaitDuration") or "")
            limit = patience(asked, clock.scaled(asked))
            done = status["complianceState"] in (compliance.COMPLIANT, compliance.SUSPENDED)
            if not done and passed > limit:
                status |= {"provisioningState": "Failed", "message": _not_reconciled(status)}
                return AGAIN
        else:
            limit = max(SETTLE, clock.scaled(facts.seconds("settle")))
            flux = [one for one in wanted if one["kind"] in FOLLOWED]
            source = next((self._live(one) for one in flux if one["kind"] != "Kustomization"), None)
            done = passed > limit or all(compliance.settled(self._live(one), source) for one in flux)
        if not done:
            return SOON
        status |= {"provisioningState": "Succeeded", "message": "", "lastSucceededGeneration": generation}
        names = status["managedStatuses"]["kustomizations"]
        good = [k for k, entry in names.items() if entry["complianceState"] == compliance.COMPLIANT]
        status["lastSucceededKustomizations"] = [split_key(key)[1] for key in good]
        return AGAIN


def _written(obj: Object) -> Object:
    """An object without what a change of its status alone changes."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**{k: v for k, v in obj.items() if k != "status"}, "metadata": metadata}


def patience(asked: float, scaled: float) -> float:
    """Seconds of this machine that reconciliation may take, of those asked for and what the clock makes of them.

    Flux in the cluster is no part of Azure: its timers are not scaled, and it needs its seconds at any speed.
    """
    return max(scaled, min(asked, WAIT))


def _seconds(duration: str) -> float:
    """Seconds of a configuration's wait; without one, the sandbox's own choice."""
    from azsandbox.arm.providers.kubernetesconfiguration.flux_body import duration_seconds

    return duration_seconds(duration) if duration else facts.seconds("wait")


def _not_reconciled(status: Object) -> str:
    """Names the first object that keeps a configuration from being compliant."""
    found = status["managedStatuses"]
    entries = [(name, e) for name, e in found.items() if name != "kustomizations"]
    entries += list(found["kustomizations"].items())
    for name, entry in entries:
        if entry["complianceState"] != compliance.COMPLIANT:
            return f"Timed out waiting for reconciliation of {name}: {entry['message']}"
    return "Timed out waiting for reconciliation of what the kustomizations have applied"
