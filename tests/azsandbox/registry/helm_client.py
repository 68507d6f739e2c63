"""What Helm's own client does with a registry, in a process of its own: it reads proxy and certificates when it loads.

Arguments: an empty folder, a registry's login server, a user and a password. Prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from helm_python.chart import Chart, lint
from helm_python.registry import RegistryClient, pull, repo_index


def main(folder: Path, server: str, user: str, password: str) -> None:
    found: dict[str, object] = {}
    index = repo_index("https://kubereboot.github.io/charts")
    found["indexed"] = [row["version"] for row in index["entries"]["kured"]]
    pull("kured", repo_url="https://kubereboot.github.io/charts", version="6.1.0", destination=folder)
    public = RegistryClient(credentials_file=folder / "public.json")
    found["versions"] = public.tags("oci://ghcr.io/stefanprodan/charts/podinfo")
    public.pull("oci://ghcr.io/stefanprodan/charts/podinfo", version="6.15.0", destination=folder)

    private = RegistryClient(credentials_file=folder / "private.json")
    try:
        private.login(server, user, "wrong")
    except Exception as error:
        found["refused"] = str(error)
    private.login(server, user, password)
    for name in ("kured-6.1.0", "podinfo-6.15.0"):
        private.push(folder / f"{name}.tgz", f"oci://{server}/helm")
    found["tags"] = private.tags(f"oci://{server}/helm/kured")
    found["digest"] = private.resolve(f"oci://{server}/helm/kured:6.1.0")["digest"]
    (folder / "again").mkdir()
    private.pull(f"oci://{server}/helm/kured", version="6.1.0", destination=folder / "again")
    original, again = (folder / "kured-6.1.0.tgz").read_bytes(), (folder / "again/kured-6.1.0.tgz").read_bytes()
    found["same"] = original == again
    found["objects"] = sorted(
        line.removeprefix("kind: ")
        for text in Chart.load_archive(again).render({}, name="kured", namespace="kured").values()
        for line in text.splitlines()
        if line.startswith("kind: ")
    )
    for name in ("kured-6.1.0", "podinfo-6.15.0"):
        lint(folder / f"{name}.tgz")
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
