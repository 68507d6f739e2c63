"""What a container's command comes to, where that can be known without running it.

`sleep 5; exit 1` ends after five seconds with code 1; `tail -f /dev/null` never ends. A program
that is not known is taken to run for ever, as servers do; in a Job's pod it is taken to succeed.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import controller_of
from azsandbox.controllers.kubelet.images import catalogue, official_name

UNKNOWN_JOB_SECONDS = 1.0
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SHELLS = {"sh", "bash", "ash", "dash", "/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash", "/usr/bin/bash", "/usr/bin/sh"}
_INSTANT = {
    "true",
    ":",
    "echo",
    "printf",
    "date",
    "env",
    "pwd",
    "hostname",
    "id",
    "uname",
    "whoami",
    "set",
    "export",
    "cd",
    "trap",
    "mkdir",
    "touch",
    "chmod",
    "umask",
}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=\S*")


@dataclass
class Outcome:
    """How a container ends: after `seconds` (None: never) with `exit_code`; `lines` is what it surely prints, and with
    `whole` all that it prints."""

    seconds: float | None = None
    exit_code: int = 0
    lines: list[str] = field(default_factory=list)
    whole: bool = False


class _Unknown(Exception):
    """The rest cannot be known."""


def outcome_of(pod: Object, container: Object) -> Outcome:
    """What a container of a pod comes to."""
    argv = [*(container.get("command") or ()), *(container.get("args") or ())]
    result = Outcome(0.0)
    try:
        if argv and container.get("command"):
            _run(argv, result)
        elif _image_ends(container, bool(argv)):
            if argv:
                _run(argv, result)
        else:
            raise _Unknown
    except _Exit:
        return result
    except _Unknown:
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == "Job" and container.get("restartPolicy") != "Always":
            return Outcome((result.seconds or 0.0) + UNKNOWN_JOB_SECONDS, 0, result.lines)
        if result.seconds is not None:
            return Outcome(None, 0, result.lines)
    return result


def restarts(pod: Object, container: Object) -> int:
    """How often a container of a pod was started again."""
    status = pod.get("status") or {}
    lists = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    found = (s for key in lists for s in status.get(key) or () if s["name"] == container.get("name"))
    return next((int(s.get("restartCount") or 0) for s in found), 0)


def _image_ends(container: Object, with_args: bool) -> bool:
    """Whether the image's own command is a shell or one that ends."""
    name = official_name(container.get("image", ""))
    if name in catalogue()["finishing"]:
        return True
    if name not in catalogue()["shells"]:
        return False
    return with_args or not (container.get("stdin") or container.get("tty"))


def _run(argv: list[str], result: Outcome) -> None:
    """Adds what a command does to `result`. Raises _Unknown where it cannot be known."""
    if result.seconds is None:
        return
    name = argv[0]
    if name in _SHELLS:
        options = [a for a in argv[1:] if a.startswith("-") or a.startswith("+")]
        rest = argv[1 + len(options) :]
        if any("c" in option.lstrip("-") for option in options if not option.startswith("--")) and rest:
            _script(rest[0], result, stop_on_error=any("e" in o.lstrip("-") for o in options))
            return
        if argv[1:]:
            raise _Unknown
        return
    name = name.rpartition("/")[2]
    if name == "sleep":
        _sleep(argv[1:], result)
    elif name == "exit":
        result.exit_code = int(argv[1]) % 256 if len(argv) > 1 and argv[1].lstrip("-").isdigit() else result.exit_code
        raise _Exit
    elif name == "exec" and len(argv) > 1:
        _run(argv[1:], result)
        raise _Exit
    elif name == "false":
        result.exit_code = 1
    elif name == "tail" and any(a.startswith("-") and "f" in a.lower() for a in argv[1:]):
        result.seconds = None
    elif name in _INSTANT:
        result.exit_code = 0
        if name == "echo":
            words = argv[1:]
            if words and words[0] in ("-n", "-e", "-ne", "-en"):
                words = words[1:]
            result.lines.append(" ".join(words))
    elif _ASSIGNMENT.fullmatch(argv[0]) and len(argv) == 1:
        result.exit_code = 0
    else:
        raise _Unknown


class _Exit(Exception):
    """The shell ends here."""


def _sleep(arguments: list[str], result: Outcome) -> None:
    total = 0.0
    for text in arguments:
        if text in ("infinity", "inf"):
            result.seconds = None
            return
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
        if match is None:
            raise _Unknown
        total += float(match[1]) * _UNITS[match[2]]
    result.seconds = (result.seconds or 0.0) + total
    result.exit_code = 0


def _script(text: str, result: Outcome, stop_on_error: bool = False) -> None:
    """A shell script of simple commands, joined by newline, `;`, `&&` and `||`."""
    if re.match(r"\s*(while\s+(true|:|\[\s*1\s*\])|for\s*\(\(\s*;\s*;\s*\)\)|until\s+false)\s*;?", text):
        if not re.search(r"\b(break|exit|return)\b", text):
            result.seconds = None
            return
        raise _Unknown
    for joiner, words, quoted in _split(text):
        if result.seconds is None:
            return
        if (joiner == "&&" and result.exit_code) or (joiner == "||" and not result.exit_code):
            continue
        plain = [w for w in words if w not in ("2>&1", ">&2", "1>&2")]
        if not plain:
            continue
        if plain[0] in ("while", "until"):
            if plain[1:2] in (["true"], [":"]):
                result.seconds = None
                return
            raise _Unknown
        if plain[0] == "set" and "-e" in " ".join(plain[1:]):
            stop_on_error = True
        if any(w in (">", ">>", "<", "|", "&") or w.startswith((">", "<")) for w in plain):
            cut = next(i for i, w in enumerate(plain) if w.startswith((">", "<")) or w in ("|", "&"))
            if plain[cut] in ("|", "&"):
                raise _Unknown
            before = len(result.lines)
            plain = plain[:cut]
            try:
                _run(plain, result)
            except _Exit:
                return
            del result.lines[before:]
            continue
        if not quoted and any("$" in w or "`" in w for w in plain) and plain[0] != "echo":
            raise _Unknown
        try:
            _run(plain, result)
        except _Exit:
            return
        if stop_on_error and result.exit_code:
            return


def _split(text: str) -> list[tuple[str, list[str], bool]]:
    """Commands of a script with what joins each to the one before."""
    text = re.sub(r"\\\n", " ", text)
    found: list[tuple[str, list[str], bool]] = []
    joiner = ";"
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            for token in lexer:
                if token in (";", "&&", "||", ";;"):
                    if words:
                        found.append((joiner, words, False))
                    joiner, words = token, []
                else:
                    words.append(token)
        except ValueError:
            raise _Unknown from None
        if words:
            found.append((joiner, words, False))
        joiner = ";"
    return found


def run_outcome(argv: list[str]) -> Outcome | None:
    """What a command given to a probe comes to; None where that cannot be known."""
    result = Outcome(0.0)
    try:
        _run(argv, result)
    except _Exit:
        return result
    except _Unknown:
        return None
    return result
