"""GET /metadata/endpoints: what clients such as az learn of a cloud before they sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.arm.call import Answer

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm


def endpoints(arm: Arm, base: str) -> Answer:
    """The endpoints of the cloud, all on the host that was asked when it is the sandbox's own port.

    Under the name management.azure.com (a client behind the proxy) they are Azure's own names.
    """
    public = "://management.azure.com" in base
    login = "https://login.microsoftonline.com" if public else base
    graph = "https://graph.microsoft.com/" if public else base + "/"
    manager = "https://management.azure.com/" if public else base + "/"
    body = {
        "portal": "https://portal.azure.com",
        "authentication": {
            "loginEndpoint": login,
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "media": "https://rest.media.azure.net",
        "graphAudience": "https://graph.windows.net/",
        "graph": "https://graph.windows.net/",
        "name": "AzureCloud",
        "suffixes": {
            "storage": "core.windows.net",
            "keyVaultDns": "vault.azure.net",
            "acrLoginServer": "azurecr.io",
        },
        "batch": "https://batch.core.windows.net/",
        "resourceManager": manager,
        "microsoftGraphResourceId": graph,
        "logAnalyticsResourceId": "https://api.loganalytics.io",
        "activeDirectoryDataLake": "https://datalake.azure.net/",
    }
    return Answer(200, body)
