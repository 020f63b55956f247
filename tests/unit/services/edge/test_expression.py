"""Expressions: what they give, what is refused at load and where, what a failure decides."""

from __future__ import annotations

import pytest

from quantum.errors import ConfigError, HttpError
from quantum.testing.routing import compile_routes, make_request
from services.edge.expression.http import compile_expression
from services.edge.expression.syntax import ExpressionError
from services.edge.expression.values import EvaluationError
from services.edge.manifest import MANIFEST

VALUES = {
    "method": "GET",
    "n": 5,
    "d": 1.5,
    "list": ["a", 1],
    "map": {"k": "v"},
    "none": None,
    "yes": True,
}


def ask(text):
    run = compile_expression(
        text,
        lambda key: lambda request: VALUES.get(key.removeprefix("v.")),
        lambda node, given: None,
    )
    return run(make_request())


TRUE = [
    "{v.method} == 'GET' && {v.n} == 5", "{v.n} == 5.0", "{v.none} == null", "{v.absent} != ''", "!({v.n} == '5')",
    "1 + 2 * 3 == 7", "(1 + 2) * 3 == 9", "-7 / 2 == -3", "-7 % 3 == -1", "2.0 / 0.0 > 1.0", "-9223372036854775808 < 0",
    "0x1F == 31", "1u + 2u == 3u", "7u / 2u == 3u", "'a' + 'b' == 'ab'", "b'a' + b'b' == b'ab'", "[1] + [2] == [1, 2]",
    "'\\u00e9' == 'é'", r"r'\d' == '\\d'", "'''a\n\"b''' == 'a\\n\"b'", "b'\\xff' == b'\\377'", "// a comment\n true",
    "true ? true : false", "{v.yes} ? 'a' == 'a' : false", "{v.n} > 4", "{v.d} > 1", "{v.n} in [4, 5]", "'k' in {v.map}",
    "{v.method} in ['POST', 'GET']", "!({v.n} in ['5'])", "{v.list}[1] == 1", "{v.map}.k == 'v'", "{v.map}['k'] == 'v'",
    "has({v.map}.k) && !has({v.map}.x)", "size({v.list}) == 2 && {v.method}.size() == 3", "{'a': 1}.a == 1", "{1: 'x'}[1] == 'x'",
    "[1, 2, 3].exists(x, x > 2)", "[1, 2].all(x, x > 0)", "[1, 2, 2].exists_one(x, x == 1)", "[1, 2].map(x, x * 2) == [2, 4]",
    "[1, 2, 3].filter(x, x > 1) == [2, 3]", "[1, 2, 3].map(x, x > 1, x * 10) == [20, 30]",
    "[[1], [2, 3]].exists(x, x.exists(y, y == 3) && size(x) == 2)", "[1].all(x, [2].all(y, x + y == 3) && x == 1)",
    "{'a': 1}.all(k, k == 'a')", "cel.bind(x, 2, x * x == 4)", "dyn(1) == 1 && dyn('a') != 1", "type(1) == int && type('a') == string",
    "int('42') == 42 && int(2.9) == 2 && string(7) == '7' && double('1.5') == 1.5 && bool('true') && uint(3) == 3u",
    "string(1.0) == '1' && string(true) == 'true' && bytes('é') == b'\\xc3\\xa9' && string(b'a') == 'a'",
    "'Hello'.startsWith('He') && 'Hello'.endsWith('lo') && 'Hello'.contains('ell') && 'Hello'.matches('^H.*o$')",
    "'a-b-c'.split('-') == ['a', 'b', 'c'] && ['a', 'b'].join('/') == 'a/b' && 'abc'.substring(1) == 'bc'",
    "'a-b-c'.split('-', 2) == ['a', 'b-c'] && 'aaa'.replace('a', 'b', 2) == 'bba' && 'abc'.charAt(1) == 'b'",
    "'ABC'.lowerAscii() == 'abc' && ' x '.trim() == 'x' && 'abcb'.lastIndexOf('b') == 3 && 'abc'.indexOf('z') == -1",
    "'%s is %d and %.2f'.format(['a', 2, 1.5]) == 'a is 2 and 1.50'", "strings.quote('a\"b') == '\"a\\\\\"b\"'",
    "lists.range(3) == [0, 1, 2] && [3, 1, 2].sort() == [1, 2, 3] && [1, 1].distinct() == [1] && [1, 2, 3].slice(0, 2) == [1, 2]",
    "math.greatest(1, 3, 2) == 3 && math.least([2.0, 1.0]) == 1.0 && math.abs(-1) == 1 && math.ceil(1.2) == 2.0 && math.round(2.5) == 3.0",
    "math.bitAnd(6, 3) == 2 && math.bitShiftLeft(1, 4) == 16 && math.sign(-3) == -1 && math.isNaN(0.0 / 0.0)",
    "duration('1h') > duration('59m') && duration('90m').getHours() == 1",
    "timestamp('2026-11-26T12:00:00Z').getFullYear() == 2026 && timestamp('2026-11-26T12:00:00Z').getDayOfWeek() == 4",
    "timestamp('2026-01-01T00:00:00Z') + duration('24h') == timestamp('2026-01-02T00:00:00Z')",
    "timestamp('2026-01-01T00:30:00Z').getHours('Europe/Berlin') == 1",
    "{v.none}.startsWith('a') || true", "true || {v.none}.startsWith('a')", "!({v.n}.startsWith('a') && false)",
    "[1, 2].exists(x, x == 2 || {v.none} > 1)", "ph(req, 'v.method') == 'GET'",
]  # fmt: skip

REFUSED = [
    ("1 == 'a'", 3), ("{v.method}", 1), ("'abc'", 1), ("foo == 1", 1), ("true && 1", 9), ("true ||", 8), ("'a'.contains(1)", 5),
    ("foo('a')", 1), ("'a'.foo()", 5), ("1 + 1.0 == 2.0", 3), ("true == null", 6), ("[1] < [2]", 5), ("'abc'[0] == 'a'", 6),
    ("int('x') == 1", 1), ("9223372036854775807 + 1 > 0", 21), ("1 / 0 == 1", 3), ("'a'.matches('(')", 5), ("'a", 1), ("(true", 6),
    ("true true", 6), ("{'a': }", 7), ("#", 1), ("'\\q' == 'a'", 1), ("99999999999999999999 > 1", 1), ("true ? 1 : 'a'", 6),
    ("has(1)", 1), ("[1].exists(1, true)", 12), ("1.exists(x, true)", 3), ("!1", 2), ("if", 1), ("1 in 2", 3), ("tls()", 1),
    ("path(1)", 6), ("path()", 1), ("header('a')", 8), ("header({'a': 1})", 14), ("method({v.method})", 8), ("path_regexp('a', 'b', 'c')", 1),
    ("(" * 60 + "true" + ")" * 60, 51), ("1" + " + 1" * 2000 + " == 2", 1), ("ph(1, 'x') == 1", 1), ("{[1]: 1} == {}", 2),
]  # fmt: skip


@pytest.mark.parametrize("text", TRUE)
def test_an_expression_is_true(text):
    assert ask(text) is True


@pytest.mark.parametrize(("text", "column"), REFUSED)
def test_what_can_never_be_evaluated_is_refused_with_its_column(text, column):
    with pytest.raises(ExpressionError) as caught:
        ask(text)
    assert caught.value.column == column, str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["{v.none}.startsWith('a')", "{v.method} < 1", "{v.map}.x == 1", "{v.list}[7] == 1", "!{v.method}", "{v.n} + 'a' == ''",
     "{v.n} && true", "false || {v.n}", "int({v.method}) == 1", "{v.n} / ({v.n} - 5) == 1", "'a'.matches({v.method} + '(')"],
)  # fmt: skip
def test_what_has_no_value_for_a_request_is_an_error_then(text):
    with pytest.raises(EvaluationError):
        ask(text)


def chain(expression):
    return compile_routes(
        MANIFEST.modules,
        [
            {
                "match": [{"expression": expression}],
                "handle": [{"handler": "static_response", "body": "yes {http.regexp.api.1}"}],
                "terminal": True,
            }
        ],
    )


async def test_matchers_are_functions_and_their_groups_have_the_name_of_the_expression():
    handle = chain({"expr": "path_regexp('^/v(\\\\d+)') && host('example.com')", "name": "api"})
    assert (await handle(make_request("GET", "/v7/x"))).body == b"yes 7"
    assert (await handle(make_request("GET", "/x"))).body == b""


async def test_an_argument_may_be_joined_of_texts_and_placeholders():
    handle = chain("path('/' + {http.request.header.x-user} + '/*')")
    assert (
        await handle(make_request("GET", "/ann/file", ("X-User", "ann")))
    ).body == b"yes {http.regexp.api.1}"
    assert (await handle(make_request("GET", "/ann/file", ("X-User", "bob")))).body == b""


async def test_an_expression_without_a_value_fails_the_request_as_an_error():
    with pytest.raises(HttpError) as caught:
        await chain("{http.vars.none} > 1")(make_request())
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("1 == 'a'", "column 3: no overload"),
        ("remote_ip('x')", "column 1: remote_ip(): 'x' does not appear"),
        ("path_regexp('(')", "column 1: path_regexp(): not a regular expression"),
        ({"expr": "true", "nam": "x"}, "unknown field 'nam'"),
    ],
)
def test_an_error_names_the_json_path_and_the_column(expression, told):
    with pytest.raises(ConfigError) as caught:
        chain(expression)
    assert "routes[0].match[0].expression" in caught.value.path
    assert told in str(caught.value)
