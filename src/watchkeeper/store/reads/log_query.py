"""The search language of logs, from text to a parametrised SQL condition.

    words must all appear    "a phrase"    -excluded    field:value    field:val*    field>5

Enters: what a person typed. Leaves: a Condition whose values are all parameters; nothing typed ever becomes SQL text.
Raises QueryError that shows the place. Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import SEVERITY_NAMES
from watchkeeper.store.reads.base import attribute_pointer

QUERY_CHARACTERS_MAX = 4096
TERMS_MAX = 64

_FIELD = re.compile(r"([^\W\d]|[@$])[\w.\-/@$]*(?=:|>=|<=|>|<)")
_OPERATOR = re.compile(r":|>=|<=|>|<")
_RESERVED = frozenset({"AND", "OR", "NOT"})
_COLUMNS = {
    "service": "service",
    "trace_id": "trace_id",
    "span_id": "span_id",
    "scope": "scope_name",
    "entity": "entity",
    "event": "event_name",
    "sender": "sender",
}
_HEXADECIMAL = frozenset({"trace_id", "span_id"})
_ATTRIBUTE = "coalesce(json_extract_string(attributes, ?), json_extract_string(resource_attributes, ?))"


class Condition(NamedTuple):
    """A SQL condition over the table logs with its `?` parameters, in order."""

    sql: str
    parameters: tuple[Any, ...] = ()


class Term(NamedTuple):
    """One term: text to be found in the line (field ""), or a field, an operator and its value.

    operator: `:` equals, `*` begins with, or one of > < >= <=. `position` is where it begins in the query.
    """

    field: str
    operator: str
    value: str
    excluded: bool
    position: int


EVERYTHING = Condition("TRUE")


def compile_query(query: str) -> Condition:
    """Turn a query into a condition; an empty one is true for every line. Raises QueryError.

    >>> compile_query('refused service:cart').parameters
    ('refused', 'cart')
    >>> compile_query('status>=500').sql[:13]
    'try_cast(coal'
    """
    conditions = [_condition(query, term) for term in parse_query(query)]
    if not conditions:
        return EVERYTHING
    return Condition(
        " AND ".join(condition.sql for condition in conditions),
        tuple(value for condition in conditions for value in condition.parameters),
    )


def parse_query(query: str) -> list[Term]:
    """Take a query apart; raises QueryError that shows where it cannot be read. Cost: linear in its length."""
    if len(query) > QUERY_CHARACTERS_MAX:
        raise QueryError(f"the query has {len(query)} characters; {QUERY_CHARACTERS_MAX} are allowed")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise _error(query, error.start, "this is half of a surrogate pair, not a character") from None
    terms = list(_terms(query))
    if len(terms) > TERMS_MAX:
        raise _error(query, terms[TERMS_MAX].position, f"the query has more than {TERMS_MAX} terms")
    return terms


def _terms(query: str) -> Iterator[Term]:
    at = 0
    while True:
        while at < len(query) and query[at].isspace():
            at += 1
        if at == len(query):
            return
        start = at
        excluded = query[at] == "-"
        at += excluded
        if at == len(query) or query[at].isspace():
            raise _error(query, start, 'a word must follow the minus; to search for a minus, write "-"')
        field = _FIELD.match(query, at)
        if field:
            operator = _OPERATOR.match(query, field.end())
            assert operator is not None
            value, at = _field_value(query, field[0], operator[0], operator.end())
            yield Term(field[0], value[0], value[1], excluded, start)
        else:
            text, quoted, at = _text(query, at)
            if not quoted and text in _RESERVED:
                raise _error(
                    query, at - len(text), f'there is no {text} here: all terms must hold; for the word, write "{text}"'
                )
            yield Term("", ":", text, excluded, start)


def _field_value(query: str, field: str, operator: str, at: int) -> tuple[tuple[str, str], int]:
    if at == len(query) or query[at].isspace():
        raise _error(query, at, f'a value must follow {field}{operator}; for an empty one, write {field}:""')
    start = at
    text, quoted, at = _text(query, at)
    if operator == ":":
        if not quoted and text.endswith("*"):
            return ("*", text[:-1]), at
        return (":", text), at
    if field != "severity" and _number(text) is None:
        raise _error(query, start, f'{text[:40]!r} is not a number; to search for the text, put it all in "quotes"')
    return (operator, text), at


def _text(query: str, at: int) -> tuple[str, bool, int]:
    """Read a word or a phrase from `at`; gives it, whether it was quoted, and where it ends."""
    if query[at] == '"':
        return _phrase(query, at)
    end = at
    while end < len(query) and not query[end].isspace():
        if query[end] == '"':
            raise _error(query, end, 'a quote within a word; put the whole in quotes and write \\" for this one')
        end += 1
    return query[at:end], False, end


def _phrase(query: str, start: int) -> tuple[str, bool, int]:
    text: list[str] = []
    at = start + 1
    while at < len(query):
        character = query[at]
        if character == "\\" and at + 1 < len(query) and query[at + 1] in '"\\':
            text.append(query[at + 1])
            at += 2
        elif character == '"':
            if at + 1 < len(query) and not query[at + 1].isspace():
                raise _error(query, at + 1, "a space must follow the closing quote")
            if not text and (start == 0 or query[start - 1].isspace() or query[start - 1] == "-"):
                raise _error(query, start, "there is nothing between the quotes")
            return "".join(text), True, at + 1
        else:
            text.append(character)
            at += 1
    raise _error(query, start, "this quote is not closed")


def _condition(query: str, term: Term) -> Condition:
    if not term.field:
        found = Condition("contains(lower(body), lower(?))", (term.value,))
    elif term.field == "severity":
        found = _severity(query, term)
    elif term.field == "template":
        found = _template(query, term)
    elif term.field in _COLUMNS:
        found = _column(query, term)
    else:
        found = _attribute(term)
    if term.excluded:
        return Condition(f"NOT coalesce({found.sql}, FALSE)", found.parameters)
    return found


def _severity(query: str, term: Term) -> Condition:
    name = term.value.lower()
    if term.operator == "*":
        numbers = [level for level, known in enumerate(SEVERITY_NAMES) if known.startswith(name)]
        if not numbers:
            raise _error(query, term.position, f"no severity begins with {term.value!r}; {_SEVERITIES}")
        return Condition(f"(severity_number + 3) // 4 IN ({', '.join('?' * len(numbers))})", tuple(numbers))
    if name in SEVERITY_NAMES:
        level = SEVERITY_NAMES.index(name)
        low, high = (0, 0) if level == 0 else (4 * level - 3, 4 * level)
    else:
        number = _number(term.value)
        if number is None:
            raise _error(query, term.position, f"there is no severity {term.value!r}; {_SEVERITIES}")
        if term.operator == ":":
            return Condition("severity_number = ?", (number,))
        return Condition(f"severity_number {_COMPARISONS[term.operator]} ?", (number,))
    if term.operator == ":":
        return Condition("severity_number BETWEEN ? AND ?", (low, high))
    bound = high if term.operator in (">", "<=") else low
    return Condition(f"severity_number {_COMPARISONS[term.operator]} ?", (bound,))


def _template(query: str, term: Term) -> Condition:
    try:
        number = int(term.value) if term.operator == ":" and term.value.isascii() else None
    except ValueError:
        number = None
    if number is None or not -(2**63) <= number < 2**63:
        raise _error(
            query, term.position, "a template is found by its id, as in template:-4182376235; see the patterns"
        )
    return Condition("template_id = ?", (number,))


def _column(query: str, term: Term) -> Condition:
    column = _COLUMNS[term.field]
    value = term.value.lower() if term.field in _HEXADECIMAL else term.value
    if term.operator == ":":
        return Condition(f"{column} = ?", (value,))
    if term.operator == "*":
        return Condition(f"starts_with({column}, ?)", (value,)) if value else Condition(f"{column} <> ''")
    raise _error(query, term.position, f"{term.field} is text and cannot be compared by size; use {term.field}:value")


def _attribute(term: Term) -> Condition:
    pointer = attribute_pointer(term.field)
    if term.operator == ":":
        return Condition(f"{_ATTRIBUTE} = ?", (pointer, pointer, term.value))
    if term.operator == "*":
        return Condition(f"starts_with({_ATTRIBUTE}, ?)", (pointer, pointer, term.value))
    return Condition(
        f"try_cast({_ATTRIBUTE} AS DOUBLE) {_COMPARISONS[term.operator]} ?", (pointer, pointer, _number(term.value))
    )


_COMPARISONS = {">": ">", "<": "<", ">=": ">=", "<=": "<="}
_SEVERITIES = f"there are {', '.join(SEVERITY_NAMES)} and the numbers 0 to 24"
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _error(query: str, position: int, what: str) -> QueryError:
    """Make the error that shows the place: the line of the query, and a caret below it."""
    start = max(0, position - 60)
    shown = "".join(" " if character.isspace() else character for character in query[start : position + 60])
    return QueryError(f"{what}\n  {shown}\n  {' ' * (position - start)}^", position=position)
