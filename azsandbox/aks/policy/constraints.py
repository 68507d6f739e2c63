"""From a policy that holds for a cluster to the constraint template and the constraint that carry it out.

Microsoft Learn, "Understand Azure Policy for Kubernetes clusters"; names, labels and annotations as recorded of AKS
clusters.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import yaml

from azsandbox.aks.policy import facts
from azsandbox.arm.policy import expressions
from azsandbox.arm.policy.in_force import Policy

Document = dict[str, Any]

INSTALLER = "azure-policy-addon"
LABELS = {"managed-by": INSTALLER}
API = "constraints.gatekeeper.sh/v1beta1"


class TemplateError(ValueError):
    """A policy's constraint template cannot be used; the message says why."""


def details(policy: Policy) -> Document:
    """The details of the policy's effect, with its parameters filled in."""
    found: Document = expressions.resolve(policy.rule["then"]["details"], expressions.Scope(parameters=policy.values))
    return found


def template(policy: Policy) -> Document:
    """The constraint template that the policy names. Raises TemplateError."""
    info = details(policy)["templateInfo"]
    if info["sourceType"] == "PublicURL":
        url = str(info.get("url"))
        if not facts.has_template(url):
            raise TemplateError(f"the constraint template at '{url}' is not known to the sandbox")
        return facts.template(url)
    try:
        found = yaml.safe_load(base64.b64decode(str(info.get("content") or ""), validate=True))
    except (binascii.Error, ValueError, yaml.YAMLError) as error:
        raise TemplateError(f"the content of templateInfo is no YAML in base64: {error}") from None
    if not isinstance(found, dict) or found.get("kind") != "ConstraintTemplate":
        raise TemplateError("the content of templateInfo is no ConstraintTemplate")
    try:
        kind_of(found)
    except (KeyError, TypeError):
        raise TemplateError("the ConstraintTemplate has no spec.crd.spec.names.kind") from None
    return found


def kind_of(template: Document) -> str:
    """The kind of the constraints that a template makes."""
    return str(template["spec"]["crd"]["spec"]["names"]["kind"])


def installed(template: Document, policies: list[Policy]) -> Document:
    """The template as the add-on installs it: with its label, and who needs it."""
    annotations = {"constraint-template-installed-by": INSTALLER}
    info = details(policies[0])["templateInfo"]
    if info["sourceType"] == "PublicURL":
        annotations["constraint-template"] = str(info["url"])
    ids = dict.fromkeys(str(p.definition["id"]) for p in policies)
    annotations |= {f"azure-policy-definition-id-{number}": id_ for number, id_ in enumerate(ids, 1)}
    metadata = {"name": template["metadata"]["name"], "labels": dict(LABELS), "annotations": annotations}
    return {
        "apiVersion": template.get("apiVersion", "templates.gatekeeper.sh/v1"),
        "kind": "ConstraintTemplate",
        "metadata": metadata,
        "spec": template["spec"],
    }


def name_of(kind: str, policy: Policy) -> str:
    """azurepolicy-KIND-HASH, the kind cut so that the name fits; the same for the same assignment and member."""
    known = facts.add_on()
    parts = (str(policy.assignment["id"]).lower(), policy.reference, str(policy.definition["id"]).lower())
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()[: known["hashLength"]]
    return f"azurepolicy-{kind.lower()[: known['kindLength']]}-{digest}"


def action_of(policy: Policy, warn: bool) -> str:
    """What the constraint does: deny for Deny; for Audit dryrun, or warn where the policy says so; dryrun where the
    assignment is not enforced."""
    if not policy.enforced:
        return "dryrun"
    if policy.effect.lower() == "deny":
        return "deny"
    return "warn" if warn else "dryrun"


def constraint(kind: str, policy: Policy) -> Document:
    """The constraint of the policy."""
    told = details(policy)
    match: Document = {}
    if told.get("excludedNamespaces"):
        match["excludedNamespaces"] = list(told["excludedNamespaces"])
    match["kinds"] = [{"apiGroups": list(told.get("apiGroups") or ["*"]), "kinds": list(told.get("kinds") or ["*"])}]
    if told.get("labelSelector"):
        match["labelSelector"] = told["labelSelector"]
    if told.get("namespaces"):
        match["namespaces"] = list(told["namespaces"])
    if told.get("source"):
        match["source"] = told["source"]
    spec: Document = {"enforcementAction": action_of(policy, told.get("warn") is True), "match": match}
    if told.get("values"):
        spec["parameters"] = {name: value for name, value in told["values"].items() if value is not None}
    annotations = {
        "azure-policy-assignment-id": policy.assignment["id"],
        "azure-policy-definition-id": policy.definition["id"],
        "azure-policy-definition-reference-id": policy.reference,
        "azure-policy-setdefinition-id": policy.initiative["id"] if policy.initiative else "",
        "constraint-installed-by": INSTALLER,
    }
    if told["templateInfo"]["sourceType"] == "PublicURL":
        annotations["constraint-url"] = told["templateInfo"]["url"]
    metadata = {"name": name_of(kind, policy), "labels": dict(LABELS), "annotations": annotations}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def differs(wanted: Document, found: Document) -> bool:
    """Whether what is in the cluster is not what is wanted, as far as the add-on says anything."""
    metadata = found["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    own = {k: v for k, v in annotations.items() if k.startswith(("azure-policy-", "constraint-"))}
    return (
        own != wanted["metadata"]["annotations"]
        or any(labels.get(k) != v for k, v in wanted["metadata"]["labels"].items())
        or _pruned(found["spec"], wanted["spec"]) != wanted["spec"]
        or (found["kind"] != "ConstraintTemplate" and found["spec"] != wanted["spec"])
    )


def _pruned(found: Any, wanted: Any) -> Any:
    """`found` without what the API server has filled in."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {k: _pruned(v, wanted[k]) for k, v in found.items() if k in wanted}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [_pruned(f, w) for f, w in zip(found, wanted, strict=True)]
    return found
