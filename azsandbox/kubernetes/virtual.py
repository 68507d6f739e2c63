"""Kinds that are questions, not objects: reviews of access and of tokens, bindings, component statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes import answers, errors, options
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import Object, Request, Response, User
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation.errors import FieldError, invalid
from azsandbox.kubernetes.verbs import writing
from azsandbox.store import Record

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

_GROUPS = ("authentication.k8s.io", "authorization.k8s.io")


def serves(resource: Resource) -> bool:
    """Whether a resource is one of these."""
    return resource.group in _GROUPS or resource.qualified in ("bindings", "componentstatuses")


async def answer(server: ApiServer, request: Request) -> Response:
    resource = request.resource
    assert resource is not None
    if resource.qualified == "componentstatuses":
        return await _component_statuses(server, request, resource)
    if request.name:
        raise errors.page_not_found()
    if request.verb != "create":
        raise errors.method_not_allowed()
    options.write_options(request, "CreateOptions")
    if resource.qualified == "bindings":
        return await _binding(server, request)
    review = writing.read_body(server, request, resource.gvk)
    if resource.namespaced:
        found = (review.get("metadata") or {}).get("namespace")
        if found and found != request.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        review.setdefault("metadata", {})["namespace"] = request.namespace
    review.setdefault("metadata", {})
    review.setdefault("spec", {})
    if resource.kind != "SelfSubjectReview":
        server.record_update(resource, review, None, options.field_manager(request), "")
    review["status"] = _REVIEWS[resource.kind](server, request, review)
    if resource.kind == "SelfSubjectReview":
        review.pop("spec", None)
        review["metadata"] = {"creationTimestamp": _now()}
    return answers.respond(request, review, 201)


def _now() -> str:
    from azsandbox.kubernetes.registry import now

    return now()


async def _binding(server: ApiServer, request: Request) -> Response:
    """POST bindings: the old form of pods/binding."""
    from azsandbox.kubernetes.subresources import binding as pod_binding

    body = writing.read_body(server, request, request.resource.gvk) if request.resource else {}
    request.name = (body.get("metadata") or {}).get("name", "")
    request.resource = server.resource("pods")
    return await pod_binding.answer(server, request)


async def _component_statuses(server: ApiServer, request: Request, resource: Resource) -> Response:
    """What kubectl get componentstatuses shows: the parts of a control plane, all of them in this process."""
    if request.verb not in ("get", "list", "watch"):
        raise errors.method_not_allowed()
    request.warnings.append("v1 ComponentStatus is deprecated in v1.19+")
    if request.verb == "watch":
        raise errors.method_not_allowed('watch is not supported on resources of kind "componentstatuses"')
    items: list[Object] = []
    for name in ("controller-manager", "scheduler", "etcd-0"):
        condition = {"type": "Healthy", "status": "True", "message": "ok"}
        items.append({"metadata": {"name": name}, "conditions": [condition]})
    if request.verb == "list":
        records = [Record(item["metadata"]["name"], orjson.dumps(item), 0, 0) for item in items]
        return await answers.stored_list(server, request, resource, records, {})
    found = next((item for item in items if item["metadata"]["name"] == request.name), None)
    if request.verb != "get":
        raise errors.method_not_allowed()
    if found is None:
        raise errors.not_found("componentstatus", request.name)
    return await answers.obj(server, request, resource, {"kind": "ComponentStatus", "apiVersion": "v1", **found})


# --- access


def _question(spec: Object, user: User) -> Question:
    attributes = spec.get("resourceAttributes")
    if attributes:
        return Question(
            user,
            attributes.get("verb", ""),
            attributes.get("group", ""),
            attributes.get("version", ""),
            attributes.get("resource", ""),
            attributes.get("subresource", ""),
            attributes.get("namespace", ""),
            attributes.get("name", ""),
        )
    paths = spec.get("nonResourceAttributes") or {}
    return Question(user, paths.get("verb", ""), path=paths.get("path") or "/")


def _check_attributes(spec: Object) -> list[FieldError]:
    both = spec.get("resourceAttributes") is not None and spec.get("nonResourceAttributes") is not None
    neither = spec.get("resourceAttributes") is None and spec.get("nonResourceAttributes") is None
    if both:
        text = "cannot be specified in combination with resourceAttributes"
        return [invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], text)]
    if neither:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [invalid("spec.resourceAttributes", spec.get("nonResourceAttributes"), text)]
    return []


def _access(server: ApiServer, question: Question) -> Object:
    decision = server.authorization.decide(question)
    status: Object = {"allowed": decision.allowed}
    if decision.denied:
        status["denied"] = True
    if decision.reason:
        status["reason"] = decision.reason
    return status


def _check_metadata(review: Object, kept: tuple[str, ...] = ()) -> list[FieldError]:
    """A review has no metadata, but for its namespace where it has one."""
    metadata = {key: value for key, value in review["metadata"].items() if key not in ("managedFields", "selfLink")}
    if not {key: value for key, value in metadata.items() if value and key not in kept}:
        return []
    text = "must be empty except for namespace" if kept else "must be empty"
    return [invalid("metadata", metadata, text)]


def _self_access(server: ApiServer, request: Request, review: Object) -> Object:
    found = _check_attributes(review["spec"]) + _check_metadata(review)
    if found:
        raise errors.invalid("", "authorization.k8s.io", "", found)
    return _access(server, _question(review["spec"], request.user))


def _reviewed(spec: Object) -> User:
    extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _subject_access(server: ApiServer, request: Request, review: Object) -> Object:
    spec = review["spec"]
    found = _check_attributes(spec)
    if not spec.get("user") and not spec.get("groups"):
        found.append(invalid("spec.user", spec.get("user", ""), "at least one of user or group must be specified"))
    found += _check_metadata(review)
    if found:
        raise errors.invalid("", "authorization.k8s.io", "", found)
    return _access(server, _question(spec, _reviewed(spec)))


def _local_access(server: ApiServer, request: Request, review: Object) -> Object:
    spec = review["spec"]
    found = _check_attributes(spec)
    if not spec.get("user") and not spec.get("groups"):
        found.append(invalid("spec.user", spec.get("user", ""), "at least one of user or group must be specified"))
    attributes = spec.get("resourceAttributes")
    namespace = review["metadata"].get("namespace")
    if attributes is not None and attributes.get("namespace") != namespace:
        text = "must match metadata.namespace"
        found.append(invalid("spec.resourceAttributes.namespace", attributes.get("namespace", ""), text))
    if spec.get("nonResourceAttributes") is not None:
        text = "disallowed on this kind of request"
        found.append(invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], text))
    if found:
        raise errors.invalid("", "authorization.k8s.io", "", found)
    return _access(server, _question(spec, _reviewed(spec)))


def _self_rules(server: ApiServer, request: Request, review: Object) -> Object:
    namespace = review["spec"].get("namespace", "")
    if not namespace:
        raise errors.bad_request("no namespace on request")
    resources: list[Object] = []
    paths: list[Object] = []
    problems: list[str] = []
    for rule, _, error in server.authorization.rbac.rules(request.user, namespace):
        if error:
            problems.append(error)
        elif rule.get("nonResourceURLs"):
            paths.append({key: rule[key] for key in ("verbs", "nonResourceURLs") if rule.get(key)})
        else:
            kept = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({key: rule[key] for key in kept if rule.get(key)})
    problems += [text for authorizer in server.authorization.unresolved if (text := authorizer())]
    review["metadata"], review["spec"] = {}, {}  # nothing of the question comes back
    status: Object = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": bool(problems)}
    if problems:
        texts = list(dict.fromkeys(problems))
        status["evaluationError"] = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return status


# --- identity


def user_info(user: User) -> Object:
    """A user as reviews show them."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _self_subject(server: ApiServer, request: Request, review: Object) -> Object:
    return {"userInfo": user_info(request.user)}


def _token(server: ApiServer, request: Request, review: Object) -> Object:
    spec = review["spec"]
    token = spec.get("token", "")
    if not token:
        raise errors.bad_request("token is required for TokenReview in authentication")
    audiences = list(spec.get("audiences") or server.tokens.audiences)
    user = server.tokens.user_of(token, audiences)
    if user is not None:
        claims = server.tokens.claims_of(token) or {}
        valid = [a for a in audiences if a in (claims.get("aud") or audiences)]
        return {"authenticated": True, "user": user_info(user), "audiences": valid}
    user = server.authentication.user_of(token)
    if user is not None and not spec.get("audiences"):
        return {"authenticated": True, "user": user_info(user), "audiences": audiences}
    signed = server.tokens.claims_of(token)
    if signed is not None and not set(signed.get("aud") or ()) & set(audiences):
        texts = " ".join(signed.get("aud") or ())
        error = f"[invalid bearer token, token audiences {_go_strings(texts)} is invalid for the target audiences {_go_strings(' '.join(audiences))}]"
        return {"user": {}, "error": error}
    return {"user": {}, "error": "invalid bearer token"}


def _go_strings(text: str) -> str:
    return "[" + " ".join(f'"{word}"' for word in text.split()) + "]"


_REVIEWS: dict[str, Any] = {
    "SelfSubjectAccessReview": _self_access,
    "SubjectAccessReview": _subject_access,
    "LocalSubjectAccessReview": _local_access,
    "SelfSubjectRulesReview": _self_rules,
    "SelfSubjectReview": _self_subject,
    "TokenReview": _token,
}
