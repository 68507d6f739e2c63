"""`labkit lab`: JupyterLab on the lessons, on this machine only, with the target behind it.

Jupyter keeps its own token. Its kernels and terminals inherit the environment of the target, so that the SDKs and
kubectl in them speak to it.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from importlib import resources
from pathlib import Path

from labkit.errors import TargetError
from labkit.lab import Lab

FIRST = "notebooks/00-start-here.ipynb"
LOOPBACK = "127.0.0.1"


def start(lab: Lab, *, browser: bool = True, port: int = 8888) -> int:
    """Replace this process by JupyterLab on the lessons of `lab`; one that serves them already is opened instead.

    `port` is the first that is tried. Returns only for a server that is there already. Raises TargetError when there
    are no lessons beside lab.toml.
    """
    lessons = lab.home / FIRST
    if not lessons.exists():
        raise TargetError(f"{lessons} is not there, so there is nothing to open.", "cd to the lab, then: labkit lab")
    running = _running(lab.home)
    if running:
        print(f"The lab is open already: {running}")
        if browser:
            webbrowser.open(running)
        return 0
    print(f"Opening the lab on {lab.place}. End it here with Ctrl+C.", flush=True)
    os.execve(sys.executable, command(lab.home, browser=browser, port=port), environment(lab))  # noqa: S606


def command(home: Path, *, browser: bool = True, port: int = 8888) -> list[str]:
    """The command line of JupyterLab for the lessons in `home`."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={home}",
        f"--ServerApp.ip={LOOPBACK}",
        f"--ServerApp.port={port}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        # Nothing of the lab asks the internet by itself: no news, no list of extensions.
        "--LabApp.news_url=",
        "--LabApp.extension_manager=readonly",
        "--log-level=WARN",
        *([] if browser else ["--no-browser"]),
        # In a container there is often no other user; Jupyter wants to be told that this is meant.
        *(["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),
    ]


def environment(lab: Lab) -> dict[str, str]:
    """The environment of JupyterLab and of all that it starts: this process's, with the target's and the lab's own."""
    own = str(resources.files("labkit").joinpath("data/jupyter"))
    paths = [os.environ["JUPYTER_CONFIG_PATH"], own] if os.environ.get("JUPYTER_CONFIG_PATH") else [own]
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        **lab.connection.environment,
        "KUBECONFIG": str(lab.kubeconfig_path),
        "LABKIT_SETTINGS": str(lab.settings.path or lab.home / "lab.toml"),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(paths),
        # so that the programs of the lab are found in a terminal of the lab
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", "")]),
    }


def _running(home: Path) -> str:
    """The address of a JupyterLab that serves `home` already, with its token; or empty."""
    from jupyter_server.serverapp import list_running_servers

    for server in list_running_servers():
        if Path(str(server.get("root_dir", ""))) == home:
            return f"{server['url']}lab/tree/{FIRST}?token={server['token']}"
    return ""
