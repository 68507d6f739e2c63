"""Reading Azure Resource Manager, Log Analytics and Kubernetes as they answer, page by page; no class can write.

The checks and the views read the wire's own JSON, in which the keys are those of the documentation, whichever
version of an SDK is installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from labkit.errors import ReadError

if TYPE_CHECKING:
    from labkit.signed_in import Connection

ARM_ENDPOINT = "https://management.azure.com"
ARM_SCOPE = f"{ARM_ENDPOINT}/.default"
LOGS_ENDPOINT = "https://api.loganalytics.io"
LOGS_SCOPE = f"{LOGS_ENDPOINT}/.default"
PAGE = 500
"""Objects that one page of a Kubernetes list holds (what kubectl asks for)."""


class Arm(Protocol):
    """Reads of Azure Resource Manager."""

    def get(self, path: str, api_version: str) -> dict[str, Any]:
        """The object at `path`. Raises ReadError."""

    def pages(self, path: str, api_version: str) -> Iterator[list[dict[str, Any]]]:
        """The list at `path`, a page at a time. Raises ReadError."""


class Kubernetes(Protocol):
    """Reads of a Kubernetes API server."""

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object at `path`. Raises ReadError."""

    def pages(self, path: str) -> Iterator[list[dict[str, Any]]]:
        """The list at `path`, a page at a time. Raises ReadError."""


class Logs(Protocol):
    """Queries of Log Analytics workspaces."""

    def query(self, workspace: str, text: str) -> list[list[Any]]:
        """The rows of the first table that the query answers. Raises ReadError."""


def pipeline(credential: Any, endpoint: str, scope: str) -> Any:
    """The SDK's own pipeline, with its retries and its sign-in for `scope`."""
    from azure.core import PipelineClient
    from azure.core.pipeline import policies

    if credential is None:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    client: Any = PipelineClient(
        base_url=endpoint,
        policies=[
            policies.UserAgentPolicy("labkit"),
            policies.RetryPolicy(retry_total=3),
            policies.BearerTokenCredentialPolicy(credential, scope),
        ],
    )
    return client


def asked(client: Any, request: Any) -> dict[str, Any]:
    """What `request` is answered. Raises ReadError with the service's own refusal."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        response = client.send_request(request)
    except ClientAuthenticationError as error:
        # The chain's first line says only that it failed; the reasons stand below it, a line a credential.
        said = " ".join(str(error).split("To mitigate")[0].split())
        raise ReadError(said, 401, "Unauthenticated", "labkit status, or: az login") from error
    except AzureError as error:
        message = f"{request.method} {request.url} was not answered: {error}"
        raise ReadError(message, 0, "NoAnswer", "labkit status") from error
    if response.status_code >= 400:
        raise _arm_error(request.method, request.url, response.status_code, response.text())
    answer: dict[str, Any] = response.json() if response.text() else {}
    return answer


class ArmReader:
    """GETs of Azure Resource Manager with the SDK's own pipeline: its retries, its sign-in, its proxy."""

    def __init__(self, credential: Any = None, endpoint: str = ARM_ENDPOINT) -> None:
        self._endpoint = endpoint
        self._client = pipeline(credential, endpoint, ARM_SCOPE)

    def get(self, path: str, api_version: str) -> dict[str, Any]:
        """The object at `path` (a resource id, or a path below the endpoint)."""
        return self._ask(self._url(path, api_version))

    def pages(self, path: str, api_version: str) -> Iterator[list[dict[str, Any]]]:
        """The list at `path`; follows nextLink. AKS's list of versions calls its items `values`."""
        answer = self.get(path, api_version)
        while True:
            yield answer.get("value") or answer.get("values") or []
            if not answer.get("nextLink"):
                return
            answer = self._ask(str(answer["nextLink"]))

    def list(self, path: str, api_version: str) -> list[dict[str, Any]]:
        """All items of the list at `path`."""
        return [item for page in self.pages(path, api_version) for item in page]

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def post(self, path: str, api_version: str) -> dict[str, Any]:
        """The answer of an action that only lists, such as listClusterUserCredential."""
        return self._ask(self._url(path, api_version), "POST")

    def _url(self, path: str, api_version: str) -> str:
        joint = "&" if "?" in path else "?"
        return f"{self._endpoint}{path}{joint}{urlencode({'api-version': api_version})}"

    def _ask(self, url: str, method: str = "GET") -> dict[str, Any]:
        from azure.core.rest import HttpRequest

        return asked(self._client, HttpRequest(method, url))


class LogsReader:
    """Queries of Log Analytics workspaces by the public query API, v1; a query changes nothing."""

    def __init__(self, credential: Any = None, endpoint: str = LOGS_ENDPOINT) -> None:
        self._endpoint = endpoint
        self._client = pipeline(credential, endpoint, LOGS_SCOPE)

    def query(self, workspace: str, text: str) -> list[list[Any]]:
        """The rows of the first table that `text`, in KQL, answers; `workspace` is its customerId.

        Raises ReadError; a table that is not there yet is code SEM0100, the innermost of the service's codes.
        """
        from azure.core.rest import HttpRequest

        url = f"{self._endpoint}/v1/workspaces/{workspace}/query"
        answer = asked(self._client, HttpRequest("POST", url, json={"query": text}))
        tables = answer.get("tables") or [{}]
        return list(tables[0].get("rows") or [])

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


def _arm_error(method: str, url: str, status: int, body: str) -> ReadError:
    """Resource Manager wraps its refusals in `error`, AKS does not; Log Analytics says more in each innererror."""
    try:
        said = json.loads(body)
        said = said.get("error") or said
        while isinstance(said.get("innererror"), dict):
            said = said["innererror"]
        code, message = str(said.get("code", "")), str(said.get("message", ""))
    except (ValueError, AttributeError):
        code, message = "", body[:200]
    return ReadError(f"{method} {url.split('?')[0]}: {status} {code}: {message}", status, code)


class KubernetesReader:
    """GETs of an API server, signed in as a kubeconfig says."""

    def __init__(self, kubeconfig: Path, context: str = "") -> None:
        self._from = kubeconfig, context
        self._connection = self._signed_in()

    def _signed_in(self) -> Connection:
        from labkit import signed_in

        return signed_in.connection(*self._from)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object or list at `path`."""
        response = self._open(path, query or {}, timeout=60)
        try:
            answer: dict[str, Any] = json.loads(response.read(decode_content=True))
            return answer
        finally:
            response.release_conn()

    def pages(self, path: str) -> Iterator[list[dict[str, Any]]]:
        """The list at `path`, PAGE objects at a time."""
        query = {"limit": str(PAGE)}
        while True:
            answer = self.get(path, query)
            yield answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return
            query = {"limit": str(PAGE), "continue": str(token)}

    def watch(
        self, path: str, resource_version: str, *, seconds: int = 300, opened: Callable[[Any], None] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Events of the list at `path` after `resource_version`, until the server ends the watch.

        `seconds` is how long the server is asked to keep it open. `opened` is given the connection, which another
        thread may close to end the watch.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        response = self._open(path, query, timeout=seconds + 30)
        if opened is not None:
            opened(response)
        rest = b""
        try:
            for chunk in response.stream(amt=None, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        finally:
            response.close()

    def close(self) -> None:
        """Close its connections."""
        self._connection.pool.clear()

    def _open(self, path: str, query: Mapping[str, str], timeout: float, method: str = "GET", body: str = "") -> Any:
        response = self._ask(path, query, timeout, method, body)
        if response.status == 401:  # the token may have ended meanwhile, or its issuer begun anew
            response.release_conn()
            self._connection = self._signed_in()
            response = self._ask(path, query, timeout, method, body)
        if response.status >= 400:
            said = response.read(decode_content=True)
            response.release_conn()
            raise _kubernetes_error(f"{method} {path}", response.status, said)
        return response

    def _ask(self, path: str, query: Mapping[str, str], timeout: float, method: str, body: str) -> Any:
        import urllib3

        url = f"{self._connection.host}{path}"
        if query:
            url += ("&" if "?" in path else "?") + urlencode(query)
        headers = {"Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/merge-patch+json"
        self._connection.authorize(headers, path, method)
        limit = urllib3.Timeout(connect=10, read=timeout)
        try:
            return self._connection.pool.request(
                method, url, headers=headers, body=body or None, preload_content=False, timeout=limit
            )
        except urllib3.exceptions.HTTPError as error:
            why = getattr(error, "reason", None) or error
            raise ReadError(f"{method} {path} was not answered: {why}", 0, "NoAnswer", "labkit up") from error


def _kubernetes_error(asked: str, status: int, body: bytes) -> ReadError:
    try:
        said = json.loads(body)
        reason, message = str(said.get("reason", "")), str(said.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", body[:200].decode(errors="replace")
    return ReadError(f"{asked}: {status} {reason}: {message}", status, reason)
