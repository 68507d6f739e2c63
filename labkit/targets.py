"""Where the lab runs: a sandbox on this machine, an Azure subscription, or a cluster to read.

A target is connected once, by `connect()`, and what it gives back is the same for all: ids, and the environment
that makes the public clients (azure-identity, the management SDKs, kubectl, git) speak to it. This is the only
module that knows that a sandbox exists, and it knows it as a process: `azsandbox up` and `azsandbox env --json`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from labkit.errors import TargetError
from labkit.settings import FILE_NAME, Settings

ARM_SCOPE = "https://management.azure.com/.default"
KINDS = ("sandbox", "aks", "context")
LONGEST = 180.0
"""Seconds after which nothing comes any more on a sandbox at its usual speed: Azure's minutes are seconds there."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Stranger:
    """Somebody else who can sign in: the name they sign in with, how they are called, and their own environment."""

    user: str
    name: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Connection:
    """What a connected target says of itself.

    `environment` holds the variables that the clients need; `proxy` is the one of them that a kubeconfig needs as
    well. `costs` is true where resources are paid for, `reads_only` where the lab must not change anything. `people`
    are those besides the learner who can sign in here, by their role. `longest` is how many seconds something may take
    here before it must be stuck; None where that is for the service to say.
    """

    place: str
    subscription_id: str = ""
    tenant_id: str = ""
    object_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    proxy: str = ""
    costs: bool = False
    reads_only: bool = False
    context: str = ""
    kubeconfig: Path | None = None
    people: Mapping[str, Stranger] = field(default_factory=dict)
    longest: float | None = None


class Target(Protocol):
    """A place to run on."""

    kind: str

    def connect(self) -> Connection:
        """Make sure that it answers, starting it if it is down; raises TargetError."""


def choose(settings: Settings, home: Path, run: Run = subprocess.run) -> Target:
    """The target that the settings name; `home` is the folder of lab.toml."""
    if settings.target == "sandbox":
        return Sandbox(home, run=run)
    if settings.target == "context":
        return Context(settings.context, subscription_id=settings.subscription_id)
    people = {role: user for role in ("admin", "developer", "reader") if (user := getattr(settings, role))}
    return Subscription(settings.subscription_id, settings.tenant_id, people=people, home=home)


@contextlib.contextmanager
def second(settings: Path, home: Path, run: Run = subprocess.run) -> Iterator[dict[str, str]]:
    """A second lab in the folder `home`, with the settings of lab.toml at `settings`, for as long as the context.

    Gives the variables by which commands find it. Raises TargetError where a second lab would be a second cluster that
    is paid for, or a cluster that is only read.
    """
    own = Settings.load(settings) if settings.exists() else Settings()
    if own.target != "sandbox":
        message = f"only a sandbox can be there twice; the lab's target is {own.target}."
        raise TargetError(message, "labkit verify, without --beside")
    own.save(home / FILE_NAME)
    sandbox = Sandbox(home, run=run)
    variables = {"LABKIT_SETTINGS": str(home / FILE_NAME), "AZSANDBOX_HOME": str(home / ".azsandbox")}
    try:
        yield variables
    finally:
        sandbox.end()


class Sandbox:
    """An Azure on this machine's loopback, reached through a proxy of its own.

    It starts by itself when it is down, also after it was killed: its state is on disk.
    """

    kind = "sandbox"

    def __init__(self, home: Path, command: Sequence[str] = (), run: Run = subprocess.run) -> None:
        self._home = home
        self._command = tuple(command) or (sys.executable, "-m", "azsandbox")
        self._run = run

    def connect(self) -> Connection:
        """Start it if need be, and take its environment over. Raises TargetError with what it said."""
        try:
            answer = self._ask("env", "--json")
        except TargetError:  # it is down
            self._ask("up")
            answer = self._ask("env", "--json")
        try:
            facts: dict[str, Any] = json.loads(answer)
            subscription_id, tenant_id = facts["subscription_id"], facts["tenant_id"]
            environment = _environment(facts)
        except (ValueError, KeyError, TypeError) as error:
            message = f"the sandbox answered something else than its environment: {answer[:200]!r}."
            raise TargetError(message, "azsandbox logs") from error
        return Connection(
            place="sandbox on this machine",
            subscription_id=subscription_id,
            tenant_id=tenant_id,
            object_id=str(facts.get("object_id", "")),
            environment=environment,
            proxy=str(facts.get("proxy", "")),
            people=_people(facts, environment),
            longest=LONGEST if facts.get("speed") == "fast" else None,
        )

    def end(self) -> None:
        """Stop the sandbox of this folder, if it is up; its state stays."""
        state = self._home / ".azsandbox"
        if not state.exists():
            return
        command = [*self._command, "--home", str(state), "down"]
        self._run(command, capture_output=True, text=True, timeout=60, cwd=self._home, check=False)

    def _ask(self, *arguments: str) -> str:
        environment = {**os.environ, "AZSANDBOX_HOME": os.environ.get("AZSANDBOX_HOME", str(self._home / ".azsandbox"))}
        try:
            ended = self._run(
                [*self._command, *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=self._home,
                env=environment,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"the sandbox does not start: {error}.", "azsandbox logs") from error
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip() or f"exit code {ended.returncode}"
            message = f"the sandbox does not answer to '{' '.join(arguments)}': {said}"
            raise TargetError(message, "azsandbox logs")
        return ended.stdout


def _environment(facts: Mapping[str, Any]) -> dict[str, str]:
    """The variables that point clients at the sandbox: its own list, or those that follow from proxy and bundle.

    requests reads REQUESTS_CA_BUNDLE, aiohttp and Go read SSL_CERT_FILE, git reads GIT_SSL_CAINFO, and each takes
    either case of the proxy variables; so all are set (azure-identity and the management SDKs stay as they are).
    """
    given = facts.get("environment")
    if isinstance(given, dict):
        return {str(name): str(value) for name, value in given.items()}
    proxy = str(facts["proxy"])
    trusted = str(facts["bundle"] if facts.get("tunnel") else facts["ca"])
    variables = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"), trusted)
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        variables[name] = variables[name.lower()] = proxy
    variables["NO_PROXY"] = variables["no_proxy"] = "127.0.0.1,localhost"
    # The chain of DefaultAzureCredential ends at the managed identity; naming it saves the tries before it.
    variables["AZURE_TOKEN_CREDENTIALS"] = "ManagedIdentityCredential"  # noqa: S105
    named = {
        "IDENTITY_ENDPOINT": "identity_endpoint",
        "IDENTITY_HEADER": "identity_header",
        "AZURE_SUBSCRIPTION_ID": "subscription_id",
        "AZURE_TENANT_ID": "tenant_id",
        "AZURE_CONFIG_DIR": "azure_config_dir",
    }
    variables.update({name: str(facts[key]) for name, key in named.items() if facts.get(key)})
    return variables


def _people(facts: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Stranger]:
    """The people of the sandbox. Whose token is given out says the identity header; the rest is the learner's."""
    found = {}
    for role, person in (facts.get("personas") or {}).items():
        own = {**environment, "IDENTITY_HEADER": str(person["identity_header"])}
        found[role] = Stranger(str(person["user"]), str(person.get("name", "")), own)
    return found


class Subscription:
    """A subscription of Azure, reached with whatever DefaultAzureCredential finds: az login, or a service principal."""

    kind = "aks"

    def __init__(
        self,
        subscription_id: str = "",
        tenant_id: str = "",
        credential: Any = None,
        people: Mapping[str, str] | None = None,
        home: Path = Path(),
    ) -> None:
        self._subscription_id = subscription_id
        self._tenant_id = tenant_id
        self._credential = credential
        self._people = people or {}
        self._home = home

    def connect(self) -> Connection:
        """Sign in, and find the subscription. Raises TargetError when nobody is signed in, or the choice is open."""
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import CredentialUnavailableError, DefaultAzureCredential

        credential = self._credential or DefaultAzureCredential()
        try:
            claims = token_claims(credential.get_token(ARM_SCOPE).token)
        except (CredentialUnavailableError, ClientAuthenticationError) as error:
            first = str(error).strip().splitlines()[0]
            raise TargetError(f"nobody is signed in to Azure: {first}", "az login") from error
        return Connection(
            place="Azure",
            subscription_id=self._subscription_id or self._only_subscription(credential),
            tenant_id=self._tenant_id or str(claims.get("tid", "")),
            object_id=str(claims.get("oid", "")),
            environment={"AZURE_TENANT_ID": self._tenant_id} if self._tenant_id else {},
            costs=True,
            people={role: self._stranger(role, user) for role, user in self._people.items()},
        )

    def _stranger(self, role: str, user: str) -> Stranger:
        """Somebody who signs in by `az login` in a folder of their own, which az keeps its sign-in in."""
        folder = self._home / ".labkit" / "people" / role / "azure"
        return Stranger(user, "", {"AZURE_CONFIG_DIR": str(folder), "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"})

    def _only_subscription(self, credential: Any) -> str:
        named = os.environ.get("AZURE_SUBSCRIPTION_ID")
        if named:
            return named
        chosen = _subscription_of_az()
        if chosen:
            return chosen
        from azure.mgmt.resource.subscriptions import SubscriptionClient

        found = list(SubscriptionClient(credential).subscriptions.list())
        if len(found) == 1:
            return str(found[0].subscription_id)
        names = ", ".join(f"{item.display_name} ({item.subscription_id})" for item in found) or "none"
        message = f"you may use {len(found)} subscriptions, and lab.toml names none: {names}."
        raise TargetError(message, "labkit settings azure.subscription_id=ID")


def _subscription_of_az() -> str:
    """The subscription that `az account set` chose, or empty without az."""
    az = shutil.which("az")
    if az is None:
        return ""
    ended = subprocess.run(
        [az, "account", "show", "--query", "id", "--output", "tsv"], capture_output=True, text=True, check=False
    )
    return ended.stdout.strip() if ended.returncode == 0 else ""


class Context:
    """A cluster that exists, named by a context of the kubeconfig; nothing of it is changed.

    With a subscription in the settings, what Azure says of the cluster is read too.
    """

    kind = "context"

    def __init__(self, context: str = "", kubeconfig: Path | None = None, subscription_id: str = "") -> None:
        self._context = context
        self._kubeconfig = kubeconfig
        self._subscription_id = subscription_id

    def connect(self) -> Connection:
        """Make sure that the kubeconfig has the context. Raises TargetError."""
        kubeconfig = self._kubeconfig or _default_kubeconfig()
        names, current = _contexts(kubeconfig)
        context = self._context or current
        if context not in names:
            known = ", ".join(names) or "none"
            message = f"{kubeconfig} has no context {context!r}; it has {known}."
            raise TargetError(message, "labkit use context --context NAME")
        return Connection(
            place=f"context {context}, read only",
            subscription_id=self._subscription_id,
            reads_only=True,
            context=context,
            kubeconfig=kubeconfig,
        )


def _default_kubeconfig() -> Path:
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


def _contexts(path: Path) -> tuple[list[str], str]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise TargetError(f"the kubeconfig {path} cannot be read: {error}.", "kubectl config view") from error
    contexts = [str(item.get("name", "")) for item in document.get("contexts") or []]
    return contexts, str(document.get("current-context") or "")


def token_claims(token: str) -> dict[str, Any]:
    """The claims of an access token, unverified: they tell who is signed in, and decide nothing."""
    try:
        payload = token.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims
    except (IndexError, ValueError):
        return {}
