"""The applications on the cluster: which namespaces are theirs, what their pods are made of, who selects whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from labkit.checks.core import Finding, skipped
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import workload
from labkit.checks.lookup import same


def is_application(namespace: str, platform: Iterable[str] = ()) -> bool:
    """True if `namespace` is neither the system's nor named in `platform` (checks.platform_namespaces)."""
    system = any(fnmatchcase(namespace, pattern) for pattern in workload()["system_namespaces"])
    return not system and namespace not in platform


@dataclass(frozen=True)
class Template:
    """What pods are made of: the template of their controller, or the specification of a pod that has none."""

    kind: str
    namespace: str
    name: str
    labels: Object
    replicas: int
    spec: Object

    @property
    def place(self) -> str:
        """namespace/name, as settings name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def object_id(self) -> str:
        """Kind, namespace and name."""
        return f"{self.kind}/{self.place}"

    @property
    def windows(self) -> bool:
        """True for pods that run on Windows, where Linux' security settings do not apply."""
        selected = (self.spec.get("nodeSelector") or {}).get("kubernetes.io/os")
        return same((self.spec.get("os") or {}).get("name"), "windows") or same(selected, "windows")

    def containers(self, *, init: bool = False, ephemeral: bool = False) -> list[Object]:
        """Its containers, with those that run before them and those that were added for debugging, if asked for."""
        kinds = ["containers", *(["initContainers"] if init else []), *(["ephemeralContainers"] if ephemeral else [])]
        return [container for kind in kinds for container in self.spec.get(kind) or []]


def templates(evidence: Evidence) -> list[Template]:
    """What the applications are made of, each once: a template stands for the pods that come from it."""
    found = {
        (item["kind"], item["namespace"], item["name"]): _template(item)
        for item in evidence.read("templates")
        # A Job that a CronJob made is told of as the CronJob.
        if not item["owner"]
    }
    known = {(item["kind"], item["namespace"], item["name"]) for item in evidence.read("templates")}
    for pod in evidence.read("pods"):
        owner = owner_of(pod)
        if owner not in known and owner not in found and pod["phase"] != "Succeeded":
            kind, namespace, name = owner
            found[owner] = Template(kind, namespace, name, pod["labels"], 1, pod["spec"])
    return list(found.values())


def _template(item: Object) -> Template:
    return Template(item["kind"], item["namespace"], item["name"], item["labels"], item["replicas"], item["spec"])


def owner_of(pod: Object) -> tuple[str, str, str]:
    """Kind, namespace and name of what made the pod: of a Deployment's pod the Deployment, of a bare one itself.

    Between a Deployment and its pods is a ReplicaSet, whose name is the Deployment's and the hash of the template,
    which its pods have as a label (Kubernetes docs, "Deployments").
    """
    owner = pod["owner"]
    if not owner:
        return "Pod", pod["namespace"], pod["name"]
    kind, name = str(owner["kind"]), str(owner["name"])
    tail = f"-{pod['labels'].get('pod-template-hash') or ''}"
    if kind == "ReplicaSet" and len(tail) > 1 and name.endswith(tail):
        kind, name = "Deployment", name.removesuffix(tail)
    return kind, pod["namespace"], name


def selects(selector: Object | None, labels: Object) -> bool:
    """True if a label selector matches `labels`; an empty one matches all, an absent one nothing."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_holds(item, labels) for item in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Object) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    values = expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    return operator == "DoesNotExist" and key not in labels


def served(evidence: Evidence, template: Template) -> bool:
    """True if a Service selects the pods of `template`; a Service without selector selects none."""
    return any(
        service["namespace"] == template.namespace
        and service["selector"]
        and all(template.labels.get(key) == value for key, value in service["selector"].items())
        for service in evidence.read("services")
    )


def spaces(evidence: Evidence) -> list[Object]:
    """The application namespaces; of `default`, which every cluster has, only one that something runs in."""
    used = {template.namespace for template in templates(evidence)}
    return [item for item in evidence.read("namespaces") if item["name"] != "default" or "default" in used]


def nothing(what: str, evidence: Evidence) -> Finding:
    """There is nothing to look at."""
    return skipped(f"the applications have no {what}", "", evidence.cluster_id)
