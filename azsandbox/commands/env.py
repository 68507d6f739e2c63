"""`azsandbox env`: prints the variables that make the sandbox a shell's Azure."""

from __future__ import annotations

import argparse
import json
import shlex

from azsandbox.commands import persona_header, running


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--json", action="store_true", help="print an object: endpoints, ids, files, the variables")
    parser.add_argument("--as", dest="persona", metavar="PERSONA", help="whom to sign in as (default: the learner)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints shell lines, or an object. It holds the identity header and the token for Git: that is what it
    is for."""
    from azsandbox.environment import variables

    described = running(options)
    described["identity_header"] = persona_header(described, options.persona)
    if options.persona:
        persona = described["personas"][options.persona]
        described |= {"object_id": persona["object_id"], "user": persona["user"], "user_name": persona["name"]}
        described |= {name: persona[name] for name in ("github_login", "github_token")}
    found = variables(described, options.persona)
    if options.json:
        print(json.dumps(described | {"environment": found}, indent=1))
    else:
        for name, value in found.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0
