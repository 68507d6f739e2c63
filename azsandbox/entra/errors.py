"""Errors of the token endpoint, as Entra ID writes them (learn.microsoft.com/entra/identity-platform/reference-error-codes)."""

from __future__ import annotations

import datetime as dt
import uuid

from azsandbox.entra.web import Answer


class SignInError(Exception):
    """A sign-in is refused with an AADSTS number, an OAuth error name and the text that follows the number."""

    def __init__(self, number: int, error: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.number, self.error, self.message, self.status = number, error, message, status

    def answer(self, correlation_id: str | None, now: dt.datetime) -> Answer:
        """The answer of the token endpoint."""
        trace, correlation = str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
        time = now.strftime("%Y-%m-%d %H:%M:%SZ")
        text = f"AADSTS{self.number}: {self.message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}"
        body = {
            "error": self.error,
            "error_description": text,
            "error_codes": [self.number],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        return Answer(self.status, body, {"x-ms-request-id": trace})


def missing(name: str) -> SignInError:
    """A form field that the grant needs is not there."""
    return SignInError(900144, "invalid_request", f"The request body must contain the following parameter: '{name}'.")


def no_application(client_id: str, tenant: str) -> SignInError:
    """No application of that id in the tenant."""
    return SignInError(
        700016,
        "unauthorized_client",
        f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    )


def no_tenant(tenant: str) -> SignInError:
    """The tenant of the address is not this one."""
    return SignInError(
        90002,
        "invalid_request",
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    )


def no_resource(resource: str, tenant: str) -> SignInError:
    """No service of that name in the tenant."""
    return SignInError(
        500011,
        "invalid_resource",
        f"The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant.",
    )


def wrong_secret(app_id: str) -> SignInError:
    """The client secret is not one of the application's."""
    return SignInError(
        7000215,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not "
        f"the client secret ID, for a secret added to app '{app_id}'.",
        401,
    )


def expired_secret(app_id: str) -> SignInError:
    """The client secret was right once."""
    return SignInError(
        7000222,
        "invalid_client",
        f"The provided client secret keys for app '{app_id}' are expired. Visit the Azure portal to create new keys "
        "for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: "
        "https://aka.ms/certCreds.",
        401,
    )
