"""The query language, by the examples of its documentation and the queries of the lessons."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from azsandbox.loganalytics.kql import (
    Column,
    KqlError,
    NotSupported,
    QuerySyntaxError,
    SemanticError,
    Table,
    TimeIsUp,
    TooLarge,
    run,
    values,
)

NOW = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
EVENTS = Table(
    [
        Column("TimeGenerated", "datetime"),
        Column("Verb", "string"),
        Column("User", "dynamic"),
        Column("Code", "int"),
        Column("Size", "real"),
    ],
    [
        (NOW - dt.timedelta(hours=3), "create", {"username": "ada", "groups": ["dev", "ops"]}, 201, 1.5),
        (NOW - dt.timedelta(minutes=70), "delete", {"username": "bob", "groups": []}, 403, None),
        (NOW - dt.timedelta(minutes=50), "create", {"username": "ada"}, 201, 2.5),
        (NOW - dt.timedelta(minutes=10), "patch", None, None, 3.0),
    ],
)


class Tables:
    def find(self, name: str) -> Table | None:
        return {"Events": EVENTS, "Empty": Table(EVENTS.columns)}.get(name)


def table(query: str) -> Table:
    return run(query, Tables(), NOW).tables[0]


def rows(query: str) -> list[list[Any]]:
    """The rows as the API answers them."""
    found = table(query)
    return [[values.answered(v, c.type) for v, c in zip(row, found.columns, strict=True)] for row in found.rows]


def columns(query: str) -> list[tuple[str, str]]:
    return [tuple(column) for column in table(query).columns]


def one(expression: str) -> Any:
    return rows(f"print x = {expression}")[0][0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # operators
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / 2.0", 3.5),
        ("7 % 4", 3),
        ("1 == 1.0 and not(false) or false", True),
        ("'a' == 'A'", False),
        ("'a' =~ 'A'", True),
        ("'a' !~ 'b'", True),
        ("2 in (1, 2, 3)", True),
        ("'B' in~ ('a', 'b')", True),
        ("'c' !in ('a', 'b')", True),
        ("4 between (1 .. 4)", True),
        ("5 !between (1 .. 4)", True),
        ("datetime(2026-01-02) between (datetime(2026-01-01) .. 2d)", True),
        # terms and parts of text
        ("'Successfully bound pod-a to node' has 'pod'", True),
        ("'Successfully bound podium' has 'pod'", False),
        ("'North America' has 'america'", True),
        ("'North America' has_cs 'america'", False),
        ("'North America' !has 'merica'", True),
        ("'North America' contains 'merica'", True),
        ("'North America' contains_cs 'nor'", False),
        ("'North America' !contains 'x'", True),
        ("'North America' hasprefix 'ame'", True),
        ("'North America' hassuffix 'ica'", True),
        ("'Kusto' startswith 'ku'", True),
        ("'Kusto' startswith_cs 'ku'", False),
        ("'Kusto' !endswith 'ku'", True),
        ("'system:serviceaccount:x' matches regex '^system:.*:x$'", True),
        ("'kube-audit-admin' has_any ('guard', 'audit')", True),
        ("'kube-audit-admin' has_all ('guard', 'audit')", False),
        # texts
        ("strcat('a', 1, '-', true)", "a1-True"),
        ("tolower('AbC')", "abc"),
        ("strlen('abc')", 3),
        ("substring('abcdefg', 1, 2)", "bc"),
        ("substring('123456', -2, 2)", "56"),
        ("indexof('abcdefg', 'cde')", 2),
        ("tostring(split('a_b_c', '_')[1])", "b"),
        ("split('aaa_bbb_ccc', '_', 1)", '["bbb"]'),
        ("replace_string('A magic', 'magic', 'word')", "A word"),
        ("replace_regex('Number is 1', 'is (\\\\d+)', 'was: \\\\1')", "Number was: 1"),
        ("extract('x=([0-9.]+)', 1, 'hello x=45.6|wo')", "45.6"),
        ("trim('--', '--x--')", "x"),
        ("isempty('')", True),
        ("isnotempty('x')", True),
        ("countof('The cat sat on the mat', 'at')", 3),
        ("strcat_array(dynamic([1, 2, 3]), '->')", "1->2->3"),
        ("@'C:\\x'", "C:\\x"),
        # numbers and choice
        ("bin(4.5, 1)", 4.0),
        ("bin(-7, 3)", -9),
        ("round(2.15, 1)", 2.2),
        ("ceiling(1.2)", 2),
        ("iff(1 > 2, 'yes', 'no')", "no"),
        ("case(1 > 2, 'a', 2 > 1, 'b', 'c')", "b"),
        ("coalesce(tolong('x'), 7)", 7),
        ("max_of(1, 5, 3)", 5),
        ("tolong('12x')", None),
        ("toint('42')", 42),
        ("tolong('0x10')", 16),
        ("todouble('1e3')", 1000.0),
        ("tobool('true')", True),
        ("int(null)", None),
        ("isnull(int(null))", True),
        # times
        ("ago(1h)", "2026-01-02T11:00:00Z"),
        ("now(-1d)", "2026-01-01T12:00:00Z"),
        ("datetime(2015-12-31 23:59:59.9)", "2015-12-31T23:59:59.9Z"),
        ("datetime(2026-01-02) - datetime(2026-01-01 12:00)", "12:00:00"),
        ("2d + 3h + 4m + 5s", "2.03:04:05"),
        ("1d / 1h", 24.0),
        ("bin(datetime(1970-05-11 13:45:07), 1d)", "1970-05-11T00:00:00Z"),
        ("startofmonth(datetime(2017-01-15))", "2017-01-01T00:00:00Z"),
        ("startofweek(datetime(2017-01-01 10:10:17))", "2017-01-01T00:00:00Z"),
        ("endofday(datetime(2017-01-01 10:10:17))", "2017-01-01T23:59:59.999999Z"),
        ("datetime_diff('hour', datetime(2017-11-01 03:00), datetime(2017-10-31 23:00))", 4),
        ("datetime_diff('year', datetime(2017-01-01), datetime(2000-12-31))", 17),
        ("datetime_add('month', 1, datetime(2017-01-31))", "2017-02-28T00:00:00Z"),
        ("format_datetime(datetime(2017-01-29 09:00:05), 'yy-MM-dd [HH:mm:ss]')", "17-01-29 [09:00:05]"),
        ("format_timespan(time(14.02:03:04.12345), 'h:m:s.fffffff')", "2:3:4.1234500"),
        ("dayofweek(datetime(2015-12-14))", "1.00:00:00"),
        ("make_datetime(2017, 10, 1, 12, 10)", "2017-10-01T12:10:00Z"),
        ("unixtime_seconds_todatetime(1546300800)", "2019-01-01T00:00:00Z"),
        ("todatetime('2015-12-24T03:04:05.1234567Z')", "2015-12-24T03:04:05.123456Z"),
        ("totimespan('0.00:01:00')", "00:01:00"),
        # dynamic values
        ('parse_json(\'{"a": {"b": [1, 2]}}\').a.b[1]', "2"),
        ("tolong(parse_json('[5]')[0]) + 1", 6),
        ("parse_json('{\"x-y\": 1}')['x-y']", "1"),
        ("array_length(dynamic([1, 2, 3]))", 3),
        ("dynamic({'a': [1, datetime(2026-01-01)]}).a[0] == 1", True),
        ("bag_keys(dynamic({'a': 1, 'b': 2}))", '["a","b"]'),
        ("set_has_element(dynamic(['x']), 'x')", True),
        ("tostring(dynamic({'a': 1}))", '{"a":1}'),
        ("gettype(dynamic([1]))", "array"),
        ("array_slice(dynamic([1, 2, 3, 4]), 1, -2)", "[2,3]"),
    ],
)
def test_a_scalar_expression_has_the_documented_value(expression: str, expected: Any) -> None:
    assert one(expression) == expected


def test_what_is_compared_with_null_is_null_but_that_it_differs_is_known() -> None:
    assert one("int(null) == int(null)") is None
    assert one("int(null) == 1") is False
    assert one("int(null) != 1") is True
    assert one("int(null) < 1") is None
    assert rows("Events | where Code != 201 | count") == [[2]]
    assert rows("Events | where Size > 0 or Code == 403 | count") == [[4]]


def test_print_names_its_columns_and_their_types() -> None:
    query = 'print "hello", true, make_datetime("2000-01-02 03:04:05Z"), toint(100), long(101), 102.1, dynamic({"hello": "world"})'
    kinds = ["string", "bool", "datetime", "int", "long", "real", "dynamic"]
    assert columns(query) == [(f"print_{i}", kind) for i, kind in enumerate(kinds)]
    assert rows(query) == [["hello", True, "2000-01-02T03:04:05Z", 100, 101, 102.1, '{"hello":"world"}']]


def test_a_datatable_holds_every_type() -> None:
    query = """
        let dt = datatable (DateTime: datetime, Bool: bool, Guid: guid, Int: int, Long: long, Double: double,
            String: string, Timespan: timespan, Decimal: decimal, Dynamic: dynamic)
        [datetime(2015-12-31 23:59:59.9), false, guid(74be27de-1e4e-49d9-b579-fe0b331d3642), 12345, 1, 12345.6789,
         'string value', 10s, decimal(0.10101), dynamic({"a":123, "b":"hello", "c":[1,2,3], "d":{}})];
        range x from 1 to 100 step 1 | extend y = 1 | join kind=fullouter dt on $left.y == $right.Long | take 1
    """
    (row,) = rows(query)
    assert row[2:] == [
        "2015-12-31T23:59:59.9Z", False, "74be27de-1e4e-49d9-b579-fe0b331d3642", 12345, 1, 12345.6789, "string value",
        "00:00:10", "0.10101", '{"a":123,"b":"hello","c":[1,2,3],"d":{}}',
    ]  # fmt: skip


def test_rows_are_filtered_projected_and_ordered() -> None:
    assert rows("Events | where User.username == 'ada' and TimeGenerated > ago(1h) | project Verb, Code") == [
        ["create", 201]
    ]
    assert next(r[0] for r in rows("Events | sort by TimeGenerated desc | project Verb")) == "patch"
    assert [r[0] for r in rows("Events | order by Verb asc, Code | project Verb")] == [
        "create",
        "create",
        "delete",
        "patch",
    ]
    assert [r[0] for r in rows("Events | order by Size asc | project Size")] == [None, 1.5, 2.5, 3.0]
    assert [r[0] for r in rows("Events | order by Size desc | project Size")] == [3.0, 2.5, 1.5, None]
    assert rows("Events | top 1 by Size | project Size") == [[3.0]]
    assert columns("Events | project-away User, S* | take 1") == [
        ("TimeGenerated", "datetime"), ("Verb", "string"), ("Code", "int"),
    ]  # fmt: skip
    assert columns("Events | project-rename Who = User | project-keep Who") == [("Who", "dynamic")]
    assert columns("Events | project-reorder Size | project-away User, Code, TimeGenerated")[0] == ("Size", "real")
    assert columns("Events | extend Who = tostring(User.username), Code = Code + 1 | project Who, Code, User.groups[0]") == [
        ("Who", "string"), ("Code", "long"), ("User_groups_0", "dynamic"),
    ]  # fmt: skip
    assert rows("Events | distinct Verb | count") == [[3]]
    assert columns("Events | count") == [("Count", "long")]


def test_groups_are_summed_up_under_kustos_names() -> None:
    assert columns("Events | summarize count(), dcount(Verb), max(Size), make_set(Verb) by bin(TimeGenerated, 1h)") == [
        ("TimeGenerated", "datetime"), ("count_", "long"), ("dcount_Verb", "long"), ("max_Size", "real"),
        ("set_Verb", "dynamic"),
    ]  # fmt: skip
    assert rows("Events | summarize n = count() by Verb | order by Verb asc") == [
        ["create", 2],
        ["delete", 1],
        ["patch", 1],
    ]
    assert columns("Events | summarize count() by tostring(User.username)")[0] == ("User_username", "string")
    assert rows("Events | summarize countif(Code == 201), sum(Size), avg(Size), min(Code), percentile(Size, 50)") == [
        [2, 7.0, 7.0 / 3, 201, 2.5]
    ]
    assert rows(
        "Events | summarize arg_max(TimeGenerated, Verb, Code) by tostring(User.username) | where Code == 403"
    ) == [["bob", "2026-01-02T10:50:00Z", "delete", 403]]
    assert [c for c, _ in columns("Events | summarize arg_max(TimeGenerated, *) by Verb")] == [
        "Verb", "TimeGenerated", "Verb1", "User", "Code", "Size",
    ]  # fmt: skip
    assert rows("Events | summarize make_list(Code)") == [["[201,403,201]"]]
    assert rows("Events | summarize x = round(sum(Size) / count(), 2)") == [[1.75]]
    assert rows("Empty | summarize count(), sum(Size)") == [[0, 0.0]]
    assert rows("Empty | summarize count() by Verb") == []


def test_tables_are_joined_and_united() -> None:
    lets = (
        "let a = datatable(k: string, v: long)['x', 1, 'y', 2, 'y', 3];"
        "let b = datatable(k: string, w: long)['y', 10, 'y', 11, 'z', 12];"
    )
    assert rows(lets + "a | join kind=inner b on k | project k, v, w, k1 | order by v asc, w asc") == [
        ["y", 2, 10, "y"], ["y", 2, 11, "y"], ["y", 3, 10, "y"], ["y", 3, 11, "y"],
    ]  # fmt: skip
    assert len(rows(lets + "a | join b on k")) == 2
    assert rows(lets + "a | join kind=leftouter b on k | where k == 'x'") == [["x", 1, "", None]]
    assert rows(lets + "a | join kind=leftanti b on k") == [["x", 1]]
    assert len(rows(lets + "a | join kind=leftsemi (b | where w > 10) on $left.k == $right.k")) == 2
    assert columns(lets + "a | lookup b on k") == [("k", "string"), ("v", "long"), ("w", "long")]
    assert rows(lets + "union a, b | summarize count(), sum(v), sum(w)") == [[6, 6, 33]]
    assert columns(lets + "union withsource=From a, (b | take 1)")[0] == ("From", "string")
    assert rows(lets + "a | where k in (b) | count") == [[2]]
    assert rows(lets + "let most = toscalar(b | summarize max(w)); a | extend m = most | distinct m") == [[12]]


def test_arrays_become_rows_and_texts_columns() -> None:
    assert rows("Events | mv-expand g = User.groups to typeof(string) | where isnotempty(g) | project g") == [
        ["dev"],
        ["ops"],
    ]
    parsed = "print log = 'I0102 event.go:389] reason=\"Killing\" message=\"bye\"' | parse log with * 'reason=\"' R '\"' * 'message=\"' M '\"'"
    assert rows(parsed + " | project R, M") == [["Killing", "bye"]]


def test_render_says_how_to_draw_and_changes_nothing() -> None:
    query = 'datatable (s: string, i: long) ["a", 1, "b", 2] | render columnchart with (title="the title", xtitle="x")'
    result = run(query, Tables(), NOW)
    assert len(result.tables[0].rows) == 2
    assert result.visualization == {"visualization": "columnchart", "title": "the title", "xtitle": "x"}


def test_getschema_names_clr_types() -> None:
    found = table("Events | getschema")
    assert found.name == "getschema"
    assert found.rows[0] == ("TimeGenerated", 0, "System.DateTime", "datetime")
    assert found.rows[2] == ("User", 2, "System.Object", "dynamic")


@pytest.mark.parametrize(
    ("query", "line", "position", "token"),
    [
        ("completely invalid syntax", 1, 11, "invalid"),
        ("My Not So Valid Query", 1, 3, "Not"),
        ("Events | wher Code == 1", 1, 9, "wher"),
        ("Events\n| where Code ==", 2, 15, ""),
        ("Events |", 1, 8, ""),
        ("Events | take", 1, 13, ""),
        ("Events | where (Code == 1", 1, 25, ""),
        ("Events | summarize count() by", 1, 29, ""),
        ("", 1, 0, ""),
    ],
)
def test_a_query_that_does_not_parse_is_refused_at_the_token(query: str, line: int, position: int, token: str) -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        table(query)
    error = refused.value
    assert (error.line, error.position, error.token) == (line, position, token)
    assert str(error) == f"Query could not be parsed at '{token}' on line [{line},{position}]"


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        (
            "Nothing | take 1",
            "SEM0100",
            "'take' operator: Failed to resolve table or column expression named 'Nothing'",
        ),
        ("Nothing", "SEM0100", "'' operator: Failed to resolve table or column or scalar expression named 'Nothing'"),
        (
            "Events | where Nope == 1",
            "SEM0100",
            "'where' operator: Failed to resolve column or scalar expression named 'Nope'",
        ),
        (
            "Events | extend a = 1, b = a",
            "SEM0100",
            "'extend' operator: Failed to resolve column or scalar expression named 'a'",
        ),
        ("Events | extend a = nope(1)", "SEM0260", "'extend' operator: Unknown function: 'nope'."),
        (
            "Events | where Verb > 5",
            "SEM0064",
            "'where' operator: Cannot compare values of types string and long. Try adding explicit casts",
        ),
    ],
)
def test_a_query_without_meaning_is_refused_in_kustos_words(query: str, code: str, message: str) -> None:
    with pytest.raises(SemanticError) as refused:
        table(query)
    assert (refused.value.code, str(refused.value)) == (code, message)


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("Events | evaluate autocluster()", "'evaluate'"),
        ("Events | make-series n = count() on TimeGenerated step 1h", "'make-series'"),
        ("search 'x'", "'search'"),
        ("let f = (x: long) { x + 1 }; print f(1)", "functions made by 'let'"),
        ("print ipv4_is_private('10.0.0.1')", "'ipv4_is_private'"),
        ("Events | summarize hll(Code)", "'hll'"),
        ("workspace('other').Events | take 1", "'workspace'"),
        ("set truncationmaxsize = 1; Events", "'set'"),
    ],
)
def test_what_is_missing_is_refused_by_name(query: str, what: str) -> None:
    with pytest.raises(NotSupported) as refused:
        table(query)
    assert what in str(refused.value)
    assert isinstance(refused.value, KqlError)


def test_a_query_that_makes_too_much_or_takes_too_long_is_ended() -> None:
    with pytest.raises(TooLarge) as large:
        table("range a from 1 to 10000000 step 1 | count")
    assert large.value.code == "E_QUERY_RESULT_SET_TOO_LARGE"
    with pytest.raises(TooLarge):
        table("let r = range a from 1 to 1000 step 1 | extend k = 1; r | join kind=inner r on k")
    with pytest.raises(TimeIsUp):
        run("range a from 1 to 400000 step 1 | count", Tables(), NOW, seconds=0.0)


def test_a_query_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(KqlError):
        table("print " + "(" * 5000 + "1" + ")" * 5000)


def test_longs_have_64_bits() -> None:
    assert one("9223372036854775807 + 1") == -9223372036854775808


def test_numbers_that_are_none_can_be_written() -> None:
    assert table("print isnan(real(nan)), real(+inf) > 1e300, real(-inf) < 0").rows == [(True, True, True)]
