"""Errors of the registry's data plane, in the envelope of the OCI distribution specification: a list `errors`.

Codes: OCI distribution specification 1.1, "Error Codes". Texts: those that Azure Container Registry writes, as recordings
of its clients show them; where none does, those of the distribution project that it is built on.
"""

from __future__ import annotations

from typing import Any

AUTHENTICATE = "authentication required, visit https://aka.ms/acr/authorization for more information."
DISALLOWED = (
    "The operation is disallowed on this registry, repository or image. View troubleshooting steps at "
    "https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation"
)


class RegistryError(Exception):
    """A refusal: HTTP status, code, message, and details that say what it is about."""

    def __init__(
        self, status: int, code: str, message: str, detail: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.detail = status, code, message, detail
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The envelope."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.detail is not None or self.message == AUTHENTICATE:  # which always has one, if only null
            error["detail"] = self.detail
        return {"errors": [error]}


def unauthorized(detail: Any = None, headers: dict[str, str] | None = None) -> RegistryError:
    return RegistryError(401, "UNAUTHORIZED", AUTHENTICATE, detail, headers)


def denied(message: str = "requested access to the resource is denied") -> RegistryError:
    return RegistryError(403, "DENIED", message)


def disallowed() -> RegistryError:
    """What a lock on a repository, a tag or a manifest keeps from being done."""
    return RegistryError(405, "DENIED", DISALLOWED)


def not_supported(what: str) -> RegistryError:
    """What the sandbox does not do, by name."""
    return RegistryError(501, "UNSUPPORTED", f"NotSupportedInSandbox: the sandbox does not support {what}.")


def method_not_allowed() -> RegistryError:
    return RegistryError(405, "UNSUPPORTED", "The operation is unsupported.")


def page_not_found() -> RegistryError:
    return RegistryError(404, "NOT_FOUND", "404 page not found")


def name_invalid(name: str) -> RegistryError:
    return RegistryError(400, "NAME_INVALID", "invalid repository name", {"name": name})


def name_unknown(name: str) -> RegistryError:
    return RegistryError(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})


def repository_unknown(name: str) -> RegistryError:
    """The same in the words of Azure's own API, where it reads or changes (public output of `az acr`, July 2026)."""
    return RegistryError(404, "NAME_UNKNOWN", f'repository "{name}" is not found', {"name": name})


def tag_invalid(tag: str) -> RegistryError:
    return RegistryError(400, "TAG_INVALID", "manifest tag did not match URI", {"tag": tag})


def tag_unknown(tag: str) -> RegistryError:
    return RegistryError(404, "TAG_UNKNOWN", "the specified tag does not exist", {"Tag": tag})


def manifest_unknown(reference: str) -> RegistryError:
    """404 of a manifest, asked for by tag or by digest."""
    if ":" in reference:
        message = f"manifest {reference} is not found"
        return RegistryError(404, "MANIFEST_UNKNOWN", message, {"Revision": reference})
    return RegistryError(404, "MANIFEST_UNKNOWN", f'manifest tagged by "{reference}" is not found', {"Tag": reference})


def manifest_invalid(reason: str) -> RegistryError:
    return RegistryError(400, "MANIFEST_INVALID", "manifest invalid", reason)


def manifest_too_large(limit: int) -> RegistryError:
    return RegistryError(413, "SIZE_INVALID", f"the manifest is larger than {limit} bytes")


def manifest_blob_unknown(digest: str) -> RegistryError:
    return RegistryError(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"Digest": digest})


def digest_invalid(reason: str) -> RegistryError:
    return RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {"Reason": reason})


def blob_unknown(digest: str) -> RegistryError:
    return RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", {"Digest": digest})


def upload_unknown() -> RegistryError:
    return RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")


def upload_invalid(reason: str) -> RegistryError:
    return RegistryError(400, "BLOB_UPLOAD_INVALID", "blob upload invalid", {"Reason": reason})


def range_invalid(size: int) -> RegistryError:
    """A chunk does not begin where the upload ends, or a range of a blob lies outside it; `size` is what is there."""
    return RegistryError(416, "RANGE_INVALID", "invalid content range", None, {"Range": f"0-{max(0, size - 1)}"})


def pagination_invalid(n: str) -> RegistryError:
    return RegistryError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": n})
