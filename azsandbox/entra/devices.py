"""The device code flow: a code for the terminal, a page on loopback where a persona is chosen for it."""

from __future__ import annotations

import html
import json
import secrets
from typing import TYPE_CHECKING, Any

from azsandbox.entra import errors, facts
from azsandbox.entra.errors import SignInError
from azsandbox.entra.web import Answer, Request

if TYPE_CHECKING:
    from azsandbox.entra import Entra

CODES = "device-codes"
LIFETIME = 900  # seconds
INTERVAL = 5  # seconds that Entra asks clients to wait between polls
_LETTERS = "BCDFGHJKLMNPQRSTVWXYZ23456789"


def begin(entra: Entra, request: Request) -> Answer:
    """POST /devicecode: a new code."""
    client_id = request.form.get("client_id")
    if not client_id:
        raise errors.missing("client_id")
    if client_id not in facts.resources()["clients"] and entra.directory.service_principal(client_id) is None:
        raise errors.no_application(client_id, entra.directory.domain)
    user_code = "".join(secrets.choice(_LETTERS) for _ in range(9))
    device_code = secrets.token_urlsafe(48)
    stored = {"device_code": device_code, "client_id": client_id, "ends": entra.now() + LIFETIME, "object_id": None}
    entra.bucket.put(CODES, user_code, json.dumps(stored).encode())
    address = f"{entra.plain_endpoint or request.base_url}/devicelogin"
    message = (
        f"To sign in, use a web browser to open the page {address} and enter the code {user_code} to authenticate."
    )
    return Answer(
        200,
        {
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": address,
            "expires_in": LIFETIME,
            "interval": INTERVAL if entra.clock.speed == "real" else 1,
            "message": message,
        },
    )


def redeem(entra: Entra, device_code: str, client_id: str) -> str:
    """The object id of who signed in for a device code, which is used up. Raises SignInError while nobody has."""
    for record in entra.bucket.list(CODES):
        stored = json.loads(record.value)
        if not secrets.compare_digest(stored["device_code"], device_code) or stored["client_id"] != client_id:
            continue
        if stored["ends"] < entra.now():
            entra.bucket.delete(CODES, record.key)
            raise SignInError(
                70020,
                "expired_token",
                "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
            )
        if stored["object_id"] is None:
            raise SignInError(
                70016,
                "authorization_pending",
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
            )
        entra.bucket.delete(CODES, record.key)
        return str(stored["object_id"])
    raise SignInError(9002313, "invalid_grant", "Invalid request. Request is malformed or invalid.")


def page(entra: Entra, request: Request) -> Answer:
    """The page where a code is entered and a persona chosen."""
    if request.method != "POST":
        return _html(200, _form(entra, request.query.get("code", "")))
    code = request.form.get("code", "").strip().upper()
    persona = next((p for p in entra.personas() if p.key == request.form.get("persona")), None)
    record = entra.bucket.get(CODES, code)
    if record is None or persona is None:
        return _html(400, _form(entra, code, "That code did not work. Check the code and try again."))
    stored: dict[str, Any] = json.loads(record.value)
    entra.bucket.put(CODES, code, json.dumps(stored | {"object_id": persona.object_id}).encode())
    return _html(200, f"<p>{html.escape(persona.display_name)} is signed in. You may close this window.</p>")


def _form(entra: Entra, code: str, problem: str = "") -> str:
    choices = "".join(
        f'<option value="{p.key}">{html.escape(p.display_name)} ({html.escape(p.user_principal_name)})</option>'
        for p in entra.personas()
    )
    shown = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    return (
        f'{shown}<form method="post" action="/devicelogin"><p><label>Code '
        f'<input name="code" value="{html.escape(code, quote=True)}" required autofocus></label></p>'
        f'<p><label>Sign in as <select name="persona">{choices}</select></label></p>'
        "<p><button>Next</button></p></form>"
    )


def _html(status: int, body: str) -> Answer:
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in to the sandbox</title>'
        '<body style="font-family:system-ui;max-width:32rem;margin:4rem auto">'
        f"<h1>Sign in to the sandbox</h1>{body}</body></html>"
    )
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
    return Answer(status, page, headers, content_type="text/html; charset=utf-8")
