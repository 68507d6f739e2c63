from __future__ import annotations

import pytest

from azsandbox.patterns import PatternError, compiled


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "error parsing regexp: missing closing ): `(`"),
        ("a)", "error parsing regexp: unexpected ): `a)`"),
        ("[a", "error parsing regexp: missing closing ]: `[a`"),
        ("*a", "error parsing regexp: missing argument to repetition operator: `*`"),
        ("a**", "error parsing regexp: invalid nested repetition operator: `**`"),
        ("a{2,1}", "error parsing regexp: invalid repeat count: `{2,1}`"),
        ("(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
        (r"\y", r"error parsing regexp: invalid escape sequence: `\y`"),
        ("[z-a]", "error parsing regexp: invalid character class range: `z-a`"),
    ],
)
def test_a_mistake_in_an_expression_is_told_in_the_words_of_go(expression: str, message: str) -> None:
    with pytest.raises(PatternError) as error:
        compiled(expression)
    assert str(error.value) == message


def test_an_expression_matches_anywhere_in_a_text() -> None:
    assert compiled("b+").matches("abbc") and not compiled("^b").matches("abbc")


@pytest.mark.parametrize(
    ("template", "result"),
    [("$n", "7"), ("${n}x", "7x"), ("$nx", ""), ("$1-$2", "7-rc"), ("$$n", "$n"), ("$0", "1.7-rc"), ("$9", "")],
)
def test_a_template_takes_what_was_captured(template: str, result: str) -> None:
    assert compiled(r"^1\.(?P<n>\d+)-(\w+)$").expand("1.7-rc", template) == result
    assert compiled("z").expand("1.7-rc", template) is None


def test_an_expression_takes_linear_time() -> None:
    assert not compiled("(a*)*b").matches("a" * 20000)
