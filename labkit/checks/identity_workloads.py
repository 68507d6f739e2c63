"""Checks of the chain from a pod to its identity: account, credential, label, token; and of what stands in for it."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import identity
from labkit.checks.identity_sources import named
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges
from labkit.checks.workload import templates

NOBODY = "no service account of the applications names an identity of Azure"


def accounts(evidence: Evidence) -> list[Object]:
    """The service accounts that name an identity."""
    return [account for account in evidence.read("service-accounts") if account["client_id"]]


def subject_of(account: Object) -> str:
    """What the tokens of a service account say that they are for."""
    return f"system:serviceaccount:{account['namespace']}:{account['name']}"


def _place(account: Object) -> str:
    return f"ServiceAccount/{account['namespace']}/{account['name']}"


@judges("identity.federated-credential", reads=("cluster", "service-accounts", "identities"))
def federated_credential(evidence: Evidence) -> Iterator[Finding]:
    """Issuer, subject and audience, to the letter."""
    facts = identity()
    issuer = str(at(evidence.cluster, "properties.oidcIssuerProfile.issuerURL") or "")
    audience, found = facts["audience"], accounts(evidence)
    if not found:
        yield skipped(NOBODY, "", evidence.cluster_id)
    for account in found:
        subject = subject_of(account)
        expected = f"one credential for {issuer or 'the issuer'}, {subject}, {audience}"
        one = named(evidence.read("identities"), account["client_id"])
        if one is None:
            reason = f"no identity of this subscription has the client id {account['client_id']}"
            yield failed("no such identity", expected, reason, _place(account))
            continue
        credentials = one["credentials"]
        observed = f"{one['name']}: {len(credentials)} federated credential{'s' * (len(credentials) != 1)}"
        whole = [
            c
            for c in credentials
            if c["issuer"] == issuer and c["subject"] == subject and audience in (c["audiences"] or [])
        ]
        if not whole:
            yield failed(observed, expected, _mismatch(credentials, issuer, subject, audience), str(one["id"]))
        elif len(credentials) >= facts["many_credentials"]:
            reason = f"an identity can have {facts['most_credentials']} federated credentials"
            yield warned(observed, expected, reason, str(one["id"]))
        else:
            yield passed(f"{one['name']}: {whole[0]['name']}", expected, str(one["id"]))


def _mismatch(credentials: list[Object], issuer: str, subject: str, audience: str) -> str:
    """What of the nearest credential does not match."""
    if not credentials:
        return "the identity has no federated credential, so Entra refuses the pod's token (AADSTS70025)"
    of_subject = [c for c in credentials if c["subject"] == subject]
    if any(c["issuer"] == issuer for c in of_subject):
        return f"the audience is not {audience} (AADSTS700212)"
    if of_subject:
        return (
            f"the issuer is {of_subject[0]['issuer']}, not {issuer}: a cluster that was made again has another, and the slash "
            "at its end counts (AADSTS700211)"
        )
    return f"no credential has the subject {subject}, which counts to the letter (AADSTS700213)"


@judges("identity.service-account", reads=("cluster", "service-accounts", "identities"))
def service_account(evidence: Evidence) -> Iterator[Finding]:
    """The account names the identity that holds the credential for it."""
    found = evidence.read("service-accounts")
    if not found:
        yield skipped(NOBODY, "", evidence.cluster_id)
    for account in found:
        expected = "the client id of an identity with a credential for it, and its tenant if one is named"
        if not account["client_id"]:
            reason = "a tenant is named and no client id, so that pods are told of no identity"
            yield failed("client-id absent", expected, reason, _place(account))
            continue
        one = named(evidence.read("identities"), account["client_id"])
        observed = f"client-id {account['client_id']}"
        if one is None:
            yield failed(observed, expected, "no identity of this subscription has that client id", _place(account))
        elif all(c["subject"] != subject_of(account) for c in one["credentials"]):
            reason = f"the identity {one['name']} has no credential for this account"
            yield failed(observed, expected, reason, _place(account))
        elif account["tenant_id"] and not same(account["tenant_id"], one["tenantId"]):
            reason = f"the tenant {account['tenant_id']} is not the identity's, {one['tenantId']}"
            yield failed(observed, expected, reason, _place(account))
        else:
            yield passed(f"{observed}, {one['name']}", expected, _place(account))


@judges("identity.pod-opt-in", reads=("cluster", "service-accounts", "pods"))
def pod_opt_in(evidence: Evidence) -> Iterator[Finding]:
    """Each pod of such an account says that it wants a token, and has one."""
    facts = identity()
    expected = f'label {facts["label"]} "true", a token volume, and its variables in each container'
    using = {(account["namespace"], account["name"]) for account in accounts(evidence)}
    pods = [pod for pod in evidence.read("pods") if (pod["namespace"], pod["account"]) in using and not pod["deleting"]]
    pods = [pod for pod in pods if pod["phase"] not in ("Succeeded", "Failed")]
    if not pods:
        yield skipped(NOBODY if not using else "no pod runs as such an account", expected, evidence.cluster_id)
    for pod in pods:
        where = f"Pod/{pod['namespace']}/{pod['name']}"
        label = pod["labels"].get(facts["label"])
        if label != "true":
            reason = (
                "without the label the webhook passes the pod by; it belongs on the pod template, not the Deployment"
            )
            yield failed(f"label {label or 'absent'}", expected, reason, where)
        elif pod["token"] != facts["audience"]:
            observed = f"token volume {'absent' if pod['token'] is None else 'for ' + pod['token']}"
            yield failed(observed, expected, "the pod is older than the webhook: restart it", where)
        elif lacking := [f"{name}: {', '.join(missing)}" for name, missing in pod["lacking"].items()]:
            yield failed(
                f"without {'; '.join(lacking)}", expected, "the client libraries find no identity there", where
            )
        else:
            yield passed("label, token and variables", expected, where)


@judges("identity.no-client-secrets", reads=("cluster", "templates", "pods", "secret-settings"))
def no_client_secrets(evidence: Evidence) -> Iterator[Finding]:
    """Names alone are looked at, never values."""
    names = identity()["client_secrets"]
    expected = f"none of {', '.join(names)}"
    reason = "a secret in a pod leaks with its environment, and has to be changed by hand"
    found = False
    for template in templates(evidence):
        held = sorted({name for c in template.containers(init=True) for name in c.get("clientSecrets") or []})
        if held:
            found = True
            yield failed(", ".join(held), expected, reason, template.object_id)
    for item in evidence.read("secret-settings"):
        found = True
        yield failed(
            f"key {', '.join(item['keys'])}", expected, reason, f"ConfigMap/{item['namespace']}/{item['name']}"
        )
    if not found:
        yield passed("none", expected, evidence.cluster_id)


@judges("identity.secret-provider-class", reads=("cluster", "provider-classes", "pods"), also=("service-accounts",))
def secret_provider_class(evidence: Evidence) -> Iterator[Finding]:
    """The driver signs in as the pod, and not as its node or by pod-managed identity."""
    expected = "clientID of the mounting pods' service account, usePodIdentity and useVMManagedIdentity off"
    found = [item for item in evidence.read("provider-classes") if same(item["provider"], "azure")]
    if not found:
        yield skipped("the applications have no SecretProviderClass of Azure", expected, evidence.cluster_id)
    for item in found:
        where = f"SecretProviderClass/{item['namespace']}/{item['name']}"
        client = str(item["clientID"] or "")
        observed = f"clientID {client or 'absent'}"
        if is_on(item["usePodIdentity"]):
            reason = "pod-managed identity is gone: the mount fails, or rests on what gets no fixes"
            yield failed(f"{observed}, usePodIdentity true", expected, reason, where)
        elif is_on(item["useVMManagedIdentity"]):
            reason = "every pod on the node can do what the node's identity can"
            yield warned(f"{observed}, useVMManagedIdentity true", expected, reason, where)
        elif not client:
            yield failed(observed, expected, "the driver has nobody to sign in as", where)
        else:
            yield _mounting(evidence, item, client, (observed, expected, where))


def _mounting(evidence: Evidence, item: Object, client: str, said: tuple[str, str, str]) -> Finding:
    """Whether the pods that mount a class have an account that names the same identity."""
    observed, expected, where = said
    known = evidence.maybe("service-accounts")
    if known is None:
        return unknown("service accounts were not read", expected, where)
    named_by = {(account["namespace"], account["name"]): account["client_id"] for account in known}
    for pod in evidence.read("pods"):
        if pod["namespace"] != item["namespace"] or item["name"] not in pod["classes"]:
            continue
        other = named_by.get((pod["namespace"], pod["account"]), "")
        if not same(other, client):
            reason = f"pod {pod['name']} runs as {pod['account']}, whose client-id is {other or 'absent'}"
            return failed(observed, expected, reason, where)
    return passed(observed, expected, where)
