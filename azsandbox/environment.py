"""What a client's environment must hold to take the sandbox for Azure, and for GitHub.

Nothing of it is their secret: identity header and token are this installation's own, and open nothing but this sandbox.
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

# Git asks it for a name and a password when github.com wants them. It holds no token: that is in the environment alone.
_CREDENTIAL_HELPER = (
    '!f() { if test "$1" = get; then echo username=x-access-token; echo "password=$GITHUB_TOKEN"; fi; }; f'
)
_NO_SSH = "https://github.com/.ssh/"  # where the sandbox says that it has no SSH, instead of GitHub's being asked


def describe(host: Host) -> dict[str, Any]:
    """All that is to be known of a running sandbox, as `azsandbox env --json` prints it."""
    from azsandbox.git.accounts import Accounts
    from azsandbox.git.tokens import SECRET, default_token

    accounts, secret = Accounts(), host.entra.tokens.secret(SECRET)
    logins = {persona.key: accounts.of_persona(persona.key).login for persona in host.entra.personas()}
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
        "github_owner": accounts.organization.login,
        "github_login": accounts.learner.login,
        "github_token": default_token(secret, accounts.learner.login),
        "git_endpoint": f"{endpoint}/git",
        "azure_config_dir": str(host.home.path / "azure"),
        "log": str(host.home.log),
        "personas": {
            persona.key: {
                "object_id": persona.object_id,
                "user": persona.user_principal_name,
                "name": persona.display_name,
                "groups": list(persona.groups),
                "identity_header": host.entra.identity_header(persona.object_id),
                "github_login": logins[persona.key],
                "github_token": default_token(secret, logins[persona.key]),
            }
            for persona in host.entra.personas()
        },
    }


def variables(
    described: Mapping[str, Any], persona: str | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of mode B: clients need no change at all. `persona` is whom managed identity signs in as, and who
    pushes; `environ` is what they are added to.

    The sandbox's authority alone is trusted, as no other host is reached; with a tunnel the public roots are too.
    Raises KeyError for an unknown persona.
    """
    trusted = described["bundle"] if described["tunnel"] else described["ca"]
    who = described["personas"][persona] if persona else described
    header = who["identity_header"]
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
        "GITHUB_TOKEN": who["github_token"],
    } | _git_configuration(described, environ)


def _git_configuration(described: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Settings of git for the process alone (git-config, GIT_CONFIG_COUNT), after those that `environ` has of others.

    The learner's own credential helpers are left out for github.com, so that none sends the sandbox a real token, or
    keeps the sandbox's; so are addresses that the learner's configuration replaces by SSH.
    """
    settings = []
    for site in ("https://github.com", described["arm_endpoint"]):
        helper = f"credential.{site}.helper"
        settings += [(helper, ""), (helper, _CREDENTIAL_HELPER)]
    settings += [(f"url.{_NO_SSH}.insteadOf", address) for address in ("git@github.com:", "ssh://git@github.com/")]
    owner = f"https://github.com/{described['github_owner']}/"
    settings += [(f"url.{owner}.{kind}", owner) for kind in ("insteadOf", "pushInsteadOf")]
    count = environ.get("GIT_CONFIG_COUNT", "")
    pairs = [
        (environ.get(f"GIT_CONFIG_KEY_{i}", ""), environ.get(f"GIT_CONFIG_VALUE_{i}", ""))
        for i in range(int(count) if count.isdigit() else 0)
    ]
    pairs = [pair for pair in pairs if pair[0] and pair not in settings] + settings
    found = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


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
