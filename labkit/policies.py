"""The policies that hold for the cluster: as Azure has them, as they are in the cluster, and how they are kept.

lab.policies.table()                             # a row an assignment
lab.wait(lab.policies.arrived, "Waiting …")      # until the cluster has them as Azure has
lab.wait(lab.policies.audited(), "Waiting …")    # until an audit has seen the cluster as it is now
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labkit.checks.evidence import api_versions, cluster_path
from labkit.checks.facts import policies as known
from labkit.errors import ReadError

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.views.table import Table

CONSTRAINTS = "/apis/constraints.gatekeeper.sh/v1beta1"
ASSIGNMENT = "azure-policy-assignment-id"
DEFINITION = "azure-policy-definition-id"
Object = dict[str, Any]


class Policies:
    """Of one lab's cluster."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def assignments(self) -> list[Object]:
        """The assignments at the cluster and above, of definitions that are about what is in clusters."""
        path = f"{cluster_path(self._lab.subscription_id, self._lab.settings)}/providers/Microsoft.Authorization/policyAssignments"
        found = self._lab.arm.list(f"{path}?$filter=atScope()", api_versions()["policyAssignments"])
        inside = {str(entry["id"]) for entry in known()["definitions"].values()}
        return [a for a in found if str(a["properties"]["policyDefinitionId"]).rsplit("/", 1)[-1].lower() in inside]

    def constraints(self) -> list[Object]:
        """The constraints that the add-on has made; none where there is no Gatekeeper."""
        reader = self._lab.kubernetes()
        try:
            kinds = [r["name"] for r in reader.get(CONSTRAINTS)["resources"] if "/" not in r["name"]]
        except ReadError as error:
            if not error.missing:
                raise
            return []
        found = [item for kind in kinds for page in reader.pages(f"{CONSTRAINTS}/{kind}") for item in page]
        return [c for c in found if ASSIGNMENT in (c["metadata"].get("annotations") or {})]

    def table(self) -> Table:
        """A row an assignment: what Azure asks for, what the cluster does, and what breaks it."""
        made = self.constraints()
        rows = [_row(assignment, _of(made, assignment)) for assignment in self.assignments()]
        return self._lab.table(rows, "Policies of the cluster", ("policy", "Azure asks", "the cluster", "broken by"))

    def arrived(self) -> bool | str:
        """True when the cluster has every assignment as Azure has it; else how many are on their way."""
        made, wanted = self.constraints(), self.assignments()
        there = [a for a in wanted if any(_agrees(a, c) for c in _of(made, a))]
        return len(there) == len(wanted) or f"{len(there)} of {len(wanted)} have arrived"

    def audited(self) -> Callable[[], bool | str]:
        """For `lab.wait`: True when Gatekeeper has audited every constraint since now."""
        since = datetime.now(UTC).replace(microsecond=0)

        def look() -> bool | str:
            made = self.constraints()
            fresh = [c for c in made if _moment(c) is not None and _moment(c) > since]  # type: ignore[operator]
            return len(fresh) == len(made) or f"{len(fresh)} of {len(made)} are audited"

        return look

    def violations(self) -> Table:
        """What the last audit found, an object a row."""
        rows = [row for constraint in self.constraints() for row in _violations(constraint)]
        return self._lab.table(rows, "What breaks a policy", ("object", "message", "constraint"))


def effect(assignment: Object) -> str:
    """The effect that an assignment asks for; without one, that of its definition."""
    given = (assignment["properties"].get("parameters") or {}).get("effect")
    if given:
        return str(given["value"])
    definition = str(assignment["properties"]["policyDefinitionId"]).rsplit("/", 1)[-1].lower()
    return next((str(d["default"]) for d in known()["definitions"].values() if d["id"] == definition), "?")


def _of(constraints: list[Object], assignment: Object) -> list[Object]:
    wanted = str(assignment["id"]).lower()
    return [c for c in constraints if str(c["metadata"]["annotations"][ASSIGNMENT]).lower() == wanted]


def _agrees(assignment: Object, constraint: Object) -> bool:
    """Whether a constraint says what the assignment says, as far as both say it."""
    spec, parameters = constraint["spec"], assignment["properties"].get("parameters") or {}
    denies = effect(assignment).lower() == "deny" and assignment["properties"].get("enforcementMode") == "Default"
    pairs = (
        ("excludedNamespaces", spec["match"].get("excludedNamespaces") or []),
        ("allowedContainerImagesRegex", (spec.get("parameters") or {}).get("imageRegex")),
    )
    same = all(parameters[name]["value"] == found for name, found in pairs if name in parameters)
    return same and (spec["enforcementAction"] == "deny") == denies


def _row(assignment: Object, made: list[Object]) -> Object:
    inside = ", ".join(str(c["spec"]["enforcementAction"]) for c in made)
    if not any(_agrees(assignment, c) for c in made):
        inside = f"{inside}, the change is on its way" if inside else "on its way"
    counts = [(c.get("status") or {}).get("totalViolations") for c in made]
    seen = [int(count) for count in counts if count is not None]
    return {
        "policy": assignment["name"],
        "Azure asks": effect(assignment),
        "the cluster": inside,
        "broken by": sum(seen) if seen else "not audited yet",
    }


def _violations(constraint: Object) -> Iterator[Object]:
    for found in (constraint.get("status") or {}).get("violations") or []:
        place = "/".join(str(found[key]) for key in ("namespace", "name") if found.get(key))
        yield {
            "object": f"{found['kind']} {place}",
            "message": found["message"],
            "constraint": constraint["metadata"]["name"],
        }


def _moment(constraint: Object) -> datetime | None:
    text = (constraint.get("status") or {}).get("auditTimestamp")
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None
