"""Lab: one learner's lab. It opens, waits, shows and checks; the Azure clients are the learner's own.

from labkit import Lab
lab = Lab.open()
lab.wait(poller, "Creating the cluster")
lab.kubectl("get nodes")
lab.check("cluster.system-pool-taint")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import settings as settings_file
from labkit import targets, waiting
from labkit.errors import LabError, TargetError
from labkit.looking import Looking
from labkit.settings import Settings
from labkit.views import tracebacks

if TYPE_CHECKING:
    from labkit.azure.clients import Clients
    from labkit.gitops.gitops import GitOps
    from labkit.people import Group, Person
    from labkit.policies import Policies
    from labkit.reports.model import Report
    from labkit.views.cards import Results
    from labkit.views.table import Table

WAIT = 600.0
"""Seconds that a question is asked, unless another limit is named."""


class Lab(Looking):
    """A lab that is open: its settings, its target, and what a lesson needs of both."""

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

    # -- who and what -------------------------------------------------------------------------------------------

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

    # -- waiting ------------------------------------------------------------------------------------------------

    def wait(self, awaited: Any, title: str, *, timeout: float | None = None) -> Any:
        """Wait with a progress bar, and return the result.

        `awaited` is a poller of an Azure SDK (what every `begin_…` returns), followed to its end; or a function
        that answers True when what it looks at holds, and meanwhile words or False, for at most ten minutes. `timeout`
        is another limit, in seconds. Raises OperationFailed with the service's own reason.
        """
        if callable(getattr(awaited, "result", None)):
            limit = self._at_most(timeout)
            return waiting.for_operation(awaited, title, arm=self._arm_or_none(), revive=self.connect, timeout=limit)
        if callable(awaited):
            limit = self._at_most(timeout or WAIT) or WAIT
            return waiting.until(awaited, title, timeout=limit, revive=self.connect)
        raise LabError(f"lab.wait takes a poller or a function; found {type(awaited).__name__}", "help(lab.wait)")

    def _at_most(self, timeout: float | None) -> float | None:
        """`timeout`, or what is the longest here."""
        return min((limit for limit in (timeout, self.connection.longest) if limit is not None), default=None)

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

        return Clients(self.subscription_id, self.object_id, kubectl=self._kubectl_anew)

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
        self._current = False
        steps.make(lesson, self.clients, self.settings, self.wait)
        if any(step.module is cluster for step in steps.up_to(lesson)):
            # The cluster may be a new one of the same name, which the kubeconfig that is kept does not know.
            self.kubeconfig()
        print(f"The lab stands as after lesson {lesson}.")

    def __repr__(self) -> str:
        return f"<Lab on {self.place}: {self.settings.resource_group}/{self.settings.cluster}>"
