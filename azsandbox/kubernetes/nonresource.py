"""Paths that are no resources: version, health, discovery, OpenAPI, keys of the token issuer."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import orjson

from azsandbox.kubernetes import answers, errors, negotiation
from azsandbox.kubernetes.request import Object, Request, Response

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

TEXT = "text/plain; charset=utf-8"

_POST_START = [
    "start-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller",
    "start-legacy-token-tracking-controller",
    "start-service-ip-repair-controllers",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer",
    "bootstrap-controller",
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
    "apiservice-registration-controller",
    "apiservice-discovery-controller",
    "kube-apiserver-autoregistration",
]
_HOOKS = [f"poststarthook/{name}" for name in _POST_START]
_CHECKS = {
    "healthz": ["ping", "log", "etcd", *_HOOKS, "autoregister-completion"],
    "livez": ["ping", "log", "etcd", *_HOOKS, "autoregister-completion"],
    "readyz": [
        "ping",
        "log",
        "etcd",
        "etcd-readiness",
        "informer-sync",
        *_HOOKS,
        "autoregister-completion",
        "shutdown",
    ],
}


def missing() -> Response:
    """What a path gets that nothing is installed at."""
    return Response(404, b"404 page not found\n", content_type=TEXT)


async def answer(server: ApiServer, request: Request) -> Response:
    """Answers a path that names no resource."""
    parts = request.path.strip("/").split("/")
    root = parts[0]
    if ("" in parts and root) or request.path.startswith("//"):
        return missing()
    if root in ("api", "apis"):
        if len(parts) <= (2 if root == "api" else 3):
            return await server.discovery.answer(request)
        return missing()
    if root in _CHECKS:
        return _health(request, parts)
    if root == "version":
        if request.method != "GET":
            raise errors.method_not_allowed()
        return answers.respond(request, version(server), 200, negotiation.Accepted())
    if root == "openapi":
        return server.types.openapi(server, request)
    if request.path == "/.well-known/openid-configuration":
        return answers.respond(request, server.tokens.openid_configuration())
    if request.path == "/openid/v1/jwks":
        return Response(200, orjson.dumps(server.tokens.jwks()), content_type="application/jwk-set+json")
    if request.path == "/":
        return answers.respond(request, {"paths": sorted(_paths(server))})
    return missing()


def version(server: ApiServer) -> Object:
    """The answer of /version. The fields of a build are those of the sandbox, not of a Go program."""
    major, minor = server.version.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": server.version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def _health(request: Request, parts: list[str]) -> Response:
    checks = _CHECKS[parts[0]]
    if len(parts) > 1:
        if "/".join(parts[1:]) in checks:
            return Response(200, b"ok", content_type=TEXT)
        return missing()
    excluded = [name for name in request.query.get("exclude", []) if name]
    if "verbose" not in request.query:
        return Response(200, b"ok", content_type=TEXT)
    lines = [f"[+]{name} excluded: ok" if name in excluded else f"[+]{name} ok" for name in checks]
    unknown = [f'"{name}"' for name in excluded if name not in checks]
    if unknown:
        lines.append(f"warn: some health checks cannot be excluded: no matches for {', '.join(unknown)}")
    lines.append(f"{parts[0]} check passed\n")
    return Response(200, "\n".join(lines).encode(), content_type=TEXT)


def _paths(server: ApiServer) -> list[str]:
    found = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/openapi/v2", "/openapi/v3"]
    found += ["/openapi/v3/", "/openid/v1/jwks", "/version"]
    for name, checks in _CHECKS.items():
        found += [f"/{name}", *(f"/{name}/{check}" for check in checks)]
    for group in server.resources.groups():
        if group:
            found += [f"/apis/{group}", *(f"/apis/{group}/{v}" for v in server.resources.versions(group))]
    return found
