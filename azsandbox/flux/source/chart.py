"""A Helm chart as files: what it says of itself, its values, its package (helm.sh/helm, chart/v2)."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from azsandbox.flux import archives
from azsandbox.flux.globs import glob_matches, is_glob
from azsandbox.flux.quoting import quoted
from azsandbox.flux.semver import InvalidVersion, Version
from azsandbox.flux.source.tree import File, Tree, archive
from azsandbox.kubernetes.schema.yaml_text import BadYaml, parse, plain

CHART_FILE, VALUES_FILE, REQUIREMENTS, LOCK = "Chart.yaml", "values.yaml", "requirements.yaml", "Chart.lock"
MOST_CHART, MOST_FILE = 10 << 20, 5 << 20  # bytes of a package, and of a file in it
_MOST_UNPACKED = 100 << 20  # bytes
_BOM = b"\xef\xbb\xbf"
_DEFAULT_IGNORE = "templates/.?*"
_ALIAS = re.compile(r"[a-zA-Z0-9_-]+")

Values = dict[str, Any]


class ChartError(Exception):
    """A chart that cannot be used, in Helm's words."""


def read_yaml(data: bytes, what: str) -> Values:
    """A mapping from YAML. Raises ChartError, which says what could not be loaded."""
    try:
        found, _ = parse(data)
    except BadYaml as error:
        raise ChartError(f"{what}: {error}") from None
    return found if isinstance(found, dict) else {}


def dump_yaml(values: Values) -> bytes:
    """A mapping as YAML, keys sorted."""
    if not values:
        return b""
    text = yaml.dump(values, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=2**31)
    return text.encode()


class _Dumper(yaml.SafeDumper):
    """Quotes what Helm would read as a number or the like, and repeats what is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if not text or plain(text) == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else style)


_Dumper.add_representer(str, _text)


def merged(one: Values, other: Values) -> Values:
    """Values with others laid over them, mapping by mapping."""
    out = dict(one)
    for key, value in other.items():
        old = out.get(key)
        out[key] = merged(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return out


def metadata_of(tree: Tree) -> Values:
    """What Chart.yaml says, with the dependencies of a requirements.yaml. Raises ChartError."""
    if CHART_FILE not in tree.files:
        raise ChartError(f"no '{CHART_FILE}' found")
    found = read_yaml(tree.files[CHART_FILE].data, f"cannot load '{CHART_FILE}'")
    if not found.get("apiVersion"):
        found["apiVersion"] = "v1"
    if REQUIREMENTS in tree.files:
        found |= read_yaml(tree.files[REQUIREMENTS].data, f"cannot load '{REQUIREMENTS}'")
    return found


def validate(metadata: Values) -> None:
    """Raises ChartError for what Chart.yaml must not say, or leaves out."""
    name, version = str(metadata.get("name") or ""), str(metadata.get("version") or "")
    if not metadata.get("apiVersion"):
        raise ChartError("validation: chart.metadata.apiVersion is required")
    if not name:
        raise ChartError("validation: chart.metadata.name is required")
    if name in (".", ".."):
        raise ChartError(f"validation: chart.metadata.name {quoted(name)} is not allowed")
    if "/" in name:
        raise ChartError(f"validation: chart.metadata.name {quoted(name)} is invalid")
    if not version:
        raise ChartError("validation: chart.metadata.version is required")
    try:
        Version.parse(version)
    except InvalidVersion:
        raise ChartError(f"validation: chart.metadata.version {quoted(version)} is invalid") from None
    if metadata.get("type") not in (None, "", "application", "library"):
        raise ChartError("validation: chart.metadata.type must be application or library")
    known: set[str] = set()
    for dependency in metadata.get("dependencies") or []:
        if not dependency:
            raise ChartError("validation: dependencies must not contain empty or null nodes")
        alias = dependency.get("alias") or ""
        if alias and not _ALIAS.fullmatch(alias):
            text = f"dependency {quoted(str(dependency.get('name')))} has disallowed characters in the alias"
            raise ChartError(f"validation: {text}")
        key = alias or str(dependency.get("name"))
        if key in known:
            raise ChartError(f"validation: more than one dependency with name or alias {quoted(key)}")
        known.add(key)


@dataclass
class Chart:
    """A chart that was loaded. `dependencies` are charts that it carries, by the names of their folders."""

    metadata: Values
    tree: Tree
    added: list[Chart] = field(default_factory=list)

    @classmethod
    def load(cls, tree: Tree) -> Chart:
        """The chart in a folder. Raises ChartError."""
        if CHART_FILE not in tree.files:
            raise ChartError("Chart.yaml file is missing")
        metadata = metadata_of(tree)
        validate(metadata)
        if VALUES_FILE in tree.files:
            read_yaml(tree.files[VALUES_FILE].data, f"cannot load {VALUES_FILE}")
        return cls(metadata, tree)

    @property
    def values(self) -> Values:
        """Its default values."""
        file = self.tree.files.get(VALUES_FILE)
        return read_yaml(file.data, f"cannot load {VALUES_FILE}") if file else {}

    @property
    def wanted(self) -> list[Values]:
        """The dependencies that it names; those of a lock file count before those of Chart.yaml."""
        lock = self.tree.files.get(LOCK) or self.tree.files.get("requirements.lock")
        names = read_yaml(lock.data, f"cannot load {LOCK}") if lock else self.metadata
        return list(names.get("dependencies") or [])

    @property
    def carried(self) -> list[str]:
        """Names of the charts in its folder charts."""
        found = []
        for folder in {path.split("/")[1] for path in self.tree.files if path.startswith("charts/")}:
            if folder[0] in "_.":
                continue
            inner = self.tree.below(f"charts/{folder}")
            packed = self.tree.files.get(f"charts/{folder}")
            if packed and folder.endswith(".tgz"):
                inner = unpack(packed.data)
            if CHART_FILE in inner.files:
                found.append(str(metadata_of(inner).get("name")))
        return found

    def override(self, values: Values) -> bool:
        """Makes other values the defaults; returns whether that changed anything. Raises ChartError."""
        if VALUES_FILE not in self.tree.files:
            raise ChartError(f"failed to locate values file: {VALUES_FILE}")
        data = dump_yaml(values)
        if self.tree.files[VALUES_FILE].data == data:
            return False
        self.tree.files[VALUES_FILE] = File(data)
        return True

    def package(self) -> bytes:
        """The chart as a .tgz, with the charts that were added to it."""
        tree = Tree()
        self._put(tree, str(self.metadata["name"]))
        return archive(tree, folders=False)

    def _put(self, tree: Tree, place: str) -> None:
        own = Tree({path: file for path, file in self.tree.files.items() if path != CHART_FILE})
        tree.put(place, own)
        said = {key: value for key, value in self.metadata.items() if value}
        if said.get("apiVersion") == "v1":
            said.pop("dependencies", None)
        tree.files[f"{place}/{CHART_FILE}"] = File(dump_yaml(said))
        for chart in self.added:
            chart._put(tree, f"{place}/charts/{chart.metadata['name']}")


def unpack(package: bytes) -> Tree:
    """The files of a package, without the folder that they are in. Raises ChartError."""
    tree = Tree()
    try:
        with archives.opened(package, _MOST_UNPACKED) as source:
            left = _MOST_UNPACKED
            for member in source:
                if not member.isfile():
                    continue
                left -= member.size
                if left < 0:
                    raise ChartError(f"decompressed chart is larger than the maximum size {_MOST_UNPACKED}")
                if member.size > MOST_FILE:
                    text = f"decompressed chart file {quoted(member.name)} is larger than the maximum file size"
                    raise ChartError(f"{text} {MOST_FILE}")
                content = source.extractfile(member)
                if content:
                    tree.files[_inner(member.name)] = File(content.read().removeprefix(_BOM))
    except tarfile.TarError as error:
        text = "gzip: invalid header" if package[:2] != b"\x1f\x8b" else str(error)
        raise ChartError(text) from None
    if not tree.files:
        raise ChartError("no files in chart archive")
    return tree


def _inner(name: str) -> str:
    """A file's path below the folder that is the chart. Raises ChartError for one that leads elsewhere."""
    first, _, rest = name.replace("\\", "/").partition("/")
    if rest.startswith("/"):
        raise ChartError("chart illegally contains absolute paths")
    path = posixpath.normpath(rest) if rest else "."
    if path == ".":
        raise ChartError(f"chart illegally contains content outside the base directory: {quoted(name)}")
    if path.startswith(".."):
        raise ChartError("chart illegally references parent directory")
    if re.match("[a-zA-Z]:/", path):
        raise ChartError("chart contains illegally named files")
    if first == CHART_FILE:
        raise ChartError("chart yaml not in base directory")
    return path


def without_ignored(tree: Tree) -> Tree:
    """The files of a chart's folder that .helmignore does not leave out. Raises ChartError."""
    file = tree.files.get(".helmignore")
    lines = file.data.removeprefix(_BOM).decode("utf-8", "replace").splitlines() if file else []
    rules = [rule for line in lines if (rule := line.strip()) and not rule.startswith("#")]
    for rule in rules:
        if "**" in rule:
            raise ChartError("cannot load ignore rules for chart: double-star (**) syntax is not supported")
        if not is_glob(rule):
            raise ChartError("cannot load ignore rules for chart: syntax error in pattern")
    rules.append(_DEFAULT_IGNORE)
    kept = Tree()
    for path, found in tree.files.items():
        parts = path.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        if any(_ignored(rules, folder, True) for folder in above) or _ignored(rules, path, False):
            continue
        if found.link:
            raise ChartError(f"cannot load irregular file {path} as it has file mode type bits set")
        if len(found.data) > MOST_FILE:
            text = f"cannot load file {path} as file size ({len(found.data)}) exceeds limit ({MOST_FILE})"
            raise ChartError(text)
        kept.files[path] = File(found.data.removeprefix(_BOM))
    return kept


def _ignored(rules: Sequence[str], path: str, folder: bool) -> bool:
    """Whether a path is left out: the first rule that fits decides, and what a negative one does not fit is out."""
    for rule in rules:
        negative = rule.startswith("!")
        pattern = rule[1:] if negative else rule
        only_folders = pattern.endswith("/")
        pattern = pattern[:-1] if only_folders else pattern
        fits = _fits(pattern, path)
        if negative:
            if (only_folders and not folder) or not fits:
                return True
        elif fits and (folder or not only_folders):
            return True
    return False


def _fits(pattern: str, path: str) -> bool:
    if "/" not in pattern:
        return glob_matches(pattern, path.rpartition("/")[2])
    ours, theirs = pattern.removeprefix("/").split("/"), path.split("/")
    return len(ours) == len(theirs) and all(glob_matches(a, b) for a, b in zip(ours, theirs, strict=True))
