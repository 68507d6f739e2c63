"""Checks of the repository: what its manifests ask for, how it is laid out, and that no secret is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from labkit.checks.core import Finding, failed, passed, skipped, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.lookup import at, same
from labkit.checks.registry import judges

FLUX_GROUPS = ("source", "kustomize", "helm", "notification", "image")
OLD_FLUX = ("v1alpha1", "v1beta1", "v1beta2", "v2beta1", "v2beta2")
OLD_KUBERNETES = {
    ("policy/v1beta1", "PodDisruptionBudget"),
    ("policy/v1beta1", "PodSecurityPolicy"),
    ("networking.k8s.io/v1beta1", "Ingress"),
    ("networking.k8s.io/v1beta1", "IngressClass"),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"),
    ("batch/v1beta1", "CronJob"),
}


def _old(document: Object) -> bool:
    """Whether no controller of today serves what a document asks for (release notes of Flux 2.7 to 2.9)."""
    api, kind = document["apiVersion"], document["kind"]
    group, _, version = api.partition("/")
    if group.removesuffix(".toolkit.fluxcd.io") in FLUX_GROUPS and group.endswith(".toolkit.fluxcd.io"):
        if kind in ("Alert", "Provider") and version == "v1beta3":
            return False
        return version in OLD_FLUX or (version == "v1beta3" and kind not in ("Alert", "Provider"))
    return (api, kind) in OLD_KUBERNETES or api == "extensions/v1beta1"


@judges("gitops.repo-api-versions", reads=("repository",))
def repo_api_versions(evidence: Evidence) -> Iterator[Finding]:
    """Nothing in Git asks for an API that is gone."""
    repository, expected = evidence.read("repository"), "API versions that are served"
    for file in repository["broken"]:
        yield failed(f"{file['file']}: {file['problem']}", expected, "the whole path is not applied", file["file"])
    documents = repository["documents"]
    old = [document for document in documents if _old(document)]
    for document in old:
        observed = f"{document['file']}: {document['kind']} {document['apiVersion']}"
        reason = f"nobody serves {document['apiVersion']} any more; flux migrate -f rewrites it"
        yield failed(observed, expected, reason, document["file"])
    if not old:
        yield passed(f"{len(documents)} documents", expected, repository["root"])


@judges("gitops.repo-layout", reads=("repository",), also=("kustomizations",))
def repo_layout(evidence: Evidence) -> Iterator[Finding]:
    """apps, infrastructure and clusters, and each path leads somewhere."""
    repository, cluster = evidence.read("repository"), evidence.settings.cluster
    wanted = ("apps", "infrastructure", f"clusters/{cluster}")
    missing = [folder for folder in wanted if folder not in repository["folders"]]
    expected, root = ", ".join(wanted), repository["root"]
    if missing:
        reason = "whoever looks for the cluster's own part, or the applications', finds it by these names"
        yield failed(f"no {', no '.join(missing)}", expected, reason, root)
    else:
        yield passed("apps, infrastructure, clusters", expected, root)
    filled = {PurePosixPath(document["file"]).parent.as_posix() for document in repository["documents"]}
    for document in repository["documents"]:
        if document["kind"] != "Kustomization" or "kustomize.toolkit.fluxcd.io" not in document["apiVersion"]:
            continue
        path = PurePosixPath(str(at(document, "spec.path") or ".").removeprefix("./") or ".").as_posix()
        if not any(folder == path or folder.startswith(f"{path}/") or path == "." for folder in filled):
            observed = f"{document['file']}: path {path}"
            yield failed(observed, "a folder with manifests", f"there is nothing at {path}", document["file"])
    yield from _root(evidence, cluster)


def _root(evidence: Evidence, cluster: str) -> Iterator[Finding]:
    for item in evidence.maybe("kustomizations") or []:
        if (item["namespace"], item["name"]) == ("flux-system", "flux-system"):
            path = str(at(item, "spec.path") or "").strip("./")
            if path != f"clusters/{cluster}":
                reason = "the cluster follows another cluster's part of the repository"
                yield warned(f"the root follows ./{path}", f"./clusters/{cluster}", reason, evidence.cluster_id)


@judges("gitops.plaintext-secrets", reads=("repository",))
def plaintext_secrets(evidence: Evidence) -> Iterator[Finding]:
    """No Secret whose values anyone can read. Names of files and keys are told, values never."""
    repository, expected = evidence.read("repository"), "no Secret, or one that SOPS has encrypted"
    found = [document for document in repository["documents"] if same(document["kind"], "Secret")]
    generated = [document for document in repository["documents"] if document.get("literals")]
    for document in generated:
        observed = f"{document['file']}: secretGenerator with {document['literals']} literals"
        yield failed(observed, expected, "the literals are in Git, and stay in its history", document["file"])
    if not found and not generated:
        yield passed("no Secret", expected, repository["root"])
    decrypting = any(at(d, "spec.decryption.provider") == "sops" for d in repository["documents"])
    for document in found:
        yield _secret(document, decrypting, expected)


def _secret(document: Object, decrypting: bool, expected: str) -> Finding:
    plain = sorted(key for key, state in document["keys"].items() if state == "plain")
    title = f"{document['file']}: Secret {document['name']}"
    if not document["keys"]:
        return skipped(f"{title} has no values", expected, document["file"])
    if plain:
        reason = "everybody who may read the repository has it, for ever: take it back, then take it out"
        return failed(f"{title}, in clear: {', '.join(plain)}", expected, reason, document["file"])
    if not document["sops"] or not decrypting:
        reason = "no Kustomization names decryption.provider sops, so Flux applies the cipher"
        return failed(f"{title} is encrypted, and nobody decrypts it", expected, reason, document["file"])
    return passed(f"{title} is encrypted", expected, document["file"])
