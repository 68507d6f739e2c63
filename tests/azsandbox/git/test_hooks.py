"""Web hooks: what receivers get, with which headers, and what is kept of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from azsandbox.dispatch import Receive, Scope, Send
from tests.azsandbox.git.conftest import Git, Served

R = "/repos/contoso/gitops"
SECRET = "of-the-hook"


class Receiver:
    """A server on loopback that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("X-Said", "yes")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        return eventually(lambda: self.got if len(self.got) >= count else None)

    def events(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        return [(headers["x-github-event"], json.loads(body)) for headers, body in self.wait(count)]


def eventually(what: Any, seconds: float = 20) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come to be")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def hook(served: Served, url: str, *, events: list[str] | None = None, **config: Any) -> dict[str, Any]:
    body = {"config": {"url": url, "content_type": "json"} | config, "events": events or ["push"]}
    answer = served.api().post(R + "/hooks", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def deliveries(served: Served, made: dict[str, Any], count: int) -> list[dict[str, Any]]:
    def look() -> Any:
        found = served.api().get(f"{R}/hooks/{made['id']}/deliveries").json()
        return found if len(found) >= count else None

    found: list[dict[str, Any]] = eventually(look)
    return found


def test_a_new_hook_gets_a_ping(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url, secret=SECRET)
    assert made["config"]["secret"] == "********" and made["last_response"]["status"] == "unused"
    ((headers, body),) = receiver.wait(1)
    payload = json.loads(body)
    assert headers["x-github-event"] == "ping"
    assert (payload["hook_id"], payload["hook"]["events"]) == (made["id"], ["push"])
    assert SECRET not in body.decode()
    eventually(lambda: served.api().get(f"{R}/hooks/{made['id']}").json()["last_response"]["code"] == 200)


def test_a_push_is_told_with_githubs_headers_and_signature(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url, secret=SECRET)
    receiver.wait(1)
    gitops.commit("apps/web.yaml", "a: 1\n")
    gitops("push", "--quiet")
    headers, body = receiver.wait(2)[1]
    assert headers["x-github-event"] == "push"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("GitHub-Hookshot/")
    assert headers["x-github-hook-id"] == str(made["id"])
    assert headers["x-github-hook-installation-target-type"] == "repository"
    assert len(headers["x-github-delivery"]) == 36
    for name, digest in (("x-hub-signature", "sha1"), ("x-hub-signature-256", "sha256")):
        assert headers[name] == f"{digest}={hmac.new(SECRET.encode(), body, digest).hexdigest()}"
    assert hashlib.sha256(body).hexdigest() and json.loads(body)["ref"] == "refs/heads/main"


def test_a_push_event_tells_of_its_commits(served: Served, gitops: Git, receiver: Receiver) -> None:
    hook(served, receiver.url)
    before = gitops("rev-parse", "HEAD")
    one = gitops.commit("a.yaml", "a: 1\n", "Add a")
    (gitops.folder / "README.md").unlink()
    two = gitops.commit("a.yaml", "a: 2\n", "Change a, drop the readme")
    gitops("push", "--quiet")
    _, payload = receiver.events(2)[1]
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", before, two)
    assert (payload["created"], payload["deleted"], payload["forced"]) == (False, False, False)
    assert payload["compare"] == f"https://github.com/contoso/gitops/compare/{before[:12]}...{two[:12]}"
    assert [(c["id"], c["distinct"]) for c in payload["commits"]] == [(one, True), (two, True)]
    assert payload["head_commit"] == payload["commits"][1]
    changed = [(c["added"], c["removed"], c["modified"]) for c in payload["commits"]]
    assert changed == [(["a.yaml"], [], []), ([], ["README.md"], ["a.yaml"])]
    assert payload["head_commit"]["author"] == {"name": "Lena", "email": "lena@lab.example"}
    assert payload["pusher"]["name"] == payload["sender"]["login"] == "lena"
    repository = payload["repository"]
    assert (repository["full_name"], repository["master_branch"]) == ("contoso/gitops", "main")
    assert isinstance(repository["created_at"], int) and isinstance(repository["pushed_at"], int)
    assert repository["url"] == repository["html_url"] == "https://github.com/contoso/gitops"
    assert payload["organization"]["login"] == "contoso"


def test_new_branches_force_and_deletion_are_told(served: Served, gitops: Git, receiver: Receiver) -> None:
    hook(served, receiver.url, events=["push", "create", "delete"])
    first = gitops("rev-parse", "HEAD")
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/same")
    new = gitops.commit("a", "a")
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/more")
    gitops("commit", "--quiet", "--amend", "-m", "Other")
    gitops("push", "--quiet", "--force", "origin", "HEAD:refs/heads/more")
    gitops("push", "--quiet", "--delete", "origin", "same")
    events = receiver.events(8)[1:]
    assert [name for name, _ in events] == ["create", "push", "create", "push", "push", "delete", "push"]
    same, more, forced, gone = (payload for name, payload in events if name == "push")
    assert (same["created"], same["base_ref"], same["commits"]) == (True, "refs/heads/main", [])
    assert same["head_commit"]["id"] == first and same["compare"].endswith("/compare/same")
    assert (more["base_ref"], [c["id"] for c in more["commits"]]) == (None, [new])
    assert forced["forced"] is True and forced["before"] == new
    assert (gone["deleted"], gone["after"], gone["head_commit"]) == (True, "0" * 40, None)
    created = events[0][1]
    assert (created["ref"], created["ref_type"], created["master_branch"]) == ("same", "branch", "main")


def test_more_than_three_tags_at_once_are_not_told(served: Served, gitops: Git, receiver: Receiver) -> None:
    hook(served, receiver.url)
    for number in range(4):
        gitops("tag", f"v{number}")
    gitops("push", "--quiet", "--tags")
    gitops("tag", "v9")
    gitops("push", "--quiet", "origin", "v9")
    events = receiver.events(2)
    assert [payload.get("ref") for _, payload in events] == [None, "refs/tags/v9"]
    assert events[1][1]["head_commit"]["id"] == gitops("rev-parse", "HEAD")


def test_a_form_carries_the_payload_in_one_field(served: Served, gitops: Git, receiver: Receiver) -> None:
    hook(served, receiver.url, content_type="form", secret=SECRET)
    ((headers, body),) = receiver.wait(1)
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert json.loads(parse_qs(body.decode())["payload"][0])["hook_id"]
    expected = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={expected}"


def test_only_what_is_asked_for_is_sent(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url, events=["status"])
    served.api().post(f"{R}/statuses/{gitops('rev-parse', 'HEAD')}", json={"state": "success", "context": "flux"})
    gitops.commit("a", "a")
    gitops("push", "--quiet")
    name, payload = receiver.events(2)[1]
    assert (name, payload["state"], payload["context"]) == ("status", "success", "flux")
    assert payload["branches"][0]["name"] == "main"
    served.api().patch(f"{R}/hooks/{made['id']}", json={"active": False})
    served.api().post(f"{R}/statuses/{gitops('rev-parse', 'HEAD')}", json={"state": "success"})
    assert len(deliveries(served, made, 2)) == 2


def test_deliveries_are_kept_and_sent_again(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url)
    receiver.wait(1)
    receiver.status = 503
    gitops.commit("a", "a")
    gitops("push", "--quiet")
    latest, first = deliveries(served, made, 2)
    assert (first["event"], first["status"], first["status_code"]) == ("ping", "OK", 200)
    status = "Invalid HTTP Response: 503 Service Unavailable"
    assert (latest["event"], latest["status"], latest["status_code"]) == ("push", status, 503)
    assert latest["redelivery"] is False and len(receiver.got) == 2
    path = f"{R}/hooks/{made['id']}/deliveries/{latest['id']}"
    found = served.api().get(path).json()
    assert found["request"]["headers"]["X-GitHub-Event"] == "push"
    assert found["request"]["payload"]["ref"] == "refs/heads/main"
    assert found["response"]["payload"] == "ok" and found["response"]["headers"]["x-said"] == "yes"
    receiver.status = 200
    assert served.api().post(path + "/attempts").status_code == 202
    again = deliveries(served, made, 3)[0]
    assert (again["redelivery"], again["guid"], again["status_code"]) == (True, latest["guid"], 200)


def test_a_hook_can_be_pinged_and_tested(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url)
    assert served.api().post(f"{R}/hooks/{made['id']}/pings").status_code == 204
    assert served.api().post(f"{R}/hooks/{made['id']}/tests").status_code == 204
    names = sorted(name for name, _ in receiver.events(3))
    assert names == ["ping", "ping", "push"]


@pytest.mark.parametrize("url", ["http://example.com/hook", "https://10.0.0.1/", "http://2130706433/", "http://[::2]/"])
def test_nothing_is_sent_to_other_machines(served: Served, gitops: Git, url: str) -> None:
    made = hook(served, url)
    (found,) = deliveries(served, made, 1)
    assert found["status_code"] == 0 and found["duration"] == 0
    text = "NotSupportedInSandbox: hooks are sent to loopback addresses and to hosts that the sandbox serves; "
    assert found["status"].startswith(text)
    shown = served.api().get(f"{R}/hooks/{made['id']}").json()
    assert shown["last_response"]["status"] == "error" and shown["last_response"]["code"] is None


def test_a_receiver_that_is_not_there_is_told(served: Served, gitops: Git) -> None:
    made = hook(served, "http://127.0.0.1:1/")
    (found,) = deliveries(served, made, 1)
    assert (found["status"], found["status_code"]) == ("failed to connect to host", 0)


def test_a_host_that_the_sandbox_serves_is_reached_in_the_process(served: Served, gitops: Git) -> None:
    got: list[tuple[str, dict[str, Any]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        got.append((scope["path"], json.loads(body)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    served.call(served.dispatch.serve, "flux.contoso.example", app)
    made = hook(served, "https://flux.contoso.example/hook/abc")
    gitops.commit("a", "a")
    gitops("push", "--quiet")
    latest, _ = deliveries(served, made, 2)
    assert latest["status_code"] == 200
    assert [path for path, _ in got] == ["/hook/abc"] * 2 and got[1][1]["ref"] == "refs/heads/main"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"config": {}}, 422, "Config must contain URL for webhooks"),
        ({"config": {"url": "example.com"}}, 422, "Url is missing a scheme"),
        ({"config": {"url": "http://127.0.0.1:1/", "content_type": "xml"}}, 422, "'xml' is not 'json' or 'form'"),
        ({"config": {"url": "http://127.0.0.1:1/"}, "events": ["issues"]}, 403, "the events issues"),
        ({"config": {"url": "http://127.0.0.1:1/"}, "name": "irc"}, 422, "'irc' is not a hook's name"),
    ],
)
def test_what_is_no_hook_is_refused(served: Served, gitops: Git, body: Any, status: int, said: str) -> None:
    answer = served.api().post(R + "/hooks", json=body)
    assert answer.status_code == status and said in answer.text
    assert served.api().get(R + "/hooks").json() == []


def test_the_same_hook_is_not_made_twice(served: Served, gitops: Git) -> None:
    hook(served, "http://127.0.0.1:1/")
    answer = served.api().post(R + "/hooks", json={"config": {"url": "http://127.0.0.1:1/", "content_type": "json"}})
    assert answer.json()["errors"][0]["message"] == "Hook already exists on this repository"


def test_a_hook_changes_and_goes(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url, secret=SECRET)
    receiver.wait(1)
    path = f"{R}/hooks/{made['id']}"
    body = {"add_events": ["create"], "remove_events": ["push"], "config": {"url": receiver.url + "2"}}
    found = served.api().patch(path, json=body).json()
    assert found["events"] == ["create"]
    assert found["config"] == {"content_type": "form", "insecure_ssl": "0", "url": receiver.url + "2"}
    assert served.api().delete(path).status_code == 204
    assert served.api().get(path).status_code == 404


def test_only_the_latest_deliveries_are_kept(served: Served, gitops: Git, receiver: Receiver) -> None:
    made = hook(served, receiver.url)
    for _ in range(60):
        served.api().post(f"{R}/hooks/{made['id']}/pings")
    receiver.wait(61)
    path = f"{R}/hooks/{made['id']}/deliveries?per_page=100"
    eventually(lambda: len(served.api().get(path).json()) == 50)
