"""Making the chart that a HelmChart asks for (source-controller, internal/helm/chart)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from azsandbox.flux.semver import InvalidVersion, Range, Version
from azsandbox.flux.source.chart import (
    CHART_FILE,
    VALUES_FILE,
    Chart,
    ChartError,
    Values,
    merged,
    metadata_of,
    read_yaml,
    unpack,
    validate,
    without_ignored,
)
from azsandbox.flux.source.chart_repositories import ChartRepository, NoSuchChart, RepositoryProblem
from azsandbox.flux.source.tree import Tree, cleaned

_NAME = re.compile(r"([-a-z0-9]+/?\.?)+")
_ALLOWED = (
    "a valid name must be lower case letters and numbers and MAY be separated with dashes (-), slashes (/) or periods"
)


class Reason(NamedTuple):
    """Why a build failed: the reason of a condition, how its message begins, and whether trying again helps."""

    name: str
    summary: str
    lasting: bool = False


REFERENCE = Reason("InvalidChartReference", "invalid chart reference", True)
PULL = Reason("ChartPullError", "chart pull error")
METADATA = Reason("MetadataPatchError", "chart metadata patch error", True)
VALUES = Reason("ValuesFilesError", "values files merge error", True)
DEPENDENCIES = Reason("DependencyBuildError", "dependency build error")
PACKAGE = Reason("ChartPackageError", "chart package error")
UNKNOWN = Reason("Unknown", "unknown build error")
BUILDING = (METADATA, VALUES, DEPENDENCIES, PACKAGE)  # failures of the build, not of fetching


class BuildProblem(Exception):
    """A chart that could not be built."""

    def __init__(self, reason: Reason, message: object) -> None:
        super().__init__(f"{reason.summary}: {message}")
        self.reason = reason


@dataclass
class Build:
    """What was built. Without `data` it is the chart that was there before."""

    name: str
    version: str
    data: bytes | None = None
    values_files: list[str] = field(default_factory=list)
    resolved: int = 0  # dependencies that were added
    packaged: bool = False

    @property
    def summary(self) -> str:
        """What happened, in words."""
        action = "packaged" if self.packaged else "pulled"
        text = f"{action} '{self.name}' chart with version '{self.version}'"
        return text + (f" and merged values files [{' '.join(self.values_files)}]" if self.values_files else "")

    @property
    def reason(self) -> str:
        """What happened, as a reason."""
        return "ChartPackageSucceeded" if self.packaged else "ChartPullSucceeded"


@dataclass(frozen=True)
class Options:
    """How a chart is to be built. `cached` is the package that was built before."""

    values_files: tuple[str, ...] = ()
    ignore_missing: bool = False
    metadata: str = ""  # build metadata of the version
    cached: bytes | None = None
    cached_values_files: tuple[str, ...] = ()
    force: bool = False

    @property
    def merges(self) -> bool:
        """Whether values are to be merged; values.yaml alone is what a chart has anyway."""
        return bool(self.values_files) and [cleaned(f) for f in self.values_files] != [VALUES_FILE]

    def known(self, build: Build) -> bool:
        """Whether the package that was built before is the one that is asked for."""
        if self.cached is None or self.force:
            return False
        try:
            before = metadata_of(unpack(self.cached))
            validate(before)
        except ChartError:
            return False
        return (before.get("name"), before.get("version")) == (build.name, build.version)

    def kept(self, build: Build) -> Build:
        """The build that stands for the package that was built before."""
        files = self.cached_values_files or (self.values_files if self.merges else ())
        return replace(build, data=None, values_files=list(files))


def _versioned(version: str, metadata: str) -> str:
    if not metadata:
        return version
    try:
        found = Version.parse(version)
    except InvalidVersion as error:
        raise BuildProblem(METADATA, f"failed to parse version from chart metadata as SemVer: {error}") from None
    if not re.fullmatch(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*", metadata):
        raise BuildProblem(METADATA, "failed to set SemVer metadata on chart version: invalid metadata string")
    return str(replace(found, metadata=metadata))


async def build_remote(repository: ChartRepository, name: str, version: str, options: Options) -> Build:
    """Builds a chart of a repository. Raises BuildProblem."""
    if not name:
        raise BuildProblem(REFERENCE, "no name set for remote chart reference")
    if not _NAME.fullmatch(name):
        raise BuildProblem(REFERENCE, f"invalid chart name '{name}': {_ALLOWED} (.)")

    # Which version it is; if it was built before, there is nothing to do
    try:
        chosen = await repository.choose(name, version)
    except NoSuchChart as error:
        raise BuildProblem(REFERENCE, f"failed to get chart version for remote reference: {error}") from error
    except RepositoryProblem as error:
        raise BuildProblem(PULL, f"failed to get chart version for remote reference: {error}") from error
    build = Build(chosen.name, _versioned(chosen.version, options.metadata))
    build.packaged = options.merges or bool(options.metadata)
    if options.known(build):
        return options.kept(build)

    # The package as it is
    try:
        build.data = await repository.download(chosen)
    except RepositoryProblem as error:
        raise BuildProblem(PULL, f"failed to download chart for remote reference: {error}") from error
    if not build.packaged:
        _check_package(build.data)
        return build

    # Or with other values
    try:
        chart = Chart.load(unpack(build.data))
    except ChartError as error:
        raise BuildProblem(PACKAGE, f"failed to load downloaded chart: {error}") from error
    chart.metadata["version"] = build.version
    try:
        values, used = _merge(chart, options)
    except ChartError as error:
        raise BuildProblem(VALUES, f"failed to merge chart values: {error}") from error
    return _packaged(build, chart, values, used)


def _check_package(data: bytes) -> None:
    try:
        metadata = metadata_of(unpack(data))
    except ChartError as error:
        raise BuildProblem(PULL, f"failed to load chart metadata from written chart: {error}") from error
    try:
        validate(metadata)
    except ChartError as error:
        raise BuildProblem(PULL, f"failed to validate metadata of written chart: {error}") from error


def _merge(chart: Chart, options: Options) -> tuple[Values, list[str]]:
    """Values of files in a chart, merged, and which files they are."""
    values: Values = {}
    used: list[str] = []
    for name in options.values_files:
        inner = cleaned(name)
        if inner == VALUES_FILE:
            values = merged(values, chart.values)
        elif inner in chart.tree.files:
            data = chart.tree.files[inner].data
            values = merged(values, read_yaml(data, f"unmarshaling values from '{name}' failed"))
        elif options.ignore_missing:
            continue
        else:
            raise ChartError(f"no values file found at path '{name}'")
        used.append(name)
    return values, used


def _packaged(build: Build, chart: Chart, values: Values | None, used: list[str]) -> Build:
    try:
        if values is not None and chart.override(values):
            build.values_files = used
    except ChartError as error:
        raise BuildProblem(VALUES, error) from error
    build.data = chart.package()
    return build


# --- from the files of a source

Resolve = Callable[[str], Awaitable[ChartRepository]]  # the repository at a URL


async def build_local(tree: Tree, place: str, folder: str, options: Options, resolve: Resolve) -> Build:
    """Builds the chart at `place` in a source. `folder` is where messages say that the source lies.

    Raises BuildProblem.
    """
    # The chart there, a folder or a package
    if place.startswith("/"):
        raise BuildProblem(REFERENCE, "local chart reference path is expected to be relative")
    path = cleaned(place)
    where = f"{folder}/{path}".rstrip("/")
    file = tree.files.get(path)
    if file is None and not tree.holds(path):
        raise BuildProblem(REFERENCE, f"stat {where}: no such file or directory")
    inner = tree.below(path)
    try:
        if file is not None:
            inner = unpack(file.data)
        elif CHART_FILE not in inner.files:
            raise ChartError(f"open {where}/{CHART_FILE}: no such file or directory")
        metadata = metadata_of(inner)
        validate(metadata)
    except ChartError as error:
        raise BuildProblem(REFERENCE, error) from error
    build = Build(str(metadata["name"]), _versioned(str(metadata["version"]), options.metadata))
    build.packaged = file is None or bool(options.metadata) or options.merges
    if options.known(build):
        return options.kept(build)
    if file is not None and not build.packaged:
        build.data = file.data
        return build

    # Its values
    values, used = _merge_files(tree, options) if options.merges else (None, [])
    try:
        chart = Chart.load(inner if file is not None else without_ignored(inner))
    except ChartError as error:
        raise BuildProblem(PACKAGE, f"failed to load chart from /{path}: {error}") from error
    chart.metadata["version"] = build.version

    # The charts that it needs and does not carry
    if file is None:
        build.resolved = await _add_dependencies(chart, tree, path, resolve)
    return _packaged(build, chart, values, used)


def _merge_files(tree: Tree, options: Options) -> tuple[Values, list[str]]:
    values: Values = {}
    used: list[str] = []
    for name in options.values_files:
        inner = cleaned(name)
        if inner not in tree.files:
            if options.ignore_missing and not tree.holds(inner):
                continue
            raise BuildProblem(VALUES, f"no values file found at path '/{inner}' (reference '{name}')")
        try:
            found = read_yaml(tree.files[inner].data, f"unmarshaling values from '{name}' failed")
        except ChartError as error:
            raise BuildProblem(VALUES, error) from error
        values = merged(values, found)
        used.append(name)
    return values, used


async def _add_dependencies(chart: Chart, tree: Tree, path: str, resolve: Resolve) -> int:
    """Adds the charts that a chart names and does not carry; returns how many those are."""
    try:
        wanted, carried = chart.wanted, chart.carried
    except ChartError as error:
        raise BuildProblem(DEPENDENCIES, error) from error
    if len(wanted) == len(carried):
        return 0
    missing = [dep for dep in wanted if (dep.get("alias") or dep.get("name")) not in carried]
    for dependency in missing:
        name = dependency.get("alias") or dependency.get("name")
        origin = dependency.get("repository") or ""
        local = not origin or origin.startswith("file://")
        try:
            found = _local(tree, path, dependency) if local else await _remote(dependency, resolve)
        except (ChartError, NoSuchChart, RepositoryProblem, InvalidVersion) as error:
            kind = "local" if local else "remote"
            raise BuildProblem(DEPENDENCIES, f"failed to add {kind} dependency '{name}': {error}") from error
        if dependency.get("alias"):
            found.metadata["name"] = dependency["alias"]
        chart.added.append(found)
    return len(missing)


def _local(tree: Tree, path: str, dependency: Values) -> Chart:
    origin = str(dependency.get("repository") or "")
    place = cleaned(f"{path}/{origin.removeprefix('file://')}" if origin else f"{path}/charts/{dependency['name']}")
    if not tree.holds(place):
        raise ChartError(f"no chart found at '/{place}' (reference '{origin}')")
    version = str(dependency.get("version") or "")
    try:
        wanted = Range(version)
    except InvalidVersion as error:
        raise ChartError(f"invalid version/constraint format '{version}': {error}") from None
    try:
        packed = tree.files.get(place)
        found = Chart.load(unpack(packed.data) if packed else without_ignored(tree.below(place)))
    except ChartError as error:
        raise ChartError(f"failed to load chart from '/{place}' (reference '{origin}'): {error}") from error
    if Version.parse(str(found.metadata["version"])) not in wanted:
        raise ChartError(f"can't get a valid version for constraint '{version}'")
    return found


async def _remote(dependency: Values, resolve: Resolve) -> Chart:
    origin, name, version = (str(dependency.get(key) or "") for key in ("repository", "name", "version"))
    if origin.startswith("@"):
        raise ChartError(f"aliased repository dependency is not supported: {origin}")
    if not origin.startswith(("http://", "https://", "oci://")):
        raise ChartError(f"invalid dependency repository URL: {origin}")
    repository = await resolve(origin)
    try:
        chosen = await repository.choose(name, version)
    except (NoSuchChart, RepositoryProblem) as error:
        text = f"failed to get chart '{name}' version '{version}' from '{origin}': {error}"
        raise RepositoryProblem(text) from error
    try:
        data = await repository.download(chosen)
    except RepositoryProblem as error:
        raise RepositoryProblem(f"chart download of version '{chosen.version}' failed: {error}") from error
    try:
        return Chart.load(unpack(data))
    except ChartError as error:
        raise ChartError(f"failed to load downloaded archive of version '{chosen.version}': {error}") from error
