"""Rows of RBAC, certificates and admission."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.tables.cells import NONE, UNSET, Row, age, duration, name, selector, spec, status


def _binding(obj: Object) -> list[Any]:
    subjects: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        kind = subject["kind"]
        text = f"{subject.get('namespace', '')}/{subject['name']}" if kind == "ServiceAccount" else subject["name"]
        subjects.setdefault(kind, []).append(text)
    ref = obj["roleRef"]
    who = [", ".join(subjects[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [name(obj), f"{ref['kind']}/{ref['name']}", age(obj), *who]


def _signing_request(obj: Object) -> list[Any]:
    kinds = {c["type"] for c in status(obj).get("conditions") or ()}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        state += ",Failed"
    if status(obj).get("certificate"):
        state += ",Issued"
    seconds = spec(obj).get("expirationSeconds")
    return [
        name(obj),
        age(obj),
        spec(obj).get("signerName") or NONE,
        spec(obj).get("username", ""),
        NONE if seconds is None else duration(seconds),
        state,
    ]


def _webhooks(obj: Object) -> list[Any]:
    return [name(obj), len(obj.get("webhooks") or ()), age(obj)]


def _policy(obj: Object) -> list[Any]:
    kind = spec(obj).get("paramKind")
    text = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
    return [name(obj), len(spec(obj).get("validations") or ()), text, age(obj)]


def _policy_binding(obj: Object) -> list[Any]:
    ref = spec(obj).get("paramRef")
    text = UNSET
    if ref and ref.get("name"):
        text = f"{ref.get('namespace') or '*'}/{ref['name']}"
    elif ref and ref.get("selector") is not None:
        text = selector(ref["selector"])
    return [name(obj), spec(obj).get("policyName", ""), text, age(obj)]


def _api_service(obj: Object) -> list[Any]:
    service = spec(obj).get("service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    available = next((c for c in status(obj).get("conditions") or () if c["type"] == "Available"), None)
    word = "Unknown" if available is None else available["status"]
    if available is not None and word != "True" and available.get("reason"):
        word = f"{word} ({available['reason']})"
    return [name(obj), where, word, age(obj)]


ROWS: dict[str, Row] = {
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
    "certificatesigningrequests.certificates.k8s.io": _signing_request,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _policy_binding,
    "apiservices.apiregistration.k8s.io": _api_service,
}
