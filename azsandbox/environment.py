"""What a client's environment must hold to take the sandbox for Azure.

Nothing of it is Azure's secret: the identity header is this installation's own, and opens nothing but this sandbox.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azsandbox.home import Home

if TYPE_CHECKING:
    from azsandbox.host import Host

NO_PROXY = "127.0.0.1,localhost"


def describe(host: Host) -> dict[str, Any]:
    """All that is to be known of a running sandbox, as `azsandbox env --json` prints it."""
    endpoint = f"https://localhost:{host.tls_port}"
    plain = f"http://127.0.0.1:{host.proxy_port}"
    learner = host.entra.learner
    return {
        "home": str(host.home.path),
        "pid": os.getpid(),
        "speed": host.speed,
        "tunnel": host.tunnel,
        "started": host.clock.now().isoformat(timespec="seconds"),
        "arm_endpoint": endpoint,
        "authority_host": endpoint,
        "graph_endpoint": f"{endpoint}/v1.0",
        "proxy": plain,
        "ca": str(host.authority.ca),
        "bundle": str(host.authority.bundle),
        "subscription_id": host.subscription_id,
        "tenant_id": host.tenant_id,
        "tenant_domain": host.entra.directory.domain,
        "object_id": learner.object_id,
        "user": learner.user_principal_name,
        "user_name": learner.display_name,
        "identity_endpoint": f"{plain}/msi/token",
        "identity_header": host.entra.identity_header(learner.object_id),
        "azure_config_dir": str(host.home.path / "azure"),
        "log": str(host.home.log),
        "personas": {
            persona.key: {
                "object_id": persona.object_id,
                "user": persona.user_principal_name,
                "name": persona.display_name,
                "groups": list(persona.groups),
                "identity_header": host.entra.identity_header(persona.object_id),
            }
            for persona in host.entra.personas()
        },
    }


def variables(described: Mapping[str, Any], persona: str | None = None) -> dict[str, str]:
    """The variables of mode B: clients need no change at all. `persona` is whom managed identity signs in as.

    The sandbox's authority alone is trusted, as no other host is reached; with a tunnel the public roots are too.
    Raises KeyError for an unknown persona.
    """
    trusted = described["bundle"] if described["tunnel"] else described["ca"]
    header = described["personas"][persona]["identity_header"] if persona else described["identity_header"]
    proxy = described["proxy"]
    return {
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "NO_PROXY": NO_PROXY,
        "https_proxy": proxy,
        "http_proxy": proxy,
        "no_proxy": NO_PROXY,
        "REQUESTS_CA_BUNDLE": trusted,
        "SSL_CERT_FILE": trusted,
        "CURL_CA_BUNDLE": trusted,
        "GIT_SSL_CAINFO": trusted,
        "NODE_EXTRA_CA_CERTS": described["ca"],
        "IDENTITY_ENDPOINT": described["identity_endpoint"],
        "IDENTITY_HEADER": header,
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "AZURE_SUBSCRIPTION_ID": described["subscription_id"],
        "AZURE_TENANT_ID": described["tenant_id"],
        "AZURE_CONFIG_DIR": described["azure_config_dir"],
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
        "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
        "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
        "AZSANDBOX_HOME": described["home"],
    }


def write_az_configuration(home: Home, described: Mapping[str, Any]) -> Path:
    """Writes a private AZURE_CONFIG_DIR with which `az` works with no login, unless there is one for this subscription.

    The account is of the managed identity kind, so no secret is in it; tokens come from IDENTITY_ENDPOINT.
    """
    folder = Path(str(described["azure_config_dir"]))
    profile = folder / "azureProfile.json"
    if profile.exists() and described["subscription_id"] in profile.read_text("utf-8-sig"):
        return folder
    subscription = {
        "id": described["subscription_id"],
        "name": "AKS baseline lab",
        "state": "Enabled",
        "isDefault": True,
        "tenantId": described["tenant_id"],
        "homeTenantId": described["tenant_id"],
        "environmentName": "AzureCloud",
        "managedByTenants": [],
        "user": {"name": "systemAssignedIdentity", "type": "servicePrincipal", "assignedIdentityInfo": "MSI"},
    }
    home.write("azure/azureProfile.json", json.dumps({"subscriptions": [subscription]}, indent=1))
    home.write("azure/config", "[cloud]\nname = AzureCloud\n\n[core]\ninstance_discovery = false\n")
    home.write("azure/clouds.config", f"[AzureCloud]\nsubscription = {described['subscription_id']}\n")
    return folder
