"""Kubeconfigs: the one that AKS hands out, turned into one that works with no further install.

AKS's user kubeconfig runs kubelogin. `converted` lets it run `labkit token` instead, by way of what that has kept, and
writes beside it what that process needs of the environment, so that the file works in any terminal.
"""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from labkit import kept_tokens
from labkit.errors import KubeconfigError
from labkit.token import AKS_SERVER, CACHE_VARIABLE, write_private

Document = dict[str, Any]
# Flags of `kubelogin get-token` whose value goes on to `labkit token`.
FLAGS = {"--server-id": "--server-id", "--tenant-id": "--tenant-id", "-t": "--tenant-id"}


_LISTS = ("clusters", "contexts", "users")


def parse(text: str, source: str = "the kubeconfig") -> Document:
    """The document in `text`. Raises KubeconfigError, which names `source`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where there is one, ten times as fast
    try:
        document = yaml.load(text, loader)  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{source} is not YAML: {error}.", "lab.kubeconfig()") from error
    if isinstance(document, dict):
        # kubectl leaves null where it deleted the last entry
        document = {key: [] if key in _LISTS and value is None else value for key, value in document.items()}
    if not isinstance(document, dict) or not isinstance(document.get("clusters"), list):
        raise KubeconfigError(f"{source} is not a kubeconfig: it has no list of clusters.", "lab.kubeconfig()")
    return document


def read(path: Path) -> Document:
    """The kubeconfig at `path`. Raises KubeconfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KubeconfigError(f"{path} cannot be read: {error.strerror}.", "labkit token --kubeconfig FILE") from error
    return parse(text, str(path))


def converted(
    document: Document, *, environment: Mapping[str, str] | None = None, proxy: str = "", cache: Path | None = None
) -> Document:
    """A copy of `document` in which each user that ran kubelogin runs `labkit token`.

    `environment` is written into the exec stanza, `proxy` into each cluster as its proxy-url, `cache` is where
    tokens are kept. Users with a certificate or a token of their own stay as they are.
    """
    result = copy.deepcopy(document)
    for entry in result.get("users") or []:
        user = entry.get("user") or {}
        flags = _kubelogin(user)
        if flags is not None:
            entry["user"] = {"exec": _stanza(flags, environment or {}, cache)}
    if proxy:
        for entry in result["clusters"]:
            entry["cluster"]["proxy-url"] = proxy
    return result


def merged(ours: Document, other: Document) -> Document:
    """`ours` with the clusters, users and contexts of `other` put in by name; other's current context wins."""
    result = copy.deepcopy(ours)
    for section in ("clusters", "users", "contexts"):
        names = {entry["name"] for entry in other.get(section) or []}
        kept = [entry for entry in result.get(section) or [] if entry.get("name") not in names]
        result[section] = kept + copy.deepcopy(other.get(section) or [])
    result["current-context"] = other.get("current-context") or result.get("current-context", "")
    return result


def write(path: Path, document: Document) -> Path:
    """Write `document`, 0600, and return its path."""
    write_private(path, yaml.safe_dump(document, sort_keys=False))
    return path


def _kubelogin(user: Mapping[str, Any]) -> dict[str, str] | None:
    """The flags for `labkit token` of a user that signs in through Entra ID, or None for any other user."""
    stanza = user.get("exec") or {}
    arguments = [str(argument) for argument in stanza.get("args") or []]
    programs = {Path(word).stem for word in (str(stanza.get("command", "")), *arguments)}
    if programs & {"kubelogin", "labkit", Path(kept_tokens.__file__).stem}:
        pairs = itertools.pairwise(arguments)
        return {FLAGS[flag]: value for flag, value in pairs if flag in FLAGS}
    provider = user.get("auth-provider") or {}
    if provider.get("name") == "azure":
        config = provider.get("config") or {}
        given = {"--server-id": config.get("apiserver-id"), "--tenant-id": config.get("tenant-id")}
        return {flag: str(value) for flag, value in given.items() if value}
    return None


def _stanza(flags: Mapping[str, str], environment: Mapping[str, str], cache: Path | None) -> dict[str, Any]:
    command, arguments = plug_in()
    arguments += ["--server-id", flags.get("--server-id", AKS_SERVER)]
    if "--tenant-id" in flags:
        arguments += ["--tenant-id", flags["--tenant-id"]]
    variables = dict(environment)
    if cache is not None:
        variables[CACHE_VARIABLE] = str(cache)
    listed = [{"name": name, "value": value} for name, value in sorted(variables.items())]
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": arguments,
        **({"env": listed} if listed else {}),
        "interactiveMode": "Never",
        "provideClusterInfo": False,
        "installHint": "labkit comes with the lab: make lab",
    }


def plug_in() -> tuple[str, list[str]]:
    """The command that gives tokens, with its first arguments: a bare Python that knows what `labkit token` kept."""
    return sys.executable, ["-I", "-S", str(Path(kept_tokens.__file__).resolve())]
