"""POST …/importImage: what the request must say, where the image comes from, and the copying itself."""

from __future__ import annotations

from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.ids import ResourceId, of
from azsandbox.arm.operations import Work
from azsandbox.arm.providers.containerregistry.names import REGISTRIES
from azsandbox.arm.resources import Document, Stored

SUFFIX = ".azurecr.io"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
MODES = ("NoForce", "Force")


def invalid(message: str) -> errors.ArmError:
    return errors.ArmError(400, "InvalidParameters", message)


def read(call: Call) -> Document:
    """The request as the operation needs it: source, repository, reference, targets, mode. Raises ArmError."""
    from azsandbox.registry import imports, upstream

    source = call.document.get("source")
    if not isinstance(source, dict):
        raise invalid("The parameter 'source' is required.")
    image = imports.read_image(str(source.get("sourceImage") or ""))
    if image is None:
        raise invalid(f"The source image '{source.get('sourceImage')}' is not REPOSITORY:TAG or REPOSITORY@DIGEST.")
    repository, reference = image
    uri, id_ = str(source.get("registryUri") or "").lower(), str(source.get("resourceId") or "")
    if bool(uri) == bool(id_):
        raise invalid("The source must have either a 'registryUri' or a 'resourceId'.")
    data: Document = {"reference": reference}
    if id_:
        data |= {"registry": _by_id(call, id_), "repository": repository}
    elif uri.endswith(SUFFIX):
        data |= {"registry": _by_password(call, uri, source.get("credentials") or {}), "repository": repository}
    elif host := upstream.host_of(uri):
        data |= {"host": host, "repository": upstream.repository_of(host, repository)}
    else:
        known = ", ".join(sorted(upstream.catalogue()["names"]))
        raise errors.not_supported(f"imports from {uri} (it knows images of {known}, and registries of its own)")
    return data | {"targets": _targets(call, repository, reference), "force": _mode(call) == "Force"}


def _targets(call: Call, repository: str, reference: str) -> list[list[str]]:
    from azsandbox.registry import imports

    tagged, untagged = call.document.get("targetTags") or [], call.document.get("untaggedTargetRepositories") or []
    if not tagged and not untagged:
        tagged = [f"{repository}:{reference}"] if ":" not in reference else [repository]
    targets = [(imports.read_target(str(text)), text) for text in tagged]
    targets += [(imports.read_target(f"{text}:x"), text) for text in untagged]
    for target, text in targets:
        if target is None:
            raise invalid(f"The target '{text}' is not a repository with a tag.")
    count = len(tagged)
    return [[t.repository, t.tag if at < count else ""] for at, (t, _) in enumerate(targets) if t]


def _mode(call: Call) -> str:
    mode = call.document.get("mode") or MODES[0]
    found = next((m for m in MODES if m.lower() == str(mode).lower()), None)
    if found is None:
        raise invalid(f"The value '{mode}' of the parameter 'mode' is not valid: {', '.join(MODES)}.")
    return found


def _by_id(call: Call, text: str) -> str:
    """Id of a source registry of the subscription, from which the caller must be allowed to pull."""
    try:
        id_ = of(text)
    except ValueError:
        raise invalid(f"The source '{text}' is not the id of a registry.") from None
    stored = call.arm.resources.get(id_)
    if stored is None or stored.type.lower() != REGISTRIES.lower():
        raise errors.resource_not_found(REGISTRIES, (id_.name,), id_.group)
    _may_pull(call, id_, stored)
    return stored.id


def _may_pull(call: Call, id_: ResourceId, stored: Stored) -> None:
    permissions = call.arm.services.registries.permissions
    registry = call.arm.services.registries.get(stored.name)
    caller = permissions.principal(call.identity.object_id)
    if registry is None or caller is None or "read" not in permissions.shown(caller, registry):
        raise errors.authorization_failed(call.identity.name, call.identity.object_id, PULL, str(id_))
    policy = (stored.properties.get("policies") or {}).get("exportPolicy") or {}
    if policy.get("status") == "disabled":
        text = f"Exports from the registry {stored.properties['loginServer']} are disabled."
        raise errors.ArmError(403, "ExportPolicyDisabled", text)


def _by_password(call: Call, host: str, credentials: Document) -> str:
    """Id of a source registry by its login server: with credentials, or where anybody may pull."""
    registries = call.arm.services.registries
    registry = registries.at(host)
    if registry is None:
        raise invalid(f"The source registry {host} cannot be reached: no such host.")
    user, password = str(credentials.get("username") or ""), str(credentials.get("password") or "")
    caller = registries.permissions.by_password(registry, user, password) if password else None
    allowed = caller is not None and "read" in registries.permissions.shown(caller, registry)
    if not allowed and not registry.properties.get("anonymousPullEnabled"):
        raise invalid(f"Access to the source registry {host} was denied: 401 Unauthorized.")
    return str(registry.resource.id)


async def perform(work: Work) -> None:
    """Copies the image. ArmError makes the operation fail."""
    from azsandbox.registry import imports

    data, registries = work.operation.data["import"], work.services.registries
    stored = work.resource
    if stored is None:
        return
    target = registries.contents.of(stored.private["content"])
    places = [imports.Target(name, tag) for name, tag in data["targets"]]
    try:
        imports.copy(_source(work, data), target, places, force=data["force"])
    except imports.SourceMissing:
        raise _missing(data) from None
    except imports.TargetTaken as taken:
        text = f"Tag {taken} already exists in the target registry. Use the mode Force to overwrite it."
        raise errors.ArmError(409, "Conflict", text) from None


def _source(work: Work, data: Document) -> Any:
    from azsandbox.registry import imports

    registries = work.services.registries
    if "host" in data:
        content, name = registries.upstream.content(data["host"]), data["host"]
    else:
        stored = work.arm.resources.get(data["registry"])
        if stored is None:
            raise imports.SourceMissing(data["registry"])
        content, name = registries.contents.of(stored.private["content"]), stored.properties["loginServer"]
    return imports.Source(content, data["repository"], data["reference"], f"{name}/{data['repository']}")


def _missing(data: Document) -> errors.ArmError:
    """What the source's own 404 makes of an import; for a public image, what the catalogue has instead."""
    from azsandbox.registry import imports
    from azsandbox.registry.errors import manifest_unknown

    reference, repository = data["reference"], data["repository"]
    if "host" in data:
        known = imports.known_tags(data["host"], repository)
        there = f"of this repository it has {', '.join(known)}" if known else "it has none of this repository"
        return errors.not_supported(
            f"the import of {data['host']}/{repository}:{reference}, which its catalogue of public images does not have "
            f"({there})"
        )
    import json

    body = json.dumps(manifest_unknown(reference).body, separators=(",", ":"))
    return invalid(f"Invalid message NotFound Not Found {body}")
