"""What the commits of automations say."""

from __future__ import annotations

import pytest

from azsandbox.flux.image.commit_message import DEFAULT, BadMessage, RemovedField, commit_message
from azsandbox.flux.image.setters import updated

FILES = {
    "a/app.yaml": b"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  namespace: apps
spec:
  image: reg/app:1.0 # {"$imagepolicy": "apps:app"}
""",
    "cm.yaml": b"""apiVersion: v1
kind: ConfigMap
metadata: {name: cm}
tag: "1.0" # {"$imagepolicy": "apps:app:tag"}
""",
}
CHANGES = updated(FILES, {"apps:app": "reg/app:2.0", "apps:app:tag": "2.0"})


def said(template: str) -> str:
    return commit_message(template, "flux", "auto", CHANGES, {"env": "prod"})


def test_without_a_template_it_is_the_default() -> None:
    assert said("") == DEFAULT


def test_a_template_sees_the_automation_its_values_and_every_change() -> None:
    template = """{{ .AutomationObject }}: {{ .AutomationObject.Name }} for {{ .Values.env }}
{{ range $file, $objects := .Changed.FileChanges -}}
- {{ $file }}
{{- range $object, $changes := $objects }}
  {{ $object.Kind }}/{{ $object.Name }} {{ $object }}
{{- range $changes }}
    {{ .OldValue }} -> {{ .NewValue }} ({{ .Setter }})
{{- end }}{{ end }}
{{ end -}}
{{ range .Changed.Changes }}{{ .NewValue }};{{ end }}{{ len .Changed.Objects }}"""
    assert said(template) == (
        "flux/auto: auto for prod\n"
        "- a/app.yaml\n"
        "  Deployment/app {{{apps/v1 Deployment} {app apps}}}\n"
        "    reg/app:1.0 -> reg/app:2.0 (apps:app)\n"
        "- cm.yaml\n"
        "  ConfigMap/cm {{{v1 ConfigMap} {cm }}}\n"
        "    1.0 -> 2.0 (apps:app:tag)\n"
        "reg/app:2.0;2.0;2"
    )


@pytest.mark.parametrize("field", ["Updated", "Changed.ImageResult"])
def test_fields_of_earlier_versions_are_named_with_what_takes_their_place(field: str) -> None:
    with pytest.raises(RemovedField) as error:
        said(f"{{{{ range .{field}.Images }}}}{{{{ end }}}}")
    assert str(error.value).startswith(f"template uses removed '.{field}' field. Please use '.Changed")


def test_what_cannot_be_read_and_what_cannot_be_run_differ() -> None:
    with pytest.raises(BadMessage, match=r"^unable to create commit message template from spec: template: commit"):
        said("{{ .Changed")
    with pytest.raises(BadMessage, match=r"^failed to run template from spec: template: commit message:1:3: executing"):
        said("{{ .Nope }}")
