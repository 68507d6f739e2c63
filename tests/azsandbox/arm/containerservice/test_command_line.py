"""Which kubectl commands runCommand takes."""

from __future__ import annotations

import pytest

from azsandbox.arm.errors import ArmError
from azsandbox.arm.providers.containerservice.command_line import parse


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get pods -A",
        "kubectl -n kube-system get pods -o wide --show-labels",
        "kubectl get pods -nkube-system -o jsonpath='{.items[*].metadata.name}'",
        "kubectl get --raw /readyz",
        "kubectl logs -f deploy/web -p --tail 5",
        "kubectl exec web -it -- cat -f /etc/hostname",
        "kubectl patch deploy web -p '{}' --type merge",
        "kubectl apply view-last-applied deploy/web",
        "kubectl create deployment web --image=nginx -r 2 --dry-run -o yaml",
        "kubectl create configmap c --from-literal a=b --save-config",
        "kubectl label pods web a=b --overwrite -l app=web",
        "kubectl set env deploy/web -e A=b",
        "kubectl run web --image nginx -- --server=elsewhere",
        "kubectl auth can-i '*' '*' -A",
    ],
)
def test_what_acts_on_the_cluster_alone_is_taken(command: str) -> None:
    assert parse(command)[0] == "kubectl"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("kubectl proxy --address 0.0.0.0", "'kubectl proxy'"),
        ("kubectl -n a port-forward svc/web 1:2", "'kubectl port-forward'"),
        ("kubectl edit deploy/web", "'kubectl edit'"),
        ("kubectl apply edit-last-applied deploy/web", "'kubectl apply edit-last-applied'"),
        ("kubectl cp /etc/passwd web:/tmp", "'kubectl cp'"),
        ("kubectl config view --raw", "'kubectl config'"),
        ("kubectl kustomize /etc", "'kubectl kustomize'"),
        ("kubectl plugin list", "'kubectl plugin'"),
        ("kubectl my-own-plugin", "'kubectl my-own-plugin'"),
        ("kubectl create my-own-plugin", "'kubectl create my-own-plugin'"),
        ("kubectl apply -f /etc/passwd", "'--filename'"),
        ("kubectl apply -Rf/etc/passwd", "'--filename'"),
        ("kubectl create -n a configmap c --from-file=/etc/passwd", "'--from-file'"),
        ("kubectl create secret generic c --from-env-file /etc/passwd", "'--from-env-file'"),
        ("kubectl create secret tls c --cert=/etc/a --key=/etc/b", "'--cert'"),
        ("kubectl patch deploy web --patch-file /etc/passwd", "'--patch-file'"),
        ("kubectl get pods -o go-template-file=/etc/passwd", "'go-template-file'"),
        ("kubectl get pods -Aojsonpath-file=/etc/passwd", "'jsonpath-file'"),
        ("kubectl get pods --output templatefile --template /etc/passwd", "'templatefile'"),
        ("kubectl get pods -o=custom-columns-file=/etc/passwd", "'custom-columns-file'"),
        ("kubectl cluster-info dump --output-directory=/tmp/x", "'--output-directory'"),
        ("kubectl get pods --profile=cpu --profile-output=/tmp/x", "'--profile'"),
        ("kubectl get pods --cache-dir /tmp/x", "'--cache-dir'"),
        ("kubectl --kubeconfig=/etc/x get pods", "'--kubeconfig'"),
        ("kubectl get pods --client-key /etc/x", "'--client-key'"),
        ("kubectl get pods -As=http://127.0.0.1:1", "'--server'"),
        ("kubectl get pods --server https://elsewhere", "'--server'"),
        ("kubectl create deployment web --image nginx --edit", "'--edit'"),
        ("kubectl get pods --from_file=/etc/passwd", "'--from_file'"),
        ("kubectl get pods -Z", "'-Z'"),
        ("kubectl get pods | wc -l", "shell syntax"),
        ("helm list", "'helm'"),
    ],
)
def test_what_reaches_beyond_the_cluster_is_refused_by_name(command: str, named: str) -> None:
    with pytest.raises(ArmError) as refused:
        parse(command)
    assert (refused.value.code, named in refused.value.message) == ("NotSupportedInSandbox", True), (
        refused.value.message
    )
