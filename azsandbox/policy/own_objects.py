"""What the webhook has against Gatekeeper's own objects: templates, constraints, the Config.

Codes and texts are Gatekeeper's (gatekeeper, package webhook; frameworks, packages constraint/pkg/client and util).
"""

from __future__ import annotations

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.validation.common import label_selector
from azsandbox.policy.definitions import constraint_definition

TARGET = "admission.k8s.gatekeeper.sh"
ACTIONS = ("deny", "dryrun", "warn", "scoped")
SCOPED_ACTIONS = ("deny", "dryrun", "warn")
POINTS = ("validation.gatekeeper.sh", "audit.gatekeeper.sh", "gator.gatekeeper.sh", "vap.k8s.io")
NAME_LENGTH = 63

TEMPLATES, CONSTRAINTS, CONFIG = "templates.gatekeeper.sh", "constraints.gatekeeper.sh", "config.gatekeeper.sh"
_OWN = (TEMPLATES, CONSTRAINTS, CONFIG, "syncset.gatekeeper.sh", "status.gatekeeper.sh")
_INVALID = "invalid ConstraintTemplate: "


class Refused(Exception):
    """An object that Gatekeeper does not take, and the code that says whose fault it is."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


async def check(request: Object, client: KubeClient) -> None:
    """Raises Refused for an object of Gatekeeper's that it does not take."""
    group, kind, obj = request["kind"]["group"], request["kind"]["kind"], request.get("object") or {}
    if group not in _OWN or request["operation"] == "DELETE":
        return
    name = request.get("name") or ""
    if group != "status.gatekeeper.sh" and len(name) > NAME_LENGTH:
        raise Refused(f"resource cannot have metadata.name larger than 63 char; length: {len(name)}", 500)
    if group == TEMPLATES and kind == "ConstraintTemplate":
        _operations(obj)
        template_fault = fault_of(obj)
        if template_fault:
            raise Refused(template_fault, 422)
        if request["operation"] == "CREATE":
            await _definition(obj, client)
    elif group == CONSTRAINTS:
        _constraint(obj)
    elif group == CONFIG and kind == "Config" and name != "config":
        raise Refused("config resource must have name 'config'", 422)


def fault_of(template: Object) -> str:
    """What keeps a template from defining a kind: its name, its kind or its target. "" if nothing does."""
    name = (template.get("metadata") or {}).get("name", "")
    spec = template.get("spec") or {}
    kind = (((spec.get("crd") or {}).get("spec") or {}).get("names") or {}).get("kind") or ""
    if not kind:
        return f'{_INVALID}ConstraintTemplate "{name}" does not specify CRD Kind'
    if name.lower() != kind.lower():
        text = f'the ConstraintTemplate\'s name "{name}" is not equal to the lowercase of CRD\'s Kind: "{kind.lower()}"'
        return _INVALID + text
    targets = spec.get("targets") or []
    if len(targets) != 1:
        return _INVALID + "must declare exactly one target"
    target = targets[0].get("target") or ""
    if not target:
        return _INVALID + "target name must not be empty"
    if target != TARGET:
        return f'{_INVALID}target "{target}" not recognized, known targets [{TARGET}]'
    return ""


def _operations(template: Object) -> None:
    for target in (template.get("spec") or {}).get("targets") or []:
        if "*" in (target.get("operations") or []) and len(target["operations"]) > 1:
            raise Refused("if '*' is present, must not specify other operations", 500)


async def _definition(template: Object, client: KubeClient) -> None:
    """Asks the API server what it would say of the definition that a template makes."""
    definition = constraint_definition({**template, "metadata": {"uid": "new", **template["metadata"]}})
    definition["metadata"].pop("ownerReferences")
    url = path("apiextensions.k8s.io/v1", "customresourcedefinitions")
    try:
        await client.request("POST", url, definition, query={"dryRun": "All"})
    except StatusError as error:
        if error.code != 422:
            return  # it is there already, or the server is busy: the reconciliation will say so
        causes = (error.details or {}).get("causes") or []
        texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in causes)) or [error.message]
        raise Refused(_INVALID + (texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"), 422) from None


def _constraint(constraint: Object) -> None:
    spec = constraint.get("spec") or {}
    match = spec.get("match") or {}
    for field in ("labelSelector", "namespaceSelector"):
        faults = [error.text for error in label_selector(match.get(field), "spec.labelSelector")]
        if faults:
            raise Refused("invalid Constraint: " + (faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"), 422)
    action = spec.get("enforcementAction") or ""
    if action == "scoped":
        _scoped(spec.get("scopedEnforcementActions"))
    elif action and action not in ACTIONS:
        text = f'unrecognized enforcementAction: "{action}" is not within the supported list [{" ".join(ACTIONS)}]'
        raise Refused(text, 500)


def _scoped(entries: list[Object] | None) -> None:
    if entries is None:
        raise Refused("error fetching scopedEnforcementActions: scopedEnforcementActions is required", 500)
    points = [
        name
        for entry in entries
        for name in [point.get("name") or "" for point in entry.get("enforcementPoints") or []] or [""]
        if name not in (*POINTS, "*")
    ]
    actions = [entry.get("action") or "" for entry in entries if entry.get("action") not in SCOPED_ACTIONS]
    faults = []
    if points:
        faults.append(
            f"unrecognized enforcement points: constraint will not be enforced for enforcement points "
            f"[{' '.join(points)}], supported enforcement points are [{' '.join(POINTS)}]"
        )
    if actions:
        text = f"[{' '.join(actions)}] is not within the supported list [{' '.join(SCOPED_ACTIONS)}]"
        faults.append(f"unrecognized enforcementAction: {text}")
    if faults:
        raise Refused("\n".join(faults), 500)
