"""Notifiers by the type of a Provider; a module a family of services."""

from __future__ import annotations

from azsandbox.flux.notification.notifiers import (
    alarms,
    change_requests,
    chats,
    commit_status,
    forwarder,
    slack,
    teams,
)
from azsandbox.flux.notification.notifiers.base import Notifier, NotifierError, Options

COMMIT_STATUS: dict[str, type[Notifier]] = {
    "azuredevops": commit_status.AzureDevOps,
    "bitbucket": commit_status.Bitbucket,
    "bitbucketserver": commit_status.BitbucketServer,
    "gitea": commit_status.Gitea,
    "github": commit_status.GitHub,
    "gitlab": commit_status.GitLab,
}
CHANGE_REQUEST: dict[str, type[Notifier]] = {
    "giteapullrequestcomment": change_requests.GiteaComment,
    "githubpullrequestcomment": change_requests.GitHubComment,
    "gitlabmergerequestcomment": change_requests.GitLabComment,
}
GENERIC: dict[str, type[Notifier]] = {"generic": forwarder.Generic, "generic-hmac": forwarder.GenericHmac}
_OTHERS: dict[str, type[Notifier]] = {
    "alertmanager": alarms.Alertmanager,
    "datadog": alarms.DataDog,
    "discord": slack.Discord,
    "githubdispatch": commit_status.GitHubDispatch,
    "googlechat": chats.GoogleChat,
    "grafana": alarms.Grafana,
    "lark": chats.Lark,
    "matrix": chats.Matrix,
    "msteams": teams.Teams,
    "opsgenie": alarms.Opsgenie,
    "pagerduty": alarms.PagerDuty,
    "rocket": slack.Rocket,
    "slack": slack.Slack,
    "telegram": chats.Telegram,
    "webex": chats.Webex,
    "zulip": chats.Zulip,
}
KINDS = GENERIC | COMMIT_STATUS | CHANGE_REQUEST | _OTHERS
# What is spoken to these is no plain HTTP with a body of Flux's making, but the protocol of an SDK
REFUSED = {
    "azureeventhub": "the AMQP of Azure Event Hubs",
    "googlepubsub": "the gRPC of Google Pub/Sub",
    "nats": "the protocol of NATS",
    "otel": "OTLP",
    "sentry": "the envelopes of Sentry's SDK",
}


def notifier(kind: str, options: Options) -> Notifier:
    """A notifier of a Provider's type. Raises NotifierError."""
    if kind in REFUSED:
        raise NotifierError(
            f"NotSupportedInSandbox: Providers of type '{kind}', since the sandbox does not speak {REFUSED[kind]}; "
            "use type 'generic' to see the events"
        )
    if kind not in KINDS:
        raise NotifierError(f"provider {kind} not supported")
    return KINDS[kind](options)
