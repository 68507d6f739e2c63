from __future__ import annotations

import pytest

from azsandbox.flux.kustomize.envsubst import BadSubstitution, substitute

VARIABLES = {"name": "web", "path": "/home/bozo/ideas/thoughts.txt", "empty": "", "wide": "äö"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no variable", "no variable"),
        ("${name}", "web"),
        ("a ${name} and ${name}", "a web and web"),
        ("$name $$name $${name}", "$name $name ${name}"),
        ("${none:-other}", "other"),
        ("${none:=other}", "other"),
        ("${none=other}", "other"),
        ("${empty:-other}", "other"),
        ("${none:-${name}-x}", "web-x"),
        ("${name:+other}", "web"),  # not as bash has it
        ("${none:?must be set}", "must be set"),
        ("${#name}", "3"),
        ("${#wide}", "4"),  # bytes
        ("${name^}", "Web"),
        ("${name^^}", "WEB"),
        ("${name,}", "web"),
        ("${name:1}", "eb"),
        ("${name:0:2}", "we"),
        ("${name:-1}", "web"),  # a default, not an offset
        ("${name:1:-1}", "e"),
        ("${name: -2}", "web"),  # no number
        ("${path##*/}", "thoughts.txt"),
        ("${path#*/}", "home/bozo/ideas/thoughts.txt"),
        ("${path%.*}", "/home/bozo/ideas/thoughts"),
        ("${path%%.*}", "/home/bozo/ideas/thoughts"),
        ("${path/bozo/alice}", "/home/alice/ideas/thoughts.txt"),
        ("${path//o/0}", "/h0me/b0z0/ideas/th0ughts.txt"),
        (r"${path//\//-}", "-home-bozo-ideas-thoughts.txt"),
        ("${name/#w/c}", "ceb"),
        ("${name/%b/t}", "wet"),
        ("${name/b/}", "we"),
    ],
)
def test_variables_are_replaced_with_the_functions_of_bash(text: str, expected: str) -> None:
    assert substitute(text, VARIABLES, strict=False) == expected


def test_a_variable_that_is_not_set_is_empty_or_an_error() -> None:
    assert substitute("x${none}x", VARIABLES, strict=False) == "xx"
    with pytest.raises(BadSubstitution, match=r'^variable not set \(strict mode\): "none"$'):
        substitute("x${none}x", VARIABLES, strict=True)
    assert substitute("x${none:-y}x", VARIABLES, strict=True) == "xyx"
    with pytest.raises(BadSubstitution, match="strict mode"):
        substitute("${none^^}", VARIABLES, strict=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "unable to parse variable name"),
        ("${}", "unable to parse variable name"),
        ("${name", "missing closing brace"),
        ("${name-default}", "missing closing brace"),
        ("${name:}", "unable to parse substitution within function"),
        ("${name:", "bad substitution"),
        ("${name/a}", "bad substitution"),
        ("${name^x}", "bad substitution"),
        ("${#}", "bad substitution"),
    ],
)
def test_what_is_no_substitution_is_refused_in_the_words_of_flux(text: str, message: str) -> None:
    with pytest.raises(BadSubstitution, match=f"^{message}$"):
        substitute(text, VARIABLES, strict=False)
