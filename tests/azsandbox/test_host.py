from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azsandbox.processes import Sandbox, running


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as found:
        yield found


def arm(sandbox: Sandbox, method: str, path: str, body: object = None) -> tuple[int, dict]:
    env = sandbox.env()
    request = urllib.request.Request(f"{env['arm_endpoint']}{path}", method=method)
    request.add_header("Authorization", f"Bearer {sandbox.token()}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=env["ca"])),
    )
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def processor_seconds(pid: int) -> float:
    """Seconds that processors have worked for a process so far; endless where the system has no /proc (proc(5): stat)."""
    file = Path(f"/proc/{pid}/stat")
    if not file.exists():
        return math.inf
    fields = file.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_first_answer_comes_within_a_second(tmp_path: Path) -> None:
    """From the start of the interpreter, on a new home: keys and certificates are made, too.

    On a machine that is busy with other things, the time that a processor worked for it counts.
    """
    best = 9.0
    for attempt in range(3):
        home = tmp_path / str(attempt)
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "azsandbox", "--home", str(home), "up", "--foreground"], stderr=subprocess.DEVNULL
        )
        try:
            while not (home / "env.json").exists():
                time.sleep(0.005)
            env = json.loads((home / "env.json").read_text())
            context = ssl.create_default_context(cafile=env["ca"])
            address = ("localhost", int(env["arm_endpoint"].rpartition(":")[2]))
            with (
                socket.create_connection(("127.0.0.1", address[1])) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                secure.sendall(b"GET /subscriptions?api-version=2022-12-01 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert secure.recv(100).startswith(b"HTTP/1.1 401")
            best = min(best, time.perf_counter() - started, processor_seconds(process.pid))
        finally:
            process.terminate()
            process.wait(10)
        if best < 1:
            break
    assert best < 1, f"the first ARM answer took {best:.2f} s"


def test_a_start_loads_nothing_that_only_clusters_need(tmp_path: Path) -> None:
    """What is imported before the first answer is what the first answer waits for."""
    program = (
        "import asyncio, sys; from pathlib import Path; from azsandbox.host import Host\n"
        "async def main():\n"
        "    host = Host(Path(sys.argv[1])); await host.start(); await asyncio.sleep(0.1)\n"
        "    print(*sorted(sys.modules)); await host.stop()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "home")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert "azsandbox.arm.pipeline" in loaded
    late = ("yaml", "wsproto", "azsandbox.aks.converge", "azsandbox.cluster", "azsandbox.controllers.informer")
    late += ("azsandbox.kubernetes.server", "azsandbox.git.repositories", "azsandbox.registry.registries")
    assert [name for name in late if name in loaded] == []


def test_up_is_idempotent(sandbox: Sandbox) -> None:
    before = sandbox.env()["pid"]
    assert "was up already" in sandbox.run("up").stdout
    assert sandbox.env()["pid"] == before


def test_status_says_where_it_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    found = json.loads(sandbox.run("status", "--json").stdout)
    assert found["running"] and found["arm_endpoint"].startswith("https://localhost:")
    other = Sandbox(tmp_path).run("status", check=False)
    assert other.returncode == 1 and "azsandbox up" in other.stdout


def test_secrets_are_readable_by_their_owner_only(sandbox: Sandbox) -> None:
    assert stat.S_IMODE(sandbox.home.stat().st_mode) == 0o700
    for name in ("state.db", "ca-key.pem", "env.json", "sandbox.log"):
        assert stat.S_IMODE((sandbox.home / name).stat().st_mode) == 0o600, name
    for path in (sandbox.home / "azure").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_folder_that_others_may_enter_is_closed_with_all_that_is_put_there(tmp_path: Path) -> None:
    """Repositories were as readable as git makes them, private ones too."""
    home = tmp_path / "open"
    home.mkdir(mode=0o755)
    with running(home) as sandbox:
        sandbox.run("git", "create", "secret", "--private")
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        public = {"ca.pem", "bundle.pem"}
        found = {path.relative_to(home) for path in home.rglob("*") if path.stat().st_mode & 0o077}
        assert {path for path in found if path.name not in public and path.parent.name != "certificates"} == set()


def test_the_log_holds_no_secret(sandbox: Sandbox) -> None:
    env = sandbox.env()
    token = sandbox.token()
    log = (sandbox.home / "sandbox.log").read_text()
    assert "/msi/token" in log
    assert env["identity_header"] not in log and token.rpartition(".")[2] not in log


def test_it_listens_on_loopback_only(sandbox: Sandbox) -> None:
    env = sandbox.env()
    port = int(env["arm_endpoint"].rpartition(":")[2])
    listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
    for line in listening.splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state == "0A" and int(local.split(":")[1], 16) == port:
            assert local.startswith("0100007F")


def first_line(sandbox: Sandbox, request: bytes) -> bytes:
    """What the sandbox answers to bytes at its TLS port."""
    context = ssl.create_default_context(cafile=sandbox.env()["ca"])
    port = int(sandbox.env()["arm_endpoint"].rpartition(":")[2])
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost"
    ) as connection:
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # it may have been cut before all was sent
            connection.sendall(request)
        return connection.recv(1000).partition(b"\r\n")[0]


def test_a_head_that_does_not_end_is_cut_off(sandbox: Sandbox) -> None:
    start = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    assert b" 431 " in first_line(sandbox, start + b"X-A: " + b"a" * 3_000_000)
    trailers = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: " + b"a" * 3_000_000
    assert first_line(sandbox, start + trailers) in (b"", b"HTTP/1.1 431 Request Header Fields Too Large")


def test_a_websocket_is_answered_as_any_request(sandbox: Sandbox) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    assert b" 401 " in first_line(sandbox, b"GET /subscriptions HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")


def test_an_answered_write_survives_kill_9(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        before = sandbox.env()
        group = f"/subscriptions/{before['subscription_id']}/resourcegroups/rg-kept?api-version=2022-09-01"
        assert arm(sandbox, "PUT", group, {"location": "westeurope"})[0] == 201
        token = sandbox.token()
        os.kill(before["pid"], signal.SIGKILL)
        time.sleep(0.05)
        assert sandbox.run("status", check=False).returncode == 1
        sandbox.run("up")
        after = sandbox.env()
        assert arm(sandbox, "GET", group)[1]["name"] == "rg-kept"
        for name in ("arm_endpoint", "proxy", "subscription_id", "tenant_id", "object_id", "identity_header"):
            assert after[name] == before[name], name
        assert token.rpartition(".")[0].partition(".")[0] == sandbox.token().partition(".")[0]  # the same signing key


def test_sigterm_ends_it_within_two_seconds_with_connections_open(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        env = sandbox.env()
        port = int(env["arm_endpoint"].rpartition(":")[2])
        context = ssl.create_default_context(cafile=env["ca"])
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(
                b"POST /subscriptions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
            )  # half a request
            started = time.perf_counter()
            sandbox.run("down")
            assert time.perf_counter() - started < 2
        assert not (sandbox.home / "env.json").exists()


def test_a_busy_port_is_left_for_the_next_free_one(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        port = int(sandbox.env()["arm_endpoint"].rpartition(":")[2])
        sandbox.run("down")
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            sandbox.run("up")
            assert int(sandbox.env()["arm_endpoint"].rpartition(":")[2]) > port
            assert f"port {port} is busy" in sandbox.run("logs").stdout


def test_reset_forgets_resources_and_keeps_addresses(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        before = sandbox.env()
        group = f"/subscriptions/{before['subscription_id']}/resourcegroups/rg-gone?api-version=2022-09-01"
        arm(sandbox, "PUT", group, {"location": "westeurope"})
        sandbox.run("reset")
        after = sandbox.env()
        assert arm(sandbox, "GET", group)[0] == 404
        for name in ("arm_endpoint", "proxy", "subscription_id", "tenant_id", "object_id", "identity_header", "ca"):
            assert after[name] == before[name], name


def test_two_sandboxes_do_not_share_a_home(sandbox: Sandbox) -> None:
    done = sandbox.run("up", "--foreground", check=False)
    assert done.returncode == 1 and "running on" in done.stderr and "azsandbox down" in done.stderr


def test_a_state_of_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        sandbox.run("down")
        with contextlib.closing(sqlite3.connect(sandbox.home / "state.db")) as state:
            state.execute("PRAGMA user_version = 99")
        for command in ("up", "reset"):
            said = sandbox.run(command, check=False).stderr
            assert "written by a newer azsandbox: its format is 99" in said
            assert f"mv {sandbox.home} {sandbox.home}.old && azsandbox up" in said


def test_env_prints_lines_that_a_shell_takes(sandbox: Sandbox) -> None:
    lines = sandbox.run("env").stdout
    script = f'{lines}\necho "$IDENTITY_ENDPOINT $AZURE_SUBSCRIPTION_ID $NO_PROXY"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    env = sandbox.env()
    assert said == [env["identity_endpoint"], env["subscription_id"], "127.0.0.1,localhost"]


def test_commands_name_what_to_do_next(tmp_path: Path, sandbox: Sandbox) -> None:
    assert "azsandbox up" in Sandbox(tmp_path).run("token", check=False).stderr
    assert "learner" in sandbox.run("token", "--as", "nobody", check=False).stderr
    assert "no command" in sandbox.run("exec", "--", "no-such-program", check=False).stderr
    assert sandbox.run("exec", check=False).returncode == 1
