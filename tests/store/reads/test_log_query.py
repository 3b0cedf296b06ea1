from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.errors import QueryError
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.log_query import QUERY_CHARACTERS_MAX, compile_query, parse_query
from watchkeeper.store.reads.logs import LogFilter, search_logs


def found(tables, query):
    page = search_logs(tables, LogFilter(query=query), TimeRange(0, tables.now), limit=100)
    return sorted(item["body"] for item in page.items)


@pytest.fixture
def shop(tables):
    at = tables.now - 60 * tables.second
    tables.logs(
        {
            "time_unix_ns": at,
            "body": "payment Refused by bank",
            "service": "payment",
            "severity_number": 17,
            "template_id": 11,
            "trace_id": "ab" * 16,
            "attributes": {"http.status": 502, "user": "ann", "a/b": "x"},
        },
        {
            "time_unix_ns": at + 1,
            "body": "cart ready 100%",
            "service": "cart",
            "severity_number": 9,
            "template_id": -12,
            "scope_name": "cart.api",
            "attributes": {"http.status": 200, "user": "annette", "empty": "", "ratio": 0.5},
        },
        {
            "time_unix_ns": at + 2,
            "body": 'cart said: "it\'s a_b" \\ done',
            "service": "cart",
            "severity_number": 13,
            "resource_attributes": {"host.name": "n1"},
            "attributes": {"flag": True, "$$odd": "v", "big": 9007199254740993},
        },
        {"time_unix_ns": at + 3, "body": "straße ÄRGER", "service": "", "severity_number": 0},
    )
    return tables


@pytest.mark.parametrize(
    ("query", "bodies"),
    [
        ("", ["cart", "cart", "payment", "straße"]),
        ("refused", ["payment"]),
        ("BANK payment", ["payment"]),
        ('"refused by"', ["payment"]),
        ('"by refused"', []),
        ("cart -ready", ["cart said"]),
        ('-cart -"straße är"', ["payment"]),
        ("100%", ["cart ready"]),
        ("a%b", []),
        ("a_b", ["cart said"]),
        ("it's", ["cart said"]),
        (r'"\"it\'s"', []),
        (r'"said: \"it"', ["cart said"]),
        ("ärger", ["straße"]),
        ("service:cart", ["cart ready", "cart said"]),
        ("service:car*", ["cart ready", "cart said"]),
        ("-service:cart", ["payment", "straße"]),
        ('service:""', ["straße"]),
        ("severity:error", ["payment"]),
        ("severity:WARN", ["cart said"]),
        ("severity:9", ["cart ready"]),
        ("severity>=warn", ["cart said", "payment"]),
        ("severity>info", ["cart said", "payment"]),
        ("severity<info", ["straße"]),
        ("severity<=info", ["cart ready", "straße"]),
        ("severity>12", ["cart said", "payment"]),
        ("severity:unspecified", ["straße"]),
        ("severity:e*", ["payment"]),
        ("trace_id:" + "AB" * 16, ["payment"]),
        ("template:-12", ["cart ready"]),
        ("scope:cart.*", ["cart ready"]),
        ("user:ann", ["payment"]),
        ("user:ann*", ["cart ready", "payment"]),
        ("http.status>=500", ["payment"]),
        ("http.status<500", ["cart ready"]),
        ("http.status:502", ["payment"]),
        ("ratio>0.4 ratio<=5e-1", ["cart ready"]),
        ("user>5 ", []),
        ("host.name:n1", ["cart said"]),
        ("host.name:*", ["cart said"]),
        ('empty:""', ["cart ready"]),
        ("flag:true", ["cart said"]),
        ("$odd:v", ["cart said"]),
        ("a/b:x", ["payment"]),
        ("big:9007199254740993", ["cart said"]),
        ("-user:ann*", ["cart said", "straße"]),
    ],
)
def test_finds_what_it_says(shop, query, bodies):
    lines = found(shop, query)
    assert len(lines) == len(bodies)
    assert all(line.startswith(body) for line, body in zip(lines, sorted(bodies), strict=True))


@pytest.mark.parametrize(
    ("query", "column", "says"),
    [
        ('ready "never closed', 6, "not closed"),
        ("ready - cart", 6, "minus"),
        ("-", 0, "minus"),
        ("service:", 8, "a value must follow"),
        ("a AND b", 2, "no AND here"),
        ("http.status>many", 12, "not a number"),
        ("severity:loud", 0, "no severity"),
        ("severity:z*", 0, "no severity begins"),
        ("template:abc", 0, "its id"),
        ("template:99999999999999999999", 0, "its id"),
        ("service>5", 0, "compared"),
        ('foo="bar"', 4, "quote within a word"),
        ('"a"b', 3, "space must follow"),
        ('""', 0, "nothing between"),
        ("x " * 70, 128, "more than 64"),
        ("\ud800", 0, "surrogate"),
    ],
)
def test_an_error_shows_the_place(query, column, says):
    with pytest.raises(QueryError, match=says) as caught:
        compile_query(query)
    message, shown, caret = str(caught.value).split("\n")
    assert message
    assert len(caret) - 3 == min(column, 60)
    assert len(shown) >= len(caret) - 1


def test_an_endless_query_is_refused():
    with pytest.raises(QueryError, match="characters"):
        compile_query("x" * (QUERY_CHARACTERS_MAX + 1))


@given(st.text(max_size=60))
def test_no_text_brings_the_parser_down(text):
    try:
        condition = compile_query(text)
    except QueryError:
        return
    assert condition.sql.count("?") == len(condition.parameters)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab \"'-:;>=<*()%_\\.$/1?\0\n,"), max_size=30))
def test_whatever_compiles_also_runs(text):
    tables = _shared()
    try:
        condition = compile_query(text)
    except QueryError:
        return
    tables.execute(f"SELECT count(*) FROM logs WHERE {condition.sql}", list(condition.parameters)).fetchall()


@pytest.mark.parametrize(
    "attack",
    [
        "'; DROP TABLE logs; --",
        "x') OR 1=1 --",
        "service:x'/**/OR/**/'1'='1",
        "a');DELETE/**/FROM/**/logs;--:1",
        "severity:1/**/OR/**/1=1",
        "$.x'):y",
        "user:$service",
    ],
)
def test_injection_is_data(shop, attack):
    with contextlib.suppress(QueryError):
        assert found(shop, attack) == []
    assert len(found(shop, "")) == 4


def test_terms_are_told_apart():
    assert [
        (term.field, term.operator, term.value, term.excluded) for term in parse_query('12:30 -a:b c>5 "d:e" <html>')
    ] == [
        ("", ":", "12:30", False),
        ("a", ":", "b", True),
        ("c", ">", "5", False),
        ("", ":", "d:e", False),
        ("", ":", "<html>", False),
    ]


_CONNECTION = []


def _shared():
    """One connection for all examples of a property: Hypothesis runs too many for one each."""
    if not _CONNECTION:
        import duckdb

        from watchkeeper.signals.schema import LOGS

        connection = duckdb.connect(":memory:", config={"threads": 1})
        connection.register("empty", LOGS.empty_table())
        connection.execute("CREATE TABLE logs AS FROM empty")
        connection.execute("INSERT INTO logs (body, attributes, severity_number) VALUES ('a b', '{\"a\": 1}', 9)")
        _CONNECTION.append(connection)
    return _CONNECTION[0]
