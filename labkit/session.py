"""The kubeconfig that `lab.kubectl` gives to kubectl: the lab's own, with the tokens that are kept already.

kubectl starts its credential plug-in anew each time that it is called. The lab can read what that would answer, and
spares kubectl the program: a quarter of what a short call costs. In a terminal, kubectl signs in by the plug-in.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock

from labkit import kept_tokens, kubeconfig
from labkit.errors import KubeconfigError
from labkit.kubeconfig import Document

LASTS = 1800
"""Seconds that a token must hold: nobody renews it while kubectl runs."""


class Session:
    """The kubeconfigs of one process, as they were read and written last."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, Document]] = {}
        self._written: dict[Path, tuple[int, dict[str, str]]] = {}
        self._writing = Lock()

    def kubeconfig(self, path: Path, words: Sequence[str]) -> Path:
        """Where kubectl finds the clusters of the kubeconfig at `path` for the command `words`.

        That is `path` itself for `kubectl config`, which is about the file, and where no token is kept that lasts.
        """
        try:
            stamp, document = self._document(path)
        except (OSError, KubeconfigError):
            return path  # kubectl says what is wrong with it
        known = dict(places(document, os.environ))
        lasting = {user: kept_tokens.read(place, time.time() + LASTS) for user, place in known.items()}
        tokens = {user: found[0] for user, found in lasting.items() if found}
        if not tokens or "config" in words:
            return path
        file = Path(next(iter(known.values()))).with_name(path.name)
        with self._writing:
            if self._written.get(file) != (stamp, tokens) or not file.exists():
                kubeconfig.write(file, _with(document, tokens))
                self._written[file] = stamp, tokens
        return file

    def _document(self, path: Path) -> tuple[int, Document]:
        stamp = path.stat().st_mtime_ns
        if self._read.get(path, (0,))[0] != stamp:
            self._read[path] = stamp, kubeconfig.read(path)
        return self._read[path]


def places(document: Document, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each user who signs in by the plug-in of this lab, and where that keeps the token."""
    command, first = kubeconfig.plug_in()
    for entry in document.get("users") or []:
        stanza = (entry.get("user") or {}).get("exec") or {}
        arguments = stanza.get("args") or []
        variables = {item["name"]: item["value"] for item in stanza.get("env") or []}
        ours = stanza.get("command") == command and arguments[: len(first)] == first
        if ours and kept_tokens.CACHE_VARIABLE in variables:
            server, tenant = kept_tokens.asked_for(arguments[len(first) :])
            yield entry["name"], kept_tokens.place(server, tenant, {**environ, **variables})


def _with(document: Document, tokens: Mapping[str, str]) -> Document:
    """A copy of `document` in which users have tokens."""
    result = copy.deepcopy(document)
    for entry in result["users"]:
        if entry["name"] in tokens:
            entry["user"] = {"token": tokens[entry["name"]]}
    return result
