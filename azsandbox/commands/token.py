"""`azsandbox token`: prints an access token, and nothing else."""

from __future__ import annotations

import argparse
import http.client
import json
from urllib.parse import quote, urlsplit

from azsandbox.commands import CommandError, persona_header, running

ARM = "https://management.azure.com/"


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--resource", default=ARM, help=f"what the token is for (default {ARM})")
    parser.add_argument("--as", dest="persona", metavar="PERSONA", help="whose it is (default: the learner's)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Asks the managed identity endpoint."""
    described = running(options)
    header = persona_header(described, options.persona)
    endpoint = urlsplit(described["identity_endpoint"])
    connection = http.client.HTTPConnection(endpoint.hostname or "", endpoint.port, timeout=10)
    try:
        connection.request(
            "GET",
            f"{endpoint.path}?api-version=2019-08-01&resource={quote(options.resource, safe='')}",
            headers={"X-IDENTITY-HEADER": header},
        )
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except OSError as error:
        raise CommandError(
            f"the sandbox does not answer at {endpoint.netloc}: {error}. See: azsandbox status"
        ) from None
    if answer.status != 200:
        raise CommandError(f"the sandbox refused ({answer.status}): {found.get('message')}")
    print(found["access_token"])
    return 0
