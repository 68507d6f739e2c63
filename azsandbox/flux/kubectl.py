"""Builds with real kustomize: `kubectl kustomize`, without plugins and with no restriction of what it loads."""

from __future__ import annotations

import ast
import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

import orjson

from azsandbox import programs

_COMMAND = ("kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", "--reorder", "none")


class KustomizeFailed(Exception):
    """A build that fails; the message is kustomize's."""


async def kustomize(folder: Path, home: Path, variables: Mapping[str, str], seconds: float | None) -> str:
    """The output of a folder's build. `home` is where kustomize may keep files of its own. Raises KustomizeFailed."""
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
                *_COMMAND, str(folder), cwd=home, env={**environment, **variables}
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
