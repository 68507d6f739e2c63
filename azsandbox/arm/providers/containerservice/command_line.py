"""What runCommand takes of a kubectl command: what acts on the cluster alone.

On AKS the command runs in a pod of the cluster; here it runs as a process of whoever started the sandbox. So commands that
serve, edit, copy or run other programs are refused, and flags that name files, another server or a listener: what
data/aks/run-command.json lists is taken, all else is refused by name.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator

from azsandbox.aks import facts
from azsandbox.arm.providers.containerservice.errors import aks, not_supported

SHELL = ("|", "&", ";", ">", "<", "`", "$(", "\n")


@functools.cache
def _facts(name: str) -> frozenset[str]:
    return frozenset(facts.read("run-command")[name])


def parse(command: str) -> list[str]:
    """The arguments of a command: kubectl only, without a shell. Raises ArmError, which names what is refused."""
    if not command.strip():
        raise aks(400, "InvalidParameter", "Required parameter command is missing (null).", target="command")
    if any(mark in command for mark in SHELL):
        raise not_supported("shell syntax in runCommand (one kubectl command at a time)")
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise aks(400, "InvalidParameter", f"The command cannot be parsed: {error}", target="command") from None
    if not argv or argv[0] != "kubectl":
        raise not_supported(f"the command '{argv[0] if argv else command}' in runCommand (kubectl only)")
    _check(argv[1:])
    return argv


def _check(arguments: list[str]) -> None:
    """Raises ArmError for what does not act on the cluster alone."""
    words: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            break  # what follows runs in a container
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            _flag(name, value if equals else None, left)
        elif argument.startswith("-") and argument != "-":
            _letters(argument[1:], words[0] if words else "", left)
        else:
            words.append(argument)
            _word(words)


def _word(words: list[str]) -> None:
    """Checks the command, and its subcommand where that matters; further words are names of objects."""
    commands = facts.read("run-command")["commands"]
    if words[0] not in commands or (len(words) == 2 and commands[words[0]] and words[1] not in commands[words[0]]):
        raise not_supported(f"the command 'kubectl {' '.join(words)}' in runCommand")


def _letters(letters: str, command: str, left: Iterator[str]) -> None:
    """Flags of a letter each, of which the last may have a value: -A, -nkube-system, -A -o=yaml."""
    known = facts.read("run-command")
    while letters:
        letter, letters = letters[0], letters[1:]
        name = known["letters_of"].get(command, {}).get(letter) or known["letters"].get(letter, letter)
        if name in _facts("values"):
            _flag(name, letters.removeprefix("=") or None, left)
            return
        if name not in _facts("switches"):
            raise _refused(name)
        if letters.startswith("="):
            return


def _flag(name: str, value: str | None, left: Iterator[str]) -> None:
    """Checks one flag; one without its value takes the next argument."""
    if name in _facts("switches"):
        return
    if name not in _facts("values"):
        raise _refused(name)
    text = next(left, "") if value is None else value
    if name == "output" and re.match(r"[a-z-]*file(=|$)", text):
        raise not_supported(f"the output format '{text.partition('=')[0]}' in runCommand, which reads a file")


def _refused(name: str) -> Exception:
    if name in _facts("files"):
        return not_supported(f"the flag '--{name}' in runCommand, which is for files (a command has none here)")
    if name in _facts("elsewhere"):
        return not_supported(f"another cluster than its own in runCommand (the flag '--{name}')")
    return not_supported(f"the flag '{'-' if len(name) == 1 else '--'}{name}' in runCommand")
