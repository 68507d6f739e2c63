"""Microsoft.ContainerService/managedClusters: PUT, GET, LIST, PATCH of tags, DELETE."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from azsandbox.aks import facts, identities, vm_sizes
from azsandbox.aks.converge import bring_up, converge_cluster, take_down
from azsandbox.arm import errors as arm_errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Work
from azsandbox.arm.providers.containerservice import cluster_body, networks, pool_body, security_profile
from azsandbox.arm.providers.containerservice.agent_pools import TYPE as POOL_TYPE
from azsandbox.arm.providers.containerservice.agent_pools import change_of, pools_of, prepare
from azsandbox.arm.providers.containerservice.base import CLUSTERS, AksNames, AksType, check_idle, check_running
from azsandbox.arm.providers.containerservice.cluster_operations import ClusterOperations
from azsandbox.arm.providers.containerservice.credentials import Credentials
from azsandbox.arm.providers.containerservice.errors import aks, invalid, missing
from azsandbox.arm.providers.containerservice.setting import setting_of
from azsandbox.arm.resources import Document, Stored

NAMES = AksNames(
    pattern=r"[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?",
    parameter="resourceName",
    details="The length of the managed cluster name must be between 1 and 63 characters; it may only contain "
    "alphanumerics, underscores and hyphens, and must start and end with an alphanumeric. "
    "Please see https://aka.ms/aks-naming-rules for more details.",
)


class ManagedClusters(ClusterOperations, Credentials, AksType):
    """Managed clusters. Their agent pools are resources of their own, shown in `agentPoolProfiles`."""

    name = "managedClusters"
    tracked = True
    names = NAMES
    removal_rank = 10
    etags = False

    # --- what is stored

    async def accept(self, call: Call, current: Stored | None) -> Document:
        if call.method == "PATCH":
            return self._patched(call, current)
        if current:
            check_idle(call, current)
            check_running(current)
        document = call.document
        sent = call.properties
        location = self.location(call, current)
        old = self._whole(call, current).get("properties") if current else None
        identity = self._identity(call, current)
        tier = cluster_body.sku(document.get("sku"), current.body.get("sku") if current else None)
        if old is not None and not sent.get("agentPoolProfiles"):
            sent = {**sent, "agentPoolProfiles": old["agentPoolProfiles"]}
        if not sent.get("agentPoolProfiles"):
            raise missing("agentPoolProfiles")
        tenant = call.arm.services.tenant_id
        version, managed = call.api_version, identity is not None
        own = cluster_body.accept(call.id.name, sent, old, tier, tenant, identity=managed, api_version=version)
        own["nodeResourceGroup"] = self._node_group(call, sent, current, location)
        self._check_workspace(call, own)
        security_profile.check_workspace(call, own["securityProfile"])
        body: Document = {"location": location, "sku": tier, "kind": "Base", "properties": own}
        pools = self._pools(call, body, sent["agentPoolProfiles"], current)
        all_pools = [p["properties"] for p in pools]
        networks.check(call, own, all_pools, location)
        named = [(f"{call.id}/agentPools/{p['name']}", p["properties"]) for p in pools]
        vm_sizes.check_quota(call.arm, location, named)
        self._given(call, own, current, location)
        call.private["pools"] = pools
        for key in ("tags", "extendedLocation", "zones"):
            if document.get(key) is not None:
                if key != "tags":
                    raise arm_errors.not_supported(f"{key} of a managed cluster")
                body[key] = document[key]
        if current and "tags" not in document and current.body.get("tags"):
            body["tags"] = current.body["tags"]
        if identity is not None:
            body["identity"] = identity
        del body["location"]
        return body

    def _patched(self, call: Call, current: Stored | None) -> Document:
        assert current is not None
        check_idle(call, current)
        body = {k: v for k, v in copy.deepcopy(current.body).items() if k not in ("id", "name", "type", "location")}
        body["tags"] = call.document.get("tags") or {}
        return body

    def _whole(self, call: Call, stored: Stored) -> Document:
        """The body with its agent pools in it."""
        body = copy.deepcopy(stored.body)
        body["properties"]["agentPoolProfiles"] = [
            {"name": p.name, **copy.deepcopy(p.properties)} for p in pools_of(call.arm, stored)
        ]
        return body

    def _identity(self, call: Call, current: Stored | None) -> Document | None:
        """The identity to store, with its ids. None for a service principal."""
        sent = call.document.get("identity") or (current.body.get("identity") if current else None)
        if not sent or str(sent.get("type", "None")).lower() == "none":
            return None
        kind = str(sent["type"])
        old = (current.body.get("identity") if current else None) or {}
        if kind.lower() == "systemassigned":
            principal = old.get("principalId") or str(uuid.uuid4())
            return {"type": "SystemAssigned", "principalId": principal, "tenantId": call.arm.services.tenant_id}
        if kind.lower() != "userassigned":
            raise invalid("identity.type", f"{kind} is not one of SystemAssigned, UserAssigned, None.")
        out: Document = {}
        for id_ in sent.get("userAssignedIdentities") or {}:
            found = call.arm.resources.get(id_)
            if found is None:
                raise arm_errors.gateway(
                    400,
                    "FailedIdentityOperation",
                    f"Identity operation for resource '{call.id}' failed with error 'Failed to perform resource "
                    f"identity operation. Status: 'BadRequest'. Response: 'Resource '{id_}' was not found.''.",
                )
            out[id_] = {k: found.properties[k] for k in ("clientId", "principalId")}
        if len(out) != 1:
            raise invalid("identity.userAssignedIdentities", "Exactly one user assigned identity is needed.")
        return {"type": "UserAssigned", "userAssignedIdentities": out}

    def _node_group(self, call: Call, sent: Document, current: Stored | None, location: str) -> str:
        if current:
            return str(current.properties["nodeResourceGroup"])
        found = str(sent.get("nodeResourceGroup") or f"MC_{call.id.group}_{call.id.name}_{location}")
        if len(found) > 80:
            raise aks(
                400,
                "InvalidParameter",
                "The length of the node resource group name is too long. The maximum length is 80 and the length of "
                f"the value provided is {len(found)}. Please see https://aka.ms/aks-naming-rules for more details.",
                target="nodeResourceGroup",
            )
        return found

    def _check_workspace(self, call: Call, own: Document) -> None:
        addon = next((v for k, v in own["addonProfiles"].items() if k.lower() == "omsagent"), None)
        if not addon or not addon["enabled"]:
            return
        config = {k.lower(): v for k, v in addon["config"].items()}
        id_ = str(config["loganalyticsworkspaceresourceid"])
        if call.arm.resources.get(id_) is None:
            message = f"The Log Analytics workspace '{id_}' of the omsagent add-on was not found."
            raise aks(400, "WorkspaceNotFound", message, target="addonProfiles.omsagent.config")

    def _pools(self, call: Call, body: Document, sent: list[Document], current: Stored | None) -> list[Document]:
        """Pools to store: {name, properties, private}. One that exists and is left out is refused, as AKS does."""
        setting = setting_of(call.arm, body)
        existing = {p.name.lower(): p for p in pools_of(call.arm, current)} if current else {}
        out: list[Document] = []
        for order, profile in enumerate(sent):
            name = str(profile.get("name") or "")
            found = existing.get(name.lower())
            if current is None and len(sent) == 1 and not profile.get("mode"):
                profile = {**profile, "mode": "System"}
            if found and profile.get("orchestratorVersion") in ("", None):
                profile = {**profile, "orchestratorVersion": found.properties["orchestratorVersion"]}
            properties = pool_body.accept(name, profile, found.properties if found else None, setting)
            if properties["mode"] == "System":
                vm_sizes.check_system(vm_sizes.check(properties["vmSize"], setting.location))
            private = prepare(current.properties["resourceUID"] if current else str(call.id), name, found)
            private.setdefault("order", order)
            count = int(properties["count"])
            if properties["enableAutoScaling"]:
                count = min(max(count, properties["minCount"]), properties["maxCount"])
            stopped = properties["powerState"]["code"] == "Stopped"
            private["target"] = 0 if stopped else count
            state = "Creating" if found is None else _change(found, properties)
            properties["provisioningState"] = state
            out.append({"name": name, "properties": properties, "private": private})
        names = [p["name"] for p in out]
        if len(set(names)) != len(names):
            raise invalid("agentPoolProfile.name", "The names of agent pools must be unique.")
        gone = set(existing) - {n.lower() for n in names}
        if gone:
            raise aks(
                400,
                "InvalidParameter",
                f"The agent pool profiles {', '.join(sorted(gone))} cannot be removed by an update of the managed "
                "cluster. Use the agent pool API.",
                target="agentPoolProfiles",
            )
        if not any(p["properties"]["mode"] == "System" for p in out):
            raise aks(
                400,
                "InvalidParameter",
                "There has to be at least one system agent pool. Please see https://aka.ms/aks/system-node-pools",
                target="agentPoolProfiles",
            )
        return out

    def _given(self, call: Call, own: Document, current: Stored | None, location: str) -> None:
        """What AKS makes up when a cluster is created: names, ids, power state."""
        if current:
            old = current.properties
            kept = ("powerState", "fqdn", "privateFQDN", "azurePortalFQDN", "resourceUID", "identityProfile")
            own |= {k: old[k] for k in (*kept, "privateLinkResources") if k in old}
            for key, addon in own["addonProfiles"].items():
                before = (old["addonProfiles"].get(key) or {}).get("identity")
                if addon["enabled"] and before:
                    addon["identity"] = before
            if own["oidcIssuerProfile"]["enabled"]:
                own["oidcIssuerProfile"]["issuerURL"] = old["oidcIssuerProfile"].get("issuerURL") or self._issuer(
                    call, location
                )
            call.private.setdefault("control", {})
            return
        uid = uuid.uuid4().hex[:24]
        own["resourceUID"] = uid
        own["powerState"] = {"code": "Running"}
        suffix = uuid.uuid4().hex[:8]
        access = own.get("apiServerAccessProfile") or {}
        prefix = own.get("dnsPrefix") or own.get("fqdnSubdomain")
        host = f"{prefix}-{suffix}"
        if access.get("enablePrivateCluster"):
            own["privateFQDN"] = f"{host}.{uuid.uuid4()}.privatelink.{location}.azmk8s.io"
            own["azurePortalFQDN"] = f"{uuid.uuid4().hex}-priv.portal.hcp.{location}.azmk8s.io"
            if access.get("enablePrivateClusterPublicFQDN"):
                own["fqdn"] = f"{host}.hcp.{location}.azmk8s.io"
        else:
            own["fqdn"] = f"{host}.hcp.{location}.azmk8s.io"
            own["azurePortalFQDN"] = f"{host}.portal.hcp.{location}.azmk8s.io"
        if own["oidcIssuerProfile"]["enabled"]:
            own["oidcIssuerProfile"]["issuerURL"] = self._issuer(call, location)

    def _issuer(self, call: Call, location: str) -> str:
        return f"https://{location}.oic.prod-aks.azure.com/{call.arm.services.tenant_id}/{uuid.uuid4()}/"

    def written(self, call: Call, stored: Stored) -> None:
        """Stores the pools, and the principal of the cluster's own identity."""
        pools = stored.private.pop("pools", [])
        for pool in pools:
            id_ = f"{stored.id}/agentPools/{pool['name']}"
            body = {"id": id_, "name": pool["name"], "type": POOL_TYPE, "properties": pool["properties"]}
            found = call.arm.resources.get(id_)
            call.arm.resources.put(Stored(id_, POOL_TYPE, body, pool["private"], found.created if found else ""))
        if pools:
            call.arm.resources.put(stored)
        identities.ensure_cluster_principal(call.arm, stored)

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        if call.method == "PATCH":
            return 0.0
        if call.method == "DELETE":
            return facts.seconds("cluster", "delete")
        return facts.seconds("cluster", kind)

    async def check_delete(self, call: Call, current: Stored) -> None:
        """A deletion ends whatever else runs on the cluster."""
        for operation in call.arm.operations.below(current.id):
            if operation.kind != "delete":
                call.arm.operations.cancel(operation)

    async def delete(self, call: Call) -> Answer:
        current = call.current
        if current is not None:
            await self.check_delete(call, current)
        return await super().delete(call)

    # --- what is shown

    def present(self, call: Call, stored: Stored) -> Document:
        whole = self._whole(call, stored)
        properties = whole.pop("properties")
        pools = properties.pop("agentPoolProfiles")
        if call.api_version >= "2026-05-01":
            for pool in pools:
                pool.setdefault("nodeLabels", {})
        for pool in pools:
            pool["eTag"] = self._pool_etag(call, stored, pool["name"])
        if not properties["addonProfiles"]:
            del properties["addonProfiles"]
        shown: Document = {}
        for key in ("provisioningState", "powerState", "kubernetesVersion", "currentKubernetesVersion", "dnsPrefix"):
            if key in properties:
                shown[key] = properties.pop(key)
        for key in ("fqdn", "privateFQDN", "azurePortalFQDN", "privateLinkResources"):
            if key in properties:
                shown[key] = properties.pop(key)
        shown["agentPoolProfiles"] = pools
        links = shown.get("privateLinkResources") or []
        shown |= properties
        shown["securityProfile"] = security_profile.present(shown.get("securityProfile") or {}, call.api_version)
        for link in links:
            link["id"] = self.aks_id(link["id"])
        whole["id"] = self.aks_id(whole["id"])
        whole["type"] = "Microsoft.ContainerService/ManagedClusters"
        return whole | {"properties": shown, "eTag": stored.etag}

    def _pool_etag(self, call: Call, stored: Stored, name: str) -> str:
        found = call.arm.resources.get(f"{stored.id}/agentPools/{name}")
        return found.etag if found else ""

    # --- what happens

    async def perform(self, work: Work) -> None:
        stored = work.resource
        if stored is None:
            return
        kind = work.operation.kind
        if kind == "delete":
            await take_down(work.arm, stored, work)
        elif kind in ("create", "update"):
            await (bring_up if kind == "create" else converge_cluster)(work)
        else:
            await self.perform_action(work, stored)
        await work.wait()

    async def remove(self, arm: Any, stored: Stored) -> None:
        await take_down(arm, stored, None)

    def completed(self, work: Work, stored: Stored) -> None:
        """identityProfile, add-on identities, outbound addresses and the rest that appear with success."""
        if work.operation.kind in ("create", "update"):
            identities.show(work.arm, stored)
            self._show_outbound(work.arm, stored)
            self._show_private(stored)

    def _show_outbound(self, arm: Any, stored: Stored) -> None:
        profile = stored.properties["networkProfile"].get("loadBalancerProfile")
        if profile is None or "managedOutboundIPs" not in profile:
            return
        found = identities.outbound_addresses(arm, stored)
        if found:
            profile["effectiveOutboundIPs"] = [{"id": id_} for id_ in found]

    def _show_private(self, stored: Stored) -> None:
        access = stored.properties.get("apiServerAccessProfile") or {}
        if not access.get("enablePrivateCluster"):
            return
        access["privateClusterVersion"] = "v1"
        stored.properties["privateLinkResources"] = [
            {
                "id": f"{stored.id}/privateLinkResources/management",
                "name": "management",
                "type": f"{CLUSTERS}/privateLinkResources",
                "groupId": "management",
                "requiredMembers": ["management"],
            }
        ]

    def ended(self, work: Work) -> None:
        super().ended(work)
        stored, operation = work.resource, work.operation
        if stored is None:
            return
        self.action_ended(work, stored)
        if operation.kind in ("create", "update", "abort"):
            for pool in pools_of(work.arm, stored):
                if pool.state in ("Succeeded", "Failed", "Canceled") and operation.kind != "abort":
                    continue
                busy = any(o.id != operation.id for o in work.arm.operations.of(pool.id))
                if not busy:
                    pool.properties["provisioningState"] = stored.state
                    pool.properties["count"] = (
                        len(pool.private["machines"]) if stored.state == "Succeeded" else pool.properties["count"]
                    )
                    work.arm.resources.put(pool)


def _change(found: Stored, properties: Document) -> str:
    after = copy.copy(found)
    after.body = {**found.body, "properties": properties}
    comparable = {k: v for k, v in properties.items() if k != "provisioningState"}
    before = {k: v for k, v in found.properties.items() if k != "provisioningState"}
    return "Succeeded" if comparable == before else change_of(found, after)
