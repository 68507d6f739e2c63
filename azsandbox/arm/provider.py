"""The interface of resource providers: a provider is a namespace with resource types.

A type says in attributes what Resource Manager can check for it (name rules, locations,
states, durations, the form of its operations) and in methods what only it knows:

    accept   validates a body and fills in the defaults; what it returns is stored
    present  renders a stored resource for an answer (api-version, casing)
    perform  the work of a long-running operation; begun by the stored operation, so it must
             be safe to begin again
    remove   undoes what `perform` built; also called when the resource group is deleted
    @action  POST …/{name}/{action}

Every GET, PUT, PATCH, DELETE and list then works with no more code (see resource_type.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from azsandbox.arm import errors
from azsandbox.clock import Clock
from azsandbox.store import Bucket, Store

if TYPE_CHECKING:
    from azsandbox.arm.access import Access
    from azsandbox.arm.facts import Facts
    from azsandbox.arm.operations import Operations
    from azsandbox.arm.policy.in_force import InForce
    from azsandbox.arm.resource_type import ResourceType
    from azsandbox.arm.resources import Resources

__all__ = ["Arm", "Entra", "Identity", "NameRule", "Provider", "ResourceType", "Services", "action"]


class Identity(Protocol):
    """Who asks, as Entra tells from a token."""

    @property
    def object_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...


class Entra(Protocol):
    """What Resource Manager needs of Entra ID."""

    @property
    def directory(self) -> Any: ...
    def verify(self, token: str, audiences: tuple[str, ...] | None) -> Any: ...


class Services(Protocol):
    """What the process host gives to Resource Manager and its providers."""

    @property
    def state(self) -> Store: ...
    @property
    def store(self) -> Bucket: ...  # bucket "arm" of it
    @property
    def clock(self) -> Clock: ...
    @property
    def entra(self) -> Any: ...
    @property
    def clusters(self) -> Any: ...
    @property
    def registries(self) -> Any: ...  # the content of container registries
    @property
    def vaults(self) -> Any: ...  # the content of key vaults
    @property
    def tenant_id(self) -> str: ...
    @property
    def subscription_id(self) -> str: ...
    @property
    def owner_ids(self) -> tuple[str, ...]: ...  # principals that own the subscription from the start


class Arm(Protocol):
    """Resource Manager as providers see it (arm.py has it)."""

    services: Services
    resources: Resources
    operations: Operations
    access: Access
    facts: Facts

    @property
    def policies(self) -> InForce: ...
    @property
    def providers(self) -> dict[str, Provider]: ...
    def provider(self, namespace: str) -> Provider | None: ...
    def has_type(self, type_: str) -> bool: ...
    def type_of(self, type_: str) -> ResourceType: ...
    def atomic(self) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class NameRule:
    """What the names of a type must match, and how its provider refuses others.

    `code` and `text` are the provider's; text may hold {name}.
    """

    pattern: str = r"[^<>%&\\?/]{1,260}"
    code: str = "InvalidResourceName"
    text: str = "Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'."
    status: int = 400

    def check(self, name: str) -> None:
        """Raises the provider's error for a name that breaks the rule."""
        if not re.fullmatch(self.pattern, name):
            raise errors.ArmError(self.status, self.code, self.text.format(name=name), details=[])


def action(name: str) -> Callable[[Any], Any]:
    """Marks a method of a type as the handler of POST …/{name}; it gets the Call and the stored resource."""

    def mark(method: Any) -> Any:
        method.arm_action = name
        return method

    return mark


class Types(dict[str, "ResourceType"]):
    """The types of a provider by their names in lower case; those of `late` are made when one of them is asked for."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.late: dict[str, Callable[[], list[ResourceType]]] = {}

    def take(self, types: list[ResourceType]) -> None:
        """Adds types."""
        for type_ in types:
            type_.provider = self.provider
            self[type_.name.lower()] = type_

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.late

    def get(self, name: str, default: Any = None) -> Any:
        """The type of that name, or `default`."""
        if not super().__contains__(name) and name in self.late:
            self.take(self.late[name]())
            self.late = {n: load for n, load in self.late.items() if not super(Types, self).__contains__(n)}
        return super().get(name, default)


class Provider:
    """A namespace and its types.

    `namespace` in canonical case; `types` are the resource types that the sandbox supports.
    Others that Azure has (data/azure/resource-types.json) are refused by name.
    """

    namespace: str = ""

    def __init__(self, types: list[ResourceType]) -> None:
        self.types = Types(self)
        self.types.take(types)

    def late(self, load: Callable[[], list[ResourceType]], *names: str) -> None:
        """Types that `load` makes, and imports, when one of them is first asked for: the start need not wait for them."""
        self.types.late |= {name.lower(): load for name in names}

    def prepare(self, arm: Arm) -> None:
        """Seeds what exists from the start; called once, when Resource Manager is made. Idempotent."""

    async def run(self, arm: Arm) -> None:
        """Works in the background for as long as Resource Manager does; by default there is nothing to do."""
