"""Lab: one learner's lab. It opens, waits, shows and checks; the Azure clients are the learner's own.

from labkit import Lab
lab = Lab.open()
lab.wait(poller, "Creating the cluster")
lab.kubectl("get nodes")
lab.check("cluster.system-pool-taint")
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import settings as settings_file
from labkit import targets, waiting
from labkit.errors import CommandFailed, LabError, ReadError, TargetError, ToolMissing
from labkit.output import Output
from labkit.settings import Settings
from labkit.views import tracebacks

if TYPE_CHECKING:
    from labkit.azure.clients import Clients
    from labkit.gitops.gitops import GitOps
    from labkit.people import Group, Person
    from labkit.policies import Policies
    from labkit.readers import ArmReader, KubernetesReader, LogsReader
    from labkit.reports.model import Report
    from labkit.views.cards import Results
    from labkit.views.diagram import Diagram
    from labkit.views.live import LiveView
    from labkit.views.table import Row, Table

KEPT = ".labkit"
"""Folder beside lab.toml that holds the lab's kubeconfig and its tokens."""

STARTING = 30
"""Seconds that a cluster may say that its control plane is not running yet."""


class Lab:
    """A lab that is open: its settings, its target, and what a lesson needs of both."""

    def __init__(self, settings: Settings, home: Path, target: targets.Target) -> None:
        """Use `Lab.open()`."""
        self.settings = settings
        self.home = home
        self.target = target
        self.connection = targets.Connection(place="not connected")
        self._kubernetes: tuple[tuple[str, int, str], KubernetesReader] | None = None

    @classmethod
    def open(cls, path: str | Path | None = None, *, quiet: bool = False) -> Lab:
        """Open the lab whose lab.toml is at `path`, or is found from here upwards; a new one is written.

        Connects to the target, which starts by itself where it can, and sets the environment of this process so
        that the Azure SDKs, kubectl and git speak to it. Raises SettingsError and TargetError.
        """
        file = Path(path) if path is not None else settings_file.find()
        if file.is_dir():
            file = file / settings_file.FILE_NAME
        if not file.exists():
            Settings().save(file)
        settings = Settings.load(file)
        home = file.resolve().parent
        lab = cls(settings, home, targets.choose(settings, home))
        lab.connect()
        tracebacks.shorten()
        if not quiet:
            print(f"Lab open on {lab.connection.place}: group {settings.resource_group}, cluster {settings.cluster}.")
        return lab

    def connect(self) -> None:
        """Make sure that the target answers, starting it again if it is down, and take its environment over."""
        self.connection = self.target.connect()
        os.environ.update(self.connection.environment)
        os.environ["KUBECONFIG"] = str(self.kubeconfig_path)

    # -- who and where ------------------------------------------------------------------------------------------

    @property
    def subscription_id(self) -> str:
        """The subscription that the lab works in."""
        return self.connection.subscription_id

    @property
    def tenant_id(self) -> str:
        """The Entra ID tenant of the subscription."""
        return self.connection.tenant_id

    @property
    def object_id(self) -> str:
        """Object id of whoever is signed in."""
        return self.connection.object_id

    @property
    def place(self) -> str:
        """Where the lab runs, in words for a reader."""
        return self.connection.place

    @property
    def costs(self) -> bool:
        """True where what the lab makes is paid for."""
        return self.connection.costs

    @property
    def kubeconfig_path(self) -> Path:
        """Where the lab's kubeconfig is; of a read-only target, the kubeconfig that it was found in."""
        return self.connection.kubeconfig or self.home / KEPT / "kubeconfig"

    def status(self) -> Table:
        """Target, subscription, names and versions of this lab, as a table."""
        from labkit.views.table import Table

        facts = {
            "target": f"{self.target.kind} ({self.place})",
            "subscription": self.subscription_id or "-",
            "tenant": self.tenant_id or "-",
            "region": self.settings.region,
            "group": self.settings.resource_group,
            "cluster": self.settings.cluster,
            "settings": str(self.settings.path),
            "kubeconfig": str(self.kubeconfig_path),
        }
        return Table.of([{"what": what, "value": value} for what, value in facts.items()], title="This lab")

    def person(self, role: str) -> Person:
        """Somebody else who tries things: "admin", "developer" or "reader"; the table `people` of lab.toml names them.

        Raises TargetError for a role that nobody has here.
        """
        from labkit import people

        return people.person(self, role)

    def group(self, role: str) -> Group:
        """The Entra ID group of the table `people` of lab.toml, by its role; made if it is not there.

        The person of that role is made a member of a group that is made. Raises ReadError with Graph's own refusal.
        """
        from labkit import people

        directory = people.Directory()
        try:
            return people.group(directory, self.settings, role, self.connection.people.get(role))
        finally:
            directory.close()

    # -- waiting ------------------------------------------------------------------------------------------------

    def wait(self, awaited: Any, title: str, *, timeout: float = 600) -> Any:
        """Wait with a progress bar, and return the result.

        `awaited` is a poller of an Azure SDK (what every `begin_…` returns), followed to its end; or a function
        that answers True when what it looks at holds, and meanwhile words or False, for at most `timeout` seconds.
        Raises OperationFailed with the service's own reason.
        """
        if callable(getattr(awaited, "result", None)):
            return waiting.for_operation(awaited, title, arm=self._arm_or_none(), revive=self.connect)
        if callable(awaited):
            return waiting.until(awaited, title, timeout=timeout)
        raise LabError(f"lab.wait takes a poller or a function; found {type(awaited).__name__}", "help(lab.wait)")

    # -- the cluster --------------------------------------------------------------------------------------------

    def kubeconfig(self, *, admin: bool = False) -> Path:
        """Fetch the cluster's kubeconfig and merge it into the lab's own, 0600; returns its path.

        The user's credentials sign in through Entra ID by `labkit token`; `admin` fetches the local account's.
        Sets KUBECONFIG of this process, so that kubectl and the kubernetes client use it. Raises ReadError with
        Azure's own refusal.
        """
        from labkit import kubeconfig as kubeconfigs

        if self.connection.reads_only:
            return self.kubeconfig_path
        document = self.credentials(self.arm, admin=admin)
        ready = kubeconfigs.converted(
            document,
            environment=self.connection.environment,
            proxy=self.connection.proxy,
            cache=self.home / KEPT / "tokens",
        )
        path = self.kubeconfig_path
        if path.exists():
            ready = kubeconfigs.merged(kubeconfigs.read(path), ready)
        kubeconfigs.write(path, ready)
        os.environ["KUBECONFIG"] = str(path)
        return path

    def credentials(self, reader: ArmReader, *, admin: bool = False) -> dict[str, Any]:
        """The kubeconfig that Azure hands out, as it is, to whom `reader` asks as. Raises ReadError."""
        import base64

        from labkit import kubeconfig as kubeconfigs
        from labkit.checks.evidence import api_versions, cluster_path

        action = "listClusterAdminCredential" if admin else "listClusterUserCredential"
        path = f"{cluster_path(self.subscription_id, self.settings)}/{action}"
        answer = self._when_ready(lambda: reader.post(path, api_versions()["managedClusters"]))
        found = answer.get("kubeconfigs") or []
        if not found:
            raise ReadError(f"{action} answered no kubeconfig", 0, "NoKubeconfig", "az aks get-credentials")
        text = base64.b64decode(found[0]["value"]).decode()
        return kubeconfigs.parse(text, f"the answer of {action}")

    def _when_ready(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `ask` answers; a control plane that is just starting says 409, and is asked again for a while."""
        deadline = time.monotonic() + STARTING
        while True:
            try:
                return ask()
            except ReadError as error:
                if error.status != 409 or time.monotonic() >= deadline:
                    raise
            time.sleep(0.2)

    def kubectl(
        self,
        command: str | Sequence[str],
        *,
        input: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> Output:
        """Run kubectl with the lab's kubeconfig, or another, print what it says, and return it.

        `command` is split as a shell would, but no shell runs it. `input` is given to its standard input, for
        `apply -f -`. An exit code other than 0 raises CommandFailed, unless `check` is False.
        """
        words = shlex.split(command) if isinstance(command, str) else list(command)
        ended = self.run_kubectl(words, input=input, check=check, kubeconfig=kubeconfig)
        for said in (ended.stdout, ended.stderr):
            if said:
                print(said, end="" if said.endswith("\n") else "\n")
        return ended

    def run_kubectl(
        self,
        words: Sequence[str],
        *,
        input: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> Output:
        """As `kubectl`, and print nothing."""
        program = shutil.which("kubectl")
        if program is None:
            raise ToolMissing(
                "kubectl is not on the PATH.", "see https://kubernetes.io/docs/tasks/tools/ for how to install it"
            )
        if kubeconfig is None and not self.kubeconfig_path.exists():
            self.kubeconfig()
        context = ["--context", self.connection.context] if self.connection.context and kubeconfig is None else []
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig_path)}
        ended = subprocess.run(
            [program, *context, *words], input=input, capture_output=True, text=True, env=environment, check=False
        )
        shown = shlex.join(["kubectl", *words])
        if ended.returncode != 0 and check:
            raise CommandFailed(shown, ended.returncode, ended.stdout, ended.stderr)
        return Output(shown, ended.returncode, ended.stdout, ended.stderr)

    @property
    def arm(self) -> ArmReader:
        """Reads of Azure Resource Manager, as it answers them; for views and checks."""
        found = self._arm_or_none()
        if found is None:
            raise TargetError(f"{self.place} gives Kubernetes to read, and not Azure.", "labkit use aks")
        return found

    @cached_property
    def _reader(self) -> ArmReader:
        from labkit.readers import ArmReader

        return ArmReader()

    def _arm_or_none(self) -> ArmReader | None:
        return self._reader if self.subscription_id else None

    @cached_property
    def _logs(self) -> LogsReader:
        from labkit.readers import LogsReader

        return LogsReader()

    def kubernetes(self) -> KubernetesReader:
        """Reads of the cluster's API, as it answers them; fetches a kubeconfig if there is none yet.

        One reader serves until the kubeconfig changes, since signing in runs a program; it can be read from after it
        was closed.
        """
        from labkit.readers import KubernetesReader

        if not self.kubeconfig_path.exists():
            self.kubeconfig()
        source = (str(self.kubeconfig_path), self.kubeconfig_path.stat().st_mtime_ns, self.connection.context)
        if self._kubernetes is None or self._kubernetes[0] != source:
            self._kubernetes = source, KubernetesReader(self.kubeconfig_path, self.connection.context)
        return self._kubernetes[1]

    @cached_property
    def gitops(self) -> GitOps:
        """The learner's repository, and what Flux makes of it."""
        from labkit.gitops.gitops import GitOps

        return GitOps(self)

    @cached_property
    def policies(self) -> Policies:
        """The policies that hold for the cluster, and how they are kept."""
        from labkit.policies import Policies

        return Policies(self)

    # -- looking ------------------------------------------------------------------------------------------------

    def table(self, rows: Iterable[Mapping[str, object]], title: str = "", columns: Sequence[str] = ()) -> Table:
        """`rows` (mappings of column to value) as a table; the last expression of a cell shows it."""
        from labkit.views.table import Table

        return Table.of(rows, columns, title)

    def logs(self, answer: Any, title: str = "") -> Table:
        """The rows of a table that azure-monitor-query answered, as a table; of times the second is shown.

        `answer` is a LogsQueryResult, of which the first table is shown, or a LogsTable.
        """
        from labkit.views import rows

        found = answer.tables[0] if hasattr(answer, "tables") else answer
        return self.table(map(rows.log(found.columns), found.rows), title, found.columns)

    def resources(self) -> Table:
        """What is in the lab's resource group."""
        from labkit.checks.evidence import api_versions
        from labkit.views import rows

        path = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.settings.resource_group}/resources"
        try:
            found = self.arm.list(path, api_versions()["resources"])
        except ReadError as error:
            if not error.missing:
                raise
            found = []
        return self.table(map(rows.resource, found), f"Resources in {self.settings.resource_group}")

    def subnets(self) -> Table:
        """The subnets of the lab's network: range, delegation, state."""
        from labkit.checks.evidence import api_versions
        from labkit.views import rows

        path = (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.settings.resource_group}"
            f"/providers/Microsoft.Network/virtualNetworks/{self.settings.vnet}"
        )
        network = self.arm.get(path, api_versions()["virtualNetworks"])
        return self.table(
            map(rows.subnet, network["properties"].get("subnets") or []), f"Subnets of {self.settings.vnet}"
        )

    def pools(self) -> Table:
        """The cluster's node pools as Azure has them."""
        from labkit.views import rows

        profiles = self.cluster()["properties"].get("agentPoolProfiles") or []
        return self.table(map(rows.agent_pool, profiles), f"Node pools of {self.settings.cluster}")

    def cluster(self) -> dict[str, Any]:
        """The managed cluster as Azure answers it, with the keys of the REST documentation."""
        from labkit.checks.evidence import api_versions, cluster_path

        return self.arm.get(cluster_path(self.subscription_id, self.settings), api_versions()["managedClusters"])

    def nodes(self) -> Table:
        """The nodes as they are now: pool, zone, readiness, taints, version."""
        from labkit.views import rows

        return self._listed("/api/v1/nodes", rows.node, "Nodes")

    def pods(self, namespace: str = "", selector: str = "") -> Table:
        """Pods as they are now, with the reason of those that have no node."""
        from labkit.views import rows

        return self._listed(_pods(namespace, selector), rows.pod, _pods_title(namespace, selector))

    def events(self, namespace: str = "default") -> Table:
        """The events of a namespace as they are now, the last one last."""
        from labkit.views import rows

        path, title = f"/api/v1/namespaces/{namespace}/events", f"Events in {namespace}"
        return self._listed(path, rows.event, title, order=rows.event_time)

    def _listed(
        self,
        path: str,
        row: Callable[[Mapping[str, Any]], Row],
        title: str,
        order: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> Table:
        reader = self.kubernetes()
        try:
            items = [item for page in reader.pages(path) for item in page]
        finally:
            reader.close()
        return self.table(map(row, sorted(items, key=order) if order else items), title)

    def watch(self, path: str, row: Callable[[Mapping[str, Any]], Row], title: str, *, minutes: float = 30) -> LiveView:
        """A table of the list at `path` of the Kubernetes API that follows it until `.stop()`.

        `row` turns an object into a row; `labkit.views.rows` has those of nodes, pods and events.
        """
        from labkit.views.live import LiveView

        return LiveView(self.kubernetes(), path, row, title, minutes=minutes)

    def watch_nodes(self) -> LiveView:
        """A table of the nodes that follows them until `.stop()`."""
        from labkit.views import rows

        return self.watch("/api/v1/nodes", rows.node, "Nodes")

    def watch_pods(self, namespace: str = "", selector: str = "") -> LiveView:
        """A table of pods that follows them until `.stop()`."""
        from labkit.views import rows

        return self.watch(_pods(namespace, selector), rows.pod, _pods_title(namespace, selector))

    def diagram(self) -> Diagram:
        """The node pools as a picture, with the same in words."""
        from labkit.views import diagram

        reader = self.kubernetes()
        try:
            nodes = [item for page in reader.pages("/api/v1/nodes") for item in page]
        finally:
            reader.close()
        return diagram.pools(self.cluster(), nodes)

    # -- checking -----------------------------------------------------------------------------------------------

    def check(self, *ids: str) -> Results:
        """Run checks and show a card each: by id ("cluster.sku-tier"), by part ("cluster"), or all of the cluster.

        The parts "preflight", "groundwork" and "clean" are of the lab itself, and run only when they are named.
        """
        from labkit.checks import catalogue, own

        around = own.select(ids)
        if not around:
            return self._checked(catalogue.select(ids))
        rest = [name for name in ids if not own.select([name])]
        return self._shown(self._own_results(around) + (self.results(catalogue.select(rest)) if rest else ()))

    def _own_results(self, selected: tuple[Any, ...]) -> tuple[Any, ...]:
        from labkit.checks import core, own

        seen = own.collect(selected, self.settings, self.subscription_id, self.arm, self.kubeconfig_path)
        found = (core.run(check, seen) for check in selected)
        # These are about the subscription; only a finding that names its object is about one.
        return tuple(
            replace(result, object_id=next((item.object_id for item in result.findings if item.object_id), ""))
            for result in found
        )

    def check_step(self, lesson: str) -> Results:
        """Run the checks of a lesson ("12") and show a card each."""
        from labkit.checks import catalogue

        return self._checked(catalogue.select(lesson=lesson))

    def _checked(self, selected: tuple[Any, ...]) -> Results:
        return self._shown(self.results(selected))

    def _shown(self, found: Iterable[Any]) -> Results:
        from labkit.views.cards import Results

        results = Results(found)
        results.show()
        results.displayed = True
        return results

    def results(self, selected: Iterable[Any] = ()) -> Results:
        """The results of the `selected` checks (all without any), without showing them."""
        from labkit.checks import catalogue, collector, core
        from labkit.views.cards import Results

        chosen = tuple(selected) or catalogue.select()
        seen = collector.collect(
            catalogue.sources(chosen),
            self.settings,
            subscription_id=self.subscription_id,
            arm=self._arm_or_none(),
            kubernetes=self.kubernetes,
            checkout=self.gitops.checkout.folder,
            logs=(lambda: self._logs) if self.subscription_id else None,
        )
        return Results(core.run(check, seen) for check in chosen)

    def report(self, results: Iterable[Any] | None = None) -> Report:
        """A report of `results`, or of all checks run now; `.save(Path("report.html"))` writes it."""
        from labkit.reports.model import Report

        return Report.of(results if results is not None else self.results(), self.settings, self.connection)

    # -- earlier lessons ----------------------------------------------------------------------------------------

    @cached_property
    def clients(self) -> Clients:
        """The SDK's clients that `make` uses; a lesson makes its own, as at work."""
        from labkit.azure.clients import Clients

        return Clients(self.subscription_id, self.object_id)

    def need(self, lesson: str) -> None:
        """Say what of the lessons up to `lesson` is missing, and offer to make it so.

        With a front end there is a button; headless, what is missing is made at once. What exists is left alone.
        """
        from labkit.azure import steps
        from labkit.views.surface import headless

        missing = steps.missing(lesson, self.clients, self.settings)
        if not missing:
            print(f"What lesson {lesson} made is there.")
            return
        titles = ", ".join(step.title for step in missing)
        print(f"Not there yet: {titles}. Run the earlier lessons, or: lab.make({lesson!r})")
        if headless():
            self.make(lesson)
        else:
            self._offer(lesson)

    def _offer(self, lesson: str) -> None:
        import ipywidgets

        from labkit.views.surface import show_widget

        button = ipywidgets.Button(
            description="Make it so", tooltip=f"Do what is missing of the lessons up to {lesson}"
        )
        output = ipywidgets.Output()

        def clicked(_: Any) -> None:
            button.disabled = True
            with output:
                try:
                    self.make(lesson)
                except LabError as error:
                    print(error)
                    button.disabled = False

        button.on_click(clicked)
        show_widget(ipywidgets.VBox([button, output]))

    def make(self, lesson: str) -> None:
        """Do what of the lessons up to `lesson` is not done; harmless to repeat. Raises OperationFailed."""
        from labkit.azure import cluster, steps

        if self.connection.reads_only:
            raise TargetError(f"{self.place}: nothing is made there.", "labkit use sandbox")
        steps.make(lesson, self.clients, self.settings, self.wait)
        if any(step.module is cluster for step in steps.up_to(lesson)):
            # The cluster may be a new one of the same name, which the kubeconfig that is kept does not know.
            self.kubeconfig()
        print(f"The lab stands as after lesson {lesson}.")

    def __repr__(self) -> str:
        return f"<Lab on {self.place}: {self.settings.resource_group}/{self.settings.cluster}>"


def _pods(namespace: str, selector: str) -> str:
    from urllib.parse import quote

    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    return f"{path}?labelSelector={quote(selector)}" if selector else path


def _pods_title(namespace: str, selector: str) -> str:
    where = f" in {namespace}" if namespace else ""
    return f"Pods{where}{f' with {selector}' if selector else ''}"
