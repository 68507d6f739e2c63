"""Exec into containers that do not run: a few commands that only read are answered from the objects.

Anything else is refused with a message and exit code 126. The sub-protocols are Kubernetes' own
(k8s.io/apimachinery, package util/remotecommand): channel bytes 0 to 4, the status on channel 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet import logs
from azsandbox.controllers.kubelet.commands import outcome_of
from azsandbox.controllers.kubelet.references import References
from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import Request

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDOUT, STDERR, STATUS = 1, 2, 3
CANNOT_RUN, NOT_FOUND = 126, 1
END_OF_INPUT = b"\xff\x00"  # v5: the client closes its standard input
DRAIN_SECONDS = 0.3
READS_SECONDS = 1.0  # how long a client may take to answer the ping
STREAMS_SECONDS = 0.05  # what a client that reads takes to make its streams, and less than a process takes to start
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Socket(Protocol):
    """The WebSocket as the API server's listener gives it."""

    protocols: list[str]

    async def accept(self, protocol: str) -> None:
        """Opens it with one of the sub-protocols offered."""

    async def reads(self) -> None:
        """Returns when the client reads what is sent."""

    async def send(self, data: bytes) -> None:
        """Sends one message."""

    async def receive(self) -> bytes | None:
        """The next message; None when the client has gone."""


def run(pod: Object, container: str, argv: list[str], references: References) -> tuple[int, str, str]:
    """Exit code, output and error output of a command in a container."""
    spec: Object = next(
        (
            c
            for key in ("containers", "initContainers", "ephemeralContainers")
            for c in pod["spec"].get(key) or ()
            if c["name"] == container
        ),
        {},
    )
    if len(argv) == 3 and posixpath.basename(argv[0]) in ("sh", "bash", "ash") and argv[1] == "-c":
        argv = argv[2].split()
    name = posixpath.basename(argv[0]) if argv else ""
    if name == "hostname" and len(argv) == 1:
        return 0, _hostname(pod) + "\n", ""
    if name in ("env", "printenv"):
        values = environment(pod, spec, references)
        if name == "printenv" and len(argv) == 2:
            found = values.get(argv[1])
            return (0, found + "\n", "") if found is not None else (1, "", "")
        if len(argv) == 1:
            return 0, "".join(f"{key}={value}\n" for key, value in values.items()), ""
    if name == "echo" and not any("$" in word or "`" in word for word in argv):
        return 0, " ".join(argv[1:]) + "\n", ""
    if name == "true":
        return 0, "", ""
    if name == "false":
        return 1, "", ""
    if name == "cat" and len(argv) > 1:
        return _cat(argv[1:], mounted_files(pod, spec, references))
    if name == "ls" and len(argv) == 2:
        return _list(argv[1], mounted_files(pod, spec, references))
    text = (
        f"azsandbox: cannot run {' '.join(argv)!r}: containers of this cluster are simulated, no program runs in them. "
        "Answered are: env, printenv, hostname, echo, true, false, and cat and ls of mounted ConfigMaps, Secrets and "
        "the service account.\n"
    )
    return CANNOT_RUN, "", text


def _hostname(pod: Object) -> str:
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])


def environment(pod: Object, container: Object, references: References) -> dict[str, str]:
    """The container's variables, resolved."""
    namespace = pod["metadata"]["namespace"]
    values = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": _hostname(pod)}
    for source in container.get("envFrom") or ():
        for key, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
            if key in source:
                data = references.data(kind, namespace, source[key]["name"]) or {}
                prefix = source.get("prefix") or ""
                values |= {prefix + name: value.decode("utf-8", "replace") for name, value in data.items()}
    for variable in container.get("env") or ():
        origin = variable.get("valueFrom")
        if origin is None:
            values[variable["name"]] = variable.get("value") or ""
            continue
        found: bytes | None = None
        for key, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
            if key in origin:
                found = references.value(kind, namespace, origin[key]["name"], origin[key]["key"])
        if "fieldRef" in origin:
            found = _field(pod, origin["fieldRef"]["fieldPath"]).encode()
        if found is not None:
            values[variable["name"]] = found.decode("utf-8", "replace")
    values["KUBERNETES_SERVICE_PORT"] = "443"
    return values


def _field(pod: Object, field: str) -> str:
    if field.endswith("']"):
        base, _, key = field[:-2].partition("['")
        return str((pod["metadata"].get(base.rpartition(".")[2]) or {}).get(key, ""))
    value: Any = pod
    for part in field.split("."):
        value = (value or {}).get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return "\n".join(f'{key}="{text}"' for key, text in value.items())
    return "" if value is None else str(value)


def mounted_files(pod: Object, container: Object, references: References) -> dict[str, bytes]:
    """Path and content of each file mounted from ConfigMaps, Secrets and the pod's own fields."""
    namespace = pod["metadata"]["namespace"]
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    found: dict[str, bytes] = {}
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount["name"]) or {}
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        files: dict[str, bytes] = references.mounted(pod, volume)
        for source in sources:
            for key, kind, name_key in (("configMap", "configmap", "name"), ("secret", "secret", "secretName")):
                if key in source:
                    name = source[key].get(name_key) or source[key].get("name") or ""
                    files |= _chosen(references.data(kind, namespace, name) or {}, source[key].get("items"))
            for item in (source.get("downwardAPI") or {}).get("items") or ():
                if "fieldRef" in item:
                    files[item["path"]] = _field(pod, item["fieldRef"]["fieldPath"]).encode()
        part = mount.get("subPath")
        if part:
            if part in files:
                found[mount["mountPath"]] = files[part]
            continue
        found |= {posixpath.join(mount["mountPath"], name): data for name, data in files.items()}
    return found


def _chosen(data: dict[str, bytes], items: list[Object] | None) -> dict[str, bytes]:
    if not items:
        return data
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _cat(paths: list[str], files: dict[str, bytes]) -> tuple[int, str, str]:
    output, problems = "", ""
    for path in paths:
        if path in files:
            output += files[path].decode("utf-8", "replace")
        elif path == f"{_ACCOUNT}/token":
            problems += f"cat: {path}: tokens of simulated pods are not issued; use kubectl create token\n"
        else:
            problems += f"cat: {path}: No such file or directory\n"
    return (NOT_FOUND if problems else 0), output, problems


def _list(path: str, files: dict[str, bytes]) -> tuple[int, str, str]:
    base = path.rstrip("/") + "/"
    names = sorted({file.removeprefix(base).partition("/")[0] for file in files if file.startswith(base)})
    if path in files:
        names = [path]
    if not names:
        return NOT_FOUND, "", f"ls: {path}: No such file or directory\n"
    return 0, "".join(f"{name}\n" for name in names), ""


def status_of(code: int) -> Object:
    """The Status that ends an exec."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


async def answer(
    pod: Object,
    container: str,
    request: Request,
    references: References,
    ended: Callable[[], Awaitable[Object | None]],
    outcome: logs.Judge = outcome_of,
) -> None:
    """Serves exec and attach over the request's WebSocket. Raises 500 for a container that does not run.

    What is attached to shows the container's log until that ends; `ended` returns then.
    """
    if not logs.is_running(pod, container):
        raise errors.internal(f'unable to upgrade connection: container not found ("{container}")')
    socket: Socket = request.socket
    offered = list(socket.protocols)
    await socket.accept(next((p for p in PROTOCOLS if p in offered), offered[0] if offered else ""))
    await _streams_are_made(socket)
    if request.subresource == "exec":
        code, output, problems = run(pod, container, request.query.get("command", []), references)
        if output:
            await socket.send(bytes([STDOUT]) + output.encode())
        if problems:
            await socket.send(bytes([STDERR]) + problems.encode())
    else:
        code = await _attach(pod, container, socket, ended, outcome)
    await socket.send(bytes([STATUS]) + orjson.dumps(status_of(code)))
    if request.flag("stdin"):
        await _drain(socket)


async def _streams_are_made(socket: Socket) -> None:
    """Waits as long as a real container takes at least to say its first word.

    A client of client-go before 1.34 begins to read while it still makes its streams, and throws away what comes for
    one that is not there yet ("Unknown stream id 1, discarding message"; client-go, tools/remotecommand/websocket.go).
    On a real cluster the API server answers the handshake before it asks the kubelet, and a process has yet to start.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READS_SECONDS):
            await socket.reads()
    await asyncio.sleep(STREAMS_SECONDS)


async def _attach(
    pod: Object, container: str, socket: Socket, ended: Callable[[], Awaitable[Object | None]], outcome: logs.Judge
) -> int:
    for _, line in logs.log_lines(pod, container, outcome=outcome):
        await socket.send(bytes([STDOUT]) + line.encode() + b"\n")
    leaving = asyncio.create_task(_gone(socket))
    ending = asyncio.ensure_future(ended())
    try:
        await asyncio.wait((leaving, ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        ending.cancel()
        await asyncio.gather(leaving, ending, return_exceptions=True)
    return 0


async def _gone(socket: Socket) -> None:
    """Returns when the client has gone; what it types goes nowhere."""
    while await socket.receive() is not None:
        pass


async def _drain(socket: Socket) -> None:
    """Takes what the client is still sending, so that it does not write into a closed connection."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                message = await socket.receive()
                if message is None or message == END_OF_INPUT:
                    return
