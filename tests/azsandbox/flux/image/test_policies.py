"""Which of several tags is the latest."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.flux.image.policies import InvalidPolicy, NoChoice, latest

TAGS = ["1.0.0", "1.2.0", "1.10.0", "v2.0.0-rc.1", "latest"]


def choice(tags: list[str], policy: dict[str, Any], pattern: str = "", extract: str = "") -> str:
    spec: dict[str, Any] = {"policy": policy}
    if pattern:
        spec["filterTags"] = {"pattern": pattern, "extract": extract}
    return latest(tags, spec)


@pytest.mark.parametrize(
    ("policy", "tag"),
    [
        ({"semver": {"range": "*"}}, "1.10.0"),
        ({"semver": {"range": "1.0.x || ~1.2"}}, "1.2.0"),
        ({"semver": {"range": ">=2.0.0-0"}}, "v2.0.0-rc.1"),
        ({"alphabetical": {}}, "v2.0.0-rc.1"),
        ({"alphabetical": {"order": "desc"}}, "1.0.0"),
    ],
)
def test_tags_are_compared_in_the_order_of_the_policy(policy: dict[str, Any], tag: str) -> None:
    assert choice(TAGS, policy) == tag


def test_numbers_are_compared_as_numbers() -> None:
    assert choice(["9", "10", "1e1", "0x1p1"], {"numerical": {"order": "asc"}}) == "1e1"
    assert choice(["9", "10", "-3.5"], {"numerical": {"order": "desc"}}) == "-3.5"


def test_what_a_pattern_extracts_is_compared_and_the_tag_is_chosen() -> None:
    tags = ["main-aaa-100", "main-bbb-20", "dev-ccc-300"]
    assert choice(tags, {"numerical": {}}, r"^main-[a-z]+-(?P<ts>\d+)$", "$ts") == "main-aaa-100"
    assert choice(tags, {"alphabetical": {}}, "^main-") == "main-bbb-20"


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"semver": {"range": "x y"}}, "invalid policy: improper constraint: "),
        ({"alphabetical": {"order": "up"}}, "invalid policy: invalid order argument provided: 'UP', must be one of: "),
        ({}, "invalid policy: given ImagePolicyChoice object is invalid"),
    ],
)
def test_a_policy_that_cannot_choose_is_refused(policy: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPolicy) as error:
        choice(TAGS, policy)
    assert str(error.value).startswith(message)


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(InvalidPolicy) as error:
        choice(TAGS, {"alphabetical": {}}, "(")
    assert str(error.value) == (
        "failed to filter tags: invalid regular expression pattern '(': error parsing regexp: missing closing ): `(`"
    )


@pytest.mark.parametrize(
    ("tags", "policy", "message"),
    [
        (["a"], {"semver": {"range": "*"}}, "unable to determine latest version from provided list"),
        ([], {"semver": {"range": "*"}}, "version list argument cannot be empty"),
        (["1", "x"], {"numerical": {}}, "failed to parse invalid numeric value 'x'"),
    ],
)
def test_tags_of_which_none_fits_give_no_choice(tags: list[str], policy: dict[str, Any], message: str) -> None:
    with pytest.raises(NoChoice) as error:
        choice(tags, policy)
    assert str(error.value) == message
