"""What one decision by Azure's role assignments costs the API server: kept, asked, refused, of everything at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace

from azsandbox.aks.access import ClusterAccess
from azsandbox.arm import Arm, ids
from azsandbox.arm.providers.authorization.assignments import assignment
from azsandbox.arm.resources import Stored
from azsandbox.clock import Clock
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import User
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Store

READER = "7f6c6a51-bcf8-42ba-9220-52d62157d7db"
SUBSCRIPTION = "5a9d3c1e-7f42-4c1b-9d57-0e6b5f2a1c34"


def _access(assignments: int, resources: int) -> tuple[ClusterAccess, User]:
    """A cluster among `resources`, with `assignments` at it; one of them is the user's."""
    services = SimpleNamespace(
        store=Store(None).bucket("arm"),
        clock=Clock(),
        entra=None,
        clusters=None,
        tenant_id=SUBSCRIPTION,
        subscription_id=SUBSCRIPTION,
        owner_ids=(),
    )
    arm = Arm(services)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers"
    cluster = f"{group}/Microsoft.ContainerService/managedClusters/c"
    profile = {"aadProfile": {"enableAzureRBAC": True}}
    arm.resources.put(Stored(cluster, "Microsoft.ContainerService/managedClusters", {"properties": profile}))
    for number in range(resources):
        arm.resources.put(Stored(f"{group}/Microsoft.Network/virtualNetworks/n{number}", "x/y", {"properties": {}}))
    people = [str(uuid.uuid4()) for _ in range(assignments)]
    target = ids.parse(cluster)
    assert target is not None
    for person in people:
        id_ = target.id.extension("Microsoft.Authorization", "roleAssignments", str(uuid.uuid4()))
        arm.resources.put(assignment(arm, id_, READER, person, "User"))
    server = ApiServer(Store(None).bucket("cluster"), "v1.35.4")
    user = User("dev@lab", ("system:authenticated", str(uuid.uuid4())), "", {"oid": (people[-1],)})
    time.sleep(1)  # until the assignments have arrived
    return ClusterAccess(arm, SimpleNamespace(server=server), cluster), user  # type: ignore[arg-type]


def _microseconds(times: int, work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begun) / times * 1e6


def run(times: int) -> None:
    """Prints microseconds a decision, with 60 assignments and 1000 resources."""
    access, user = _access(60, 1000)

    def ask(question: Question, *, changed: bool = False, forget: bool = True) -> None:
        if changed:
            access.arm.access.revision += 1
        elif forget:
            access._decisions.clear()
        access.decide(question)

    pods = Question(user, "list", "", "v1", "pods", "", "default")
    secrets = Question(user, "list", "", "v1", "secrets", "", "default")
    everything = Question(user, "*", "*", "*", "*", "", "default")
    account = Question(User("system:serviceaccount:a:b"), "list", "", "v1", "pods", "", "default")
    rows = {
        "kept": _microseconds(times * 10, lambda: ask(pods, forget=False)),
        "of an account, which is not Azure's": _microseconds(times * 10, lambda: ask(account, forget=False)),
        "asked, allowed": _microseconds(times, lambda: ask(pods)),
        "asked, refused": _microseconds(times, lambda: ask(secrets)),
        "asked of everything": _microseconds(times // 10, lambda: ask(everything)),
        "after an assignment has changed": _microseconds(times // 10, lambda: ask(pods, changed=True)),
    }
    print("A decision by Azure's role assignments, of 60 at a cluster among 1000 resources")
    for what, found in rows.items():
        print(f"  {what:<38}{found:10.1f} µs")
