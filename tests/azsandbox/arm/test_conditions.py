"""Conditions of role assignments: what they let pass, and that an unreadable one lets nothing pass."""

from __future__ import annotations

import pytest

from azsandbox.arm.conditions import holds, problem

READ = "Microsoft.ContainerRegistry/registries/repositories/content/read"
REPOSITORY = "Microsoft.ContainerRegistry/registries/repositories:name"
NAME = f"@Request[{REPOSITORY}]"


@pytest.mark.parametrize(
    ("condition", "repository", "expected"),
    [
        (f"{NAME} StringEquals 'app'", "app", True),
        (f"{NAME} StringEquals 'app'", "App", False),
        (f"{NAME} StringEqualsIgnoreCase 'App'", "app", True),
        (f"{NAME} StringLike 'team-?/*'", "team-a/app", True),
        (f"{NAME} ForAnyOfAnyValues:StringEquals {{'a', 'b'}}", "b", True),
        (f"{NAME} StringEquals 'it''s'", "it's", True),
        (f"!({NAME} StringStartsWith 'secret/')", "secret/app", False),
        (f"ActionMatches{{'{READ}'}} AND {NAME} StringEquals 'app'", "app", True),
        ("ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/*'}", "app", True),
        (f"NOT ActionMatches{{'{READ}'}} || {NAME} StringEquals 'app'", "other", False),
        (f"({NAME} StringEquals 'a' OR {NAME} StringEquals 'b') && {NAME} StringNotEquals 'a'", "b", True),
    ],
)
def test_a_condition_lets_pass_what_it_says(condition: str, repository: str, expected: bool) -> None:
    assert holds(condition, READ, {REPOSITORY: repository}) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "(",
        f"{NAME} StringEquals",
        f"{NAME} DateTimeEquals '2026-01-01'",
        "@Environment[Microsoft.Network/privateEndpoints] StringEquals 'a'",
        f"{NAME} StringEquals 'a' ) OR ActionMatches{{'*'}}",
        "true #",
    ],
)
def test_an_unreadable_condition_lets_nothing_pass(condition: str) -> None:
    assert holds(condition, READ, {REPOSITORY: "a"}) is False


def test_a_condition_that_is_nested_too_deeply_is_unreadable() -> None:
    text = "(" * 2000 + f"{NAME} StringEquals 'app'" + ")" * 2000
    assert problem(text) == "it is nested too deeply"


def test_of_an_attribute_that_a_request_has_not_nothing_is_said() -> None:
    condition = "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:Name] stringEquals 'foo'"
    assert not problem(condition)
    assert not holds(condition, READ, {REPOSITORY: "foo"})
    assert holds(f"!(ActionMatches{{'Microsoft.Storage/*'}}) OR {condition}", READ, {})


@pytest.mark.parametrize(
    ("form", "role", "expected"),
    [
        ("ForAnyOfAnyValues:GuidEquals", "7F6C6A51-BCF8-42BA-9220-52D62157D7DB", True),
        ("ForAnyOfAnyValues:GuidEquals", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", False),
        ("ForAnyOfAllValues:GuidNotEquals", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", True),
        ("ForAnyOfAllValues:GuidNotEquals", "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb", False),
    ],
)
def test_guids_are_compared_with_all_or_any_of_a_set(form: str, role: str, expected: bool) -> None:
    roles = "{7f6c6a51-bcf8-42ba-9220-52d62157d7db, a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb}"
    name = "Microsoft.Authorization/roleAssignments:RoleDefinitionId"
    condition = f"@Request[{name}] {form} {roles}"
    assert holds(condition, "Microsoft.Authorization/roleAssignments/write", {name: role}) is expected


def test_what_cannot_be_read_is_named() -> None:
    assert problem(f"{NAME} DateTimeEquals '2026-01-01'") == "the operator DateTimeEquals"


def test_asked_of_no_repository_in_particular_a_name_may_fit() -> None:
    assert holds(f"{NAME} StringEquals 'a'", READ, {REPOSITORY: None})
