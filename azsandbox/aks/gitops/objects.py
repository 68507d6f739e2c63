"""From an Azure configuration to a FluxConfig, and from a FluxConfig to the objects that Flux works on. No I/O.

Names, labels and fields are those that public `kubectl describe` of clusters with the extension show; where the objects
of access have no such source, it says so.
"""

from __future__ import annotations

import base64
from typing import Any

from azsandbox.aks.gitops.release import APPLIER
from azsandbox.controllers.client import Object
from azsandbox.flux.durations import go_duration

API = "clusterconfig.azure.com/v1alpha1"
NAME, NAMESPACE, MANAGED, OPERATION = (
    f"clusterconfig.azure.com/{word}" for word in ("name", "namespace", "is-managed", "operation-id")
)
USE_MANAGED_SOURCE = "clusterconfig.azure.com/use-managed-source=true"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
SOURCES = {
    "GitRepository": ("source.toolkit.fluxcd.io/v1", "GitRepository", "gitRepository"),
    "OCIRepository": ("source.toolkit.fluxcd.io/v1", "OCIRepository", "ociRepository"),
    "Bucket": ("source.toolkit.fluxcd.io/v1", "Bucket", "bucket"),
    "AzureBlob": ("source.toolkit.fluxcd.io/v1", "Bucket", "azureBlob"),
}
"""Source kind → api version and kind of Flux's object, and the field that has its body."""
PLURALS = {
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts",
    "Secret": "secrets",
    "Namespace": "namespaces",
    "FluxConfig": "fluxconfigs",
    "GitRepository": "gitrepositories",
    "OCIRepository": "ocirepositories",
    "Bucket": "buckets",
    "Kustomization": "kustomizations",
}


# --- what the agent writes


def flux_config(name: str, properties: Object, operation: str, protected: dict[str, Any]) -> Object:
    """The FluxConfig of an Azure configuration."""
    key = SOURCES[properties["sourceKind"]][2]
    spec: Object = {
        "correlationId": operation,
        "operationId": operation,
        "scope": properties["scope"],
        "sourceKind": properties["sourceKind"],
        "softDelete": False,
        "suspend": properties["suspend"],
        "waitForReconciliation": properties["waitForReconciliation"],
        key: _source(properties[key]),
        "kustomizations": [_kustomization(k) for k in properties["kustomizations"].values()],
    }
    if properties["reconciliationWaitDuration"]:
        spec["reconciliationWaitDuration"] = properties["reconciliationWaitDuration"]
    if protected:
        spec["protectedParametersSecretRef"] = {"name": f"{name}-protected-parameters"}
    metadata = {"name": name, "namespace": properties["namespace"]}
    return {"apiVersion": API, "kind": "FluxConfig", "metadata": metadata, "spec": spec}


def protected_parameters(name: str, namespace: str, protected: dict[str, Any]) -> Object:
    """The Secret with which the agent hands over protected settings."""
    return _secret(f"{name}-protected-parameters", namespace, {k: str(v) for k, v in protected.items()})


def namespace(name: str) -> Object:
    """The namespace of a configuration."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _source(body: Object) -> Object:
    """A source's body with durations as Go writes them, and without what is null."""
    out = {k: v for k, v in body.items() if v is not None and k not in ("timeoutInSeconds", "syncIntervalInSeconds")}
    if "repositoryRef" in out:
        out["ref"] = {k: v for k, v in out.pop("repositoryRef").items() if v is not None}
    out["timeout"] = go_duration(body["timeoutInSeconds"])
    out["syncInterval"] = go_duration(body["syncIntervalInSeconds"])
    return out


def _kustomization(body: Object) -> Object:
    out = {key: body[key] for key in ("name", "path", "prune", "force", "wait")}
    out["timeout"] = go_duration(body["timeoutInSeconds"])
    out["syncInterval"] = go_duration(body["syncIntervalInSeconds"])
    if body["retryIntervalInSeconds"]:
        out["retryInterval"] = go_duration(body["retryIntervalInSeconds"])
    if body["dependsOn"]:
        out["dependsOn"] = body["dependsOn"]
    if body["postBuild"]:
        out["postBuild"] = {k: v for k, v in body["postBuild"].items() if v is not None}
    return out


# --- what the controller writes


def desired(config: Object, *, enforce: bool, secret: Object | None, requested: str) -> list[Object]:
    """The objects of a FluxConfig, in the order in which they can be created.

    `enforce` is the extension's multi-tenancy: Flux applies as the account flux-applier. `secret` is what the source
    signs in with, `requested` the time that reconciliations were asked for.
    """
    spec = config["spec"]
    out: list[Object] = []
    applier = enforce or spec["scope"] == "namespace"
    if applier:
        out += _access(config)
    if secret is not None:
        out.append(secret)
    source = _flux_source(config, secret)
    out.append(source)
    out += [_flux_kustomization(config, k, source, applier) for k in spec.get("kustomizations") or []]
    for obj in out:
        metadata = obj["metadata"]
        metadata["labels"] = {**labels(config)}
        if obj is source or obj["kind"] == "Kustomization":
            metadata["annotations"] = {REQUESTED: requested}
    return out


def labels(config: Object) -> dict[str, str]:
    """What marks an object as a FluxConfig's."""
    metadata = config["metadata"]
    return {
        MANAGED: "true",
        NAME: metadata["name"],
        NAMESPACE: metadata["namespace"],
        OPERATION: config["spec"].get("operationId", ""),
    }


def owner(obj: Object) -> str | None:
    """Key (namespace/name) of the FluxConfig that an object is marked with."""
    found = obj["metadata"].get("labels") or {}
    if found.get(MANAGED) != "true" or not found.get(NAME) or not found.get(NAMESPACE):
        return None
    return f"{found[NAMESPACE]}/{found[NAME]}"


def differs(wanted: Object, live: Object) -> bool:
    """Whether an object is not as it should be. Labels and annotations of others are theirs; the spec is the owner's."""
    for part in ("labels", "annotations"):
        have = live["metadata"].get(part) or {}
        if any(have.get(key) != value for key, value in (wanted["metadata"].get(part) or {}).items()):
            return True
    return any(wanted.get(part) != live.get(part) for part in ("spec", "data", "subjects", "roleRef"))


def auth_secret(config: Object, parameters: dict[str, str], public: str = "", private: str = "") -> Object | None:
    """The Secret that the source signs in with, or None for one that needs none of the agent's.

    `parameters` are the protected ones, in base64 as `az k8s-configuration flux create` sends them; `public` and
    `private` are a key pair made for an SSH address without a key.
    """
    spec = config["spec"]
    body = spec[SOURCES[spec["sourceKind"]][2]]
    data: dict[str, str] = {}
    if spec["sourceKind"] == "GitRepository":
        if parameters.get("httpsKey"):
            data |= {"username": body.get("httpsUser", ""), "password": _text(parameters["httpsKey"])}
        if body.get("httpsCACert"):
            data["ca.crt"] = _text(body["httpsCACert"])
        if is_ssh(body["url"]):
            identity = _text(parameters["sshPrivateKey"]) if parameters.get("sshPrivateKey") else private
            data |= {"identity": identity, "known_hosts": _text(body.get("sshKnownHosts", ""))}
            if public:
                data["identity.pub"] = public
    elif spec["sourceKind"] == "Bucket" and parameters.get("bucketSecretKey"):
        data |= {"accesskey": body.get("accessKey", ""), "secretkey": _text(parameters["bucketSecretKey"])}
    if not data or body.get("localAuthRef"):
        return None
    metadata = config["metadata"]
    return _secret(f"{metadata['name']}-auth", metadata["namespace"], data)


def is_ssh(url: str) -> bool:
    """Whether an address of a Git repository is one of SSH."""
    return url.startswith(("ssh://", "git@"))


def _flux_source(config: Object, secret: Object | None) -> Object:
    """The source, named as the configuration."""
    spec = config["spec"]
    api, kind, key = SOURCES[spec["sourceKind"]]
    body = spec[key]
    own: Object = {"interval": body["syncInterval"], "timeout": body["timeout"], "suspend": bool(spec.get("suspend"))}
    if kind == "Bucket":
        azure = spec["sourceKind"] == "AzureBlob"
        own |= {
            "endpoint": body["url"],
            "bucketName": body.get("containerName" if azure else "bucketName", ""),
            "provider": "azure" if azure else "generic",
        }
        if body.get("insecure"):
            own["insecure"] = True
    else:
        own |= {"url": body["url"], "provider": body.get("provider", "generic")}
        if body.get("ref"):
            own["ref"] = body["ref"]
    if kind == "OCIRepository":
        if body.get("useWorkloadIdentity"):
            own["provider"] = "azure"
        for name in ("layerSelector", "insecure", "serviceAccountName"):
            if body.get(name):
                own[name] = body[name]
        if body.get("verify"):
            own["verify"] = {"provider": body["verify"].get("provider") or "cosign"}
            if body["verify"].get("matchOidcIdentity"):
                own["verify"]["matchOIDCIdentity"] = body["verify"]["matchOidcIdentity"]
    reference = body.get("localAuthRef") or (secret["metadata"]["name"] if secret else "")
    if reference:
        own["secretRef"] = {"name": reference}
    metadata = {"name": config["metadata"]["name"], "namespace": config["metadata"]["namespace"]}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": own}


def _flux_kustomization(config: Object, body: Object, source: Object, applier: bool) -> Object:
    """A Kustomization, named CONFIGURATION-KUSTOMIZATION; HelmReleases that ask for it get the configuration's source."""
    spec, name, space = config["spec"], config["metadata"]["name"], config["metadata"]["namespace"]
    reference = {"kind": source["kind"], "name": name, "namespace": space}
    own: Object = {
        "interval": body["syncInterval"],
        "timeout": body["timeout"],
        "path": body.get("path", ""),
        "prune": body["prune"],
        "force": body["force"],
        "wait": body["wait"],
        "suspend": bool(spec.get("suspend")),
        "sourceRef": reference,
        "patches": [
            {
                "patch": "- op: add\n  path: /spec/chart/spec/sourceRef\n"
                f'  value: {{"name": "{name}", "namespace": "{space}", "kind": "{source["kind"]}"}}\n',
                "target": {
                    "annotationSelector": USE_MANAGED_SOURCE,
                    "group": "helm.toolkit.fluxcd.io",
                    "kind": "HelmRelease",
                },
            }
        ],
    }
    if applier:
        own["serviceAccountName"] = APPLIER
    if body.get("retryInterval"):
        own["retryInterval"] = body["retryInterval"]
    if body.get("dependsOn"):
        own["dependsOn"] = [{"name": f"{name}-{other}"} for other in body["dependsOn"]]
    if body.get("postBuild"):
        own["postBuild"] = body["postBuild"]
    metadata = {"name": f"{name}-{body['name']}", "namespace": space}
    return {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata, "spec": own}


def _access(config: Object) -> list[Object]:
    """The account that Flux applies as, and what it may do: everything, or everything in its namespace.

    The account's name is documented ("Multi-tenancy"); the bindings' names are the sandbox's own.
    """
    name, space = config["metadata"]["name"], config["metadata"]["namespace"]
    rbac = "rbac.authorization.k8s.io"
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": APPLIER, "namespace": space}}
    binding: Object = {
        "apiVersion": f"{rbac}/v1",
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": APPLIER, "namespace": space}],
    }
    if config["spec"]["scope"] == "cluster":
        binding |= {"kind": "ClusterRoleBinding", "metadata": {"name": f"{APPLIER}-{space}-{name}"}}
    else:
        binding |= {"kind": "RoleBinding", "metadata": {"name": f"{APPLIER}-{name}", "namespace": space}}
    return [account, binding]


def _secret(name: str, space: str, data: dict[str, str]) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": encoded}


def _text(encoded: str) -> str:
    """What a base64 text says, as Azure takes keys and certificates; other text is taken as it is."""
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        return encoded
