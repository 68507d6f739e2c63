"""What the extension's operator tells of a release that cannot be installed, in its words.

Azure/azure-sdk-for-go issue 21668 (a release that does not come up), hashicorp/terraform-provider-azurerm issue 24547 (the
cluster refuses), Microsoft Learn, "Troubleshoot Azure App Configuration extension installation errors" (objects that are
there already), fluxcd/flux2 issue 4462 (the frame).
"""

from __future__ import annotations

from azsandbox.aks.gitops import facts
from azsandbox.arm import errors

CODE = "ExtensionOperationFailed"
FRAME = "The extension operation failed with the following error:  "
TROUBLESHOOTING = "For general troubleshooting visit: https://aka.ms/k8s-extensions-TSG."
UNINSTALLED = "release flux failed, and has been uninstalled due to atomic being set: "


def failed(reason: str) -> errors.ArmError:
    """The error of an operation that failed for `reason`."""
    return errors.ArmError(400, CODE, f"{FRAME}{reason}, {TROUBLESHOOTING}")


def timed_out(deployment: str, kind: str) -> errors.ArmError:
    """A Deployment that did not come up in time; `kind` is that of the operation: create or update."""
    what = (
        "Timed out waiting for the resource to come to a ready/completed stateDeployment is not ready: "
        f"{facts.namespace()}/{deployment}. 0 out of 1 expected pods are ready : "
        "Recommendation Please contact Microsoft support for further inquiries"
    )
    return _helm(what, f"{_gone(kind)}timed out waiting for the condition", kind)


def refused(message: str, kind: str) -> errors.ArmError:
    """An object that the cluster did not take; `message` is the API server's."""
    what = (
        "Unable to create/update Kubernetes resources for the extension : Recommendation Please check that there are no "
        "policies blocking the resource creation/update for the extension"
    )
    return _helm(what, f"{_gone(kind)}{message}", kind)


def existing(conflict: str, kind: str) -> errors.ArmError:
    """An object that is there and not of this release; `conflict` is Helm's sentence about it."""
    what = (
        "Resource already existing in your cluster : Recommendation Manually delete the resource(s) that currently exist in "
        "your cluster and try installation again. To delete these resources run the following commands: kubectl delete "
        "<resource type> -n <resource namespace> <resource name>"
    )
    return _helm(what, f"rendered manifests contain a resource that already exists. {conflict}", kind)


def _helm(what: str, inner: str, kind: str) -> errors.ArmError:
    action, verb = ("installation", "Create") if kind == "create" else ("upgrade", "Update")
    return failed(
        f"Error: [ InnerError: [Helm {action} failed : {what} : InnerError [{inner}]]] occurred while doing the "
        f"operation : [{verb}] on the config"
    )


def _gone(kind: str) -> str:
    """A new release is taken away again."""
    return UNINSTALLED if kind == "create" else ""
