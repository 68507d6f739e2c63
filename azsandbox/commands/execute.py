"""`azsandbox exec -- CMD…`: runs a command whose Azure is the sandbox."""

from __future__ import annotations

import argparse
import os
import sys

from azsandbox.commands import CommandError, persona_header, running


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--as", dest="persona", metavar="PERSONA", help="whom to sign in as (default: the learner)")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD…", help="the command and its arguments")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Becomes the command; its exit status is this one's."""
    from azsandbox.environment import variables

    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise CommandError("a command is missing. Example: azsandbox exec -- az aks list")
    described = running(options)
    persona_header(described, options.persona)  # names an unknown persona
    environment = os.environ | variables(described, options.persona)
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"):
        environment.pop(name, None)  # a sign-in to Azure itself, which would go before the sandbox's
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - running the caller's command is its purpose
    except FileNotFoundError:
        raise CommandError(f"there is no command {argv[0]!r} on PATH") from None
    except PermissionError:
        raise CommandError(f"{argv[0]!r} may not be run") from None
