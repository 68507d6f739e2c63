"""The command line: labkit lab | up | use | check | verify | token | settings | status.

Exit codes: 0 all well; 1 a check failed or is not known, or a lesson did not run; 2 the command line or the settings
are wrong, or the target does not answer; 3 `verify` found no lesson.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.errors import LabError, TokenError

OK, FOUND, WRONG = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code. A LabError is printed as a sentence with the next command."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except LabError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return WRONG
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `labkit check | head`.
        return OK
    except KeyboardInterrupt:
        print("labkit: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        said = _azure_said(error)
        if said is None:
            raise
        print(f"labkit: {said}", file=sys.stderr)
        return WRONG


def _azure_said(error: Exception) -> str | None:
    """What Azure answered, if `error` is of its SDK, which is imported only where it is used."""
    core = sys.modules.get("azure.core.exceptions")
    if core is None or not isinstance(error, core.AzureError):
        return None
    return str(error).strip().splitlines()[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="labkit", description="The AKS baseline lab.")
    parser.add_argument("--lab", type=Path, metavar="PATH", help="lab.toml, or the folder that holds it")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    lab = commands.add_parser("lab", help="open JupyterLab on the lessons")
    lab.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    lab.add_argument("--port", type=int, default=8888, help="the first port that is tried (default 8888)")
    lab.set_defaults(run=_open)

    up = commands.add_parser("up", help="make the lab stand as after a lesson; what exists is left alone")
    up.add_argument(
        "lesson", nargs="?", default="", help="11, 12, 13, 21, 22, 23, 24, 31 or 41; none: connect to the target only"
    )
    up.set_defaults(run=_up)

    use = commands.add_parser("use", help="choose where the lab runs")
    use.add_argument("target", choices=("sandbox", "aks", "context"))
    use.add_argument("--subscription", default=None, metavar="ID", help="the subscription, for aks")
    use.add_argument("--context", default=None, metavar="NAME", help="the kubeconfig context, for context")
    use.set_defaults(run=_use)

    check = commands.add_parser("check", help="run checks; reads only")
    check.add_argument("ids", nargs="*", metavar="ID", help="an id, or a part such as cluster; none: all")
    check.add_argument("--lesson", default="", help="the checks of one lesson")
    check.add_argument("--list", action="store_true", help="list the checks, and run none")
    check.add_argument("--hints", action="store_true", help="show the hints of what did not pass")
    check.add_argument(
        "--report", action="append", default=[], type=Path, metavar="FILE", help=".html .xml .sarif .json"
    )
    check.set_defaults(run=_check)

    verify = commands.add_parser("verify", help="run every lesson headless, and print a line a lesson")
    verify.add_argument("lessons", nargs="*", metavar="LESSON", help="for example 00 12; none: all")
    verify.add_argument("--times", type=int, default=2, help="how often each is run in a row (default 2)")
    verify.add_argument("--keep-going", action="store_true", help="run the other lessons after one that failed")
    verify.add_argument("--notebooks", type=Path, default=None, metavar="FOLDER", help="where the lessons are")
    verify.add_argument("--save", type=Path, metavar="FOLDER", help="keep the notebooks there, with their outputs")
    verify.add_argument("--make", action="store_true", help="make what a lesson needs of lessons that are not run")
    verify.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="LESSON",
        help="for example 3, for part 3: those run in a second lab at the same time (in the sandbox)",
    )
    verify.set_defaults(run=_verify)

    token = commands.add_parser("token", help="a token for the API server, as kubectl's credential plug-in")
    token.add_argument(
        "--server-id",
        action="append",
        default=[],
        help="application id of the API server's Entra ID application; of several, the first one's token is printed",
    )
    token.add_argument("--tenant-id", default="", help="the tenant to sign in to")
    token.add_argument("--kubeconfig", type=Path, metavar="FILE", help="let the users in FILE sign in by labkit token")
    token.set_defaults(run=_token)

    settings = commands.add_parser("settings", help="show the settings, or change some")
    settings.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="for example azure.region=northeurope")
    settings.add_argument("--create", action="store_true", help="write a lab.toml with the defaults")
    settings.set_defaults(run=_settings)

    status = commands.add_parser("status", help="where the lab runs, and what there is of it")
    status.set_defaults(run=_status)
    return parser


def _lab(options: argparse.Namespace) -> Any:
    from labkit.lab import Lab

    return Lab.open(options.lab, quiet=True)


def _file(options: argparse.Namespace) -> Path:
    from labkit import settings

    path: Path = options.lab or settings.find()
    return path / settings.FILE_NAME if path.is_dir() else path


def _open(options: argparse.Namespace) -> int:
    from labkit import jupyter

    return jupyter.start(_lab(options), browser=not options.no_browser, port=options.port)


def _up(options: argparse.Namespace) -> int:
    lab = _lab(options)
    print(f"The lab answers on {lab.place}.")
    if options.lesson:
        lab.make(options.lesson)
    return OK


def _use(options: argparse.Namespace) -> int:
    from labkit.settings import Settings

    file = _file(options)
    settings = Settings.load(file) if file.exists() else Settings(path=file)
    settings.target = options.target
    if options.subscription is not None:
        settings.subscription_id = options.subscription
    if options.context is not None:
        settings.context = options.context
    settings.save(file)
    lab = _lab(options)
    print(f"The lab runs on {lab.place}.")
    if lab.costs:
        print("What the lab makes there costs money until lesson 52 takes it away.")
    return OK


def _check(options: argparse.Namespace) -> int:
    from labkit.checks import catalogue
    from labkit.views.cards import card_text, summary
    from labkit.views.table import Table

    selected = catalogue.select(options.ids, lesson=options.lesson)
    if options.list:
        rows = [
            {"id": item.id, "lesson": item.lesson, "severity": item.severity, "title": item.title} for item in selected
        ]
        print(Table.of(rows).text())
        return OK
    lab = _lab(options)
    results = lab.results(selected)
    for result in results:
        print(card_text(result))
        if options.hints:
            for number, hint in enumerate(result.hints, 1):
                print(f"    hint {number}: {hint}")
    print(summary(results))
    report = lab.report(results)
    for path in options.report:
        print(f"report: {report.save(path)}")
    return OK if results.ok else FOUND


def _verify(options: argparse.Namespace) -> int:
    from labkit import verify

    folder = options.notebooks or _file(options).parent / "notebooks"
    home = _file(options).resolve().parent
    return verify.run(
        folder,
        options.lessons,
        times=options.times,
        home=home,
        save=options.save,
        keep_going=options.keep_going,
        make=options.make,
        beside=options.beside,
    )


def _token(options: argparse.Namespace) -> int:
    import json

    from labkit import token

    first, *others = options.server_id or [token.AKS_SERVER]
    if options.kubeconfig is not None:
        from labkit import kubeconfig

        document = kubeconfig.read(options.kubeconfig)
        kubeconfig.write(options.kubeconfig, kubeconfig.converted(document))
        print(f"{options.kubeconfig}: its users sign in by labkit token.")
        return OK
    print(json.dumps(token.exec_credential(first, options.tenant_id)))
    for server_id in others:
        with contextlib.suppress(TokenError):  # who asks for that one is told
            token.exec_credential(server_id, options.tenant_id)
    return OK


def _settings(options: argparse.Namespace) -> int:
    from labkit.settings import Settings
    from labkit.views.table import Table

    file = _file(options)
    if not file.exists():
        if not options.create and not options.changes:
            print(f"{file} is not there; these are the defaults. To write it: labkit settings --create")
            print(Table.of(Settings().rows()).text())
            return OK
        Settings().save(file)
    settings = Settings.load(file)
    for change in options.changes:
        settings.assign(change)
    if options.changes:
        settings.save()
    print(Table.of(settings.rows(), title=str(file)).text())
    return OK


def _status(options: argparse.Namespace) -> int:
    lab = _lab(options)
    print(lab.status().text())
    if lab.subscription_id:
        print()
        print(lab.resources().text())
    return OK
