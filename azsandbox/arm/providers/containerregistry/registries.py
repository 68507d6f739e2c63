"""Registries: created and deleted, with an admin user's credentials, and images imported into them."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Style, Work
from azsandbox.arm.provider import NameRule, action
from azsandbox.arm.providers.containerregistry import imports, registry_body
from azsandbox.arm.providers.containerregistry.names import INVALID, NAME, holder, in_use
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

PASSWORDS = ("password", "password2")
# Before and from these api-versions on a registry is created and changed by an operation; the recordings of 2023-07-01
# show it at once
ASYNC_BEFORE, ASYNC_SINCE = "2022-01-01", "2024-11-01"
IMPORT_SECONDS = 10.0
SUPPORTED = "api-supported-versions"


def status(operation: Operation) -> Document:
    """The status of an operation: `{"status"}`, and while it runs the registry's own state."""
    running = {"create": "Creating", "update": "Updating", "delete": "Deleting"}
    text = running.get(operation.kind, operation.status) if operation.running else operation.status
    return {"status": text} | ({"error": operation.error} if operation.error else {})


class Registries(ResourceType):
    """Microsoft.ContainerRegistry/registries."""

    name = "registries"
    tracked = True
    patch_merges = True
    removal_rank = 60
    names = NameRule(NAME.pattern, "InvalidResourceName", INVALID)
    style = Style(
        status_path="{resource}/operationStatuses/{id}",
        result_path="/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/locations/{location}/"
        "operationResults/{id}",
        status_on=("PUT", "PATCH"),
        result_on=("POST", "DELETE"),
        body=status,
        retry_after=5,
    )

    # --- life

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        if kind in ("create", "update"):
            return 0.0 if ASYNC_BEFORE <= call.api_version[:10] < ASYNC_SINCE else 10.0
        return 10.0 if kind == "delete" else 0.0

    async def put(self, call: Call) -> Answer:
        return _status(await super().put(call))

    async def patch(self, call: Call) -> Answer:
        return _status(await super().patch(call))

    async def accept(self, call: Call, current: Stored | None) -> Document:
        taken = holder(call.arm, call.id.name)
        if current is None and taken is not None:
            raise in_use(call.id.name)
        body = registry_body.accept(call, current)
        if current is None:
            call.private["content"] = call.arm.services.registries.new_content()
            call.private["passwords"] = {name: new_password() for name in PASSWORDS}
        self._sign(call)
        return body

    def _sign(self, call: Call) -> None:
        """Notes who made the registry and who changed it last."""
        kind = "User" if call.identity.kind == "user" else "Application"
        now = timestamp(call.arm.services.clock)
        new = {"createdBy": call.identity.name, "createdByType": kind, "createdAt": now}
        known: Document = call.private.get("systemData") or new
        changed = {"lastModifiedBy": call.identity.name, "lastModifiedByType": kind, "lastModifiedAt": now}
        call.private["systemData"] = known | changed

    def present(self, call: Call, stored: Stored) -> Document:
        return registry_body.present(call, stored)

    def answer(self, call: Call, status: int, stored: Stored) -> Answer:
        answer = super().answer(call, status, stored)
        answer.headers[SUPPORTED] = call.api_version
        return answer

    async def remove(self, arm: Arm, stored: Stored) -> None:
        arm.services.registries.contents.drop(stored.private["content"])

    # --- the admin user

    @action("listCredentials")
    async def list_credentials(self, call: Call, stored: Stored | None) -> Answer:
        """The admin user's name and passwords."""
        assert stored is not None
        return Answer(200, self._credentials(stored))

    @action("regenerateCredential")
    async def regenerate_credential(self, call: Call, stored: Stored | None) -> Answer:
        """Makes one of the passwords anew."""
        assert stored is not None
        self._credentials(stored)
        name = call.document.get("name")
        if name not in PASSWORDS:
            raise registry_body.invalid(
                f"The value '{name}' of the parameter 'name' is not valid: {', '.join(PASSWORDS)}."
            )
        stored.private["passwords"][name] = new_password()
        call.arm.resources.put(stored, touch=False)
        return Answer(200, self._credentials(stored))

    @staticmethod
    def _credentials(stored: Stored) -> Document:
        if not stored.properties["adminUserEnabled"]:
            text = (
                f"Cannot perform credential operations for {stored.id} as admin user is disabled. Kindly enable admin user "
                "as per docs: https://docs.microsoft.com/en-us/azure/container-registry/"
                "container-registry-authentication#admin-account"
            )
            raise errors.ArmError(400, "UnAuthorizedForCredentialOperations", text)
        passwords = [{"name": name, "value": stored.private["passwords"][name]} for name in PASSWORDS]
        return {"username": stored.name, "passwords": passwords}

    # --- imports

    @action("importImage")
    async def import_image(self, call: Call, stored: Stored | None) -> Answer:
        """Starts the import of an image or another artifact."""
        assert stored is not None
        data = imports.read(call)
        with call.arm.atomic():
            operation = self.begin(call, "importImage", stored, IMPORT_SECONDS, **{"import": data})
        return Answer(202, None, self.operation_headers(call, operation))

    async def perform(self, work: Work) -> None:
        await super().perform(work)
        if work.operation.kind == "importImage":
            await imports.perform(work)

    def ended(self, work: Work) -> None:
        if work.operation.kind != "importImage":  # which leaves the registry itself as it was
            super().ended(work)


def _status(answer: Answer) -> Answer:
    """200 of a registry that is ready at once, also a new one; 201 where an operation brings it there, also a change
    (recordings test_acr_create_with_managed_registry and test_acr_with_anonymous_pull)."""
    answer.status = 201 if "Azure-AsyncOperation" in answer.headers else 200
    return answer


def new_password() -> str:
    """A password of an admin user."""
    return base64.urlsafe_b64encode(secrets.token_bytes(39)).decode()
