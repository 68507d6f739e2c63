"""The sources of a Flux configuration: a Git repository, an OCI repository, a bucket, Azure Blob Storage.

What the specification marks as a secret is accepted and never shown; it is kept beside the body.
"""

from __future__ import annotations

import re
from typing import Any

from azsandbox.arm.providers.kubernetesconfiguration.base import check_known
from azsandbox.arm.providers.kubernetesconfiguration.extension_body import failed
from azsandbox.arm.resources import Document

SOURCES = {
    "GitRepository": "gitRepository",
    "Bucket": "bucket",
    "AzureBlob": "azureBlob",
    "OCIRepository": "ociRepository",
}
"""Source kind → the property that has its body."""

FIELDS: dict[str, Document] = {
    "gitRepository": {
        "url": None,
        "timeoutInSeconds": 600,
        "syncIntervalInSeconds": 600,
        "repositoryRef": None,
        "sshKnownHosts": None,
        "httpsUser": None,
        "httpsCACert": None,
        "localAuthRef": None,
        "provider": "generic",
    },
    "bucket": {
        "url": None,
        "bucketName": None,
        "insecure": True,
        "timeoutInSeconds": 600,
        "syncIntervalInSeconds": 600,
        "accessKey": None,
        "localAuthRef": None,
    },
    "azureBlob": {
        "url": None,
        "containerName": None,
        "timeoutInSeconds": 600,
        "syncIntervalInSeconds": 600,
        "servicePrincipal": None,
        "accountKey": None,
        "sasToken": None,
        "managedIdentity": None,
        "localAuthRef": None,
    },
    "ociRepository": {
        "url": None,
        "timeoutInSeconds": 600,
        "syncIntervalInSeconds": 600,
        "repositoryRef": None,
        "layerSelector": None,
        "verify": None,
        "insecure": False,
        "useWorkloadIdentity": False,
        "serviceAccountName": None,
        "tlsConfig": None,
        "localAuthRef": None,
    },
}
"""The fields of each source and their defaults."""

URLS = {
    "gitRepository": re.compile(r"((https?|ssh)://|git@)\S+"),
    "bucket": re.compile(r"https?://\S+"),
    "azureBlob": re.compile(r"https?://\S+"),
    "ociRepository": re.compile(r"oci://\S+"),
}
NESTED = {
    ("gitRepository", "repositoryRef"): ("branch", "tag", "semver", "commit"),
    ("ociRepository", "repositoryRef"): ("tag", "semver", "digest"),
    ("ociRepository", "layerSelector"): ("mediaType", "operation"),
    ("ociRepository", "verify"): ("provider", "verificationConfig", "matchOidcIdentity"),
    ("ociRepository", "tlsConfig"): ("clientCertificate", "privateKey", "caCertificate"),
    ("azureBlob", "servicePrincipal"): (
        "clientId",
        "tenantId",
        "clientSecret",
        "clientCertificate",
        "clientCertificatePassword",
        "clientCertificateSendChain",
    ),
    ("azureBlob", "managedIdentity"): ("clientId",),
}
SECRETS = {
    ("azureBlob", "accountKey"),
    ("azureBlob", "sasToken"),
    ("azureBlob", "servicePrincipal", "clientSecret"),
    ("azureBlob", "servicePrincipal", "clientCertificate"),
    ("azureBlob", "servicePrincipal", "clientCertificatePassword"),
    ("ociRepository", "tlsConfig", "clientCertificate"),
    ("ociRepository", "tlsConfig", "privateKey"),
    ("ociRepository", "tlsConfig", "caCertificate"),
}
"""What the specification marks as secret."""

PROVIDERS = ("generic", "azure", "github")


def source(key: str, sent: Document) -> Document:
    """The body of a source with its defaults; secrets are null. Raises ArmError."""
    check_known(sent, tuple(FIELDS[key]), key)
    out = dict(FIELDS[key])
    for name, default in FIELDS[key].items():
        value = sent.get(name)
        if value is None:
            continue
        nested = NESTED.get((key, name))
        if nested:
            value = _nested(f"{key}.{name}", value, nested)
        elif isinstance(default, bool):
            _check(value, bool, f"{key}.{name}", "true or false")
        elif isinstance(default, int):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise failed(f"{key}.{name} must be a positive number of seconds, not {value!r}.")
        else:
            _check(value, str, f"{key}.{name}", "a string")
        out[name] = value
    if not isinstance(out["url"], str) or not URLS[key].fullmatch(out["url"]):
        raise failed(f"Invalid url '{out['url']}' of {key}. It must match {URLS[key].pattern}.")
    if key == "gitRepository":
        out["provider"] = str(out["provider"]).lower()
        if out["provider"] not in PROVIDERS:
            raise failed(
                f"Invalid provider '{sent['provider']}' of gitRepository. It must be Generic, Azure or GitHub."
            )
    return {name: _hidden((key, name), value) for name, value in out.items()}


def secrets(key: str, sent: Document) -> dict[str, Any]:
    """The secrets in a source's body, by their path below it: "servicePrincipal.clientSecret"."""
    found = {}
    for path in SECRETS:
        value: Any = sent if path[0] == key else None
        for name in path[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found[".".join(path[1:])] = value
    return found


def _nested(where: str, sent: Any, names: tuple[str, ...]) -> Document:
    """An object in a source; all of its parts come back, those that were not sent as null."""
    _check(sent, dict, where, "an object")
    check_known(sent, names, where)
    return {name: sent.get(name) for name in names}


def _hidden(path: tuple[str, ...], value: Any) -> Any:
    if path in SECRETS:
        return None
    if isinstance(value, dict):
        return {name: _hidden((*path, name), inner) for name, inner in value.items()}
    return value


def _check(value: Any, kind: type, where: str, what: str) -> None:
    if not isinstance(value, kind):
        raise failed(f"{where} must be {what}, not {value!r}.")
