"""Plays a case of Azure Resource Manager, in a resource group of its own."""

from __future__ import annotations

import http.client
import json
import random
import re
import ssl
import string
import time
from typing import Any
from urllib.parse import urlsplit

from tests.fidelity.cases import Case
from tests.fidelity.compare import Outcome, missing
from tests.fidelity.paths import look

ENDED = ("Succeeded", "Failed", "Canceled")
Answer = tuple[int, dict[str, str], Any]


class ResourceManager:
    """The Resource Manager of a running sandbox; `described` is what `azsandbox env --json` prints.

    `tokens` are those for hosts beside it and for all below them, `nobody` is one for log queries of a person without any role.
    """

    def __init__(self, described: dict[str, Any], token: str, tokens: dict[str, str], nobody: str) -> None:
        self.names = {
            "SUB": described["subscription_id"],
            "TENANT": described["tenant_id"],
            "OID": described["object_id"],
            "TOKEN": token,
            "NOBODY": nobody,
        }
        self.tokens = tokens
        self.token = token
        self.address = urlsplit(described["arm_endpoint"])
        self.tls = ssl.create_default_context(cafile=described["ca"])

    def request(self, method: str, url: str, body: Any = None, headers: dict[str, str | None] | None = None) -> Answer:
        """One request; `url` is a path, or the address of an operation."""
        parts = urlsplit(url)
        target = url.removeprefix(f"{parts.scheme}://{parts.netloc}") if parts.netloc else url
        host = parts.netloc if parts.netloc in self.tokens else parts.netloc.partition(".")[2]
        token = self.tokens.get(host, self.token)
        sent: dict[str, str | None] = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        data = None
        if body is not None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        if parts.netloc and "localhost" not in parts.netloc and "127.0.0.1" not in parts.netloc:
            sent["Host"] = parts.netloc
        connection = http.client.HTTPSConnection(
            self.address.hostname or "", self.address.port, context=self.tls, timeout=60
        )
        try:
            kept = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, target.replace(" ", "%20").replace("'", "%27"), data, kept)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            answer = text.decode("utf-8", "replace")
        return response.status, {name.lower(): value for name, value in response.getheaders()}, answer

    def follow(self, headers: dict[str, str], seconds: float) -> Answer:
        """Polls the operation that an answer's headers name until it ends, or `seconds` are over."""
        address = headers.get("azure-asyncoperation") or headers.get("location")
        if not address:
            raise RuntimeError("the step before named no operation to follow")
        until = time.monotonic() + seconds
        while True:
            answer = self.request("GET", address)
            if "azure-asyncoperation" in headers and isinstance(answer[2], dict) and "status" in answer[2]:
                ended = answer[2]["status"] in ENDED
            else:
                ended = answer[0] != 202
            if ended or time.monotonic() > until:
                return answer
            time.sleep(0.05)


def play(service: ResourceManager, case: Case) -> Outcome:
    """Plays all steps of a case and compares."""
    word = "q" + "".join(random.choices(string.ascii_lowercase, k=5))
    location = case.content.get("location", "westeurope")
    names = {**service.names, "ID": word, "RG": f"rg-{word}", "LOC": location}
    group = f"/subscriptions/{names['SUB']}/resourceGroups/{names['RG']}?api-version=2022-09-01"
    grouped = case.content.get("group", True)
    equal, steps, notes = 0, 0, []
    if grouped:
        service.request("PUT", group, {"location": location})
    try:
        headers: dict[str, str] = {}
        for number, step in enumerate(case.content["steps"], 1):
            status, headers, body = _do(service, step, names, headers)
            names |= {name: str(look(body, where) or "") for name, where in (step.get("save") or {}).items()}
            expected = _fill(step.get("expect"), names)
            if expected:
                steps += 1
                found = list(_differences(expected, status, headers, body))
                equal += not found
                notes += [f"step {number}, {step.get('http', 'poll'):.120}: {note}" for note in found]
    finally:
        if grouped:
            service.request("DELETE", group)
    return Outcome(case.id, steps, equal, tuple(notes))


def _do(service: ResourceManager, step: dict[str, Any], names: dict[str, str], before: dict[str, str]) -> Answer:
    try:
        if step.get("poll"):
            status, headers, body = service.follow(before, step.get("timeout", 60))
            return status, {**before, **headers}, body
        method, url = _fill(step["http"], names).split(" ", 1)
        return service.request(method, url, _fill(step.get("body"), names), _fill(step.get("headers"), names))
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        return 0, before, f"{type(error).__name__}: {error}"


def _differences(expected: dict[str, Any], status: int, headers: dict[str, str], body: Any) -> list[str]:
    found = []
    if expected.get("status") not in (None, status):
        found.append(f"status {status}; recorded {expected['status']}: {body!r:.160}")
    found += [f"no header {name}" for name in expected.get("headers") or [] if name.lower() not in headers]
    if expected.get("body") is not None and not (found and status >= 400):
        found += missing(expected["body"], body)
    return found


def _fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_fill(key, names): _fill(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(item, names) for item in value]
    if isinstance(value, str) and "$" in value:
        return re.sub(r"\$([A-Za-z0-9]+)", lambda found: _name(found[1], names), value)
    return value


def _name(word: str, names: dict[str, str]) -> str:
    return names.get(word, f"${word}")
