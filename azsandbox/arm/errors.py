"""Errors of Azure Resource Manager in its envelope, with the codes and texts that Azure uses.

Resource Manager's own refusals are wrapped in `error` and carry `x-ms-failure-cause: gateway`;
those of a resource provider look as that provider writes them (AKS does not wrap its own).
"""

from __future__ import annotations

from typing import Any

_ASSIGNS = "microsoft.authorization/roleassignments/write"


class ArmError(Exception):
    """A refusal: HTTP status, code and message, and what of the envelope differs."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: list[dict[str, Any]] | None = None,
        additional_info: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
        gateway: bool = False,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.target = status, code, message, target
        self.details, self.additional_info = details, additional_info
        self.headers = dict(headers or {})
        if gateway:
            self.headers["x-ms-failure-cause"] = "gateway"
        self._body = body

    @property
    def error(self) -> dict[str, Any]:
        """What stands in the envelope, and in a failed operation."""
        out: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            out["target"] = self.target
        if self.details is not None:
            out["details"] = self.details
        if self.additional_info is not None:
            out["additionalInfo"] = self.additional_info
        return out

    @property
    def body(self) -> dict[str, Any]:
        """The whole answer: the envelope, or the provider's own form of it."""
        return self._body if self._body is not None else {"error": self.error}


def gateway(status: int, code: str, message: str, **more: Any) -> ArmError:
    """An error of Resource Manager itself."""
    return ArmError(status, code, message, gateway=True, **more)


def not_supported(what: str) -> ArmError:
    """What the sandbox does not do, by name (no silent ignoring)."""
    return ArmError(501, "NotSupportedInSandbox", f"The sandbox does not support {what}.")


def resource_not_found(type_: str, names: tuple[str, ...], group: str | None) -> ArmError:
    """404 of a resource; nested names are written type/name/type/name as Azure does."""
    namespace, *types = type_.split("/")
    path = "/".join(f"{t}/{n}" for t, n in zip(types, names, strict=True))
    where = f" under resource group '{group}'" if group else ""
    return gateway(
        404,
        "ResourceNotFound",
        f"The Resource '{namespace}/{path}'{where} was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def group_not_found(name: str) -> ArmError:
    return gateway(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def group_being_deleted(name: str) -> ArmError:
    return gateway(
        409,
        "ResourceGroupBeingDeleted",
        f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
    )


def parent_not_found(verb: str, types: str, parent: str) -> ArmError:
    return gateway(
        404,
        "ParentResourceNotFound",
        f"Failed to perform '{verb}' on resource(s) of type '{types}', because the parent resource '{parent}' "
        "could not be found.",
    )


def subscription_not_found(subscription: str) -> ArmError:
    return gateway(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def authorization_failed(name: str, object_id: str, action: str, scope: str) -> ArmError:
    # Who may assign roles may depend on a condition ("Troubleshoot Azure RBAC", unable to assign a role).
    condition = " or an ABAC condition not fulfilled" if action.lower() == _ASSIGNS else ""
    return gateway(
        403,
        "AuthorizationFailed",
        f"The client '{name}' with object id '{object_id}' does not have authorization{condition} to perform action "
        f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your "
        "credentials.",
    )


def linked_authorization_failed(
    name: str, object_id: str, action: str, scope: str, missing: list[tuple[str, str]]
) -> ArmError:
    """`missing` are the actions that are not allowed, each with its linked scope."""
    actions, scopes = (",".join(part) for part in zip(*missing, strict=True))
    return gateway(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{name}' with object id '{object_id}' has permission to perform action '{action}' on scope "
        f"'{scope}'; however, it does not have permission to perform action(s) '{actions}' on the linked scope(s) "
        f"'{scopes}' (respectively) or the linked scope(s) are invalid.",
    )


def location_required() -> ArmError:
    return gateway(400, "LocationRequired", "The location property is required for this definition.")


def location_not_available(location: str, type_: str, available: list[str]) -> ArmError:
    return gateway(
        400,
        "LocationNotAvailableForResourceType",
        f"The provided location '{location}' is not available for resource type '{type_}'. "
        f"List of available regions for the resource type is '{','.join(available)}'.",
    )


def invalid_resource_location(name: str, existing: str, group: str, asked: str) -> ArmError:
    return gateway(
        409,
        "InvalidResourceLocation",
        f"The resource '{name}' already exists in location '{existing}' in resource group '{group}'. "
        f"A resource with the same name cannot be created in location '{asked}'. Please select a new resource name.",
    )


def invalid_content(message: str) -> ArmError:
    return gateway(400, "InvalidRequestContent", message)


def missing_api_version() -> ArmError:
    return gateway(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )


def invalid_api_version(version: str) -> ArmError:
    return gateway(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{version}' is invalid. The supported versions are of the form 'YYYY-MM-DD' or "
        "'YYYY-MM-DD-preview'.",
    )


def unknown_namespace(namespace: str) -> ArmError:
    return gateway(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")


def unknown_type(type_: str, namespace: str, version: str, supported: list[str] | None = None) -> ArmError:
    tail = f" The supported api-versions are '{','.join(supported)}'." if supported else ""
    return gateway(
        404,
        "InvalidResourceType",
        f"The resource type '{type_}' could not be found in the namespace '{namespace}' for api version "
        f"'{version}'.{tail}",
    )


def no_registered_provider(location: str, version: str, type_: str, versions: list[str], places: list[str]) -> ArmError:
    return gateway(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for location '{location}' and API version '{version}' for type "
        f"'{type_}'. The supported api-versions are '{', '.join(versions)}'. "
        f"The supported locations are '{', '.join(places)}'.",
    )


def missing_registration(subscription: str, namespace: str) -> ArmError:
    return gateway(
        409,
        "MissingSubscriptionRegistration",
        f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how "
        "to register subscriptions.",
        details=[
            {
                "code": "MissingSubscriptionRegistration",
                "target": namespace,
                "message": f"The subscription is not registered to use namespace '{namespace}'. See "
                "https://aka.ms/rps-not-found for how to register subscriptions.",
            }
        ],
    )


def operation_not_found(name: str) -> ArmError:
    return ArmError(404, "OperationNotFound", f"The operation '{name}' could not be found.")


def method_not_allowed(method: str, type_: str) -> ArmError:
    return gateway(405, "MethodNotAllowed", f"The HTTP method '{method}' is not supported for '{type_}'.")
