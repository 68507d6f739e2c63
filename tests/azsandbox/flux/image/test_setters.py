"""Marks in YAML files."""

from __future__ import annotations

import pytest

from azsandbox.flux.image.setters import Change, ObjectId, updated, values_of

VALUES = {
    "apps:app": "reg/app:2.0",
    "apps:app:tag": "2.0",
    "apps:app:name": "reg/app",
    "apps:app:digest": "",
    "apps:other": "reg/other:7",
}


def after(text: str, path: str = "a.yaml") -> str:
    """A file's content with the values set; the file itself where nothing is."""
    found = updated({path: text.encode()}, VALUES).files
    return found[path].decode() if found else text


def test_policies_give_their_image_and_its_parts() -> None:
    ref = {"name": "reg/app", "tag": "2.0", "digest": "sha256:ab"}
    policy = {"metadata": {"namespace": "apps", "name": "app"}, "status": {"latestRef": ref}}
    assert values_of([policy, {"metadata": {"namespace": "apps", "name": "none"}}]) == {
        "apps:app": "reg/app:2.0@sha256:ab",
        "apps:app:tag": "2.0",
        "apps:app:name": "reg/app",
        "apps:app:digest": "sha256:ab",
    }


def test_only_marked_values_change_and_the_rest_of_the_file_stays() -> None:
    text = """# a head
apiVersion: apps/v1
kind:   Deployment

metadata: {name: app}
spec:
    containers:
    -   image: reg/app:1.0 # {"$imagepolicy": "apps:app"}
        other: reg/app:1.0
    -   'image': 'reg/app:1.0'   #    {"$imagepolicy": "apps:app"}
        tag: "1.0" # {"$imagepolicy": "apps:app:tag"}
        name: x # {"$imagepolicy": "apps:app:name"}
"""
    expected = (
        text.replace("image: reg/app:1.0 #", "image: reg/app:2.0 #")
        .replace("'reg/app:1.0'", "'reg/app:2.0'")
        .replace('"1.0"', '"2.0"')
        .replace("name: x", "name: reg/app")
    )
    assert after(text) == expected


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ('x: 1.0 # {"$imagepolicy": "apps:app:tag"}', 'x: "2.0" # {"$imagepolicy": "apps:app:tag"}'),
        ('x: reg/o:1 # {"$imagepolicy": "apps:other"}', 'x: reg/other:7 # {"$imagepolicy": "apps:other"}'),
        ('x: [a] # {"$imagepolicy": "apps:other"}', 'x: [a] # {"$imagepolicy": "apps:other"}'),
        ('x: a # {"$imagepolicy": "apps:unknown"}', 'x: a # {"$imagepolicy": "apps:unknown"}'),
        ('x: a # {"$imagepolicy": "apps:other"', 'x: a # {"$imagepolicy": "apps:other"'),
        ('x:\n- a # {"$imagepolicy": "apps:other"}', 'x:\n- reg/other:7 # {"$imagepolicy": "apps:other"}'),
        ('x:\n# {"$imagepolicy": "apps:other"}\n- a', 'x:\n# {"$imagepolicy": "apps:other"}\n- reg/other:7'),
    ],
)
def test_a_mark_says_what_takes_the_place_of_the_value_beside_it(before: str, then: str) -> None:
    head = "kind: K\n"
    assert after(head + before) == head + then


def test_a_value_that_stays_the_same_is_no_change() -> None:
    found = updated({"a.yaml": b'kind: K\nx: reg/other:7 # {"$imagepolicy": "apps:other"}\n'}, VALUES)
    assert not found.files and not found.by_file


@pytest.mark.parametrize("path", ["a.json", "kustomization", "a.yaml.txt"])
def test_other_files_are_left_alone(path: str) -> None:
    text = 'kind: K\nx: a # {"$imagepolicy": "apps:other"}'
    assert after(text, path) == text
    assert after(text, "b/Kustomization") != text


def test_files_that_are_no_yaml_are_left_alone() -> None:
    text = 'kind: [K\nx: a # {"$imagepolicy": "apps:other"}'
    assert after(text) == text


def test_changes_are_told_by_file_and_object_with_lists_taken_apart() -> None:
    text = """apiVersion: v1
kind: List
items:
- kind: A
  apiVersion: v1
  metadata: {name: a, namespace: n}
  x: o # {"$imagepolicy": "apps:other"}
---
kind: B
metadata: {name: b}
x: o # {"$imagepolicy": "apps:other"}
y: reg/app:1 # {"$imagepolicy": "apps:app"}
"""
    found = updated({"z.yaml": text.encode()}, VALUES)
    other, app = Change("o", "reg/other:7", "apps:other"), Change("reg/app:1", "reg/app:2.0", "apps:app")
    objects = {ObjectId.of("v1", "A", "a", "n"): [other], ObjectId.of("", "B", "b", ""): [other, app]}
    assert found.by_file == {"z.yaml": objects}
    assert found.objects() == objects
    assert found.all() == [other, app]
