"""ServiceAccount: a pod runs as an account of its namespace, and gets a token of it."""

from __future__ import annotations

import copy

from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.strategy import random_suffix
from azsandbox.kubernetes.validation.containers import each

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path, not a secret
TOKEN_SECONDS = 3607  # an hour, and seven seconds by which the kubelet tells a default from a wish
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"
_MIRROR = "kubernetes.io/config.mirror"


class ServiceAccount(Plugin):
    """Names the account, checks it, and mounts its token."""

    async def mutate(self, attrs: Attributes) -> None:
        if not self._applies(attrs) or attrs.obj is None:
            return
        spec = attrs.obj.setdefault("spec", {})
        if _MIRROR in ((attrs.obj.get("metadata") or {}).get("annotations") or {}):
            await self.validate(attrs)
            return
        if not spec.get("serviceAccountName"):
            spec["serviceAccountName"] = spec.get("serviceAccount") or "default"
        spec["serviceAccount"] = spec["serviceAccountName"]
        account = self._account(attrs, spec)
        if _automounts(account, spec):
            _mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = copy.deepcopy(account["imagePullSecrets"])
        self._check(attrs, spec, account)

    async def validate(self, attrs: Attributes) -> None:
        if attrs.of("", "Pod") and attrs.operation == UPDATE and attrs.subresource == "ephemeralcontainers":
            spec = (attrs.obj or {}).get("spec") or {}
            account = self._account(attrs, spec)
            self._check(attrs, spec, account)
            return
        if not self._applies(attrs) or attrs.obj is None:
            return
        spec = attrs.obj.get("spec") or {}
        if _MIRROR in ((attrs.obj.get("metadata") or {}).get("annotations") or {}):
            if spec.get("serviceAccountName"):
                raise attrs.forbidden("a mirror pod may not reference service accounts")
            for volume in spec.get("volumes") or []:
                if volume.get("secret"):
                    raise attrs.forbidden("a mirror pod may not reference secrets")
                if any(
                    source.get("serviceAccountToken") for source in (volume.get("projected") or {}).get("sources") or []
                ):
                    raise attrs.forbidden("a mirror pod may not use ServiceAccountToken volume projections")
            return
        self._account(attrs, spec)

    @staticmethod
    def _applies(attrs: Attributes) -> bool:
        return attrs.of("", "Pod") and not attrs.subresource and attrs.operation == CREATE

    def _account(self, attrs: Attributes, spec: Object) -> Object:
        name = spec.get("serviceAccountName") or ""
        found = self.server.peek("serviceaccounts", attrs.namespace, name)
        if found is None:
            missing = f'serviceaccount "{name}" not found'
            raise attrs.forbidden(f"error looking up service account {attrs.namespace}/{name}: {missing}")
        return found

    def _check(self, attrs: Attributes, spec: Object, account: Object) -> None:
        """An account may say that its pods use no secrets but its own."""
        annotations = (account.get("metadata") or {}).get("annotations") or {}
        if annotations.get(_MOUNTABLE, "").lower() not in ("true", "1", "t"):
            return
        name = account["metadata"]["name"]
        known = {item.get("name") for item in account.get("secrets") or []}
        because = f"is not allowed because service account {name} does not reference that secret"
        for volume in spec.get("volumes") or []:
            secret = (volume.get("secret") or {}).get("secretName")
            if secret and secret not in known:
                raise attrs.forbidden(f'volume with secret.secretName="{secret}" {because}')
        words = {
            "initContainers": "init container",
            "containers": "container",
            "ephemeralContainers": "ephemeral container",
        }
        for container, path in each(spec):
            word = words[path.split(".")[1].partition("[")[0]]
            for variable in container.get("env") or []:
                secret = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
                if secret and secret not in known:
                    where = f"{word} {container.get('name')} with envVar {variable.get('name')}"
                    raise attrs.forbidden(f'{where} referencing secret.secretName="{secret}" {because}')
            for source in container.get("envFrom") or []:
                secret = (source.get("secretRef") or {}).get("name")
                if secret and secret not in known:
                    where = f"{word} {container.get('name')} with envFrom"
                    raise attrs.forbidden(f'{where} referencing secret.secretName="{secret}" {because}')
        pulls = {item.get("name") for item in account.get("imagePullSecrets") or []}
        for index, item in enumerate(spec.get("imagePullSecrets") or []):
            if item.get("name") not in pulls:
                cause = f'imagePullSecrets[{index}].name="{item.get("name")}" is not allowed because service account {name} does not reference that imagePullSecret'
                raise attrs.forbidden(cause)


def _automounts(account: Object, spec: Object) -> bool:
    for holder in (spec, account):
        if holder.get("automountServiceAccountToken") is not None:
            return bool(holder["automountServiceAccountToken"])
    return True


def _mount_token(spec: Object) -> None:
    """Mounts the token in every container that has nothing mounted there; one volume serves all."""
    volumes = spec.get("volumes") or []
    names = {volume.get("name") for volume in volumes}
    present = next((v["name"] for v in volumes if str(v.get("name")).startswith("kube-api-access-")), "")
    name = present
    while not name or (not present and name in names):
        name = f"kube-api-access-{random_suffix()}"
    mounted = False
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or []:
            mounts = container.get("volumeMounts") or []
            if any(mount.get("mountPath") == TOKEN_PATH for mount in mounts):
                continue
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}]
            mounted = True
    if mounted and not present:
        spec["volumes"] = [*volumes, {"name": name, "projected": _token_projection()}]


def _token_projection() -> Object:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
        "defaultMode": 0o644,
    }
