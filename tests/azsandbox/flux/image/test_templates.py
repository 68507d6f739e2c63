"""Go's text/template: what it makes of templates, and how it refuses them. The expected texts are Go's own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from azsandbox.flux.image.templates import functions, sprig
from azsandbox.flux.image.templates.lexer import TemplateError
from azsandbox.flux.image.templates.parser import parse
from azsandbox.flux.image.templates.runner import run
from azsandbox.flux.image.templates.values import Struct

FUNCTIONS = functions.FUNCTIONS | sprig.FUNCTIONS


@dataclass(frozen=True, order=True)
class Inner(Struct):
    GO = "x.Inner"
    Kind: str


@dataclass(frozen=True, order=True)
class Key(Struct):
    GO, EMBEDS = "x.Key", ("Inner",)
    Inner: Inner
    Name: str

    def String(self) -> str:  # noqa: N802
        return f"{self.Inner.Kind}/{self.Name}"


@dataclass(frozen=True, order=True)
class Data(Struct):
    GO = "x.Data"
    Keys: dict[Key, list[int]]
    Values: dict[str, str]

    def Names(self) -> list[str]:  # noqa: N802
        return ["b", "a"]


DATA = Data({Key(Inner("B"), "x"): [1, 2], Key(Inner("A"), "y"): []}, {"env": "prod", "n": "42"})


def made(text: str) -> str:
    return run(parse("commit message", text, FUNCTIONS), DATA, FUNCTIONS)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{- "x" -}} y', "xy"),
        ('a  {{- "x" }} y {{ "z" -}}   w', "ax y zw"),
        ("{{/* c */}}a\n{{- /* c */ -}} b", "ab"),
        ("{{ range .Names }}{{ . }};{{ end }}", "b;a;"),
        ("{{ range $i, $n := .Names }}{{ if $i }}, {{ end }}{{ $i }}{{ $n }}{{ else }}none{{ end }}", "0b, 1a"),
        ("{{ range $k, $v := .Keys }}{{ $k }} {{ $k.Kind }} {{ $v }};{{ end }}", "A/y A [];B/x B [1 2];"),
        ("{{ .Values }} {{ .Values.env }} {{ .Values.none }}", "map[env:prod n:42] prod <no value>"),
        ('{{ index .Values "env" }}[{{ index .Values "zz" }}]', "prod[]"),
        ('{{ if eq .Values.env "prod" }}P{{ else if eq 1 2 }}Q{{ else }}R{{ end }}', "P"),
        ('{{ if or "" 0 }}n{{ else }}m{{ end }}{{ with $x := .Values.env }}{{ $x }}{{ . }}{{ end }}', "mprodprod"),
        ("{{ $a := 1 }}{{ range until 3 }}{{ $a = add $a . }}{{ end }}{{ $a }}", "4"),
        ('{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" .Values.env }}{{ template "t" 3 }}', "<prod><3>"),
        (
            "{{ range until 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "02",
        ),
        ('{{ printf "%s-%v-%d-%q-%5d|%-5d|%05d-%x" "a" true 3 "q" 3 3 3 255 }}', 'a-true-3-"q"-    3|3    |00003-ff'),
        ('{{ printf "%s %d" 3 "x" }} {{ printf "%s" }}', "%!s(int=3) %!d(string=x) %!s(MISSING)"),
        ('{{ print 1 2 "a" "b" 3 }} {{ println 1 "a" }}', "1 2ab3 1 a\n"),
        (
            "{{ 1.0 }} {{ 1e3 }} {{ 0x10 }} {{ 'a' }} {{ `raw` }} {{ 1e21 }} {{ 123456789.0 }}",
            "1 1000 16 97 raw 1e+21 1.23456789e+08",
        ),
        ('{{ html "<a>" }} {{ js "a\'b<" }} {{ urlquery "a b&c" }}', "&lt;a&gt; a\\'b\\u003C a+b%26c"),
        ('{{ "abc" | trunc 2 | upper | quote }} {{ default "d" .Values.none }}', '"AB" d'),
        ('{{ splitList "," "a,b,c" | join "-" }} {{ (split "," "a,b")._1 }}', "a-b-c b"),
        ('{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }} {{ regexFindAll "[0-9]" "1a2b3" 2 }}', "-W-xxW- [1 2]"),
        (
            '{{ dict "b" 1 "a" "x" }} {{ toJson (dict "b" 1 "a" (list 1 "x" true)) }}',
            'map[a:x b:1] {"a":[1,"x",true],"b":1}',
        ),
        ("{{ add 1 2 3 }} {{ div 7 2 }} {{ round 2.456 2 }} {{ ceil 2.1 }} {{ mulf 1.5 2 }}", "6 3 2.46 3 3"),
    ],
)
def test_a_template_makes_what_go_makes_of_it(template: str, text: str) -> None:
    assert made(template) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ ", ":1: unclosed action"),
        ("a\n{{ if }}x{{ end }}", ":2: missing value for if"),
        ("{{ if .Values }}", ":1: unexpected EOF"),
        ("{{ end }}", ":1: unexpected {{end}}"),
        ("{{ unknown }}", ':1: function "unknown" not defined'),
        ("{{ $b }}", ':1: undefined variable "$b"'),
        ("{{ ) }}", ":1: unexpected right paren"),
        ("{{ /* c */ }}", ':1: unexpected "/" in command'),
        ('{{ "open }}', ":1: unterminated quoted string"),
        ("{{ with $x, $y := .Values }}{{ end }}", ":1: too many declarations in with"),
        ("{{ break }}", ":1: {{break}} outside {{range}}"),
    ],
)
def test_what_is_no_template_is_refused_in_gos_words(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        made(template)
    assert str(error.value) == f"template: commit message{message}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n{{ .Nope }}", "2:3 .Nope: can't evaluate field Nope in type x.Data"),
        ("{{ .Values.env.x }}", "1:10 .Values.env.x: can't evaluate field x in type string"),
        ('{{ .Values.env "x" }}', "1:10 .Values.env: env is not a method but has arguments"),
        ("{{ index .Names 7 }}", "1:3 index .Names 7: error calling index: index out of range: 7"),
        ("{{ div 1 0 }}", "1:3 div 1 0: error calling div: runtime error: integer divide by zero"),
        ("{{ upper }}", "1:3 upper: wrong number of args for upper: want 1 got 0"),
        ('{{ fail "no" }}', '1:3 fail "no": error calling fail: no'),
        ('{{ eq "a" 1 }}', '1:3 eq "a" 1: error calling eq: incompatible types for comparison: string and int'),
        ('{{ template "zz" }}', '1:12 {{template "zz"}}: template "zz" not defined'),
        ("{{ genCA 1 }}", "1:3 genCA 1: error calling genCA: NotSupportedInSandbox: sprig's function genCA"),
    ],
)
def test_a_template_that_does_not_run_says_where(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        made(template)
    place, _, rest = message.partition(" ")
    node, _, why = rest.partition(": ")
    assert str(error.value) == f'template: commit message:{place}: executing "commit message" at <{node}>: {why}'


@pytest.mark.parametrize(
    "template",
    [
        "{{ range until 9999 }}{{ range until 9999 }}x{{ end }}{{ end }}",
        '{{ "x" | repeat 100001 }}',
        '{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}',
    ],
)
def test_a_template_without_end_ends(template: str) -> None:
    with pytest.raises(TemplateError, match=r"NotSupportedInSandbox|exceeded maximum template depth"):
        made(template)
