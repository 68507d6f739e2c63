"""What stays out of an artifact."""

from __future__ import annotations

import pytest

from azsandbox.flux.globs import glob_matches
from azsandbox.flux.source.ignore import Ignore, Rule, read_rules


@pytest.mark.parametrize(
    ("rule", "path", "fits"),
    [
        ("value", "head/value/tail", True),
        ("value/", "head/value/tail", True),
        ("value/", "head/value", False),
        ("val", "head/value", False),
        ("v*o", "value/vulkano/tail", True),
        ("v[ou]l[kc]ano", "volcano", True),
        ("v[ou]l[", "vol[", False),
        ("/value/vul?ano", "value/vulkano/tail", True),
        ("/value/volcano", "value/value/volcano", False),
        ("**/*lue/vol?ano", "head/value/volcano/tail", True),
        ("**/*lue/vol?ano/", "head/value/volcano", False),
        ("/*lue/vol?ano/**", "value/volcano/tail/moretail", True),
        ("/*lue/**/vol?ano", "value/volcano", True),
        ("/*lue/**/vol?ano", "value/middle1/middle2/volcano", True),
        ("/*lue/**foo/vol?ano", "value/foo/volcano/tail", False),
        ("/value/**/v[ou]l[", "value/head/vol[", False),
        ("**/android/**/X.java", "packages/lib/android/gradle.dart", False),
    ],
)
def test_a_rule_fits_as_in_git(rule: str, path: str, fits: bool) -> None:
    assert Rule.parse(rule).fits(path, folder=False) is fits


def test_a_rule_holds_only_below_the_folder_of_its_file() -> None:
    rules = read_rules("# comment\n\n/draft.yaml\r\n", ["apps"])
    assert rules[0].fits("apps/draft.yaml", folder=False)
    assert not rules[0].fits("draft.yaml", folder=False)


def test_images_stay_out_unless_a_source_has_rules_of_its_own_but_version_control_always_does() -> None:
    default, own = Ignore([]), Ignore(read_rules("/draft\n!/draft/keep.yaml"))
    assert default.leaves_out("docs/a.png")
    assert not own.leaves_out("docs/a.png")
    assert default.leaves_out(".github/workflows/ci.yml")
    assert own.leaves_out(".git/config")
    assert own.leaves_out("draft", folder=True)
    assert not own.leaves_out("draft/keep.yaml")


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [("a-[a-c]", "a-b", True), ("[^a-c]", "a", False), ("[]", "a", False), (r"\*", "*", True), ("[z-a]", "b", False)],
)
def test_globs_match_as_go_has_them(glob: str, name: str, matches: bool) -> None:
    assert glob_matches(glob, name) is matches


def test_a_glob_of_many_stars_is_tried_once() -> None:
    assert not glob_matches("*a" * 30 + "b", "a" * 250)
    assert glob_matches("*a" * 30 + "*", "a" * 250)
    assert glob_matches("**b*[a-c]?", "aabbbac")
    assert not glob_matches("*ab", "abc") and glob_matches("*ab", "abab") and glob_matches("*", "")
