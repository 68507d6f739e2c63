"""The API server: one request in, one answer out.

A request is authenticated, authorized, and handed to a verb, a sub-resource, discovery or a
health check. What the verbs need of types, admission and storage hangs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes import answers, errors, negotiation, nonresource, options, paths, subresources, virtual
from azsandbox.kubernetes.admission import Admission
from azsandbox.kubernetes.admission.local_services import LocalServices
from azsandbox.kubernetes.aggregation import Aggregation, Extension
from azsandbox.kubernetes.allocators import ip_addresses
from azsandbox.kubernetes.authn import Authentication, impersonated
from azsandbox.kubernetes.authz import Authorization, Question, refusal
from azsandbox.kubernetes.custom import CustomResources
from azsandbox.kubernetes.discovery import Discovery
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.registry import Registry
from azsandbox.kubernetes.request import ANONYMOUS, GroupVersionKind, Object, Request, Response
from azsandbox.kubernetes.resources import DEFAULT_MINOR, Resource, ResourceTable
from azsandbox.kubernetes.tables.stored_rows import StoredRows
from azsandbox.kubernetes.tokens import ServiceAccountTokens
from azsandbox.kubernetes.types import Types
from azsandbox.kubernetes.verbs.create import create
from azsandbox.kubernetes.verbs.delete import delete
from azsandbox.kubernetes.verbs.delete_collection import delete_collection
from azsandbox.kubernetes.verbs.get import get
from azsandbox.kubernetes.verbs.list import list_
from azsandbox.kubernetes.verbs.patch import media_of, patch
from azsandbox.kubernetes.verbs.update import update
from azsandbox.kubernetes.verbs.watch import watch
from azsandbox.kubernetes.warnings import DEPRECATED_RESOURCES
from azsandbox.store import Bucket

if TYPE_CHECKING:
    from azsandbox.kubernetes.audit import Auditor
    from azsandbox.kubernetes.subresources.connect import Pods
    from azsandbox.kubernetes.validation.errors import FieldError

log = logging.getLogger(__name__)

VERBS = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
_METHODS = {"get": "get", "list": "list", "watch": "watch", "deletecollection": "deletecollection"}


def _is_long_running(request: Request) -> bool:
    """Whether a request may last: nothing limits its time."""
    return request.verb == "watch" or request.subresource in ("attach", "exec", "proxy", "log", "portforward")


class ApiServer:
    """A Kubernetes API over a bucket of the store.

    `version` is what /version says ("v1.35.4"); `minor` the version of its types. `address` is
    host and port as clients reach it, `secrets` keeps its signing key (see tokens).
    """

    def __init__(self, bucket: Bucket, version: str = "v1.35.4", minor: str = DEFAULT_MINOR, address: str = "") -> None:
        self.version, self.minor, self.address = version, minor, address
        self.resources = ResourceTable(minor)
        self.registry = Registry(bucket)
        self.stopping = asyncio.Event()
        self.types = Types(minor)
        self.custom = CustomResources(self)
        self.authentication = Authentication(self)
        self.tokens = ServiceAccountTokens(self)
        self.authentication.tokens.append(self.tokens.user_of)
        self.authorization = Authorization(self)
        self.admission = Admission(self)
        self.discovery = Discovery(self)
        self.extensions: dict[str, Extension] = {}  # group → what answers for an aggregated API, e.g. metrics.k8s.io
        self.aggregation = Aggregation(self)
        self.local_services: LocalServices = {}  # webhooks whose program the sandbox acts for
        self.rows = StoredRows()
        self.recent: dict[tuple[int, str, GroupVersionKind], Object] = {}  # objects of the latest events of watches
        self.pods: Pods | None = None  # answers logs, exec and attach
        self.audit: Auditor | None = None  # there while somebody listens

    # --- the pipeline

    async def handle(self, request: Request) -> Response:
        """Answers any request; errors become a Status."""
        if self.audit is None:
            return await self._answer(request)
        return await self.audit.handle(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handle(request)
        except StatusError as error:
            return self._refused(request, error)
        except asyncio.CancelledError:
            raise
        except RecursionError:
            return self._refused(request, errors.bad_request("exceeded max depth"))
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            return self._refused(request, errors.internal(f"{type(error).__name__}: {error}"))

    async def _handle(self, request: Request) -> Response:
        is_resource = paths.resolve(request, self.resources)
        if not _is_long_running(request):
            options.timeout(request)
        if request.user is ANONYMOUS:
            request.user = self.authentication.authenticate(request)
        if request.method == "HEAD":
            raise errors.method_not_allowed()
        question = Question.of(request)
        acting = impersonated(request, self._may_impersonate(request))
        if acting is not None:
            request.impersonator, request.user = request.user, acting
            question = Question.of(request)
        request.decision = self.authorization.decide(question)
        if not request.decision.allowed:
            raise refusal(question, request.decision.reason)
        aggregated = self.aggregation.covers(request.path)
        if aggregated is not None:
            answer = await self.aggregation.answer(aggregated, request)
            if answer is not None:
                return answer
        if not is_resource:
            return await nonresource.answer(self, request)
        if request.unknown:
            built_in = any(r.group == request.unknown[0] and not r.custom for r in self.resources)
            if not built_in:
                return nonresource.missing()
            raise self._unknown(request)
        return await self._resource(request)

    def _may_impersonate(self, request: Request) -> Any:
        def allow(resource: str, namespace: str, name: str, group: str) -> None:
            resource, _, sub = resource.partition("/")
            self.authorization.check(Question(request.user, "impersonate", group, "", resource, sub, namespace, name))

        return allow

    def _unknown(self, request: Request) -> StatusError:
        return errors.page_not_found()

    async def _resource(self, request: Request) -> Response:
        resource = request.resource
        assert resource is not None
        handler = subresources.find(resource, request.subresource)
        if request.subresource:
            if handler is not None:
                return await handler(self, request)
            sub = resource.subresource(request.subresource)
            if sub is None:
                if resource.custom:
                    raise errors.not_found(resource.name, request.name, resource.group)
                raise errors.page_not_found()
            if request.verb not in sub.verbs:
                raise errors.method_not_allowed()
        elif virtual.serves(resource):
            negotiation.produced(request)
            return await virtual.answer(self, request)
        elif self._needs_namespace(request, resource):
            raise errors.page_not_found() if request.name else errors.method_not_allowed()
        elif request.verb not in resource.verbs or _is_misplaced(request):
            raise errors.method_not_allowed()
        if request.verb == "patch" and not resource.custom:
            media_of(request)
        negotiation.produced(request)
        if request.verb != "watch":
            negotiation.accepted(request, custom=resource.custom)
        if resource.custom:
            warning = self.custom.deprecation(resource)
            if warning:
                request.warnings.append(warning)
        deprecated = DEPRECATED_RESOURCES.get((resource.group, resource.version, resource.name))
        if deprecated:
            request.warnings.append(deprecated)
        return await VERBS[request.verb](self, request)

    @staticmethod
    def _needs_namespace(request: Request, resource: Resource) -> bool:
        """Objects of namespaces are listed and watched over all of them, and nothing else."""
        return resource.namespaced and not request.namespace and request.verb not in ("list", "watch")

    def _refused(self, request: Request, error: StatusError) -> Response:
        if error.reason == "" and error.code == 404:
            return nonresource.missing()
        request.failure = error.status
        try:
            response = answers.respond(request, error.status, error.code)
        except StatusError:
            body = negotiation.encode(error.status, indented=True)  # as it is where the client takes no such form
            response = Response(error.code, body, warnings=request.warnings)
        response.headers.update(error.headers)
        return response

    async def stop(self) -> None:
        """Ends watches; requests that come later are still answered."""
        self.stopping.set()
        self.registry.bucket.end_watches()

    # --- reading for admission and sub-resources

    def resource(self, name: str) -> Resource:
        """A resource by qualified name: "pods", "deployments.apps". KeyError if it is not served."""
        plural, _, group = name.partition(".")
        found = self.resources.named(plural, group)
        if found is None:
            raise KeyError(name)
        return found

    def peek(self, name: str, namespace: str, key: str) -> Object | None:
        """An object, past authorization; None if it, or its resource, is not there."""
        with contextlib.suppress(KeyError):
            return self.registry.find(self.resource(name), namespace, key)
        return None

    def peek_list(self, name: str, namespace: str = "") -> list[Object]:
        """All objects of a resource, of one namespace if that is named; past authorization."""
        with contextlib.suppress(KeyError):
            return self.registry.objects(self.resource(name), namespace)
        return []

    def not_ahead(self, asked: int, exact: bool = False) -> None:
        """Raises 504 for a resourceVersion that is yet to come; `exact`: asked of the store, not of its cache."""
        current = self.registry.bucket.revision
        if asked > current:
            text = f"Too large resource version: {asked}, current: {current}"
            text = text if exact else f"Timeout: {text}"
            error = errors.timeout(text, 1)
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            error.details = {**(error.details or {}), "causes": causes}
            raise error

    # --- types: built-in or of a CRD

    def decode(self, request: Request, gvk: Any) -> Any:
        """The object of a body with warnings; see schema.decode."""
        resource = self.resources.of_kind(gvk)
        if resource is not None and resource.custom:
            return self.custom.decode(request, resource)
        return self.types.decode(request, gvk)

    def default(self, resource: Resource, obj: Object) -> None:
        """Fills in defaults, in place."""
        if resource.custom:
            self.custom.default(resource, obj)
        else:
            self.types.default(resource, obj)

    def validate_create(self, resource: Resource, obj: Object, request: Request) -> list[FieldError]:
        if resource.custom:
            return self.custom.validate_create(resource, obj)
        return self.types.validate_create(resource, obj)

    def validate_update(
        self, resource: Resource, new: Object, old: Object, subresource: str, request: Request
    ) -> list[FieldError]:
        if resource.custom:
            return self.custom.validate_update(resource, new, old, subresource)
        return self.types.validate_update(resource, new, old, subresource)

    def type_of(self, resource: Resource) -> Any:
        """The Type of a resource's objects."""
        return self.custom.type_of(resource) if resource.custom else self.types.type_of(resource)

    def record_update(
        self, resource: Resource, new: Object, old: Object | None, manager: str, subresource: str
    ) -> None:
        """Notes in managedFields what `manager` set."""
        self.types.record_update(self.type_of(resource), resource, new, old, manager, subresource)

    def apply(self, request: Request, resource: Resource, old: Object | None) -> Object:
        """The object that a server-side apply makes of `old`."""
        return self.types.apply(self, request, resource, old)

    def patched(self, request: Request, resource: Resource, media: str, old: Object) -> Object:
        """`old` with a patch applied, decoded anew."""
        return self.types.patched(self, request, resource, media, old)

    def prune_ownership(self, resource: Resource, obj: Object) -> None:
        """Empty lists of managed fields are left out of what is stored."""
        if not obj["metadata"].get("managedFields"):
            obj["metadata"].pop("managedFields", None)

    def empty(self, resource: Resource) -> Object:
        """What a built-in kind holds besides metadata when it is empty, for bookmarks."""
        return self.types.empty(resource)

    # --- allocations

    @contextlib.contextmanager
    def allocations(self, resource: Resource, new: Object, old: Object | None) -> Iterator[None]:
        """Around a write: cluster IPs that a Service takes or gives back are noted once it is stored."""
        yield
        if (resource.group, resource.kind) == ("", "Service"):
            ip_addresses.note(self, new, old)

    def released(self, resource: Resource, obj: Object) -> None:
        """After a deletion: what the object had allocated is free again."""
        if (resource.group, resource.kind) == ("", "Service"):
            self.admission.allocation.release(obj)


def _is_misplaced(request: Request) -> bool:
    """Whether a verb comes with a name that it does not take, or without one that it needs."""
    if request.verb == "create":
        return bool(request.name)
    return request.verb in ("update", "patch") and not request.name
