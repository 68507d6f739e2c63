"""NamespaceLifecycle: nothing is created in a namespace that is missing or going."""

from __future__ import annotations

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.admission.attributes import CREATE, DELETE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle(Plugin):
    """Refuses creation in missing and terminating namespaces, and deletion of the system's own."""

    async def mutate(self, attrs: Attributes) -> None:
        if attrs.of("", "Namespace"):
            if attrs.operation == DELETE and attrs.name in _IMMORTAL:
                raise errors.forbidden("namespaces", attrs.name, "this namespace may not be deleted")
            return
        if (
            not attrs.namespace
            or attrs.operation == DELETE
            or attrs.of("authorization.k8s.io", "LocalSubjectAccessReview")
        ):
            return
        namespace = self.server.peek("namespaces", "", attrs.namespace)
        if namespace is None:
            raise errors.not_found("namespaces", attrs.namespace)
        if attrs.operation == CREATE and (namespace.get("status") or {}).get("phase") == "Terminating":
            cause = f"unable to create new content in namespace {attrs.namespace} because it is being terminated"
            error = attrs.forbidden(cause)
            message = f"namespace {attrs.namespace} is being terminated"
            causes = [{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]
            error.details = {**(error.details or {}), "causes": causes}
            raise error
