"""GitOps of one lab: its repository, Flux's objects, and how the two stand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labkit.gitops import arrival, difference, scaffold, state, uninstall
from labkit.gitops.checkout import Checkout

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.views.diagram import Diagram
    from labkit.views.live import LiveView
    from labkit.views.table import Table

SOURCE = "flux-system"
"""Name and namespace of the GitRepository that the cluster follows, as bootstrap names it."""


class GitOps:
    """`lab.gitops`: the checkout that the learner works in, and views of what Flux makes of it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    @cached_property
    def checkout(self) -> Checkout:
        """The clone of the repository, beside lab.toml."""
        settings = self._lab.settings
        return Checkout(self._lab.home / settings.repository, settings.repository_address, settings.branch)

    def scaffold(self) -> list[str]:
        """Lays out apps, infrastructure and clusters in the clone; files that are there stay. Returns what was new."""
        written = scaffold.write(self.checkout.folder, self._lab.settings)
        for path in written:
            print(f"  {path}")
        return written

    # -- looking ------------------------------------------------------------------------------------------------

    def objects(self) -> Mapping[str, list[Mapping[str, Any]]]:
        """Flux's objects as the cluster has them, by kind."""
        return state.read(self._lab.kubernetes())

    def tree(self, *, objects: bool = True) -> None:
        """Prints each source, what comes of it, and the objects that are kept, with revision and state."""
        roots = state.tree(self.objects())
        text = "\n".join(node.text(objects=objects) for node in roots)
        print(text or "Flux has no objects in this cluster.")

    def table(self) -> Table:
        """Flux's objects, a row each."""
        return self._lab.table(state.rows(self.objects()), "Flux", ("kind", "object", "state", "revision", "message"))

    def watch(self, kind: str = "Kustomization") -> LiveView:
        """A table of Flux's objects of a kind that follows them until `.stop()`."""
        return self._lab.watch(state.KINDS[kind], lambda item: state.row(kind, item), f"{kind}s")

    def diagram(self) -> Diagram:
        """Sources, Kustomizations and releases as a picture, with the same in words."""
        from labkit.views import flux_diagram

        return flux_diagram.flow(state.tree(self.objects()))

    # -- waiting ------------------------------------------------------------------------------------------------

    def request(self, kind: str = "gitrepository", name: str = SOURCE) -> None:
        """Asks Flux to look at an object now; what `flux reconcile` does."""
        arrival.request(self._lab.annotate, SOURCE, name, kind)

    def arrived(self, commit: str = "", *, request: bool = True) -> Callable[[], bool | str]:
        """A question for `lab.wait`: whether the cluster stands as `commit` says (the clone's, if none is named).

        Flux is asked to look now, unless `request` is False: then its interval or a web hook does.
        """
        wanted = commit or self.checkout.head()
        if request:
            self.request()
        return arrival.arrived(lambda: state.read(self._lab.kubernetes(), arrival.LOOKED_AT), wanted, SOURCE)

    # -- taking away --------------------------------------------------------------------------------------------

    def uninstall(self, *, if_begun: bool = False) -> None:
        """Takes a Flux that was bootstrapped out of the cluster, as `flux uninstall` does; what it applied stays.

        With `if_begun` only where that was begun before and did not come to its end. What Azure's extension keeps is
        left alone. Raises LabError for a namespace that does not go.
        """
        kubectl = self._lab.run_kubectl
        if if_begun and not uninstall.begun(kubectl, SOURCE):
            return
        if not uninstall.azures(kubectl):
            uninstall.remove(kubectl, SOURCE)
        elif not if_begun:
            print("Azure's extension keeps Flux here; nothing is taken away.")

    # -- comparing ----------------------------------------------------------------------------------------------

    def difference(self) -> Table:
        """What Git says beside what runs: objects that differ or are not there, as the server itself compares them."""
        found = difference.rows(self.objects().get("Kustomization", []), self.checkout.folder, self._lab.run_kubectl)
        return self._lab.table(found, "Git and the cluster", ("kustomization", "object", "state"))
