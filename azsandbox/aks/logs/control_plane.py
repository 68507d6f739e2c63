"""Watches one managed cluster's API server, and turns what happens there into records.

Controllers are clients of that server, so that what they do passes by here: each event that they record is a line in
the log of the component that recorded it, as Kubernetes' own components log their events.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.aks.facts import read
from azsandbox.aks.logs import klog
from azsandbox.aks.logs.guard import Guard
from azsandbox.aks.logs.records import Records
from azsandbox.aks.logs.settings import Destination, Routes
from azsandbox.kubernetes.audit import AuditEvent, Auditor, Policy
from azsandbox.kubernetes.audit.event import decoded
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import MASTER, Request, Response, User
from azsandbox.loganalytics.rows import Row

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster
    from azsandbox.loganalytics.ingestion import Ingestion

AUDIT, ADMIN = "kube-audit", "kube-audit-admin"
CONTROLLERS = "kube-controller-manager"
_ACCOUNT = "system:serviceaccount:kube-system:"
_ACCOUNT_GROUPS = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")


class ControlPlaneLogs:
    """The logs of one cluster that runs. `apply` says what of them is wanted."""

    def __init__(self, arm: Any, cluster: Cluster, resource_id: str, ingestion: Ingestion) -> None:
        self.arm, self.cluster, self.resource_id, self.ingestion = arm, cluster, resource_id, ingestion
        self.facts = read("control-plane-logs")
        stored = arm.resources.get(resource_id)
        self.records = Records(resource_id, str(stored.properties["resourceUID"]) if stored else cluster.name)
        self.routes: Routes = {}
        self.guard = Guard()

    def apply(self, routes: Routes) -> None:
        """Begins, changes or ends listening."""
        self.routes = routes
        if not any(category != "AllMetrics" for category in routes):
            self.cluster.server.audit = None
            return
        policy = read("audit-policy")
        audited = AUDIT in routes or ADMIN in routes
        self.cluster.server.audit = Auditor(
            Policy(policy["rules"] if audited else ()),
            self._audited,
            self.arm.services.clock.now,
            omitted=() if AUDIT in routes else policy["adminOmits"],
            identify=self._identify,
            after=self._after,
        )

    def _audited(self, event: AuditEvent) -> None:
        omitted = read("audit-policy")["adminOmits"]
        for category in (AUDIT, ADMIN):
            if category == ADMIN and event.verb in omitted:
                continue
            for to in self.routes.get(category, ()):
                self.ingestion.put(to.workspace, self._audit_row(category, to, event))

    def _audit_row(self, category: str, to: Destination, event: AuditEvent) -> Any:
        return lambda: self.records.audit(category, to, event.document(), event.reached)

    def _write(self, category: str, text: str, moment: dt.datetime) -> None:
        for to in self.routes.get(category, ()):
            self.ingestion.put(to.workspace, self._log_row(category, to, text, moment))

    def _log_row(self, category: str, to: Destination, text: str, moment: dt.datetime) -> Any:
        def make() -> tuple[str, Row]:
            return self.records.log(category, to, text, moment)

        return make

    # --- who

    def _identify(self, request: Request, response: Response) -> User:
        """Who a controller of the sandbox is on AKS; anybody else is who they are."""
        if request.client or request.user is not MASTER:
            return request.user
        agent, _, account = request.user_agent.partition("/")
        if account.startswith(_ACCOUNT):
            return User(account, _ACCOUNT_GROUPS)
        if agent == "kubelet":
            node = self._node(request, response)
            return User(f"system:node:{node}" if node else "system:node", ("system:nodes", "system:authenticated"))
        known = self.facts["agents"].get(agent) or self.facts["agents"][CONTROLLERS]
        return User(known["name"], tuple(known["groups"]))

    def _node(self, request: Request, response: Response) -> str:
        """The node whose kubelet asks: the one it asks about, or the one of the pod that it asks about or got."""
        name = request.resource.name if request.resource else ""
        if name in ("nodes", "leases", "csinodes"):
            return request.name
        if name == "pods" and request.name:
            pod = self.cluster.server.peek("pods", request.namespace, request.name)
            if pod is None:  # it has just been deleted
                body = response.body
                pod = body if isinstance(body, dict) else decoded(body, response.content_type)
            return str(((pod or {}).get("spec") or {}).get("nodeName") or "")
        return ""

    # --- what other components log

    def _after(self, request: Request, response: Response) -> None:
        user = request.impersonator or request.user
        if "guard" in self.routes:
            self._guarded(request, response, user)
        if request.method != "POST" or response.status >= 300 or request.resource is None:
            return
        resource = request.resource
        if resource.name == "events" and not request.client:
            self._event(request)
        elif resource.name == "services" and not request.subresource and "kube-apiserver" in self.routes:
            self._service(response)
        elif request.subresource == "binding" and "kube-scheduler" in self.routes:
            target = (decoded(request.body, request.headers.get("content-type", "")) or {}).get("target") or {}
            moment = self._now()
            pod = klog.key(request.namespace, request.name)
            bound = {"pod": pod, "node": str(target.get("name") or "")}
            self._write(
                "kube-scheduler",
                klog.structured(moment, "schedule_one.go:337", "Successfully bound pod to node", **bound),
                moment,
            )

    def _now(self) -> dt.datetime:
        found: dt.datetime = self.arm.services.clock.now()
        return found

    def _guarded(self, request: Request, response: Response, user: User) -> None:
        with_token = request.headers.get("authorization", "").count(".") == 2
        if "oid" not in user.extra and not (response.status == 401 and with_token):
            return
        stored = self.arm.resources.get(self.resource_id)
        profile = (stored.properties.get("aadProfile") or {}) if stored else {}
        moment = self._now()
        if "oid" in user.extra:
            question = Question.of(request)
            roles = bool(profile.get("enableAzureRBAC"))
            for text in self.guard.lines(moment, user, question, request.decision, roles):
                self._write("guard", text, moment)
        elif profile:
            self._write("guard", self.guard.refused(moment), moment)

    def _event(self, request: Request) -> None:
        """An event that a controller recorded, in the log of the component that it is part of."""
        event = decoded(request.body, request.headers.get("content-type", ""))
        if not isinstance(event, dict):
            return
        component = str((event.get("source") or {}).get("component") or event.get("reportingComponent") or "")
        category = self._category(component, request)
        if category not in self.routes:
            return
        moment = self._now()
        if category == "cluster-autoscaler":
            text = klog.event_sink(moment, event)
        elif category == "kube-scheduler" and event.get("reason") == "FailedScheduling":
            about = event.get("involvedObject") or event.get("regarding") or {}
            pod = klog.key(about.get("namespace", ""), about.get("name", ""))
            why = str(event.get("message") or event.get("note") or "")
            text = klog.structured(
                moment, "schedule_one.go:1066", "Unable to schedule pod; no fit; waiting", pod=pod, err=why
            )
        elif category == "kube-scheduler":
            return  # the binding has told of it
        else:
            logger = component if category == CONTROLLERS else ""
            text = klog.event_occurred(moment, event, logger)
        self._write(category, text, moment)

    def _category(self, component: str, request: Request) -> str:
        known: dict[str, str] = self.facts["components"]
        found = known.get(component) or next((c for part, c in known.items() if part in component), "")
        agent = request.user_agent.partition("/")[0]
        return found or (CONTROLLERS if agent == CONTROLLERS else "")

    def _service(self, response: Response) -> None:
        body = response.body if isinstance(response.body, dict) else decoded(response.body, response.content_type)
        spec = (body or {}).get("spec") or {}
        addresses = [a for a in spec.get("clusterIPs") or [] if a != "None"]
        if not addresses:
            return
        moment = self._now()
        families = dict(zip(spec.get("ipFamilies") or [], addresses, strict=False))
        name = klog.key(body["metadata"].get("namespace", ""), body["metadata"].get("name", ""))
        said = f'"allocated clusterIPs" service="{name}" clusterIPs={orjson.dumps(families).decode()}'
        self._write("kube-apiserver", klog.line(moment, "alloc.go:329", said), moment)
