"""The sandbox as an Azure: time to the first answer, to a cluster's first answer, and memory by clusters."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import memory, sandbox, show

VERSION = "2025-10-01"


def cluster(name: str) -> dict[str, Any]:
    """A managed cluster of three nodes, as it is put."""
    pool = {
        "name": "system",
        "mode": "System",
        "count": 3,
        "vmSize": "Standard_D4ds_v5",
        "type": "VirtualMachineScaleSets",
    }
    return {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {"dnsPrefix": name, "agentPoolProfiles": [pool]},
    }


def run(clusters: int = 5) -> None:
    """Makes clusters one by one and prints what each costs."""
    with sandbox() as found:
        show("`azsandbox up`, whole command", found["started"] * 1000, "ms", "aim: first ARM answer under 1 s")
        os.environ["REQUESTS_CA_BUNDLE"] = found["ca"]
        os.environ["AZSANDBOX_HOME"] = found["AZSANDBOX_HOME"]
        from azure.core.credentials import AccessToken
        from azure.mgmt.containerservice import ContainerServiceClient
        from azure.mgmt.resource.resources import ResourceManagementClient

        from benchmarks.measure import BIN

        token = subprocess.run([BIN / "azsandbox", "token"], check=True, capture_output=True, text=True).stdout.strip()

        class Credential:
            def get_token(self, *scopes: str, **options: Any) -> AccessToken:
                return AccessToken(token, int(time.time()) + 3600)

        options: dict[str, Any] = {"base_url": found["arm_endpoint"]}
        credential: Any = Credential()
        groups = ResourceManagementClient(credential, found["subscription_id"], **options).resource_groups
        aks = ContainerServiceClient(credential, found["subscription_id"], **options)
        groups.create_or_update("rg-bench", {"location": "westeurope"})
        idle = memory(found["pid"])
        show("memory without a cluster", idle, "MB")
        sizes = []
        for number in range(clusters):
            name = f"bench{number}"
            began = time.perf_counter()
            poller = aks.managed_clusters.begin_create_or_update("rg-bench", name, cluster(name))
            poller.result()
            made = time.perf_counter() - began
            config = aks.managed_clusters.list_cluster_admin_credentials("rg-bench", name).kubeconfigs[0].value
            file = Path(found["AZSANDBOX_HOME"], f"{name}.kubeconfig")
            text = bytes(config)
            file.write_bytes(text if b"clusters" in text else base64.b64decode(text))
            subprocess.run(["kubectl", "--kubeconfig", file, "get", "nodes"], check=True, capture_output=True)
            if number == 0:
                show("SDK: create a cluster, until Succeeded", made * 1000, "ms")
                show(
                    "… until kubectl's first answer", (time.perf_counter() - began) * 1000, "ms", "aim: under 3,000 ms"
                )
            time.sleep(3)
            sizes.append(memory(found["pid"]))
        show("memory with one cluster", sizes[0], "MB", "aim: under 150 MB")
        if clusters > 1:
            show("memory for each more", (sizes[-1] - sizes[0]) / (clusters - 1), "MB", "aim: under 25 MB")
