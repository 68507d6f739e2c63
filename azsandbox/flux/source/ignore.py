"""What stays out of an artifact: the rules of .sourceignore and spec.ignore (fluxcd/pkg/sourceignore).

They are .gitignore's as go-git reads them: the last rule that fits decides, and a rule that fits a folder fits
all that is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from azsandbox.flux.globs import expression, glob_matches, is_glob

FILE = ".sourceignore"
# What is never in an artifact, and what is not unless the source has rules of its own
VERSION_CONTROL = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
DEFAULTS = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml"),
    *("cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml"),
    *("**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)


@dataclass(frozen=True)
class Rule:
    """One line. It holds below the folder `domain`."""

    parts: tuple[str, ...]
    domain: tuple[str, ...] = ()
    keeps: bool = False  # it began with !
    folders_only: bool = False  # it ended with /

    @classmethod
    def parse(cls, line: str, domain: Sequence[str] = ()) -> Rule:
        """The rule that a line states, which is neither empty nor a comment."""
        keeps = line.startswith("!")
        line = line[1:] if keeps else line
        if not line.endswith("\\ "):
            line = line.rstrip(" ")
        folders_only = line.endswith("/")
        line = line[:-1] if folders_only else line
        return cls(tuple(line.split("/")), tuple(domain), keeps, folders_only)

    def fits(self, path: str, folder: bool) -> bool:
        """Whether it speaks of a path, or of a folder that the path is in."""
        start = "".join(f"{part}/" for part in self.domain)
        if not path.startswith(start) or path == start:
            return False
        rest = path[len(start) :]
        if len(self.parts) > 1:
            return self._fits_path(rest.split("/"), folder)
        pattern = self._of_folders if self.folders_only and not folder else self._of_all
        return bool(pattern and pattern.fullmatch(rest))

    @cached_property
    def _of_all(self) -> re.Pattern[str] | None:
        """Paths one of whose names is that of the rule."""
        glob = expression(self.parts[0])
        return re.compile(f"(?:.*/)?{glob}(?:/.*)?", re.DOTALL) if glob else None

    @cached_property
    def _of_folders(self) -> re.Pattern[str] | None:
        """Paths in a folder whose name is that of the rule."""
        glob = expression(self.parts[0])
        return re.compile(f"(?:.*/)?{glob}/.*", re.DOTALL) if glob else None

    def _fits_path(self, path: list[str], folder: bool) -> bool:
        matched = anywhere = False
        for index, part in enumerate(self.parts):
            if part == "":
                anywhere = False
            elif part == "**":
                if index == len(self.parts) - 1:
                    break
                anywhere = True
            elif "**" in part or not path or not is_glob(part):
                return False
            elif anywhere:
                anywhere = False
                at = next((i for i, name in enumerate(path) if glob_matches(part, name)), None)
                matched, path = (False, []) if at is None else (True, path[at + 1 :])
            elif not glob_matches(part, path[0]):
                return False
            else:
                matched, path = True, path[1:]
        return matched and (folder or not self.folders_only or bool(path))


def read_rules(text: str, domain: Sequence[str] = ()) -> list[Rule]:
    """The rules of a file that lies in the folder `domain`."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [Rule.parse(line, domain) for line in lines if not line.startswith("#") and line.strip()]


class Ignore:
    """Tells what is left out by the rules of a source. Without any, the defaults hold."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        base = VERSION_CONTROL if self.rules else VERSION_CONTROL + DEFAULTS
        self._base = _of_names(map(Rule.parse, base))

    def leaves_out(self, path: str, folder: bool = False) -> bool:
        """Whether a path stays out of the artifact."""
        for rule in reversed(self.rules):
            if rule.fits(path, folder):
                return not rule.keeps
        return self._base[folder].fullmatch(path) is not None


def _of_names(rules: Iterable[Rule]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """One expression for files and one for folders that stand for many rules, all of names that stay out."""
    found: dict[bool, list[str]] = {False: [], True: []}
    for rule in rules:
        found[rule.folders_only].append(expression(rule.parts[-1]))
    every, folders = ("|".join(names) for names in found.values())
    return (
        re.compile(f"(?:.*/)?(?:(?:{every})(?:/.*)?|(?:{folders})/.*)", re.DOTALL),
        re.compile(f"(?:.*/)?(?:{every}|{folders})(?:/.*)?", re.DOTALL),
    )
