"""A managed cluster with Azure RBAC in a sandbox of its own, asked as people of the lab."""

from __future__ import annotations

import base64
import json
import ssl
import time
import uuid
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from azsandbox.aks.access import SERVER_APP
from tests.azsandbox.kubectl import Kubectl
from tests.azsandbox.processes import Sandbox, running

READER, WRITER = "7f6c6a51-bcf8-42ba-9220-52d62157d7db", "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb"
ADMIN, CLUSTER_ADMIN = "3498e952-d568-435e-9b2c-8d77e338d7f7", "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
REFUSED = "User does not have access to the resource in Azure. Update role assignment to allow access."
VERSIONS = {"Microsoft.Authorization": "2022-04-01", "Microsoft.ContainerService": "2025-05-01"}


def role_data(role: str) -> dict[str, list[str]]:
    """The data actions of a built-in role, as published."""
    text = resources.files("azsandbox").joinpath("data", "azure", "role-definitions.json").read_text("utf-8")
    found = next(r for r in json.loads(text)["roles"] if r["name"] == role)
    permission: dict[str, list[str]] = found["properties"]["permissions"][0]
    return permission


class Lab:
    """Resource Manager, and clusters, as people."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder, self.env = sandbox, folder, sandbox.env()
        self.subscription = f"/subscriptions/{self.env['subscription_id']}"
        self.group = f"{self.subscription}/resourceGroups/rg-access"
        self.cluster = self.id("shop")
        self._tokens: dict[tuple[str, str], str] = {}
        self._http = httpx.Client(verify=ssl.create_default_context(cafile=self.env["ca"]), timeout=30)

    def id(self, name: str) -> str:
        return f"{self.group}/providers/Microsoft.ContainerService/managedClusters/{name}"

    def token(self, who: str, resource: str = "https://management.azure.com/") -> str:
        if (who, resource) not in self._tokens:
            self._tokens[who, resource] = self.sandbox.token("--as", who, "--resource", resource)
        return self._tokens[who, resource]

    def object_id(self, who: str) -> str:
        found: str = self.env["personas"][who]["object_id"]
        return found

    def user(self, who: str) -> str:
        found: str = self.env["personas"][who]["user"]
        return found

    def arm(self, method: str, path: str, body: Any = None, who: str = "learner", **query: str) -> httpx.Response:
        version = next((v for name, v in VERSIONS.items() if f"/providers/{name}" in path), "2024-11-01")
        if "/providers/Microsoft.Authorization" in path:
            version = VERSIONS["Microsoft.Authorization"]
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        url = f"{self.env['arm_endpoint']}{path}"
        return self._http.request(method, url, params={"api-version": version, **query}, json=body, headers=headers)

    def make(self, name: str, **properties: Any) -> None:
        """A cluster with one node, and wait for it."""
        pool = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5"}
        own = {"dnsPrefix": name, "agentPoolProfiles": [pool], **properties}
        body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": own}
        answer = self.arm("PUT", self.id(name), body)
        assert answer.status_code == 201, answer.text
        self.settled(name)

    def change(self, name: str, **properties: Any) -> None:
        """Changes properties of a cluster, and wait for it."""
        found = self.arm("GET", self.id(name)).json()
        answer = self.arm("PUT", self.id(name), {**found, "properties": {**found["properties"], **properties}})
        assert answer.status_code == 200, answer.text
        self.settled(name)

    def settled(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while self.arm("GET", self.id(name)).json()["properties"]["provisioningState"] != "Succeeded":
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def assign(self, who: str, role: str, scope: str, principal: str = "", kind: str = "User", **more: Any) -> str:
        """Assigns a role to a person, or to a principal by its id; returns the path of the assignment."""
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        definition = f"{self.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        properties = {"roleDefinitionId": definition, "principalId": principal or self.object_id(who)}
        answer = self.arm("PUT", path, {"properties": {**properties, "principalType": kind, **more}})
        assert answer.status_code == 201, answer.text
        return path

    def drop(self, path: str) -> None:
        assert self.arm("DELETE", path).status_code == 200

    def document(self, name: str, admin: bool = False) -> dict[str, Any]:
        action = "listClusterAdminCredential" if admin else "listClusterUserCredential"
        answer = self.arm("POST", f"{self.id(name)}/{action}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = yaml.safe_load(base64.b64decode(answer.json()["kubeconfigs"][0]["value"]))
        return found

    def kubectl(self, who: str, name: str = "shop", namespace: str = "default", **user: Any) -> Kubectl:
        """kubectl as somebody; `user` are more fields of the kubeconfig's user."""
        document = self.document(name)
        document["users"][0]["user"] = {"token": self.token(who, SERVER_APP), **user}
        return self._kubectl(f"{who}-{name}-{len(user)}", document, namespace)

    def as_administrator(self, name: str) -> Kubectl:
        return self._kubectl(f"admin-of-{name}", self.document(name, admin=True), "default")

    def _kubectl(self, name: str, document: dict[str, Any], namespace: str) -> Kubectl:
        file = self.folder / f"kubeconfig-{name}"
        file.write_text(yaml.safe_dump(document))
        return Kubectl(file, namespace, self.folder)

    def api(self, who: str, name: str = "shop") -> httpx.Client:
        """The Kubernetes API as somebody."""
        cluster = self.document(name)["clusters"][0]["cluster"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        headers = {"Authorization": f"Bearer {self.token(who, SERVER_APP)}"}
        context = ssl.create_default_context(cadata=ca)
        return httpx.Client(base_url=cluster["server"], headers=headers, verify=context, timeout=30)


def review(api: httpx.Client, **attributes: str) -> dict[str, Any]:
    """The status of a SelfSubjectAccessReview; `path` asks of a path."""
    kind = "nonResourceAttributes" if "path" in attributes else "resourceAttributes"
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {kind: attributes}}
    answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["status"]
    return found


def arrived(api: httpx.Client, allowed: bool = True, **attributes: str) -> dict[str, Any]:
    """The status once it is as `allowed` says: a change of assignments takes a moment to arrive."""
    deadline = time.monotonic() + 15
    while (found := review(api, **attributes))["allowed"] is not allowed:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("access")
    with running(folder / "home") as sandbox:
        made = Lab(sandbox, folder)
        made.arm("PUT", made.group, {"location": "westeurope"})
        made.make("shop", aadProfile={"managed": True, "enableAzureRBAC": True})
        yield made
