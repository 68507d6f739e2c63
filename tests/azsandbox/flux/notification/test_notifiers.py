"""What each kind of Provider posts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.notifiers import KINDS, REFUSED, notifier
from azsandbox.flux.notification.notifiers.base import NotifierError, Options
from azsandbox.flux.notification.posting import Http, SendError
from azsandbox.flux.runtime import Outbound
from tests.azsandbox.flux.notification.events import SHA, sent
from tests.azsandbox.flux.web import Asked, Web

REVISION = f"main@sha1:{SHA}"
ERROR = {"severity": "error", "reason": "BuildFailed", "message": "no <such> file\nat all"}


async def post(hooks: Web, kind: str, about: Object | None = None, path: str = "/hook", **options: Any) -> list[Asked]:
    made = notifier(kind, Options(**{"url": hooks.url + path, **options}))
    async with Http(Outbound(), asyncio.get_running_loop().time() + 5) as http:
        await made.post(about or sent(), http)
    return hooks.asked


async def test_generic_posts_the_event_as_go_writes_it(hooks: Web) -> None:
    (asked,) = await post(hooks, "generic", sent(**ERROR), headers={"X-Team": "web"})
    assert asked.body.startswith(b'{"involvedObject":{"kind":"Kustomization","namespace":"apps","name":"web"')
    assert b"no \\u003csuch\\u003e file" in asked.body
    assert asked.json == sent(**ERROR)
    assert (asked.headers["gotk-component"], asked.headers["x-team"]) == ("kustomize-controller", "web")
    assert asked.headers["content-type"] == "application/json"


async def test_generic_hmac_signs_what_it_posts(hooks: Web) -> None:
    (asked,) = await post(hooks, "generic-hmac", token="secret")
    signature = hmac.new(b"secret", asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["x-signature"] == f"sha256={signature}"


async def test_slack_and_its_like_post_an_attachment(hooks: Web) -> None:
    slack = (await post(hooks, "slack", sent(**ERROR), channel="general", token="t"))[-1]
    assert slack.headers["authorization"] == "Bearer t"
    assert slack.json["channel"] == "general" and slack.json["username"] == "kustomize-controller"
    (attachment,) = slack.json["attachments"]
    assert attachment["fallback"] == "kustomization/web.apps: no <such> file"
    assert attachment["color"] == "danger"
    assert attachment["fields"] == [{"title": "revision", "value": REVISION, "short": False}]
    rocket = (await post(hooks, "rocket", channel="general", username="flux"))[-1]
    assert (rocket.json["username"], rocket.json["attachments"][0]["color"]) == ("flux", "#0076D7")
    discord = (await post(hooks, "discord", channel="general"))[-1]
    assert (discord.target, discord.json["channel"]) == ("/hook/slack", "")
    assert (await post(hooks, "discord", path="/hook/slack"))[-1].target == "/hook/slack"


async def test_teams_gets_a_card_with_the_summary_first(hooks: Web) -> None:
    about = sent(metadata={"a": "1", "summary": "s", "revision": REVISION}, **ERROR)
    (asked,) = await post(hooks, "msteams", about)
    (title, message, facts) = asked.json["attachments"][0]["content"]["body"][0]["items"]
    assert title["text"] == "kustomization/web.apps"
    assert message == {"type": "TextBlock", "text": ERROR["message"], "color": "attention", "wrap": True}
    assert [fact["title"] for fact in facts["facts"]] == ["summary", "a", "revision"]


async def test_alertmanager_gets_labels_and_the_summary_as_an_annotation(hooks: Web) -> None:
    about = sent(metadata={"summary": "s", "revision": REVISION})
    (asked,) = await post(hooks, "alertmanager", about, path="/api/v2/alerts", username="me", password="pw")
    (alert,) = asked.json
    assert alert["labels"]["alertname"] == "FluxKustomizationReconciliationsucceeded"
    assert alert["labels"]["revision"] == REVISION and "summary" not in alert["labels"]
    assert alert["annotations"] == {"message": about["message"], "summary": "s"}
    assert alert["startsAt"] == about["timestamp"]
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"me:pw").decode()


@pytest.mark.parametrize(
    ("kind", "options", "find", "wanted"),
    [
        ("googlechat", {}, lambda b: b["cards"][0]["header"]["title"], "kustomization/web.apps"),
        ("googlechat", {}, lambda b: b["cards"][0]["sections"][1]["widgets"][0]["keyValue"]["topLabel"], "revision"),
        ("webex", {"channel": "room"}, lambda b: b["roomId"], "room"),
        ("webex", {}, lambda b: b["markdown"].split("\n")[0], "✅ **kustomization/web.apps**"),
        ("lark", {}, lambda b: b["card"]["header"]["title"]["content"], "💫 kustomization/web.apps"),
        ("matrix", {"channel": "!r"}, lambda b: b["body"].split("\n")[0], "💫 kustomization/web.apps"),
        ("grafana", {}, lambda b: (b["when"], b["text"]), [1795600800, "kustomization/web.apps"]),
        ("grafana", {}, lambda b: b["tags"][2], f"revision: main@sha1|{SHA}"),
        ("opsgenie", {"token": "k"}, lambda b: b["message"], "Kustomization/web"),
        ("opsgenie", {"token": "k"}, lambda b: b["details"]["severity"], "info"),
        ("pagerduty", {"channel": "key"}, lambda b: (b["routing_key"], b["event_action"]), ["key", "resolve"]),
        ("datadog", {"token": "k"}, lambda b: b["title"], "Events from the Kustomization web/apps"),
        ("datadog", {"token": "k"}, lambda b: b["tags"][1], "flux_reason:reconciliationsucceeded"),
    ],
)
async def test_a_message_has_the_form_of_its_service(
    hooks: Web, kind: str, options: dict[str, Any], find: Any, wanted: Any
) -> None:
    found = find((await post(hooks, kind, **options))[0].json)
    assert (list(found) if isinstance(found, tuple) else found) == wanted


async def test_matrix_puts_and_zulip_posts_a_form(hooks: Web) -> None:
    matrix = (await post(hooks, "matrix", path="", channel="!r", token="t"))[-1]
    assert matrix.method == "PUT" and matrix.target.startswith("/_matrix/client/r0/rooms/!r/send/m.room.message/")
    zulip = (await post(hooks, "zulip", channel="dev/flux", username="bot", password="pw"))[-1]
    assert zulip.target == "/api/v1/messages"
    assert zulip.body.startswith(b"content=%23%23+Flux+Status") and b"&to=dev&topic=flux&type=stream" in zulip.body


async def test_pagerduty_opens_an_incident_for_an_error_alone(hooks: Web) -> None:
    asked = await post(hooks, "pagerduty", sent(**ERROR), channel="key")
    assert [a.target for a in asked] == ["/v2/enqueue"]
    assert asked[0].json["payload"]["summary"] == "build failed: kustomization/web"
    await post(hooks, "pagerduty", sent(reason="Progressing"))
    assert len(asked) == 1
    await post(hooks, "pagerduty")
    assert [a.target for a in asked[1:]] == ["/v2/enqueue", "/v2/change/enqueue"]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("generic", {"url": ""}, 'invalid hook URL : parse "": empty url'),
        ("generic", {"url": "a.example"}, 'invalid hook URL a.example: parse "a.example": invalid URI for request'),
        ("slack", {"url": "x"}, "invalid Slack hook URL x: 'parse \"x\": invalid URI for request'"),
        ("generic-hmac", {}, "HMAC key is empty"),
        ("telegram", {"channel": "1"}, "empty Telegram token"),
        ("zulip", {"channel": "dev"}, "invalid Zulip channel format, expected <channel>/<topic>, got 'dev'"),
        ("opsgenie", {}, "empty Opsgenie apikey/token"),
        ("github", {"commit_status": "x"}, "github token or github app details must be specified"),
        ("gitlab", {"commit_status": "x"}, "gitlab token cannot be empty"),
        ("gitea", {"commit_status": "x", "token": "t", "url": "http://h/a"}, 'invalid repository id "a"'),
        ("bitbucket", {"commit_status": "x", "token": "t"}, "invalid token format, expected to be <user>:<password>"),
    ],
)
def test_options_that_a_service_cannot_do_with_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NotifierError) as error:
        notifier(kind, Options(**{"url": "http://h.example/a/b", **options}))
    assert str(error.value) == message


def test_every_type_of_the_definition_is_served_or_refused_by_name() -> None:
    from azsandbox.flux import facts

    definition = next(d for d in facts.definitions() if d["metadata"]["name"].startswith("providers."))
    schema = definition["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert set(schema["type"]["enum"]) == KINDS.keys() | REFUSED.keys()
    for kind in REFUSED:
        with pytest.raises(NotifierError, match=f"NotSupportedInSandbox: Providers of type '{kind}'"):
            notifier(kind, Options())


class GitHost:
    """Answers lists with what was set before."""

    def __init__(self) -> None:
        self.statuses: list[Any] = []

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        if asked.method == "GET":
            return 200, self.statuses
        self.statuses.insert(0, asked.json)
        return 201, asked.json


@pytest.mark.parametrize(
    ("kind", "repository", "status_path", "state"),
    [
        ("github", "/org/app.git", f"/api/v3/repos/org/app/statuses/{SHA}", "success"),
        ("gitlab", "/org/sub/app.git", f"/api/v4/projects/org%2Fsub%2Fapp/statuses/{SHA}", "success"),
        ("gitea", "/org/app", f"/api/v1/repos/org/app/statuses/{SHA}", "success"),
        (
            "azuredevops",
            "/org/project/_git/app",
            f"/org/project/_apis/git/repositories/app/commits/{SHA}/statuses?api-version=6.0-preview.1",
            "succeeded",
        ),
        (
            "bitbucketserver",
            "/scm/prj/app.git",
            f"/rest/api/latest/projects/prj/repos/app/commits/{SHA}/builds",
            "SUCCESSFUL",
        ),
    ],
)
async def test_a_commits_status_is_set_once(
    hooks: Web, kind: str, repository: str, status_path: str, state: str
) -> None:
    if kind in ("github", "gitea"):
        hooks.answer = GitHost()
    else:
        hooks.answer = lambda asked: (200, [] if asked.method == "GET" else {})
    options = {"path": repository, "token": "t", "commit_status": "kustomization/web/0c9c2e41"}
    asked = await post(hooks, kind, **options)
    assert [a.method for a in asked] == ["GET", "POST"]
    assert asked[1].target == status_path
    assert asked[1].json["state"] == state
    assert asked[1].json["description"] == "reconciliation succeeded"
    if kind in ("github", "gitea"):
        await post(hooks, kind, **options)
        assert [a.method for a in asked] == ["GET", "POST", "GET"]


async def test_a_commits_status_passes_over_what_goes_on_and_wants_a_revision(hooks: Web) -> None:
    options = {"path": "/org/app", "token": "t", "commit_status": "x"}
    assert await post(hooks, "github", sent(reason="Progressing"), **options) == []
    hooks.answer = lambda asked: (200, [])
    asked = await post(hooks, "gitea", sent(reason="Progressing"), **options)
    assert asked[-1].json["state"] == "pending"
    with pytest.raises(SendError, match="missing revision metadata"):
        await post(hooks, "github", sent(metadata={}), **options)
    with pytest.raises(SendError, match="failed to extract commit hash from 'main@sha1:12' revision"):
        await post(hooks, "github", sent(metadata={"revision": "main@sha1:12"}), **options)


async def test_a_git_host_that_refuses_is_told_of(hooks: Web) -> None:
    hooks.answer = lambda asked: (401, {"message": "Bad credentials"})
    with pytest.raises(SendError) as error:
        await post(hooks, "github", path="/org/app", token="t", commit_status="x")
    url = f"{hooks.url}/api/v3/repos/org/app/commits/{SHA}/statuses?per_page=50"
    assert str(error.value) == f"could not list commit statuses: GET {url}: 401 Bad credentials"


async def test_a_comment_of_a_pull_request_is_made_and_then_changed(hooks: Web) -> None:
    comments: list[Any] = []

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.target.endswith("/user"):
            return 200, {"login": "flux"}
        if asked.method == "GET":
            return 200, comments
        comments[:] = [{"id": 7, "user": {"login": "flux"}, "body": asked.json["body"]}]
        return 201, {}

    hooks.answer = answer
    about = sent(metadata={"change_request": "12", "revision": REVISION})
    options = {"path": "/org/app", "token": "t", "provider_uid": "0c9c2e41-d2f9"}
    for _ in range(2):
        await post(hooks, "githubpullrequestcomment", about, **options)
    written = [(a.method, a.target) for a in hooks.asked if a.method != "GET"]
    assert written == [
        ("POST", "/api/v3/repos/org/app/issues/12/comments"),
        ("PATCH", "/api/v3/repos/org/app/issues/comments/7"),
    ]
    first = comments[0]["body"].split("\n")[0]
    assert first == "<!-- flux-pr-comment-key:0c9c2e41-d2f9/Kustomization/apps/web -->"
    assert "change_request" not in comments[0]["body"]


async def test_a_workflow_of_github_is_started_with_the_event(hooks: Web) -> None:
    (asked,) = await post(hooks, "githubdispatch", path="/org/app", token="t")
    assert asked.target == "/api/v3/repos/org/app/dispatches"
    assert json.loads(asked.body)["event_type"] == "Kustomization/web.apps"
