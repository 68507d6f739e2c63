"""Plays a Kubernetes case: its steps in a namespace and a folder of its own, and what came back of each."""

from __future__ import annotations

import copy
import json
import random
import re
import shlex
import shutil
import string
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from tests.fidelity.cases import Case
from tests.fidelity.compare import Outcome, difference, same
from tests.fidelity.connection import Connection, Watch
from tests.fidelity.fixtures import Fixtures
from tests.fidelity.marks import Marks
from tests.fidelity.paths import drop, look

HEADERS = ("content-type", "warning", "location", "retry-after")  # what of an answer's headers is compared
_SCOPED = re.compile(r"-n|-A|--all-namespaces|--namespace.*")

FLUX = "2.9"  # the release of Flux's command that the cases were recorded with
_ASKING = ("get", "tree", "trace", "events", "stats", "logs", "export", "check", "diff", "build", "debug", "envsubst")

Step = dict[str, Any]


@cache
def has_flux() -> bool:
    """Whether the command flux is here, in the release that the cases were recorded with."""
    if not shutil.which("flux"):
        return False
    said = subprocess.run(["flux", "version", "--client"], capture_output=True, text=True).stdout
    return re.search(rf"v?{re.escape(FLUX)}\.\d", said) is not None


def needs_flux(case: Case) -> bool:
    """Whether steps of a case rest on what a flux command does; those that only ask can be left out."""
    words = [shlex.split(step["flux"])[0] for step in case.content["steps"] if "flux" in step]
    return any(word not in _ASKING for word in words)


def play(connection: Connection, case: Case, fixtures: Fixtures | None = None) -> Outcome:
    """Plays all steps; an error of a step is its result, and ends the case. Without flux its steps are left out."""
    wanted = [step for step in case.content["steps"] if "expect" in step and (has_flux() or "flux" not in step)]
    equal, notes = 0, []
    with tempfile.TemporaryDirectory(prefix="case-") as folder:
        run = Run(connection, case.content, Path(folder), fixtures)
        try:
            run.begin()
            for number, step in enumerate(case.content["steps"], 1):
                if "flux" in step and not has_flux():
                    continue
                found = run.do(step)
                if "expect" not in step:
                    continue
                if same(step["expect"], found):
                    equal += 1
                else:
                    notes.append(f"step {number}, {_title(step)}\n{difference(step['expect'], found)}")
        except Exception as error:
            notes.append(f"step {_title(step)}: {type(error).__name__}: {error}")
        finally:
            run.end()
    return Outcome(case.id, len(wanted), equal, tuple(notes))


def _title(step: Step) -> str:
    return next((f"{word} {step[word]}" for word in _KINDS if word in step), "?")[:120]


class Run:
    """One run of one case. `saved` are the names that its steps can use."""

    def __init__(
        self, connection: Connection, content: dict[str, Any], folder: Path, fixtures: Fixtures | None
    ) -> None:
        self.connection, self.content = connection, content
        self.folder = folder / "work"
        self.folder.mkdir()
        word = "q" + "".join(random.choices(string.ascii_lowercase, k=5))
        self.namespaced = content.get("namespace", True)
        self.namespace = f"t-{word}"
        self.word = word
        self.saved = {"NS": self.namespace, "ID": word}
        if fixtures:
            self.saved["HOST"] = fixtures.address
        self._fixtures = fixtures
        self.marks = Marks(word, connection.server, connection.nodes, self.saved.get("HOST", ""))
        self.watches: dict[str, Watch] = {}

    def begin(self) -> None:
        """Makes the namespace and waits for its account, which pods need."""
        if not self.namespaced:
            return
        metadata = {"name": self.namespace, "labels": self.content.get("namespaceLabels") or {}}
        body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).encode()
        status, _, answer = self.connection.request(
            "POST", "/api/v1/namespaces", body, {"Content-Type": "application/json"}
        )
        if status != 201:
            raise RuntimeError(f"namespace {self.namespace}: {status} {answer[:300]!r}")
        account = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
        until = time.monotonic() + 10
        while self.connection.request("GET", account)[0] != 200 and time.monotonic() < until:
            time.sleep(0.05)

    def end(self) -> None:
        """Cleans up; what cannot be cleaned does not hide the result."""
        for watch in self.watches.values():
            watch.close()
        for step in self.content.get("cleanup") or []:
            try:
                self.do(step)
            except Exception:
                continue
        if self.namespaced:
            self.connection.request("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def do(self, step: Step) -> Any:
        """Does a step; returns what came back, marked, None where nothing is to be compared."""
        for word, act in _KINDS.items():
            if word in step:
                return act(self, step)
        raise ValueError(f"no such step: {sorted(step)}")

    def fill(self, value: Any) -> Any:
        """Puts what is saved in the place of $NAMES."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str) and "$" in value:
            for name, saved in self.saved.items():
                value = value.replace(f"${name}", saved)
        return value

    def _send(self, step: Step, line: str) -> tuple[int, dict[str, str], bytes]:
        method, path = self.fill(line).split(" ", 1)
        headers = dict(self.fill(step.get("headers") or {}))
        data = None
        if "raw" in step:
            data = self.fill(step["raw"]).encode()
        elif "body" in step:
            data = json.dumps(self.fill(step["body"])).encode()
        if data is not None and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "application/json"
        return self.connection.request(method, path.replace(" ", "%20"), data, headers)

    def http(self, step: Step) -> Step:
        status, headers, data = self._send(step, step["http"])
        try:
            body = json.loads(data)
        except ValueError:
            body = data.decode("utf-8", "replace")
        for name, where in (step.get("save") or {}).items():
            header = where.removeprefix("header:")
            value = headers.get(header) if header != where else look(body, where)
            self.saved[name] = "" if value is None else str(value)
        found: Step = {"status": status}
        compared = {name: self.marks.text(headers[name]) for name in HEADERS if name in headers}
        if compared:
            found["headers"] = compared
        if step.get("compare") != "status":
            if "pick" in step:
                body = {where: look(body, self.fill(where)) for where in step["pick"]}
            for where in step.get("ignore") or []:
                drop(body, where)
            found["body"] = self.marks.console(body) if isinstance(body, str) else self.marks.value(body)
        return found

    @property
    def fixtures(self) -> Fixtures:
        """What Flux fetches from, which cases of other services do without."""
        assert self._fixtures is not None, "this service has no fixtures"
        return self._fixtures

    def git(self, step: Step) -> None:
        options = {key: step[key] for key in ("branch", "message", "tag", "fresh") if key in step}
        name = f"{self.word}-{step['git']}"
        files = self.fill(step.get("files") or {})
        self.saved[step.get("as", "SHA")] = self.fixtures.commit(name, files, step.get("remove") or (), **options)

    def chart(self, step: Step) -> None:
        files = self.fill(step.get("files") or {})
        digest = self.fixtures.chart(step["chart"], step["version"], files, self.word, step.get("meta"))
        self.saved[step.get("as", "DIGEST")] = digest

    def received(self, step: Step) -> Step:
        name = f"{self.word}/{step['received']}"
        posts = copy.deepcopy(self.fixtures.received(name, step.get("count", 1), step.get("seconds", 10)))
        for post in posts:
            for where in step.get("ignore") or []:
                drop(post, where)
        return {"posts": self.marks.value(posts)}

    def kubectl(self, step: Step) -> Step:
        return self._command("kubectl", step)

    def flux(self, step: Step) -> Step:
        return self._command("flux", step)

    def _command(self, program: str, step: Step) -> Step:
        for name, text in (step.get("files") or {}).items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.fill(text))
        arguments = shlex.split(self.fill(step[program]))
        if self.namespaced and not any(_SCOPED.fullmatch(argument) for argument in arguments):
            arguments = ["-n", self.namespace, *arguments]
        code, out, err = self.connection.command(
            program, arguments, self.folder, self.fill(step.get("stdin", "")), step.get("timeout", 30)
        )
        found: Step = {"exit": code}
        if step.get("compare") == "exit":
            return found
        out, err = (text.replace(str(self.folder), "<folder>") for text in (out, err))
        if step.get("sort"):
            out = "\n".join(sorted(out.splitlines()))
        ignored = step.get("ignore") or []
        if {"-o", "json"} <= set(arguments) and out.lstrip().startswith("{"):
            body = json.loads(out)
            for where in ignored:
                drop(body, where)
            found["json"] = self.marks.value(body)
        else:
            lines = self.marks.console(out).split("\n")
            found["stdout"] = "\n".join(line for line in lines if not any(re.search(p, line) for p in ignored))
        if err:
            found["stderr"] = self.marks.errors(err)
        return found

    def watch(self, step: Step) -> None:
        self.watches[step["watch"]] = Watch(self.connection, self.fill(step["path"]), self.fill(step.get("headers")))

    def collect(self, step: Step) -> Step:
        watch = self.watches[step["collect"]]
        events = watch.take(step.get("count"), step.get("seconds", 2))
        if watch.status != 200:
            return {"status": watch.status, "body": self.marks.value(watch.refusal)}
        found = []
        for event in events:
            for where in step.get("ignore") or []:
                drop(event, where)
            if step.get("pick"):
                event = {"type": event.get("type"), **{where: look(event, where) for where in step["pick"]}}
            found.append(self.marks.value(event))
        return {"status": 200, "events": found}

    def until(self, step: Step) -> None:
        limit = time.monotonic() + step.get("timeout", 30)
        while not self._reached(step):
            if time.monotonic() > limit:
                raise TimeoutError(f"not within {step.get('timeout', 30)} s: {self.fill(step['until'])}")
            time.sleep(0.05)

    def _reached(self, step: Step) -> bool:
        status, _, answer = self._send(step, step["until"])
        if "status" in step:
            return bool(status == step["status"])
        if status != 200:
            return False
        value = look(json.loads(answer), self.fill(step["at"]))
        return bool(value == self.fill(step["equals"]) if "equals" in step else value)

    def sleep(self, step: Step) -> None:
        time.sleep(step["sleep"])


_KINDS = {
    "http": Run.http,
    "kubectl": Run.kubectl,
    "flux": Run.flux,
    "git": Run.git,
    "chart": Run.chart,
    "received": Run.received,
    "watch": Run.watch,
    "collect": Run.collect,
    "until": Run.until,
    "sleep": Run.sleep,
}
