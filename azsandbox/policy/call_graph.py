"""What rules and functions of Rego lead to: the engine follows calls on the stack of the process, which must not run over.

OPA's compiler refuses recursion; the engine finds that of rules when it evaluates, and that of functions never.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

MOST_RULES = 300  # each is on the stack at most once; 1200 fit
DEEPEST = 12  # brackets in each other: the engine's time doubles with each
_ASIDE = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"|`[^`]*`')
_PART = re.compile(r'\["(\w+)"\]')  # data.lib["x"] is data.lib.x
_TOKEN = re.compile(r"[A-Za-z_]\w*|\n|[^\s\w]|\d+")
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)", re.MULTILINE)
_IMPORT = re.compile(r"^\s*import\s+data\.([\w.]+)(?:\s+as\s+(\w+))?", re.MULTILINE)
_NAMES = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_OPEN = re.compile(r"(?:[=,+*/%|&<>-]|\b(?:if|not|in|with|as|else))\s*$")  # what goes on in the next line
_KEYWORDS = frozenset(
    ("package", "import", "default", "else", "not", "with", "as", "some", "in", "every", "if", "contains")
)

Name = tuple[str, str]  # package and rule


class TooDeep(ValueError):
    """Rules lead to each other without end, or too far. `names` are those on the way; `line` is where the first begins."""

    def __init__(self, names: Sequence[str], line: int, *, recursive: bool) -> None:
        super().__init__(" -> ".join(names))
        self.names, self.line, self.recursive = tuple(names), line, recursive


def check(source: str, libraries: Sequence[str] = ()) -> None:
    """Raises TooDeep for modules of which the engine would run out of its stack."""
    calls: dict[Name, set[Name]] = {}
    lines: dict[Name, int] = {}
    modules = [_Module(text) for text in (source, *libraries)]
    modules[0].package = "template"  # as Gatekeeper calls it; its own package is named by nothing
    for module in modules:
        for rule, line, body in module.rules:
            calls.setdefault((module.package, rule), set())
            lines.setdefault((module.package, rule), line)
            _check_brackets(rule, line, body)
    for module in modules:
        for rule, _, body in module.rules:
            calls[module.package, rule].update(module.calls(body, calls))
    if len(calls) > MOST_RULES:
        raise TooDeep([f"a template with {len(calls)} rules"], 1, recursive=False)
    _check_circles(calls, lines)


class _Module:
    """A module's rules: name, line and text of each."""

    def __init__(self, source: str) -> None:
        text = _ASIDE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), _PART.sub(r".\1", source))
        package = _PACKAGE.search(text)
        self.package = package[1] if package else ""
        self.aliases = {alias or path.rpartition(".")[2]: path for path, alias in _IMPORT.findall(text)}
        self.rules: list[tuple[str, int, str]] = []
        heads = list(_heads(text))
        for found, after in zip(heads, [*heads[1:], None], strict=True):
            end = after.start() if after else len(text)
            body = text[found.end() : end]
            line = text.count("\n", 0, found.start()) + 1
            if self.rules and "{" not in self.rules[-1][2]:  # what has no braces may go on in the next line
                name, at, before = self.rules[-1]
                self.rules[-1] = name, at, f"{before}\n{found[0] if _OPEN.search(before) else ''}{body}"
            self.rules.append((found[0], line, body))

    def calls(self, body: str, known: Container[Name]) -> Iterator[Name]:
        """The functions that the text of a rule calls. Other names may be its own variables."""
        for named in _NAMES.finditer(body):
            first, _, rest = named[0].partition(".")
            path = rest if first == "data" else self.aliases.get(first, "")
            path = f"{path}.{rest}" if path and rest and first != "data" else path
            package, _, name = path.rpartition(".")
            target = (package, name) if path else (self.package, first)
            if target in known and body[named.end() :].lstrip(" \t").startswith("("):
                yield target


def _heads(text: str) -> Iterator[re.Match[str]]:
    """The names that begin a rule: outside of all brackets, at the beginning of a line or behind a body."""
    depth, before = 0, "\n"
    for token in _TOKEN.finditer(text):
        if depth == 0 and before in ("\n", "}") and token[0][0].isidentifier() and token[0] not in _KEYWORDS:
            yield token
        if not (token[0] == "default" and depth == 0):
            before = token[0]
        depth = max(depth + (token[0] in "([{") - (token[0] in ")]}"), 0)


def _check_brackets(rule: str, line: int, body: str) -> None:
    depth = 0
    for mark in re.findall(r"[(\[{)\]}]", body):
        depth += 1 if mark in "([{" else -1
        if depth > DEEPEST:
            raise TooDeep([rule], line, recursive=False)


def _check_circles(calls: dict[Name, set[Name]], lines: dict[Name, int]) -> None:
    """Raises TooDeep for a function that leads to itself."""
    done: set[Name] = set()
    for start in calls:
        way = [(start, sorted(calls[start]))]
        while way:
            name, left = way[-1]
            if not left:
                done.add(name)
                way.pop()
                continue
            following, names = left.pop(), [entry for entry, _ in way]
            if following in names:
                circle = [*names[names.index(following) :], following]
                raise TooDeep([".".join(entry) for entry in circle], lines[following], recursive=True)
            if following not in done:
                way.append((following, sorted(calls[following])))
