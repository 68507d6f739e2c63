"""POST serviceaccounts/token: a token for a service account.

Rules and texts: k8s.io/kubernetes, pkg/registry/core/serviceaccount/storage/token.go.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, negotiation, options
from azsandbox.kubernetes.request import GroupVersionKind, Object, Request, Response
from azsandbox.kubernetes.validation.errors import FieldError, invalid
from azsandbox.kubernetes.verbs import writing

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

REQUEST = GroupVersionKind("authentication.k8s.io", "v1", "TokenRequest")
HOUR, LEAST, MOST = 3600, 600, 1 << 32  # seconds
# a pod's own token lives a year for clients that never read it again, and warns after 3607 s
EXTENDED, WARN_AFTER = 365 * 24 * HOUR, 3607


async def answer(server: ApiServer, request: Request) -> Response:
    """Issues a token for the audiences, time and bound object that the body names."""
    if request.verb != "create":
        raise errors.method_not_allowed()
    resource = request.resource
    assert resource is not None
    negotiation.produced(request)
    negotiation.accepted(request, tables=False)
    options.write_options(request, "CreateOptions")
    body = writing.read_body(server, request, REQUEST)
    writing.check_names(request, resource, body, "")
    if server.peek("namespaces", "", request.namespace) is None:
        raise errors.not_found("namespaces", request.namespace)
    account = _account(server, request, body["metadata"])
    spec = body.setdefault("spec", {})
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = HOUR
    seconds = spec["expirationSeconds"]
    found: list[FieldError] = []
    if seconds < LEAST:
        found.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MOST:
        found.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    if found:
        raise errors.invalid("TokenRequest", "authentication.k8s.io", "", found)
    audiences = list(spec.get("audiences") or server.tokens.audiences)
    bound, node = _bound(server, request, spec.get("boundObjectRef"))
    lasting = EXTENDED if seconds == WARN_AFTER and bound and bound["kind"] == "Pod" else seconds
    token = server.tokens.issue(account, audiences, lasting, bound, node)
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    server.types.record_update(
        server.types.named(REQUEST), resource, body, None, options.field_manager(request), "token", REQUEST.api_version
    )
    kept = ("name", "namespace", "uid", "managedFields")
    metadata = {key: value for key, value in body["metadata"].items() if key in kept}
    metadata["creationTimestamp"] = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    out: Object = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": metadata,
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec.get("boundObjectRef")},
        "status": {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }
    return answers.respond(request, out, 201)


def _account(server: ApiServer, request: Request, metadata: Object) -> Object:
    """The account of the path; fills in its name and uid. Raises 404, and 409 or 422 if the body means another one."""
    resource = request.resource
    assert resource is not None
    name = metadata.get("name")
    if name and name != request.name:
        found = [invalid("metadata.name", name, "must match the service account name if specified")]
        raise errors.invalid("TokenRequest", REQUEST.group, request.name, found)
    account = server.registry.get(resource, request.namespace, request.name)
    uid, actual = metadata.get("uid"), account["metadata"]["uid"]
    if uid and uid != actual:
        text = f"the UID in the token request ({uid}) does not match the UID of the service account ({actual})"
        raise errors.conflict("TokenRequest", request.name, text, REQUEST.group)
    metadata |= {"name": request.name, "uid": actual}
    return account


def _bound(server: ApiServer, request: Request, ref: Object | None) -> tuple[Object | None, Object | None]:
    """The object that a token is to live with, and a pod's node. Raises 400, 404, 409."""
    if not ref:
        return None, None
    kind = (ref.get("apiVersion", ""), ref.get("kind", ""))
    names = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}
    if kind not in names:
        group_version = f"{kind[0]}, Kind={kind[1]}" if "/" in kind[0] else f"/{kind[0]}, Kind={kind[1]}"
        raise errors.bad_request(f"cannot bind token to object of type {group_version}")
    namespace = "" if kind[1] == "Node" else request.namespace
    name = ref.get("name", "")
    found = server.peek(names[kind], namespace, name)
    if found is None:
        raise errors.not_found(names[kind], name)
    if kind[1] == "Pod":
        account = found["spec"].get("serviceAccountName")
        if account != request.name:
            text = f'cannot bind token for serviceaccount "{request.name}" to pod running with different serviceaccount name.'
            raise errors.bad_request(text)
    uid = found["metadata"]["uid"]
    if ref.get("uid") and ref["uid"] != uid:
        cause = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
        cause += "The object might have been deleted and then recreated"
        raise errors.conflict(kind[1], name, cause)
    node = server.peek("nodes", "", found["spec"].get("nodeName", "")) if kind[1] == "Pod" else None
    return found, node
