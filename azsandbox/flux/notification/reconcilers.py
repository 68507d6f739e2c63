"""The reconcilers of this controller, and what of it listens."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.notification.event_server import EventServer
from azsandbox.flux.notification.providers import Alerts, Providers
from azsandbox.flux.notification.receiver_server import ReceiverServer
from azsandbox.flux.notification.receivers import Receivers

RECONCILERS: list[type[Controller]] = [EventServer, ReceiverServer, Receivers, Providers, Alerts]
