"""Versions and ranges, as Masterminds' library for Go has them."""

from __future__ import annotations

import pytest

from azsandbox.flux.semver import InvalidVersion, Range, Version


@pytest.mark.parametrize(
    ("range_", "version"),
    [
        (">=1.0.0", "1.2.3"),
        ("1.x", "1.9.0"),
        ("*", "0.1.0"),
        ("1.2 - 1.4", "1.4.9"),
        ("<1 || >2", "3.0.0"),
        (">11.1", "11.2.0"),
        ("~1.2", "1.2.9"),
        ("~0.0.0", "3.0.0"),
        ("^1.2.3", "1.9.0"),
        ("^0", "0.9.9"),
        ("^0.0", "0.0.9"),
        ("!=1.2.x", "1.3.0"),
        (">=1.0.0-0", "2.0.0-rc.1"),
        (">= 1.2, < 2", "1.9.9"),
        ("<=1.2", "1.2.9"),
        ("v1.2.3", "1.2.3+build"),
    ],
)
def test_a_range_holds_a_version(range_: str, version: str) -> None:
    assert Version.parse(version) in Range(range_)


@pytest.mark.parametrize(
    ("range_", "version"),
    [
        ("1.x", "2.0.0"),
        (">=1.0.0", "2.0.0-rc.1"),
        ("*", "1.0.0-rc.1"),
        ("^0.2.3", "0.3.0"),
        ("^0.0.3", "0.0.4"),
        (">1", "1.5.0"),
        (">11.1", "11.1.5"),
        ("!=1.x", "1.2.3"),
        ("<=1.2", "1.3.0"),
        ("1.2.3", "1.2.4"),
    ],
)
def test_a_range_leaves_a_version_out(range_: str, version: str) -> None:
    assert Version.parse(version) not in Range(range_)


@pytest.mark.parametrize("text", ["not-a-range", "one.two", ">=1.0.0,", "", "1.0 foo", "1.0.0 ||"])
def test_text_that_is_no_range_is_quoted_in_the_error(text: str) -> None:
    with pytest.raises(InvalidVersion, match="improper constraint: "):
        Range(text)


def test_versions_are_ordered_by_number_then_by_pre_release_and_not_by_metadata() -> None:
    texts = ["1.10.0", "1.9.0", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0-alpha", "1.10.0-rc.10.1", "1.10.0-1"]
    ordered = [version.original for version in sorted(map(Version.parse, texts))]
    assert ordered == ["1.9.0", "1.10.0-1", "1.10.0-alpha", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0-rc.10.1", "1.10.0"]
    assert Version.parse("1.0.0+a") == Version.parse("1.0.0+b")


def test_only_full_versions_are_chosen_from_tags_lowest_first() -> None:
    tags = ["v1.10.0", "latest", "v1.9", "v1.2.0", "2.0.0", "v1.02"]
    assert [version.original for version in Range("1.x").choose(tags)] == ["v1.2.0", "v1.10.0"]
