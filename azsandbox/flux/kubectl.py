"""Builds with real kustomize: `kubectl kustomize`, without plugins."""

from __future__ import annotations

import ast
import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

import orjson

from azsandbox import programs

_COMMAND = ("kubectl", "kustomize", "--reorder", "none", "--load-restrictor")
_ROOT_ONLY, _NONE = "LoadRestrictionsRootOnly", "LoadRestrictionsNone"
# git, by which kustomize fetches remote bases: from servers alone, never from this machine's files or with its keys
_GIT = {
    "GIT_ALLOW_PROTOCOL": "http:https",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
}


class KustomizeFailed(Exception):
    """A build that fails; the message is kustomize's."""


async def kustomize(
    folder: Path, home: Path, variables: Mapping[str, str], seconds: float | None, *, confined: bool = True
) -> str:
    """The output of a folder's build. `home` is where kustomize may keep files of its own. Raises KustomizeFailed.

    Each kustomization reads the files below its own folder. If not `confined`, it reads any file of this machine:
    whoever asks for that has looked at all that is named.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "GOGC": "off",  # it ends before collecting pays, unless it takes much
        "GOMEMLIMIT": "512MiB",
    }
    try:
        async with asyncio.timeout(seconds):
            status, output, complaint = await programs.run(
                *_COMMAND,
                _ROOT_ONLY if confined else _NONE,
                str(folder),
                cwd=home,
                env={**environment, **_GIT, **variables},
            )
    except FileNotFoundError:
        raise KustomizeFailed(
            "kubectl was not found on PATH, and overlays are built with `kubectl kustomize`; "
            "install it: https://kubernetes.io/docs/tasks/tools/"
        ) from None
    except TimeoutError:
        raise KustomizeFailed("context deadline exceeded") from None
    if status:
        raise KustomizeFailed(problem(complaint.decode("utf-8", "replace")))
    return output.decode("utf-8", "replace")


def problem(complaint: str) -> str:
    """What kustomize complains of, from what kubectl wrote: plainly after `error: `, or as a line of its log."""
    logged = re.search(r'^[EF]\d{4} .*?\] "command failed" err=', complaint, re.MULTILINE)
    if logged is None:
        return complaint[complaint.rfind("error: ") :].removeprefix("error: ").strip() if complaint else "no output"
    text = complaint[logged.end() :].rstrip("\n")
    if text.startswith("<\n"):
        lines = text[2:].removesuffix("\n >").split("\n")
        return "\n".join(line.removeprefix("\t") for line in lines)
    quoted = re.match(r'"(?:[^"\\]|\\.)*"', text)
    if quoted is None:
        return text
    try:
        return str(orjson.loads(quoted.group()))
    except orjson.JSONDecodeError:
        return str(ast.literal_eval(quoted.group()))  # Go's other escapes, such as \x00
