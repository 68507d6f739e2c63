"""The directory: users, groups, service principals and applications, kept in the store.

Each object is the JSON that Graph shows of it, with what Graph does not show beside it (members, hashes of
secrets, directory roles).
"""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from azsandbox.clock import Clock
from azsandbox.entra import facts
from azsandbox.entra.federation import FederatedCredentials
from azsandbox.store import Bucket

Kind = Literal["user", "group", "servicePrincipal", "application"]

OBJECTS = "objects"
COLLECTIONS: dict[Kind, str] = {
    "user": "users",
    "group": "groups",
    "servicePrincipal": "servicePrincipals",
    "application": "applications",
}


class DirectoryError(Exception):
    """A change that the directory refuses: `code` is Graph's, `status` the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Principal:
    """An object of the directory, as other services see it."""

    object_id: str
    kind: Kind
    display_name: str
    app_id: str | None = None
    user_principal_name: str | None = None
    service_principal_type: str | None = None  # Application, ManagedIdentity
    alternative_names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The user principal name of a user, the display name of the rest."""
        return self.user_principal_name or self.display_name


class Directory:
    """Objects of one tenant. Changes are stored before a call returns."""

    def __init__(self, bucket: Bucket, clock: Clock, tenant_id: str) -> None:
        self._bucket, self._clock, self.tenant_id = bucket, clock, tenant_id
        self.domain: str = facts.personas()["domain"]
        self.federated_credentials = FederatedCredentials(bucket, clock)
        self._objects: dict[str, dict[str, Any]] = {
            r.key: json.loads(r.value) for r in sorted(bucket.list(OBJECTS), key=lambda r: r.created)
        }
        self._by_app_id: dict[str, str] = {}
        for key, found in self._objects.items():
            self._index(key, found)
        if not self._objects:
            self._seed()

    # --- reading

    def get(self, object_id: str) -> Principal | None:
        """The object with that id, or None."""
        found = self._objects.get(object_id.lower())
        return _principal(found) if found else None

    def find(self, name: str, kind: Kind | None = None) -> Principal | None:
        """The first object with `name` as object id, application id, user principal name, service principal name or
        display name, in this order; None if there is none. Case does not matter."""
        direct = self.get(name)
        if direct and kind in (None, direct.kind):
            return direct
        by_app = self._by_app_id.get(name.lower())
        if by_app and kind in (None, "servicePrincipal"):
            return self.get(by_app)
        wanted = name.lower()
        keys = (("userPrincipalName",), ("servicePrincipalNames",), ("displayName",))
        for (key,) in keys:
            for found in self.each(kind):
                value = found["properties"].get(key)
                values = value if isinstance(value, list) else [value]
                if any(isinstance(v, str) and v.lower() == wanted for v in values):
                    return _principal(found)
        return None

    def service_principal(self, app_id: str) -> Principal | None:
        """The service principal of an application id."""
        found = self._by_app_id.get(app_id.lower())
        return self.get(found) if found else None

    def each(self, kind: Kind | None = None) -> Iterator[dict[str, Any]]:
        """All stored objects, oldest first, as {"kind", "properties", …}. They are not to be changed."""
        return (o for o in list(self._objects.values()) if kind is None or o["kind"] == kind)

    def stored(self, object_id: str, kind: Kind | None = None) -> dict[str, Any] | None:
        """A stored object, {"kind", "properties", …}; not to be changed."""
        found = self._objects.get(object_id.lower())
        return found if found and kind in (None, found["kind"]) else None

    def groups_of(self, object_id: str) -> tuple[str, ...]:
        """Ids of the groups that an object is in, directly or through other groups."""
        found: list[str] = []
        waiting = [object_id.lower()]
        while waiting:
            member = waiting.pop()
            for key, group in self._objects.items():
                if group["kind"] == "group" and member in group["members"] and key not in found:
                    found.append(key)
                    waiting.append(key)
        return tuple(sorted(found))

    def members(self, group_id: str) -> list[str]:
        """Ids of the direct members of a group."""
        found = self.stored(group_id, "group")
        return list(found["members"]) if found else []

    def roles(self, object_id: str) -> list[str]:
        """Names of the directory roles that an object holds, e.g. Global Administrator."""
        found = self.stored(object_id)
        return list(found.get("roles") or []) if found else []

    def enabled(self, object_id: str) -> bool:
        """Whether an object is there and may sign in."""
        found = self.stored(object_id)
        return bool(found and found["properties"].get("accountEnabled", True))

    # --- writing

    def create(
        self, kind: Kind, properties: dict[str, Any], *, object_id: str | None = None, **beside: Any
    ) -> dict[str, Any]:
        """Stores a new object with Graph's default properties under those given; returns the stored object."""
        object_id = object_id or str(uuid.uuid4())
        filled = copy.deepcopy(facts.shapes()[kind])
        if kind == "user":
            filled |= copy.deepcopy(facts.shapes()["user_selectable"])
        filled |= {"id": object_id}
        for key in ("createdDateTime", "renewedDateTime"):
            if key in filled:
                filled[key] = self._now()
        if kind in ("user", "group"):
            filled["securityIdentifier"] = security_identifier(object_id)
        if kind == "application":
            filled |= {"appId": str(uuid.uuid4()), "publisherDomain": self.domain}
        if kind == "servicePrincipal":
            filled["appOwnerOrganizationId"] = self.tenant_id
        stored = {"kind": kind, "properties": filled | properties, **beside}
        if kind == "group":
            stored.setdefault("members", [])
            stored.setdefault("owners", [])
        self._objects[object_id] = stored
        self._index(object_id, stored)
        self._save(object_id)
        return stored

    def update(self, object_id: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Replaces properties of an object; returns the stored object."""
        stored = self._objects[object_id.lower()]
        stored["properties"] |= properties
        self._index(object_id.lower(), stored)
        self._save(object_id.lower())
        return stored

    def delete(self, object_id: str) -> None:
        """Deletes an object, and its memberships; an application takes its service principal with it."""
        object_id = object_id.lower()
        stored = self._objects.pop(object_id, None)
        if stored is None:
            return
        self._bucket.delete(OBJECTS, object_id)
        app_id = stored["properties"].get("appId")
        if stored["kind"] == "servicePrincipal" and app_id:
            self._by_app_id.pop(app_id.lower(), None)
        if stored["kind"] == "application" and app_id:
            self.federated_credentials.drop(app_id)
            principal = self._by_app_id.get(app_id.lower())
            if principal:
                self.delete(principal)
        for key, group in list(self._objects.items()):
            for listed in ("members", "owners"):
                if object_id in (group.get(listed) or ()):
                    group[listed].remove(object_id)
                    self._save(key)

    def create_service_principal(
        self,
        display_name: str,
        kind: str = "Application",
        app_id: str | None = None,
        *,
        alternative_names: tuple[str, ...] = (),
        object_id: str | None = None,
    ) -> Principal:
        """Makes a service principal. `kind` is Application or ManagedIdentity; `alternative_names` are, for a managed
        identity, "isExplicit=True|False" and the id of its resource."""
        app_id = app_id or str(uuid.uuid4())
        names = [app_id]
        if kind == "ManagedIdentity":
            names.append(f"https://identity.azure.net/{secrets.token_urlsafe(32)}=")
        properties = {
            "displayName": display_name,
            "appId": app_id,
            "servicePrincipalType": kind,
            "servicePrincipalNames": names,
            "alternativeNames": list(alternative_names),
            "appDisplayName": None if kind == "ManagedIdentity" else display_name,
        }
        if kind == "ManagedIdentity":
            properties |= {"appOwnerOrganizationId": None, "signInAudience": None}
        return _principal(self.create("servicePrincipal", properties, object_id=object_id))

    def add_member(self, group_id: str, object_id: str) -> None:
        """Adds a member to a group. Raises DirectoryError when it is one already, with Graph's text."""
        self._refer("members", group_id, object_id)

    def add_owner(self, group_id: str, object_id: str) -> None:
        """Adds an owner to a group or application. Raises DirectoryError as `add_member` does."""
        self._refer("owners", group_id, object_id)

    def remove_reference(self, listed: str, group_id: str, object_id: str) -> bool:
        """Takes an object from the `members` or `owners` of another; whether it was there."""
        stored = self._objects[group_id.lower()]
        if object_id.lower() not in (stored.get(listed) or []):
            return False
        stored[listed].remove(object_id.lower())
        self._save(group_id.lower())
        return True

    # --- secrets

    def add_secret(self, object_id: str, display_name: str | None, end: str | None) -> dict[str, Any]:
        """Makes a client secret. The answer holds `secretText`, which is kept nowhere (only its hash is)."""
        text = secrets.token_urlsafe(30)
        now = self._clock.now()
        credential = {
            "customKeyIdentifier": None,
            "displayName": display_name,
            "endDateTime": end or _graph_time(now + dt.timedelta(days=730)),
            "hint": text[:3],
            "keyId": str(uuid.uuid4()),
            "startDateTime": _graph_time(now),
        }
        stored = self._objects[object_id.lower()]
        stored["properties"]["passwordCredentials"] = [
            *stored["properties"]["passwordCredentials"],
            credential | {"secretText": None},
        ]
        stored.setdefault("hashes", {})[credential["keyId"]] = hashlib.sha256(text.encode()).hexdigest()
        self._save(object_id.lower())
        return credential | {"secretText": text}

    def remove_secret(self, object_id: str, key_id: str) -> bool:
        """Forgets a client secret; whether it was there."""
        stored = self._objects[object_id.lower()]
        kept = [c for c in stored["properties"]["passwordCredentials"] if c["keyId"] != key_id]
        if len(kept) == len(stored["properties"]["passwordCredentials"]):
            return False
        stored["properties"]["passwordCredentials"] = kept
        stored.get("hashes", {}).pop(key_id, None)
        self._save(object_id.lower())
        return True

    def check_secret(self, app_id: str, secret: str) -> Literal["valid", "invalid", "expired"]:
        """Whether `secret` opens the application `app_id` now."""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        now = self._clock.now()
        for stored in self.each():
            if stored["properties"].get("appId") != app_id:
                continue
            ends = {c["keyId"]: c["endDateTime"] for c in stored["properties"].get("passwordCredentials") or []}
            for key_id, known in (stored.get("hashes") or {}).items():
                if hmac.compare_digest(known, digest):
                    return "valid" if dt.datetime.fromisoformat(ends[key_id]) > now else "expired"
        return "invalid"

    # --- inside

    def _refer(self, listed: str, object_id: str, referred: str) -> None:
        stored = self._objects[object_id.lower()]
        if referred.lower() in stored.setdefault(listed, []):
            raise DirectoryError(
                "Request_BadRequest",
                f"One or more added object references already exist for the following modified properties: '{listed}'.",
            )
        stored[listed].append(referred.lower())
        self._save(object_id.lower())

    def _index(self, key: str, stored: dict[str, Any]) -> None:
        app_id = stored["properties"].get("appId")
        if stored["kind"] == "servicePrincipal" and app_id:
            self._by_app_id[app_id.lower()] = key

    def _save(self, object_id: str) -> None:
        self._bucket.put(OBJECTS, object_id, json.dumps(self._objects[object_id]).encode())

    def _now(self) -> str:
        return _graph_time(self._clock.now())

    def _seed(self) -> None:
        """Fills a new directory. Ids of people and groups follow from the tenant's, so a reset brings back the same."""
        described = facts.personas()
        with self._bucket.atomic():
            groups = {}
            for group in described["groups"]:
                object_id = self.seeded_id("group", group["name"])
                nickname = group["name"].replace(" ", "-").lower()
                properties = {
                    "displayName": group["name"],
                    "description": group["description"],
                    "mailNickname": nickname,
                    "mailEnabled": False,
                    "securityEnabled": True,
                }
                self.create("group", properties, object_id=object_id)
                groups[group["name"]] = object_id
            for persona in described["personas"]:
                given, _, surname = persona["name"].partition(" ")
                object_id = self.seeded_id("user", persona["key"])
                properties = {
                    "displayName": persona["name"],
                    "givenName": given,
                    "surname": surname,
                    "jobTitle": persona["job"],
                    "mail": f"{persona['mail']}@{self.domain}",
                    "mailNickname": persona["mail"],
                    "userPrincipalName": f"{persona['mail']}@{self.domain}",
                }
                self.create("user", properties, object_id=object_id, roles=persona["directory_roles"])
                for name in persona["groups"]:
                    self.add_member(groups[name], object_id)
            for resource in facts.resources()["resources"]:
                principal = self.create_service_principal(
                    resource["name"],
                    app_id=resource["app_id"],
                    object_id=self.seeded_id("servicePrincipal", resource["app_id"]),
                )
                self.update(principal.object_id, {"servicePrincipalNames": [resource["app_id"], *resource["names"]]})

    def seeded_id(self, kind: Kind, key: str) -> str:
        """The object id of a seeded object of this tenant."""
        return str(uuid.uuid5(uuid.UUID(self.tenant_id), f"{kind}/{key}"))


def _principal(stored: dict[str, Any]) -> Principal:
    properties = stored["properties"]
    return Principal(
        properties["id"],
        cast(Kind, stored["kind"]),
        properties.get("displayName") or "",
        properties.get("appId"),
        properties.get("userPrincipalName"),
        properties.get("servicePrincipalType") or None,
        tuple(properties.get("alternativeNames") or ()),
    )


def security_identifier(object_id: str) -> str:
    """The SID of a cloud object: S-1-12-1 and the four little-endian words of its id."""
    data = uuid.UUID(object_id).bytes_le
    return "S-1-12-1-" + "-".join(str(int.from_bytes(data[i : i + 4], "little")) for i in range(0, 16, 4))


def _graph_time(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
