"""The command line: `azsandbox up | down | status | reset | exec | env | logs | token | git | cluster | controllers`."""

from __future__ import annotations

import argparse
import importlib
import sys

COMMANDS = {
    "up": "start the sandbox",
    "down": "stop it; its state is kept",
    "status": "say whether it runs, and where",
    "reset": "go back to the seeded state; ports and certificates are kept",
    "exec": "run a command whose Azure is the sandbox",
    "env": "print the variables that make the sandbox a shell's Azure",
    "logs": "print what the sandbox did",
    "token": "print an access token",
    "git": "list, make, delete and protect repositories, and issue tokens for them",
    "cluster": "run a bare Kubernetes cluster in the foreground",
    "controllers": "run the sandbox's controllers against another API server",
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status (0 done, 1 failed, 2 wrong usage)."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="azsandbox", description="An Azure on loopback.")
    parser.add_argument("--home", help="folder of the state (default: $AZSANDBOX_HOME, else .azsandbox)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((a for a in arguments if a in COMMANDS), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        if name == chosen:  # only the command that runs is imported
            importlib.import_module(f"azsandbox.commands.{name.replace('exec', 'execute')}").define(command)
    options = parser.parse_args(arguments)
    from azsandbox.commands import CommandError

    try:
        return int(options.run(options))
    except CommandError as error:
        print(f"azsandbox {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
