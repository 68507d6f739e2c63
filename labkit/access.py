"""What a lab reaches Azure and its cluster by: its connection, the kubeconfig, kubectl, and readers of what is there."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import targets
from labkit.errors import CommandFailed, OperationFailed, ReadError, TargetError, ToolMissing
from labkit.output import Output
from labkit.settings import Settings

if TYPE_CHECKING:
    from labkit.annotations import Annotator
    from labkit.readers import ArmReader, KubernetesReader, LogsReader
    from labkit.session import Session

KEPT = ".labkit"
"""Folder beside lab.toml that holds the lab's kubeconfig and its tokens."""

REFUSED = "was refused - did you specify the right host or port?"
"""What kubectl says where nobody listens."""

BRIEF = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
"""For a program in Go that ends in a moment: it collects garbage only where it takes much memory (go.dev/doc/gc-guide)."""

STARTING = 30
"""Seconds that a cluster may say that its control plane is not running yet."""


class Access:
    """A lab's settings and target, and the ways to what is there."""

    def __init__(self, settings: Settings, home: Path, target: targets.Target) -> None:
        """Use `Lab.open()`."""
        self.settings = settings
        self.home = home
        self.target = target
        self.connection = targets.Connection(place="not connected")
        self._kubernetes: tuple[tuple[str, int, str], Annotator] | None = None
        self._current = False

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
        file = self._session.kubeconfig(kubeconfig or self.kubeconfig_path, words)
        environment = {**BRIEF, **os.environ, "KUBECONFIG": str(file)}
        shown = shlex.join(["kubectl", *words])
        command = [program, *context, *words]
        ended = self._ran(command, input, environment)
        if ended.returncode != 0 and REFUSED in ended.stderr:
            self.connect()  # what answered has gone, and is brought back where the lab can; nothing was done yet
            ended = self._ran(command, input, environment)
        if ended.returncode != 0 and check:
            raise CommandFailed(shown, ended.returncode, ended.stdout, ended.stderr)
        return Output(shown, ended.returncode, ended.stdout, ended.stderr)

    @cached_property
    def _session(self) -> Session:
        from labkit.session import Session

        return Session()

    def _ran(
        self, command: Sequence[str], input: str | None, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end, or no longer than anything takes here. Raises OperationFailed."""
        longest = self.connection.longest
        try:
            return subprocess.run(
                command, input=input, capture_output=True, text=True, env=environment, check=False, timeout=longest
            )
        except subprocess.TimeoutExpired as error:
            said = _last_line(error.stdout) or _last_line(error.stderr) or "it said nothing"
            shown = shlex.join(["kubectl", *command[1:]])
            message = f"{shown!r}: expected to end within {longest:.0f} s; found it waiting: {said}."
            raise OperationFailed(message, "kubectl events --all-namespaces --types Warning") from None

    def _kubectl_anew(self, words: Sequence[str], **options: Any) -> Output:
        """As `run_kubectl`, with credentials of today: the cluster may be a new one of the same name."""
        if not self._current:
            self.kubeconfig()
            self._current = True
        return self.run_kubectl(words, **options)

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

        One reader, with its connection, serves until the kubeconfig changes, since signing in runs a program; it can be
        read from after it was closed.
        """
        return self._annotator()

    def annotate(self, path: str, annotations: Mapping[str, str], manager: str) -> None:
        """Set annotations of the object at `path` of the cluster's API, as a field manager. Raises ReadError."""
        try:
            self._annotator().annotate(path, annotations, manager)
        except ReadError as error:
            if error.status != 0:
                raise
            self.connect()  # as for kubectl: what answered has gone, and is brought back where the lab can
            self._annotator().annotate(path, annotations, manager)

    def _annotator(self) -> Annotator:
        from labkit.annotations import Annotator

        if not self.kubeconfig_path.exists():
            self.kubeconfig()
        source = (str(self.kubeconfig_path), self.kubeconfig_path.stat().st_mtime_ns, self.connection.context)
        if self._kubernetes is None or self._kubernetes[0] != source:
            self._kubernetes = source, Annotator(self.kubeconfig_path, self.connection.context)
        return self._kubernetes[1]


def _last_line(said: bytes | str | None) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said or ""
    return (text.strip().splitlines() or [""])[-1]
