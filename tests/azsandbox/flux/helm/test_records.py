"""What a release is recorded as: in Helm's storage, in digests, and in the lines of Helm's log."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest

from azsandbox.flux.helm import history, post_render, releases
from azsandbox.flux.helm.charts import BadChart, ChartArchive
from azsandbox.flux.helm.logs import HelmLog
from azsandbox.kubernetes import errors
from tests.azsandbox.flux.helm.releasing import packed

REAL = Path(__file__).parent / "data" / "real-release.json"  # of helm-controller 1.6.4, in a cluster of the sandbox


def test_a_release_of_the_real_controller_has_the_digest_that_it_gave_it() -> None:
    real = orjson.loads(REAL.read_bytes())
    release = releases.decode(real["release"])
    assert history.release_digest(release) == real["digest"]
    assert releases.decode(releases.encode(release)) == release


def test_a_release_records_its_chart_as_it_came() -> None:
    lock = "dependencies:\n- name: sub\n  repository: https://example.com\n  version: 1.0.0\ndigest: sha256:1\n"
    files = {
        "templates/b.yaml": "b",
        "templates/a.yaml": "\ufeffa",
        "values.yaml": "{}",
        "README.md": "read",
        "Chart.lock": f'{lock}generated: "2026-01-01T00:00:00Z"\n',
        "charts/sub/Chart.yaml": "name: sub",
        "values.schema.json": "{}",
    }
    found = ChartArchive.read(packed(files)).recorded()
    epoch = "1970-01-01T00:00:00Z"
    assert [file["name"] for file in found["templates"]] == ["templates/b.yaml", "templates/a.yaml"]
    assert [base64.b64decode(file["data"]) for file in found["templates"]] == [b"b", b"a"]
    assert found["files"] == [{"name": "README.md", "data": "cmVhZA==", "modtime": epoch}]
    assert found["lock"] == {
        "generated": "2026-01-01T00:00:00Z",
        "digest": "sha256:1",
        "dependencies": [{"name": "sub", "version": "1.0.0", "repository": "https://example.com"}],
    }
    assert (found["schema"], found["schemamodtime"], found["modtime"]) == ("e30=", epoch, epoch)
    bare = ChartArchive.read(packed({})).recorded()
    assert (bare["templates"], bare["files"], bare["lock"], bare["schema"]) == (None, None, None, None)


def test_an_archive_that_is_none_is_refused() -> None:
    with pytest.raises(BadChart):
        ChartArchive.read(b"nothing")


def test_digests_of_what_is_done_after_rendering_are_those_of_the_real_controller() -> None:
    images = [{"name": "nginx", "newTag": "1.28"}]
    patches = [
        {
            "target": {"kind": "Deployment"},
            "patch": "- op: add\n  path: /spec/template/metadata/labels/patched\n  value: 'yes'\n",
        },
        {"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  patched: 'true'\n"},
    ]
    obj = {"spec": {"postRenderers": [{"kustomize": {"images": images, "patches": patches}}]}}
    digest = "sha256:733cdc0ef24d490b6c5085353ec52445dd78b37897f1e70c9f54e5209d24f5c1"
    assert post_render.renderers_digest(obj) == digest
    assert post_render.renderers_digest({"spec": {}}) == post_render.metadata_digest({"spec": {}}) == ""


def test_errors_in_lines_of_the_log_are_what_go_makes_of_them() -> None:
    log = HelmLog()
    assert log.after("It failed") == "It failed"
    log.say("warning: upgrade failed", name="web", error=ValueError("not said"))
    log.say("ignoring delete failure", error=errors.not_found("configmaps", "a"))
    log.say("failed", error=[ValueError("one")])
    lines = [line.partition("Z: ")[2] for line in log.after("It failed").splitlines()[4:]]
    status = (
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \\"a\\" not found",'
        '"reason":"NotFound","details":{"name":"a","kind":"configmaps"},"code":404}'
    )
    assert lines == [
        'warning: upgrade failed: {"error":{},"name":"web"}',
        f'ignoring delete failure: {{"error":{{"ErrStatus":{status}}}}}',
        'failed: {"error":[{}]}',
    ]


def test_the_log_keeps_ten_lines_and_counts_those_that_come_again() -> None:
    log = HelmLog()
    for number in range(12):
        log.say(f"line {number}")
    for _ in range(4):
        log.say("again")
    lines = [line.partition("Z: ")[2] for line in log.after("It failed").splitlines()[4:]]
    assert lines[0] == "line 3: {}"
    assert lines[-2:] == ["again: {}", "again: {} (2 duplicate lines omitted)"]
