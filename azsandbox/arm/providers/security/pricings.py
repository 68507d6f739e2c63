"""Microsoft.Security/pricings: which plans of Defender for Cloud a subscription has, Free or Standard.

Every plan is there from the start; PUT changes it and always answers 200. What a plan switches on besides (scans,
assessments, a sensor that comes to clusters by itself) does not happen in the sandbox: a cluster's own
`securityProfile.defender` brings the sensor. Plans of single resources are refused by name.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.ids import Target
from azsandbox.arm.operations import when
from azsandbox.arm.providers.security import extensions
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

TIERS = ("Free", "Standard")
TAKEN = {"pricingTier", "subPlan", "extensions", "enforce"}
READ_ONLY = {
    "freeTrialRemainingTime", "enablementTime", "inherited", "inheritedFrom", "resourcesCoverageStatus", "deprecated",
    "replacedBy",
}  # fmt: skip
SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+", re.IGNORECASE)
FILTER = re.compile(r"\s*name\s+in\s*\(\s*([^()]*)\)\s*", re.IGNORECASE)
SUPPORTED = "api-supported-versions"


@functools.cache
def plans() -> dict[str, Document]:
    """The plans by name in lower case, in Azure's order (data/azure/defender-plans.json)."""
    return {row["name"].lower(): row for row in read("defender-plans.json")["plans"]}


def bad_request(message: str) -> errors.ArmError:
    """400 in Defender for Cloud's envelope; the code of most of its refusals was not seen."""
    return errors.ArmError(400, "BadRequest", message)


class Pricings(ResourceType):
    """Microsoft.Security/pricings on a subscription."""

    name = "pricings"
    extension = True
    scopes = ("subscription",)
    has_state = False
    created_status = 200

    async def get(self, call: Call) -> Answer:
        return self.answer(call, 200, self._stored(call, self._plan(call)))

    async def list(self, call: Call) -> Answer:
        """All plans, or those of `$filter=name in (a,b)`."""
        assert call.target is not None
        _check_scope(call.target.scope)
        wanted = _filtered(call.query.get("$filter"))
        rows = [row for name, row in plans().items() if wanted is None or name in wanted]
        value = [self.present(call, self._stored(call, row)) for row in rows]
        return Answer(200, {"value": value})

    async def delete(self, call: Call) -> Answer:
        """Always refused: a plan of a subscription is set to Free instead."""
        _check_scope(call.id.scope)
        text = (
            "Delete operation is supported only for single resources scope (not subscriptions). Use PUT to Enabled or "
            "Disable specific pricing bundles on a subscription."
        )
        raise errors.ArmError(400, "InvalidUrlConfiguration", text)

    async def accept(self, call: Call, current: Stored | None) -> Document:
        plan, given = self._plan(call), call.properties
        _check_known(given)
        tier = _tier(given.get("pricingTier"))
        if tier == "Standard" and plan.get("replacedBy") and not plan.get("standard"):
            raise errors.not_supported(
                f"switching on the deprecated plan '{plan['name']}', which {', '.join(plan['replacedBy'])} replaces"
            )
        before = current or self._stored(call, plan)
        out: Document = {"pricingTier": tier}
        if given.get("enforce") is not None:
            out["enforce"] = _enforce(given["enforce"])
        elif "enforce" in before.properties:
            out["enforce"] = before.properties["enforce"]
        call.private.setdefault("extensions", {})
        if tier == "Free":
            if given.get("extensions") or given.get("subPlan"):
                raise bad_request("Extensions and sub-plans cannot be set while the pricing tier is Free.")
            return {"name": plan["name"], "properties": out}
        if sub_plan := _sub_plan(plan, given.get("subPlan"), before.properties.get("subPlan")):
            out["subPlan"] = sub_plan
        was_on = before.properties["pricingTier"] == "Standard"
        known = before.properties.get("extensions") if was_on else None
        out["extensions"] = extensions.accept(plan, sub_plan, given.get("extensions"), known, call.private)
        now = timestamp(call.arm.services.clock)
        out["enablementTime"] = before.properties.get("enablementTime", now) if was_on else now
        call.private.setdefault("trialBegan", now)
        return {"name": plan["name"], "properties": out}

    async def put(self, call: Call) -> Answer:
        """PUT; the answer alone says of each extension that was sent how switching it on went."""
        plan, target = self._plan(call), call.id
        call = call.at(Target(target.scope, target.namespace, target.types, (plan["name"],)))
        answer = await super().put(call)
        properties = answer.body["properties"]
        if found := properties.get("extensions"):
            properties["extensions"] = extensions.with_status(found, extensions.sent(call.properties.get("extensions")))
        return answer

    def present(self, call: Call, stored: Stored) -> Document:
        """The plan as the api-version of the request has it."""
        plan, kept = plans()[stored.name.lower()], stored.properties
        standard = kept["pricingTier"] == "Standard"
        found: Document = {"resourcesCoverageStatus": "FullyCovered" if standard else "NotCovered"}
        for key in ("enforce", "extensions", "enablementTime", "subPlan"):
            if kept.get(key):
                found[key] = kept[key]
        found["pricingTier"] = kept["pricingTier"]
        found["freeTrialRemainingTime"] = self._trial(call, stored, plan)
        if plan.get("replacedBy"):
            found |= {"deprecated": True, "replacedBy": list(plan["replacedBy"])}
        since = read("defender-plans.json")["shownSince"]
        properties = {k: v for k, v in found.items() if call.api_version[:10] >= since.get(k, "")}
        return {"id": stored.id, "name": plan["name"], "type": self.full_name, "properties": properties}

    def answer(self, call: Call, status: int, stored: Stored) -> Answer:
        return Answer(status, self.present(call, stored), {})

    def headers(self, call: Call) -> dict[str, str]:
        return {SUPPORTED: "1.0"}

    # --- what is there without having been written

    def _plan(self, call: Call) -> Document:
        """The plan that the path names. Raises what Azure says of other names."""
        _check_scope(call.id.scope)
        found = plans().get(call.id.name.lower())
        if found is None:
            names = ", ".join(row["name"] for row in plans().values())
            raise bad_request(f"The name '{call.id.name}' is not a valid name. Possible pricing bundle names: {names}.")
        return found

    def _stored(self, call: Call, plan: Document) -> Stored:
        assert call.target is not None
        id_ = f"{call.target.scope}/providers/{self.full_name}/{plan['name']}"
        found = call.arm.resources.get(id_)
        if found is not None:
            return found
        tier = "Standard" if plan.get("standard") else "Free"
        return Stored(id_, self.full_name, {"id": id_, "properties": {"pricingTier": tier}})

    @staticmethod
    def _trial(call: Call, stored: Stored, plan: Document) -> str:
        """What is left of the trial, which begins when a plan is Standard for the first time."""
        left = dt.timedelta(days=read("defender-plans.json")["trialDays"])
        if began := stored.private.get("trialBegan"):
            left -= call.arm.services.clock.now() - when(began)
        elif plan.get("standard"):
            left = dt.timedelta()
        return duration(left)


def duration(left: dt.timedelta) -> str:
    """An ISO 8601 duration to the minute, as "P27DT21H52M"; "PT0S" where nothing is left."""
    minutes = int(left.total_seconds() // 60)
    if minutes <= 0:
        return "PT0S"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")


def _check_scope(scope: str) -> None:
    if not SUBSCRIPTION.fullmatch(scope):
        raise errors.not_supported(
            f"Defender plans of single resources (scope '{scope}'); set that of the subscription"
        )


def _check_known(given: Document) -> None:
    for name in given:
        if name not in TAKEN | READ_ONLY:
            raise errors.not_supported(f"'properties.{name}' of a Defender plan")


def _tier(value: Any) -> str:
    found = next((tier for tier in TIERS if tier.lower() == str(value).lower()), None)
    if found is None:
        raise bad_request(f"The pricing tier '{value}' is not valid. Possible values: {', '.join(TIERS)}.")
    return found


def _enforce(value: Any) -> str:
    if value not in ("True", "False"):
        raise bad_request(f"The value '{value}' of 'enforce' is not valid. Possible values: True, False.")
    if value == "True":
        raise errors.not_supported("'enforce' of a Defender plan (plans of single resources are not there)")
    return str(value)


def _sub_plan(plan: Document, given: Any, before: str | None) -> str:
    """The sub-plan by its own spelling; "" where the plan has none."""
    offered: list[str] = plan.get("subPlans", [])
    if given in (None, ""):
        return before or str(plan.get("defaultSubPlan", ""))
    found = next((name for name in offered if name.lower() == str(given).lower()), None)
    if found is None:
        known = f"Possible sub-plans: {', '.join(offered)}." if offered else "The plan has no sub-plans."
        raise bad_request(f"The sub-plan '{given}' is not valid for the plan '{plan['name']}'. {known}")
    return found


def _filtered(text: str | None) -> set[str] | None:
    """Names in lower case of `name in (a,b)`; None without a filter."""
    if text is None:
        return None
    found = FILTER.fullmatch(text)
    if found is None:
        raise errors.not_supported(f"the filter '{text}' of Defender plans (only: name in (plan1,plan2))")
    return {name.strip().strip("'").lower() for name in found[1].split(",")}
