"""Personal access tokens, for `azsandbox git token`. Each person sees and makes their own."""

from __future__ import annotations

import re
from typing import Any

from azsandbox.git.rest.answers import Answer, invalid, not_found
from azsandbox.git.rest.call import Call
from azsandbox.git.tokens import Access, Token

_NOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


async def list_all(call: Call) -> Answer:
    """Those of who is signed in, without the tokens themselves, which are not kept."""
    return call.paged([_shown(token) for token in call.host.tokens.list() if token.login == call.account().login])


async def create(call: Call) -> Answer:
    """A new one, told this once."""
    call.must_write()
    body = call.body({"note": "string", "access": "string"}, ("note", "access"))
    if not _NOTE.fullmatch(body["note"]):
        message = "a note is letters, digits, spaces, '.', '_' and '-', at most 64"
        raise invalid("Token", "note", "custom", message)
    accesses: dict[str, Access] = {"read": "read", "write": "write"}
    if body["access"] not in accesses:
        raise invalid("Token", "access", "custom", "access is read or write")
    try:
        token = call.host.tokens.issue(call.account().login, accesses[body["access"]], body["note"])
    except ValueError as error:
        raise invalid("Token", "note", "already_exists", str(error)) from None
    return Answer(201, {"note": body["note"], "access": body["access"], "token": token})


async def delete(call: Call) -> Answer:
    """Forgets one."""
    call.must_write()
    if not call.host.tokens.revoke(call.account().login, call.params["note"]):
        raise not_found()
    return Answer(204)


def _shown(token: Token) -> dict[str, Any]:
    return {"note": token.note, "access": token.access, "created_at": token.created}
