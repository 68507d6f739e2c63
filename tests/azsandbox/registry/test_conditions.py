"""Conditions of role assignments: what they let pass, and that an unreadable one lets nothing pass."""

from __future__ import annotations

import pytest

from azsandbox.registry.conditions import holds

READ = "Microsoft.ContainerRegistry/registries/repositories/content/read"
NAME = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]"


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
    assert holds(condition, READ, repository) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "(",
        f"{NAME} StringEquals",
        f"{NAME} DateTimeEquals '2026-01-01'",
        "@Resource[Microsoft.Storage/storageAccounts:name] StringEquals 'a'",
        f"{NAME} StringEquals 'a' ) OR ActionMatches{{'*'}}",
        "true #",
    ],
)
def test_an_unreadable_condition_lets_nothing_pass(condition: str) -> None:
    assert holds(condition, READ, "a") is False


def test_asked_of_no_repository_in_particular_a_name_may_fit() -> None:
    assert holds(f"{NAME} StringEquals 'a'", READ, None)
