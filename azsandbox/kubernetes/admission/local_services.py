"""Webhooks whose program runs in this process: what answers for a Service, by namespace and name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from azsandbox.kubernetes.request import Object

# The path of the webhook and an AdmissionReview in, the AdmissionReview with its response out
LocalServices = dict[tuple[str, str], Callable[[str, Object], Awaitable[Object]]]
