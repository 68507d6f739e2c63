"""What the simulated kubelet knows of commands, images, probes, phases, and what it makes up."""

from __future__ import annotations

import base64
import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest

from azsandbox.controllers import metrics
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.kubelet import images, probes, pull_secrets
from azsandbox.controllers.kubelet.addresses import PodAddresses
from azsandbox.controllers.kubelet.commands import outcome_of
from azsandbox.controllers.kubelet.lifecycle import Lifecycle
from azsandbox.controllers.kubelet.pod_conditions import phase_of
from azsandbox.controllers.kubelet.pulls import Pulls
from azsandbox.controllers.node_lifecycle import taints_of
from azsandbox.controllers.taint_eviction import seconds_to_stay


def pod(*command: str, image: str = "busybox:1.37", job: bool = False, **container: Any) -> dict[str, Any]:
    owners = [{"kind": "Job", "controller": True, "uid": "j", "name": "j"}] if job else []
    entry = {"name": "app", "image": image, **({"command": list(command)} if command else {}), **container}
    return {"metadata": {"name": "p", "uid": "p", "ownerReferences": owners}, "spec": {"containers": [entry]}}


def ends(found: dict[str, Any]) -> tuple[float | None, int]:
    outcome = outcome_of(found, found["spec"]["containers"][0])
    return outcome.seconds, outcome.exit_code


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (("sleep", "5"), (5.0, 0)),
        (("sleep", "2m"), (120.0, 0)),
        (("sleep", "infinity"), (None, 0)),
        (("false",), (0.0, 1)),
        (("sh", "-c", "exit 3"), (0.0, 3)),
        (("sh", "-c", "echo hello; sleep 2; exit 1"), (2.0, 1)),
        (("sh", "-c", "false && exit 9 || sleep 1"), (1.0, 0)),
        (("sh", "-ec", "false; sleep 9"), (0.0, 1)),
        (("sh", "-c", "while true; do echo x; sleep 1; done"), (None, 0)),
        (("tail", "-f", "/dev/null"), (None, 0)),
        (("/app", "--serve"), (None, 0)),
    ],
)
def test_what_a_command_comes_to(command: tuple[str, ...], result: tuple[float | None, int]) -> None:
    assert ends(pod(*command)) == result


def test_an_unknown_program_serves_for_ever_but_succeeds_in_a_job() -> None:
    assert ends(pod("perl", "-wle", "print 1")) == (None, 0)
    assert ends(pod("perl", "-wle", "print 1", job=True)) == (1.0, 0)


def test_a_shell_image_without_a_command_ends_and_a_server_does_not() -> None:
    assert ends(pod()) == (0.0, 0)
    assert ends(pod(stdin=True)) == (None, 0)
    assert ends(pod(image="nginx:1.27")) == (None, 0)


def test_names_of_images_are_completed_as_the_runtime_does() -> None:
    assert images.full_name("nginx") == "docker.io/library/nginx:latest"
    assert images.full_name("bitnami/redis:7") == "docker.io/bitnami/redis:7"
    assert images.full_name("lab.azurecr.io/app:1") == "lab.azurecr.io/app:1"
    assert images.full_name("Lab.azurecr.io/app:1") == "Lab.azurecr.io/app:1"
    assert images.full_name("lab.azurecr.io/App:1") is None
    assert images.full_name("NGINX:1") is None
    assert images.parts("lab.azurecr.io/team/app:1") == ("lab.azurecr.io", "team/app", "1")


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("nginx:typo", "docker.io/library/nginx:typo: not found"),
        ("nginxx:1", "pull access denied, repository does not exist"),
        ("registry.example.com/app:1", "lookup registry.example.com on 168.63.129.16:53: no such host"),
    ],
)
async def test_images_that_cannot_be_there_fail_in_the_words_of_containerd(image: str, text: str) -> None:
    name = images.full_name(image)
    assert name is not None
    with pytest.raises(images.PullFailed) as failed:
        await images.AssumedImages().pull(name, images.Puller({}, {}))
    assert text in images.error_text(failed.value, "containerd://2.3.2-2")


def test_errors_of_pulls_are_told_in_the_words_of_the_nodes_containerd() -> None:
    failed = images.PullFailed("r.io/a:1", images.Attempt("denied"), images.Attempt("denied"))
    older, newer = (images.error_text(failed, f"containerd://{version}") for version in ("1.7.33-1", "2.3.2-2"))
    assert older == 'failed to pull and unpack image "r.io/a:1": failed to resolve reference "r.io/a:1": denied'
    assert newer == 'failed to pull and unpack image "r.io/a:1": failed to resolve image: denied'
    several = images.PullFailed("r.io/a:1", images.not_found("r.io/a:1"), images.Attempt("broken", resolved=True))
    assert images.error_text(several) == (
        '[rpc error: code = NotFound desc = failed to pull and unpack image "r.io/a:1": failed to resolve image: '
        'r.io/a:1: not found, failed to pull and unpack image "r.io/a:1": broken]'
    )


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        ("https://lab.azurecr.io", True),
        ("lab.azurecr.io/v2/", True),
        ("*.azurecr.io", True),
        ("lab.azurecr.io/team", True),
        ("lab.azurecr.io/other", False),
        ("*.io", False),
        ("shop.azurecr.io", False),
    ],
)
def test_pull_secrets_are_offered_to_the_registries_that_they_name(place: str, fits: bool) -> None:
    auth = base64.b64encode(b"lab:pass:word").decode()
    data = {".dockerconfigjson": json.dumps({"auths": {place: {"auth": auth}}}).encode()}
    (found,) = pull_secrets.read(data)
    assert (found.user, found.password) == ("lab", "pass:word")
    assert found.fits("lab.azurecr.io/team/app:1") is fits


def test_what_is_no_pull_secret_holds_no_credentials() -> None:
    assert pull_secrets.read({"password": b"x"}) == []
    assert pull_secrets.read({".dockerconfigjson": b"{"}) == []
    assert pull_secrets.read({".dockercfg": b'{"r.io": {"username": "a", "password": "b"}}'})[0].user == "a"


async def test_an_image_that_is_taken_to_exist_has_a_digest_and_a_size() -> None:
    found = await images.AssumedImages().pull("docker.io/library/nginx:1.27", images.Puller({}, {}))
    assert found.id.startswith("docker.io/library/nginx@sha256:")
    assert found.size == 72319283


def test_a_probe_fails_if_its_command_surely_does_or_the_pod_says_so() -> None:
    sure = pod("/app", livenessProbe={"exec": {"command": ["false"]}, "periodSeconds": 5, "failureThreshold": 2})
    assert probes.killed_after(sure, sure["spec"]["containers"][0]) == (5.0, "liveness")
    told = pod("/app", readinessProbe={"httpGet": {"port": 80}, "initialDelaySeconds": 3})
    assert probes.ready_after(told, told["spec"]["containers"][0]) == 3.0
    told["metadata"]["annotations"] = {probes.FAILING: "app/readiness"}
    assert probes.ready_after(told, told["spec"]["containers"][0]) is None


@pytest.mark.parametrize(("share", "ready"), [(1.0, False), (1 / 200, True)])
def test_what_probes_wait_for_passes_as_quickly_as_the_clock(share: float, ready: bool) -> None:
    references: Any = SimpleNamespace(missing_volume=lambda pod, again: "", missing=lambda *found: "")
    lives = Lifecycle(Pulls(images.AssumedImages(), references), references, lambda seconds: seconds * share)
    found = pod("/app", readinessProbe={"httpGet": {"port": 80}, "initialDelaySeconds": 10})
    now = dt.datetime.now(dt.UTC)
    state = {"running": {"startedAt": timestamp(now - dt.timedelta(seconds=2))}}
    container = {"name": "app", "image": "x", "state": state, "restartCount": 0, "ready": False, "started": False}
    found["metadata"] |= {"namespace": "default"}
    found["spec"] |= {"nodeName": "n", "restartPolicy": "Always"}
    found["status"] = {"phase": "Running", "startTime": timestamp(now), "podIP": "10.244.0.9"}
    found["status"]["containerStatuses"] = [container]
    step = lives.advance(found, "10.0.0.4", "10.244.0.9", now, lambda: None)
    assert step.status["containerStatuses"][0]["ready"] is ready
    assert (step.wake is None) is ready


def test_an_init_container_that_succeeded_is_not_started_again() -> None:
    # it was, under restartPolicy Always, and the pod never came up
    from azsandbox.controllers.kubelet.pod_conditions import restarts

    spec = {"restartPolicy": "Always", "initContainers": [{"name": "setup"}], "containers": [{"name": "app"}]}
    assert not restarts(spec, {"name": "setup"}, 0)
    assert restarts(spec, {"name": "setup"}, 1)
    assert restarts(spec, {"name": "app"}, 0)


def test_phases_follow_from_containers() -> None:
    def ended(code: int) -> dict[str, Any]:
        return {"state": {"terminated": {"exitCode": code}}, "lastState": {}}

    running = {"state": {"running": {}}, "lastState": {}}
    waiting = {"state": {"waiting": {}}, "lastState": {}}
    never = {"restartPolicy": "Never", "containers": [{"name": "a"}, {"name": "b"}]}
    assert phase_of(never, {}, {"a": running, "b": waiting}) == "Pending"
    assert phase_of(never, {}, {"a": running, "b": ended(1)}) == "Running"
    assert phase_of(never, {}, {"a": ended(0), "b": ended(1)}) == "Failed"
    assert phase_of(never, {}, {"a": ended(0), "b": ended(0)}) == "Succeeded"
    assert phase_of({**never, "restartPolicy": "OnFailure"}, {}, {"a": ended(0), "b": ended(1)}) == "Running"


def test_addresses_come_from_the_nodes_range_and_go_back() -> None:
    addresses = PodAddresses()
    node = {"spec": {"podCIDR": "10.244.3.0/30"}}
    assert [addresses.of("a", node), addresses.of("b", node), addresses.of("c", node)] == [
        "10.244.3.1",
        "10.244.3.2",
        "",
    ]
    addresses.release("a")
    assert addresses.of("c", node) == "10.244.3.1"


def test_conditions_of_a_node_become_taints_and_go_again() -> None:
    ready = {"type": "Ready", "status": "True"}
    node: dict[str, Any] = {"spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}}
    node["status"] = {"conditions": [ready, {"type": "MemoryPressure", "status": "True"}]}
    assert taints_of(node, "now") == [
        {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule", "timeAdded": "now"}
    ]
    node["status"] = {"conditions": [{"type": "Ready", "status": "Unknown"}]}
    keys = [(t["key"].partition("/")[2], t["effect"]) for t in taints_of(node, "now") or ()]
    assert keys == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]


def test_a_pod_stays_as_long_as_it_tolerates() -> None:
    now = dt.datetime(2026, 1, 1, 0, 1, tzinfo=dt.UTC)
    taint = {"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    node = {"spec": {"taints": [taint]}}
    assert seconds_to_stay({"spec": {}}, node, now) == 0.0
    bears = {"key": "k", "operator": "Exists"}
    assert seconds_to_stay({"spec": {"tolerations": [bears]}}, node, now) is None
    assert seconds_to_stay({"spec": {"tolerations": [{**bears, "tolerationSeconds": 300}]}}, node, now) == 240.0


def test_made_up_usage_stays_below_requests_and_is_the_same_in_a_minute() -> None:
    container = {"name": "app", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    now = dt.datetime(2026, 1, 1, 12, 0, 1, tzinfo=dt.UTC)
    cpu, memory = metrics.container_usage({"metadata": {"uid": "x"}}, container, now)
    assert 250 < cpu < 650
    assert 0.45 * 1024**3 < memory < 0.85 * 1024**3
    later = now + dt.timedelta(seconds=30)
    assert metrics.container_usage({"metadata": {"uid": "x"}}, container, later) == (cpu, memory)
