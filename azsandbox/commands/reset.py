"""`azsandbox reset`: back to the seeded state."""

from __future__ import annotations

import argparse
import shutil

from azsandbox.commands import CommandError, home_of
from azsandbox.commands.down import stop
from azsandbox.commands.up import start
from azsandbox.home import Home


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Forgets all resources, clusters, repositories and changes to the directory. Kept are ids, ports, certificates
    and keys, so that what clients were told stays true. A sandbox that ran runs again."""
    home = home_of(options)
    described = home.running()
    if described is None and not home.state.exists():
        raise CommandError(f"there is no sandbox on {home.path}. Start one: azsandbox up")
    stop(home)
    forget(home)
    if described is not None:
        start(home, ["--tunnel"] if described["tunnel"] else [])
    print("The sandbox is as new." if described is None else "The sandbox is as new, and up.")
    return 0


def forget(home: Home) -> None:
    """Empties the state of a sandbox that does not run. Raises CommandError for one that cannot be read."""
    from azsandbox.entra.tokens import KEYS
    from azsandbox.store import Store, Unusable

    try:
        store = Store(home.state)
    except Unusable as error:
        raise CommandError(f"{error}. {home.begin_anew()}") from None
    rows = store.connection.execute("SELECT name FROM buckets").fetchall()
    with store.atomic() as connection:
        for (name,) in rows:
            if name == "host":
                continue
            kept = KEYS if name == "entra" else ""
            connection.execute("DELETE FROM objects WHERE bucket = ? AND collection <> ?", (name, kept))
            if name != "entra":
                connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
    store.close()
    # az's configuration, authorities of clusters, repositories, blobs of registries
    for name in ("azure", "clusters", "git", "registry"):
        shutil.rmtree(home.path / name, ignore_errors=True)
