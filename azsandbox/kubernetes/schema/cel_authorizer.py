"""CEL's authorizer: expressions that ask whether somebody may do something.

Source: k8s.io/apiserver, pkg/cel/library/authz.go. An authorizer and its checks are maps while an expression runs;
who answers is said by `asking` around the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_KEY = "authorizer"


@dataclass(frozen=True)
class Check:
    """What an expression asks. `user` is "" for who made the request."""

    verb: str
    user: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


Answer = Callable[[Check], tuple[bool, str]]  # whether it is allowed, and why
_answer: ContextVar[Answer] = ContextVar("answer")

AUTHORIZER: dict[str, Any] = {_KEY: {}}  # the value of the variable `authorizer`


@contextmanager
def asking(answer: Answer) -> Iterator[None]:
    """Has checks of expressions answered by `answer`."""
    token = _answer.set(answer)
    try:
        yield
    finally:
        _answer.reset(token)


def resource_check(group: str, resource: str, subresource: str, namespace: str, name: str) -> dict[str, Any]:
    """The value of `authorizer.requestResource`."""
    known = {"group": group, "resource": resource, "subresource": subresource, "namespace": namespace, "name": name}
    return {_KEY: known}


def _with(field: str) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    return lambda value, text: {_KEY: {**value[_KEY], field: text}}


def _service_account(value: Mapping[str, Any], namespace: str, name: str) -> dict[str, Any]:
    return {_KEY: {**value[_KEY], "user": f"system:serviceaccount:{namespace}:{name}"}}


def _decision(value: Mapping[str, Any], verb: str) -> dict[str, Any]:
    allowed, reason = _answer.get()(Check(verb, **value[_KEY]))
    return {"decision": {"allowed": allowed, "reason": reason}}


def declare(add: Callable[..., None], kinds: Any, named: Callable[[str], Any]) -> None:
    """Enters the functions: `named` gives the type of an authorizer's part."""
    text, flag = kinds.STRING, kinds.BOOL
    authorizer, path, group = named("Authorizer"), named("PathCheck"), named("GroupCheck")
    resource, decision = named("ResourceCheck"), named("Decision")
    add("path", path, [authorizer, text], _with("path"))
    add("group", group, [authorizer, text], _with("group"))
    add("serviceAccount", authorizer, [authorizer, text, text], _service_account)
    add("resource", resource, [group, text], _with("resource"))
    for key in ("subresource", "namespace", "name"):
        add(key, resource, [resource, text], _with(key))
    for key in ("fieldSelector", "labelSelector"):
        add(key, resource, [resource, text], lambda value, _: value)
    add("check", decision, [path, text], _decision)
    if path is not resource:
        add("check", decision, [resource, text], _decision)
    add("allowed", flag, [decision], lambda value: value["decision"]["allowed"])
    add("reason", text, [decision], lambda value: value["decision"]["reason"])
    add("errored", flag, [decision], lambda _: False)
    add("error", text, [decision], lambda _: "")
