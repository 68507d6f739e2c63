"""Takes Flux out of a cluster as `flux uninstall` does: what Flux has applied stays, and nothing waits for Flux.

The order is that command's (fluxcd/flux2, cmd/flux/uninstall.go and pkg/uninstall, read in November 2026): the
controllers with their accounts and rights, so that nobody acts on what follows; then the finalizers of every object of
Flux in every namespace, which only those controllers would have taken off; then the definitions, and with them the
objects; then the namespace. A finalizer that is left keeps the namespace Terminating for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from labkit.errors import LabError
from labkit.output import Output

Kubectl = Callable[..., Output]
Object = dict[str, Any]

PART = "app.kubernetes.io/part-of=flux"
"""The label of everything that is Flux's own."""
AZURES = "fluxconfigs.clusterconfig.azure.com"
"""The definition that only Azure's extension brings."""
INSIDE = ("deployments", "services", "networkpolicies", "serviceaccounts")
AROUND = ("clusterroles", "clusterrolebindings")
SECONDS = 60
"""How long the cluster may take over one of the steps."""
FREE = '{"metadata":{"finalizers":null}}'
ROUNDS = 5
"""How often finalizers are looked for: while a removal that was begun goes on, objects and their kinds disappear."""


def uninstall(kubectl: Kubectl, namespace: str, say: Callable[[str], object] = print) -> None:
    """Removes the Flux that is in `namespace`; safe to do again, also after it was broken off.

    `kubectl` runs it with a list of words, and takes `input` and `check`. Raises LabError where Azure's extension keeps
    Flux, and for a namespace that does not go.
    """
    if azures(kubectl):
        message = "Flux is kept here by Azure's extension microsoft.flux; expected one that was bootstrapped."
        raise LabError(message, "az k8s-extension delete --name flux, and the Flux configurations before it")
    remove(kubectl, namespace, say)


def remove(kubectl: Kubectl, namespace: str, say: Callable[[str], object] = print) -> None:
    """As `uninstall`, of a Flux that Azure's extension does not keep, as whoever calls has seen (`azures`)."""
    limit = f"--timeout={SECONDS}s"
    say(f"Deleting the components in the namespace {namespace}")
    # Foreground: a Deployment goes when its pods have gone, so that no controller puts a finalizer back.
    kubectl(["delete", ",".join(INSIDE), "-n", namespace, "-l", PART, "--cascade=foreground", limit])
    kubectl(["delete", ",".join(AROUND), "-l", PART, limit])
    say("Taking the finalizers off the objects of toolkit.fluxcd.io in all namespaces")
    free(kubectl)
    say("Deleting the definitions of toolkit.fluxcd.io")
    kubectl(["delete", "crd", "-l", PART, limit])
    say(f"Deleting the namespace {namespace}")
    ended = kubectl(["delete", "namespace", namespace, "--ignore-not-found", limit], check=False)
    if not ended.ok:
        message = f"the namespace {namespace} must be gone; found it after {SECONDS} s: {_state(kubectl, namespace)}."
        raise LabError(message, f"kubectl get namespace {namespace} --output yaml")


def begun(kubectl: Kubectl, namespace: str) -> bool:
    """True where the namespace or a definition of Flux is being deleted: a removal was begun and has not ended."""
    going = "{.metadata.deletionTimestamp}"
    one = kubectl(["get", "namespace", namespace, "--ignore-not-found", "-o", f"jsonpath={going}"], check=False)
    if one.stdout.strip():
        return True
    every = kubectl(["get", "crd", "-l", PART, "-o", f"jsonpath={{.items[*]{going.strip('{}')}}}"], check=False)
    return bool(every.stdout.strip())


def installed(kubectl: Kubectl) -> bool:
    """True where Flux is in the cluster and Azure's extension is not: a bootstrap, or what is left of one."""
    found = _definitions(kubectl)
    return bool(found) and AZURES not in found


def azures(kubectl: Kubectl) -> bool:
    """True where Azure's extension keeps Flux: it would put back what is taken away."""
    return AZURES in _definitions(kubectl)


def free(kubectl: Kubectl) -> None:
    """Takes the finalizers off all objects of Flux's kinds. Raises LabError naming what keeps one."""
    held: list[Object] = []
    for _ in range(ROUNDS):
        held = list(_held(kubectl))
        if not held:
            return
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": held})
        kubectl(["patch", "-f", "-", "--type", "merge", "-p", FREE], input=document, check=False)
    names = ", ".join(f"{o['kind']} {o['metadata'].get('namespace', '')}/{o['metadata']['name']}" for o in held)
    raise LabError(
        f"objects of Flux must have no finalizers; found some on {names}.", "kubectl edit, and take them off"
    )


def _held(kubectl: Kubectl) -> Iterator[Object]:
    """What says which object it is, of each object of Flux that has finalizers."""
    kinds = _definitions(kubectl)
    if not kinds:
        return
    found = kubectl(["get", ",".join(kinds), "--all-namespaces", "-o", "json"], check=False)
    for item in (json.loads(found.stdout) if found.stdout.strip() else {}).get("items") or []:
        metadata = item["metadata"]
        if metadata.get("finalizers"):
            names = {part: metadata[part] for part in ("name", "namespace") if part in metadata}
            yield {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": names}


def _definitions(kubectl: Kubectl) -> list[str]:
    """Names of Flux's definitions; none where they may not be read, as for a moment in a new cluster."""
    # As a table: the server sends names then, and not the schemas, which are megabytes.
    lines = kubectl(["get", "crd", "-l", PART, "--no-headers"], check=False).stdout.splitlines()
    return [line.split()[0] for line in lines]


def _state(kubectl: Kubectl, namespace: str) -> str:
    """Why a namespace does not go, in its own words."""
    found = kubectl(["get", "namespace", namespace, "-o", "json"], check=False)
    status = (json.loads(found.stdout) if found.stdout.strip() else {}).get("status") or {}
    said = [c.get("message", "") for c in status.get("conditions") or [] if c.get("status") == "True"]
    return " ".join([status.get("phase", "not there"), *said])
