"""What an application proves itself with: client secrets and federated credentials."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from azsandbox.entra.federation import PROPAGATION, FederatedCredential
from azsandbox.entra.graph.graph import ROOT, Call, GraphError, not_found, unsupported
from azsandbox.entra.web import Answer

MOST_FEDERATED = 20  # federated credentials of one application (learn.microsoft.com, workload identity federation)


def password(call: Call, stored: dict[str, Any], name: str) -> Answer:
    """POST …/addPassword and …/removePassword."""
    if call.method != "POST":
        raise unsupported(f"{call.method} …/{name}")
    call.writes()
    object_id, body = stored["properties"]["id"], call.body()
    if name == "removepassword":
        if not call.entra.directory.remove_secret(object_id, str(body.get("keyId"))):
            raise GraphError(
                400, "Request_BadRequest", f"No password credential found with keyId '{body.get('keyId')}'."
            )
        return Answer(204)
    wanted = body.get("passwordCredential") or {}
    made = call.entra.directory.add_secret(object_id, wanted.get("displayName"), wanted.get("endDateTime"))
    return Answer(200, {"@odata.context": f"{ROOT}/$metadata#microsoft.graph.passwordCredential", **made})


def federated(call: Call, stored: dict[str, Any], rest: list[str]) -> Answer:
    """…/federatedIdentityCredentials of an application."""
    credentials, app_id = call.entra.directory.federated_credentials, stored["properties"]["appId"]
    context = f"{ROOT}/$metadata#applications('{stored['properties']['id']}')/federatedIdentityCredentials"
    if not rest and call.method == "GET":
        return Answer(200, {"@odata.context": context, "value": [_shown(c) for c in credentials.of(app_id)]})
    if not rest and call.method == "POST":
        call.writes()
        made = credentials.put(_read(call, app_id, call.body()), seconds=PROPAGATION)
        return Answer(201, {"@odata.context": f"{context}/$entity", **_shown(made)})
    if len(rest) != 1:
        raise unsupported(f"{call.method} …/federatedIdentityCredentials/{'/'.join(rest)}")
    name = unquote(rest[0]).removeprefix("(name='").removesuffix("')")
    found = next((c for c in credentials.of(app_id) if name.lower() in (c.id.lower(), c.name.lower())), None)
    if found is None:
        raise not_found(name)
    if call.method == "GET":
        return Answer(200, {"@odata.context": f"{context}/$entity", **_shown(found)})
    call.writes()
    if call.method == "PATCH":
        credentials.put(_read(call, app_id, _shown(found) | call.body(), old=found), seconds=PROPAGATION)
        return Answer(204)
    if call.method == "DELETE":
        credentials.delete(app_id, found.name)
        return Answer(204)
    raise unsupported(f"{call.method} …/federatedIdentityCredentials/{{id}}")


def _read(call: Call, app_id: str, body: dict[str, Any], old: FederatedCredential | None = None) -> FederatedCredential:
    """A credential from a body, after Graph's checks. Raises GraphError."""
    for name in ("name", "issuer", "subject", "audiences"):
        if not body.get(name):
            raise GraphError(
                400,
                "Request_BadRequest",
                f"A value is required for property '{name}' of resource 'FederatedIdentityCredential'.",
            )
    unknown = set(body) - {"id", "name", "issuer", "subject", "audiences", "description", "@odata.type"}
    if unknown:
        raise GraphError(400, "Request_BadRequest", f"Invalid property '{sorted(unknown)[0]}'.")
    issuer, subject = str(body["issuer"]), str(body["subject"])
    others = [c for c in call.entra.directory.federated_credentials.of(app_id) if old is None or c.id != old.id]
    if any(c.name.lower() == str(body["name"]).lower() for c in others):
        raise GraphError(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            f"FederatedIdentityCredential with name {body['name']} already exists.",
        )
    if any((c.issuer, c.subject) == (issuer, subject) for c in others):
        raise GraphError(
            400,
            "InvalidFederatedIdentityCredentialValue",
            "The combination of issuer and subject must be unique for the application. "
            f"Issuer {issuer} and Subject: {subject} already exist. "
            f"paramName: FederatedIdentityCredential.Subject, paramValue: {subject}, "
            "objectType: Microsoft.Online.DirectoryServices.Application",
        )
    if len(others) >= MOST_FEDERATED and old is None:
        raise GraphError(
            400,
            "Request_BadRequest",
            f"The directory object quota limit for FederatedIdentityCredentials of {MOST_FEDERATED} has been exceeded.",
        )
    return FederatedCredential(
        app_id,
        str(body["name"]),
        issuer,
        subject,
        tuple(body["audiences"]),
        body.get("description"),
        old.id if old else "",
    )


def _shown(credential: FederatedCredential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "name": credential.name,
        "issuer": credential.issuer,
        "subject": credential.subject,
        "description": credential.description,
        "audiences": list(credential.audiences),
    }
