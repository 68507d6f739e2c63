"""What the audit log costs the API server: requests without a listener, with kube-audit-admin, with kube-audit.

The server is asked within the process, so that the figures are the server's own, without TLS and HTTP. It is processor
time, which depends less on what else the machine does, and it pays for the writing of the rows, too.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from azsandbox.aks.facts import read
from azsandbox.aks.logs.records import Records
from azsandbox.aks.logs.settings import Destination
from azsandbox.clock import Clock
from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.audit import AuditEvent, Auditor, Policy
from azsandbox.kubernetes.request import MASTER, Request
from azsandbox.kubernetes.server import ApiServer
from azsandbox.loganalytics.ingestion import Ingestion
from azsandbox.loganalytics.rows import Rows
from azsandbox.store import Store
from benchmarks.measure import show

CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
POD = (
    b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%d","labels":{"app":"web"}},'
    b'"spec":{"containers":[{"name":"web","image":"nginx:1.27","resources":{"requests":{"cpu":"100m"}}}]}}'
)


def run(requests: int = 3000) -> None:
    """Prints microseconds a request, creates and gets, for each way of listening."""
    asyncio.run(_run(requests))


async def _run(requests: int) -> None:
    for way, categories in (
        ("nobody listens", ()),
        ("kube-audit-admin", ("kube-audit-admin",)),
        ("kube-audit", ("kube-audit",)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder, "state.db"))
            server = ApiServer(store.bucket("cluster"))
            bootstrap.fill(server)
            await _ask(server, "POST", "/api/v1/namespaces/default/serviceaccounts", b'{"metadata":{"name":"default"}}')
            clock = Clock()
            ingestion = Ingestion(Rows(store), clock, read("control-plane-logs")["latencySeconds"])
            writing = asyncio.create_task(ingestion.run())
            if categories:
                _listen(server, clock, ingestion, categories[0])
            for name, method in (("create a Pod", "POST"), ("GET a Pod", "GET")):
                began = time.process_time()
                for number in range(requests):
                    target = "" if method == "POST" else f"/p{number}"
                    await _ask(
                        server, method, f"/api/v1/namespaces/default/pods{target}", POD % number if not target else b""
                    )
                    if number % 20 == 0:
                        await asyncio.sleep(0)
                if categories:
                    await ingestion.flush()
                show(f"{name}, {way}", (time.process_time() - began) / requests * 1e6, "µs")
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            store.close()


def _listen(server: ApiServer, clock: Clock, ingestion: Ingestion, category: str) -> None:
    records, to, policy = Records(CLUSTER, "uid"), Destination("workspace", True), read("audit-policy")

    def sink(event: AuditEvent) -> None:
        ingestion.put(to.workspace, lambda: records.audit(category, to, event.document(), event.reached))

    omitted = policy["adminOmits"] if category == "kube-audit-admin" else ()
    server.audit = Auditor(Policy(policy["rules"]), sink, clock.now, omitted=omitted)


async def _ask(server: ApiServer, method: str, url: str, body: bytes) -> None:
    headers = {"content-type": "application/json", "user-agent": "bench"}
    answer = await server.handle(Request.to(method, url, body, headers, MASTER))
    if answer.status >= 300:
        raise RuntimeError(f"{method} {url}: {answer.status} {answer.body!r}")


if __name__ == "__main__":
    run()
