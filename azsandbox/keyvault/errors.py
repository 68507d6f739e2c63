"""Refusals of a vault, as Key Vault words them.

Texts: azure-cli and azure-sdk-for-js recordings, "Azure Key Vault REST API error codes", and answers of Azure that public
issues quote in full (hashicorp/terraform-provider-azurerm 4553 and 27817, piyushsachdeva/Terraform_AKS 2).
"""

from __future__ import annotations

from typing import Any


class VaultError(Exception):
    """A refusal: HTTP status, code, message, and the inner code of a 403 or 409."""

    def __init__(
        self, status: int, code: str, message: str, inner: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.inner = status, code, message, inner
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def unauthorized(tenant: str, message: str) -> VaultError:
    """401, which says where to get a token and for what."""
    challenge = f'Bearer authorization="https://login.microsoftonline.com/{tenant}", resource="https://vault.azure.net"'
    return VaultError(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})


def too_large() -> VaultError:
    """413 of a body that is larger than any secret."""
    return VaultError(413, "RequestEntityTooLarge", "The request body is too large.")


def bad_parameter(message: str) -> VaultError:
    return VaultError(400, "BadParameter", message)


def forbidden(message: str, inner: str) -> VaultError:
    return VaultError(403, "Forbidden", message, inner)


def secret_not_found(name: str, version: str = "") -> VaultError:
    """404 of a secret, or of a version of one."""
    what = f"{name}/{version}" if version else name
    return VaultError(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {what} was not found in this key vault. If you recently deleted this secret you may be "
        "able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def deleted_secret_not_found(name: str) -> VaultError:
    return VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")


def deleted_but_recoverable(name: str) -> VaultError:
    """409 of a name that a deleted secret has."""
    text = (
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the "
        "secret can only be recovered or purged."
    )
    return VaultError(409, "Conflict", text, "ObjectIsDeletedButRecoverable")


def disabled() -> VaultError:
    return forbidden("Operation get is not allowed on a disabled secret.", "SecretDisabled")


def purge_protected(vault: str) -> VaultError:
    """403 of a purge where the vault forbids it; `vault` is its name and location."""
    text = (
        'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will '
        f"automatically purge it after the retention period has passed.\r\nVault: {vault}"
    )
    return VaultError(403, "Forbidden", text)


def not_supported(what: str) -> VaultError:
    """What the sandbox's vaults do not do, by name."""
    return VaultError(501, "NotSupportedInSandbox", f"The sandbox does not support {what}.")
