"""Admission controllers that fill in pods and nodes: priority, tolerations, runtime class, the taint of a new node."""

from __future__ import annotations

from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

_NOT_READY = "node.kubernetes.io/not-ready"
_UNREACHABLE = "node.kubernetes.io/unreachable"
_TOLERATED_SECONDS = 300


class Priority(Plugin):
    """A pod's priority is that of its class; one class at most is the default."""

    async def mutate(self, attrs: Attributes) -> None:
        if not attrs.of("", "Pod") or attrs.subresource or attrs.obj is None:
            return
        spec = attrs.obj.setdefault("spec", {})
        if attrs.operation == UPDATE:
            before = (attrs.old or {}).get("spec") or {}
            for key in ("priority", "preemptionPolicy"):
                if spec.get(key) is None and before.get(key) is not None:
                    spec[key] = before[key]
        elif attrs.operation == CREATE:
            self._resolve(attrs, spec)

    def _resolve(self, attrs: Attributes, spec: Object) -> None:
        name = spec.get("priorityClassName")
        if name:
            found = self.server.peek("priorityclasses.scheduling.k8s.io", "", name)
            if found is None:
                raise attrs.forbidden(f"no PriorityClass with name {name} was found")
        else:
            found = self._default()
            if found is not None:
                spec["priorityClassName"] = found["metadata"]["name"]
        value = int(found.get("value") or 0) if found else 0
        policy = found.get("preemptionPolicy") if found else "PreemptLowerPriority"
        computed = "must not be provided in pod spec; priority admission controller computed"
        if spec.get("priority") is not None and spec["priority"] != value:
            cause = f"the integer value of priority ({spec['priority']}) {computed} {value} from the given PriorityClass name"
            raise attrs.forbidden(cause)
        spec["priority"] = value
        if policy is None:
            return
        given = spec.get("preemptionPolicy")
        if given is not None and given != policy:
            cause = (
                f"the string value of PreemptionPolicy ({given}) {computed} {policy} from the given PriorityClass name"
            )
            raise attrs.forbidden(cause)
        spec["preemptionPolicy"] = policy

    def _default(self) -> Object | None:
        classes = [c for c in self.server.peek_list("priorityclasses.scheduling.k8s.io") if c.get("globalDefault")]
        return min(classes, key=lambda item: int(item.get("value") or 0), default=None)

    async def validate(self, attrs: Attributes) -> None:
        if (
            not attrs.of("scheduling.k8s.io", "PriorityClass")
            or attrs.obj is None
            or not attrs.obj.get("globalDefault")
        ):
            return
        default = self._default()
        if default is None:
            return
        name = default["metadata"]["name"]
        if attrs.operation == CREATE or name != attrs.obj["metadata"].get("name"):
            raise attrs.forbidden(f"PriorityClass {name} is already marked as default. Only one default can exist")


class DefaultTolerationSeconds(Plugin):
    """A pod stays five minutes on a node that is not ready or not reachable."""

    async def mutate(self, attrs: Attributes) -> None:
        if not attrs.of("", "Pod") or attrs.subresource or attrs.operation not in (CREATE, UPDATE) or not attrs.obj:
            return
        spec = attrs.obj.setdefault("spec", {})
        tolerations = spec.get("tolerations") or []
        for key in (_NOT_READY, _UNREACHABLE):
            if not any(_tolerates(item, key) for item in tolerations):
                tolerations.append(
                    {
                        "key": key,
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "tolerationSeconds": _TOLERATED_SECONDS,
                    }
                )
        spec["tolerations"] = tolerations


def _tolerates(item: Object, key: str) -> bool:
    named = item.get("key") == key or (not item.get("key"))
    return named and item.get("effect") in ("NoExecute", "", None)


class RuntimeClass(Plugin):
    """A pod takes the overhead and the scheduling rules of its runtime class."""

    async def mutate(self, attrs: Attributes) -> None:
        found = self._class(attrs)
        if found is None or attrs.obj is None:
            return
        spec = attrs.obj["spec"]
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") and not _same_amounts(spec["overhead"], overhead):
                raise attrs.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = dict(overhead)
        self._schedule(attrs, spec, found.get("scheduling") or {})

    def _schedule(self, attrs: Attributes, spec: Object, scheduling: Object) -> None:
        selector = dict(spec.get("nodeSelector") or {})
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            given = selector.get(key)
            if given is not None and given != value:
                cause = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {given}"
                raise attrs.forbidden(cause)
            selector[key] = value
        if selector:
            spec["nodeSelector"] = selector
        tolerations = spec.get("tolerations") or []
        added = [item for item in scheduling.get("tolerations") or [] if item not in tolerations]
        if added:
            spec["tolerations"] = [*tolerations, *added]

    async def validate(self, attrs: Attributes) -> None:
        found = self._class(attrs)
        if attrs.obj is None or not self._applies(attrs):
            return
        overhead = attrs.obj["spec"].get("overhead")
        defined = ((found or {}).get("overhead") or {}).get("podFixed")
        if overhead and not defined:
            raise attrs.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")

    def _class(self, attrs: Attributes) -> Object | None:
        if not self._applies(attrs) or attrs.obj is None:
            return None
        name = (attrs.obj.get("spec") or {}).get("runtimeClassName")
        if not name:
            return None
        found = self.server.peek("runtimeclasses.node.k8s.io", "", name)
        if found is None:
            raise attrs.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
        return found

    @staticmethod
    def _applies(attrs: Attributes) -> bool:
        return attrs.of("", "Pod") and not attrs.subresource and attrs.operation == CREATE


def _same_amounts(one: Object, other: Object) -> bool:
    return one.keys() == other.keys() and all(Quantity.parse(one[k]) == Quantity.parse(other[k]) for k in one)


class TaintNodesByCondition(Plugin):
    """A new node is not ready until it says so."""

    async def mutate(self, attrs: Attributes) -> None:
        if not attrs.of("", "Node") or attrs.subresource or attrs.operation != CREATE or attrs.obj is None:
            return
        spec = attrs.obj["spec"] = attrs.obj.get("spec") or {}
        taints = spec.get("taints") or []
        if not any(taint.get("key") == _NOT_READY and taint.get("effect") == "NoSchedule" for taint in taints):
            spec["taints"] = [*taints, {"key": _NOT_READY, "effect": "NoSchedule"}]
