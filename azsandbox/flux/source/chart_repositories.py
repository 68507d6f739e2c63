"""Where charts are downloaded from: a Helm repository with an index, or a registry (source-controller, helm)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit, urlunsplit

from azsandbox.flux.oci import BadName, OciClient, RegistryError, Repository
from azsandbox.flux.quoting import quoted
from azsandbox.flux.secrets import SecretError
from azsandbox.flux.semver import InvalidVersion, Range, Version
from azsandbox.flux.source.chart import MOST_CHART
from azsandbox.flux.source.chart_index import MOST, Index, IndexProblem, full_version
from azsandbox.flux.source.helm_access import HelmAccess
from azsandbox.flux.web import NoAnswer, TooLarge, Web

CONFIG, LAYER = "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_OLD_LAYER = "application/tar+gzip"


class NoSuchChart(Exception):
    """The repository has no such chart or version, or the version is no range."""


class RepositoryProblem(Exception):
    """The repository could not be asked, or answered badly."""


@dataclass(frozen=True)
class ChartVersion:
    """A version of a chart and where it is downloaded."""

    name: str
    version: str
    url: str = ""


class ChartRepository(Protocol):
    """What charts are chosen and downloaded from."""

    async def choose(self, name: str, version: str) -> ChartVersion:
        """The highest version in a range. Raises NoSuchChart, RepositoryProblem."""

    async def download(self, chosen: ChartVersion) -> bytes:
        """The package of a version. Raises RepositoryProblem."""


async def get(web: Web, access: HelmAccess, url: str, limit: int) -> bytes:
    """What is at a URL of a repository. Raises RepositoryProblem."""
    try:
        answer = await web.request(
            "GET", url, access.headers(url), certificates=access.certificates, timeout=access.timeout, limit=limit
        )
    except NoAnswer as error:
        late = " (Client.Timeout exceeded while awaiting headers)"
        raise RepositoryProblem(f"{error}{late}" if str(error).endswith("deadline exceeded") else str(error)) from error
    except (TooLarge, SecretError) as error:
        raise RepositoryProblem(str(error)) from error
    if answer.status != HTTPStatus.OK:
        raise RepositoryProblem(f"failed to fetch {url} : {answer.line}")
    return answer.body


def index_url(url: str) -> str:
    """Where the index of a repository is."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/index.yaml"))


@dataclass
class HttpRepository:
    """A repository with an index, which is read from the server unless it is at hand."""

    web: Web
    access: HelmAccess
    index: Index | None = None

    async def choose(self, name: str, version: str) -> ChartVersion:
        """See ChartRepository."""
        if self.index is None:
            try:
                self.index = Index.parse(await get(self.web, self.access, index_url(self.access.url), MOST))
            except RepositoryProblem as error:
                text = f"failed to cache index: failed to cache index to temporary file: {error}"
                raise RepositoryProblem(text) from error
            except IndexProblem as error:
                raise RepositoryProblem(f"failed to load index: failed to load index: {error}") from error
        if name not in self.index.entries:
            raise NoSuchChart("no chart name found")
        versions = self.index.entries[name]
        if not versions:
            raise NoSuchChart("no chart version found")
        exact = next((v for v in versions if version and v["version"] == version), None)
        found = exact or self._highest(name, version, versions)
        url = (found.get("urls") or [""])[0]
        return ChartVersion(str(found["name"]), str(found["version"]), url)

    def _highest(self, name: str, version: str, versions: list[dict[str, Any]]) -> dict[str, Any]:
        wanted = _range(version)
        matching = [(v, found) for found in versions if (v := full_version(str(found["version"]))) and v in wanted]
        if not matching:
            raise NoSuchChart(f"no '{name}' chart with version matching '{version}' found")
        best: Version = max(v for v, _ in matching)
        equal = [found for v, found in matching if v == best]  # they differ in their metadata
        return max(equal, key=lambda found: str(found.get("created", "")))

    async def download(self, chosen: ChartVersion) -> bytes:
        """See ChartRepository."""
        if not chosen.url:
            raise RepositoryProblem(f"chart '{chosen.name}' has no downloadable URLs")
        base = urlsplit(self.access.url)
        url = chosen.url
        if not urlsplit(url).scheme:
            joined = urljoin(urlunsplit(base._replace(path=base.path.rstrip("/") + "/", query="")), url)
            url = urlunsplit(urlsplit(joined)._replace(query=base.query))
        return await get(self.web, self.access, url, MOST_CHART)


@dataclass
class RegistryRepository:
    """A registry that holds charts below a path."""

    web: Web
    access: HelmAccess

    async def choose(self, name: str, version: str) -> ChartVersion:
        """See ChartRepository. A full version is taken at its word."""
        place = f"{self.access.url}/{name}"
        if version and full_version(version):
            return ChartVersion(name, version, f"{place}:{version}")
        try:
            tags = await self._client(name).tags()
        except (RegistryError, BadName, SecretError) as error:
            text = f"could not fetch tags for {quoted(place)}: {words(error)}"
            raise RepositoryProblem(f"could not get tags for {quoted(name)}: {text}") from error
        versions = [v for tag in tags if (v := full_version(tag.replace("_", "+"))) and not tag.startswith("v")]
        if not versions:
            text = f"unable to locate any tags in provided repository: {place}"
            raise RepositoryProblem(f"could not get tags for {quoted(name)}: {text}")
        found = self._highest(version, versions)
        return ChartVersion(name, found, f"{place}:{found}")

    @staticmethod
    def _highest(version: str, versions: list[Version]) -> str:
        exact = next((v for v in versions if str(v) == version), None)
        if exact:
            return str(exact)
        try:
            wanted = _range(version)
        except NoSuchChart as error:
            raise RepositoryProblem(str(error)) from error
        matching = [v for v in versions if v in wanted]
        if not matching:
            raise RepositoryProblem(f"could not locate a version matching provided version string {version}")
        return str(max(matching))

    async def download(self, chosen: ChartVersion) -> bytes:
        """See ChartRepository."""
        tag = chosen.version.replace("+", "_")
        start = f"failed to get '{chosen.url}'"
        try:
            client = self._client(chosen.name)
            try:
                manifest = await client.manifest(tag)
            except RegistryError as error:
                said = f"{client.repository}:{tag}: not found" if error.status == HTTPStatus.NOT_FOUND else words(error)
                raise RepositoryProblem(f'{start}: failed to perform "FetchReference" on source: {said}') from error
            layers = manifest.content.get("layers") or []
            if (manifest.content.get("config") or {}).get("mediaType") != CONFIG:
                raise RepositoryProblem(f"{start}: could not load config with mediatype {CONFIG}")
            layer = next((la["digest"] for la in layers if la.get("mediaType") in (LAYER, _OLD_LAYER)), "")
            if not layer:
                raise RepositoryProblem(f"{start}: manifest does not contain a layer with mediatype {LAYER}")
            return await client.blob(layer, MOST_CHART)
        except (RegistryError, BadName, TooLarge, SecretError) as error:
            raise RepositoryProblem(f"{start}: {words(error)}") from error

    def _client(self, name: str) -> OciClient:
        place = f"{self.access.url.removeprefix('oci://')}/{name}"
        found = Repository.parse(place)
        own = Repository(found.registry, found.path, scheme="http" if self.access.insecure else "https")
        who, certificates, seconds = self.access.credentials, self.access.certificates, self.access.timeout
        return OciClient(self.web, own, who, certificates, timeout=seconds, page=0, pings=False)


def _range(version: str) -> Range:
    """A range; an empty one takes any release. Raises NoSuchChart for what is none."""
    try:
        return Range(version or "*")
    except InvalidVersion as error:
        raise NoSuchChart(str(error)) from None


def words(error: Exception) -> str:
    """An error of a registry in the words of Helm's client (oras)."""
    if not isinstance(error, RegistryError) or not error.status:
        return str(error)
    method, url = error.request
    said = "; ".join(_said(one) for one in error.said) or HTTPStatus(error.status).phrase
    return f"{method} {quoted(url)}: response status code {error.status}: {said}"


def _said(error: dict[str, Any]) -> str:
    code = str(error["code"]).lower().replace("_", " ")
    if not error["message"]:
        return code
    detail = "" if error["detail"] is None else f": {error['detail']}"
    return f"{code}: {error['message']}{detail}"
