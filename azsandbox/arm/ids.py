"""Resource ids: how Azure Resource Manager names things, and what a request path means.

    /subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}[/{type}/{name}…]
    {scope}/providers/{namespace}/{type}/{name}        an extension of the resource {scope}

Ids are compared without regard to case and returned in their canonical case. An id is read
from its last `/providers/`, since an extension may sit on any other resource.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"
SUBSCRIPTIONS = "Microsoft.Resources/subscriptions"


@dataclass(frozen=True, slots=True)
class ResourceId:
    """One resource. `scope` is what it lies in or extends ("" is the tenant); types and names go in pairs.

    Subscriptions and resource groups are resources too, of namespace Microsoft.Resources.
    """

    scope: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def type(self) -> str:
        """The full type, "Microsoft.Network/virtualNetworks/subnets"."""
        return "/".join((self.namespace, *self.types))

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1]

    @property
    def key(self) -> str:
        """What ids are compared by."""
        return str(self).lower()

    @property
    def subscription(self) -> str | None:
        """Id of the subscription that it lies in."""
        segments = str(self).split("/")
        return segments[2] if len(segments) > 2 and segments[1].lower() == "subscriptions" else None

    @property
    def group(self) -> str | None:
        """Name of the resource group that it lies in."""
        segments = str(self).split("/")
        return segments[4] if len(segments) > 4 and segments[3].lower() == "resourcegroups" else None

    @property
    def parent(self) -> ResourceId | None:
        """The resource whose child it is: the network of a subnet. None for a top-level resource."""
        if len(self.names) < 2 or self.type == GROUPS:
            return None
        return ResourceId(self.scope, self.namespace, self.types[:-1], self.names[:-1])

    def child(self, type_: str, name: str) -> ResourceId:
        """The child resource of that (last) type and name."""
        return ResourceId(self.scope, self.namespace, (*self.types, type_), (*self.names, name))

    def extension(self, namespace: str, type_: str, name: str) -> ResourceId:
        """The extension resource of that type and name on this one."""
        return ResourceId(str(self), namespace, (type_,), (name,))

    def __str__(self) -> str:
        pairs = "".join(f"/{t}/{n}" for t, n in zip(self.types, self.names, strict=True))
        if self.types[:1] == ("subscriptions",) and self.namespace == "Microsoft.Resources":
            return pairs
        return f"{self.scope}/providers/{self.namespace}{pairs}"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points at: a resource (as many names as types), a collection (one name fewer), or a provider
    (no types)."""

    scope: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def is_collection(self) -> bool:
        return len(self.types) == len(self.names) + 1

    @property
    def type(self) -> str:
        return "/".join((self.namespace, *self.types))

    @property
    def id(self) -> ResourceId:
        """The resource that it is; only where it is no collection."""
        return ResourceId(self.scope, self.namespace, self.types, self.names)

    @property
    def owner(self) -> str:
        """Id of what the collection, or the resource, lies in: its parent resource or its scope."""
        count = len(self.types) - 1
        if not count:
            return self.scope
        return str(ResourceId(self.scope, self.namespace, self.types[:count], self.names[:count]))

    @property
    def access_scope(self) -> str:
        """The scope at which permission for it is needed."""
        return self.owner if self.is_collection else str(self.id)


def segments(path: str) -> list[str]:
    """The decoded segments of a path, doubled and trailing slashes dropped."""
    return [urllib.parse.unquote(part) for part in path.split("/") if part]


def parse(path: str) -> Target | None:
    """What `path` points at, or None where it holds no `/providers/{namespace}`, group or subscription."""
    parts = segments(path)
    lowered = [part.lower() for part in parts]
    if "providers" in lowered[:-1]:
        at = len(lowered) - 1 - lowered[::-1].index("providers")
        if at == len(parts) - 1:  # ends in "providers", which is then a name or a type
            at = len(lowered) - 2 - lowered[-2::-1].index("providers")
        rest = parts[at + 2 :]
        return Target(scope_text(parts[:at]), parts[at + 1], tuple(rest[::2]), tuple(rest[1::2]))
    if lowered[:1] == ["subscriptions"] and len(parts) <= 4:
        if len(parts) >= 3 and lowered[2] != "resourcegroups":
            return None
        types = tuple(["subscriptions", "resourceGroups"][: (len(parts) + 1) // 2])
        return Target("", "Microsoft.Resources", types, tuple(parts[1::2]))
    return None


def scope_text(parts: list[str]) -> str:
    """The text of a scope, as it was written but for the slashes."""
    return "".join(f"/{part}" for part in parts)


def of(text: str) -> ResourceId:
    """The id that `text` is. Raises ValueError where it is none."""
    target = parse(text)
    if target is None or target.is_collection or not target.types:
        message = f"{text!r} is not a resource id"
        raise ValueError(message)
    return target.id


def subscription(subscription_id: str) -> ResourceId:
    """The id of a subscription."""
    return ResourceId("", "Microsoft.Resources", ("subscriptions",), (subscription_id,))


def group(subscription_id: str, name: str) -> ResourceId:
    """The id of a resource group."""
    return ResourceId("", "Microsoft.Resources", ("subscriptions", "resourceGroups"), (subscription_id, name))


def same(one: str, other: str) -> bool:
    """Whether two ids name the same thing."""
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def within(resource: str, scope: str) -> bool:
    """Whether `resource` is `scope` or lies below it; "/" and "" hold everything."""
    lower, outer = resource.rstrip("/").lower(), scope.rstrip("/").lower()
    return not outer or lower == outer or lower.startswith(outer + "/")
