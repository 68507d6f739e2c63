"""The people that a lesson tries a role as, and the groups that roles are given to.

    dev = lab.person("developer")
    dev.kubectl("get pods --namespace staging", check=False)
    SubscriptionClient(dev.credential).subscriptions.list()
    lab.group("developer").object_id

A person signs in for themselves, in an environment of their own: with another identity on this machine, or with what
`az login` left in a folder of theirs. Whoever runs the notebook stays signed in beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from labkit.errors import ReadError, TargetError, TokenError

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.output import Output
    from labkit.settings import Settings
    from labkit.targets import Stranger

GRAPH = "https://graph.microsoft.com"
ROLES = ("admin", "developer", "reader")
"""Whom the lessons know; each is a person and a group of lab.toml's table `people`."""


class AccessToken(NamedTuple):
    """A token and its end, in seconds of the epoch: azure-core's own shape."""

    token: str
    expires_on: int


class PersonCredential:
    """A credential for the clients of the Azure SDK that signs in as a person, in their environment."""

    def __init__(self, environment: Mapping[str, str], cache: Path, tenant_id: str, next_command: str) -> None:
        self._environment, self._cache, self._next = environment, cache, next_command
        self._tenant_id = tenant_id
        self._kept: dict[str, AccessToken] = {}

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the first of `scopes`, kept until it nears its end. Raises TokenError."""
        from labkit import kept_tokens

        kept = self._kept.get(scopes[0])
        if kept is not None and kept.expires_on - kept_tokens.EARLY > time.time():
            return kept
        resource = scopes[0].removesuffix("/.default")
        environment = {**os.environ, **self._environment, kept_tokens.CACHE_VARIABLE: str(self._cache)}
        found = kept_tokens.read(kept_tokens.place(resource, self._tenant_id, environment), time.time())
        self._kept[scopes[0]] = AccessToken(*found) if found else self._signed_in(resource, environment)
        return self._kept[scopes[0]]

    def _signed_in(self, resource: str, environment: Mapping[str, str]) -> AccessToken:
        """A new token, by a process that has their environment; it keeps one for their kubectl, too."""
        from datetime import datetime

        from labkit.kept_tokens import AKS_SERVER

        command = [sys.executable, "-m", "labkit", "token", "--server-id", resource, "--server-id", AKS_SERVER]
        command += ["--tenant-id", self._tenant_id]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip().splitlines()
            raise TokenError(said[0] if said else "the sign-in said nothing.", self._next)
        status = json.loads(ended.stdout)["status"]
        return AccessToken(status["token"], int(datetime.fromisoformat(status["expirationTimestamp"]).timestamp()))


class Person:
    """Somebody who can be asked to try: a credential, a kubeconfig and kubectl of their own."""

    def __init__(self, lab: Lab, role: str, user: str, environment: Mapping[str, str], name: str = "") -> None:
        """Use `lab.person(role)`."""
        self.role, self.user, self.name = role, user, name or user
        self._lab, self._environment = lab, environment
        self._folder = lab.home / ".labkit" / "people" / role
        self.credential = PersonCredential(environment, self._folder / "tokens", lab.tenant_id, self._sign_in())

    def _sign_in(self) -> str:
        folder = self._environment.get("AZURE_CONFIG_DIR", "")
        return f"AZURE_CONFIG_DIR={folder} az login --username {self.user}"

    @property
    def object_id(self) -> str:
        """Their object id, by the token that Azure Resource Manager is asked with."""
        from labkit.targets import ARM_SCOPE, token_claims

        return str(token_claims(self.credential.get_token(ARM_SCOPE).token).get("oid", ""))

    @property
    def kubeconfig_path(self) -> Path:
        """Where their kubeconfig is."""
        return self._folder / "kubeconfig"

    def kubeconfig(self) -> Path:
        """Fetch the cluster's kubeconfig as them, 0600; returns its path. Raises ReadError with Azure's own refusal."""
        from labkit import kubeconfig as kubeconfigs
        from labkit.readers import ArmReader

        reader = ArmReader(self.credential)
        try:
            document = self._lab.credentials(reader)
        finally:
            reader.close()
        ready = kubeconfigs.converted(
            document,
            environment=self._environment,
            proxy=self._lab.connection.proxy,
            cache=self._folder / "tokens",
        )
        return kubeconfigs.write(self.kubeconfig_path, ready)

    def kubectl(self, command: str | Sequence[str], *, input: str | None = None, check: bool = True) -> Output:
        """As `lab.kubectl`, as them; fetches their kubeconfig first, if they have none."""
        if not self.kubeconfig_path.exists():
            self.kubeconfig()
        return self._lab.kubectl(command, input=input, check=check, kubeconfig=self.kubeconfig_path)

    def run_kubectl(self, words: Sequence[str], *, check: bool = True) -> Output:
        """As `kubectl`, and print nothing."""
        if not self.kubeconfig_path.exists():
            self.kubeconfig()
        return self._lab.run_kubectl(words, check=check, kubeconfig=self.kubeconfig_path)

    def __repr__(self) -> str:
        return f"<{self.role}: {self.name} ({self.user})>"


@dataclass(frozen=True)
class Group:
    """A group of Entra ID."""

    name: str
    object_id: str


class Directory:
    """Groups of Entra ID, by Microsoft Graph, as whoever runs the notebook."""

    def __init__(self, credential: Any = None, endpoint: str = GRAPH) -> None:
        from labkit.readers import pipeline

        self._endpoint = endpoint
        self._client = pipeline(credential, endpoint, f"{GRAPH}/.default")

    def find(self, name: str) -> Group | None:
        """The group of that display name, or None."""
        condition = quote(f"displayName eq '{name.replace(chr(39), chr(39) * 2)}'")
        found = self._ask("GET", f"/v1.0/groups?$filter={condition}")["value"]
        return Group(found[0]["displayName"], found[0]["id"]) if found else None

    def make(self, name: str) -> Group:
        """A new security group."""
        nickname = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        body = {"displayName": name, "mailNickname": nickname, "mailEnabled": False, "securityEnabled": True}
        made = self._ask("POST", "/v1.0/groups", body)
        return Group(made["displayName"], made["id"])

    def join(self, group: Group, user: str) -> None:
        """Makes `user` (a user principal name) a member of the group, unless they are."""
        found = self._ask("GET", f"/v1.0/users/{quote(user)}")
        member = {"@odata.id": f"{GRAPH}/v1.0/directoryObjects/{found['id']}"}
        try:
            self._ask("POST", f"/v1.0/groups/{group.object_id}/members/$ref", member)
        except ReadError as error:
            if "already exist" not in error.message:
                raise

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        from azure.core.rest import HttpRequest

        from labkit.readers import asked

        return asked(self._client, HttpRequest(method, f"{self._endpoint}{path}", json=body))


def person(lab: Lab, role: str) -> Person:
    """The person of a role where the lab runs. Raises TargetError for a role that nobody has here."""
    found = lab.connection.people.get(role)
    if found is None:
        known = ", ".join(lab.connection.people) or "nobody"
        message = f"there is no {role!r} to sign in as; {lab.place} has {known}."
        raise TargetError(message, f"labkit settings people.{role}=NAME@TENANT")
    return Person(lab, role, found.user, found.environment, found.name)


def group(directory: Directory, settings: Settings, role: str, member: Stranger | None = None) -> Group:
    """The group that the settings name for a role. One that is not there is made, with `member` in it."""
    name = getattr(settings, f"{role}_group")
    found = directory.find(name)
    if found is None:
        found = directory.make(name)
        if member is not None:
            directory.join(found, member.user)
    return found
