from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.edge.line_format import Continuation
from watchkeeper.edge.multiline import GROUP_LINES_MAX, Joiner


def groups(
    lines: list[str], continuation: Continuation = Continuation.STACK, begins=lambda line: False, **options
) -> list[list[str]]:
    joiner = Joiner(continuation, **options)
    found = [group for line in lines if (group := joiner.push(line, begins=begins(line))) is not None]
    last = joiner.flush()
    return [*found, last] if last else found


JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: cart is closed
\tat com.shop.Cart.add(Cart.java:31)
\tat com.shop.Main.main(Main.java:7)
Caused by: java.io.IOException: disk full
\tat java.base/java.io.FileOutputStream.write(FileOutputStream.java:349)
\t... 12 more
Suppressed: java.lang.Exception: also
\tat a.B.c(B.java)"""

PYTHON = """\
Traceback (most recent call last):
  File "/app/cart.py", line 31, in add
    self.items[key] += 1
    ~~~~~~~~~~^^^^^
KeyError: 'apple'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 7, in main
    cart.add(1)
shop.errors.CartError: cannot add"""

GO = """\
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48d2f5]

goroutine 1 [running]:
main.(*Cart).Add(...)
\t/app/cart.go:31
main.main()
\t/app/main.go:7 +0x15
created by main.start
\t/app/main.go:3 +0x25
exit status 2"""

NODE = """\
/app/cart.js:31
    throw new Error('cart is closed');
    ^

Error: cart is closed
    at Cart.add (/app/cart.js:31:11)
    at Object.<anonymous> (/app/main.js:7:6) {
  code: 'ECART'
}

Node.js v20.11.0"""


@pytest.mark.parametrize("trace", [JAVA, PYTHON, GO, NODE], ids=["java", "python", "go", "node"])
def test_a_stack_trace_without_any_header_is_one_record(trace):
    lines = ["server is up", *trace.split("\n"), "next request", "and another"]
    assert groups(lines) == [["server is up"], trace.split("\n"), ["next request"], ["and another"]]


def test_two_tracebacks_in_a_row_are_two_records():
    one = PYTHON.split("\n")[:5]
    assert groups([*one, *one]) == [one, one]


@pytest.mark.parametrize("trace", [JAVA, PYTHON, GO, NODE], ids=["java", "python", "go", "node"])
def test_with_headers_everything_between_two_of_them_is_one_record(trace):
    lines = ["[1] boom", *trace.split("\n"), "[2] next"]
    found = groups(lines, Continuation.HEADER, lambda line: line.startswith("[") and line[1].isdigit())
    assert found == [["[1] boom", *trace.split("\n")], ["[2] next"]]


def test_indented_lines_belong_to_the_line_above():
    assert groups(["config:", "  a: 1", "\tb: 2", "done"]) == [["config:", "  a: 1", "\tb: 2"], ["done"]]


def test_where_indentation_means_nothing_it_joins_nothing():
    assert groups(["  a", "  b"], joins_indented=False) == [["  a"], ["  b"]]


def test_an_empty_line_ends_what_is_no_trace_and_is_kept_within_one():
    assert groups(["a", "", "  b"]) == [["a"], ["  b"]]
    assert groups(["[1]", "x", "", "", "y", ""], Continuation.HEADER, lambda line: line == "[1]") == [
        ["[1]", "x", "", "", "y"]
    ]


def test_a_group_is_bounded_and_nothing_is_dropped():
    lines = ["[1]", *(f"line {number}" for number in range(2500))]
    joiner = Joiner(Continuation.HEADER)
    found = [group for line in lines if (group := joiner.push(line, begins=line == "[1]")) is not None]
    found.append(joiner.flush() or [])
    assert [line for group in found for line in group] == lines
    assert max(map(len, found)) <= GROUP_LINES_MAX
    assert joiner.split == 2


_LINES = st.sampled_from(
    [
        *JAVA.split("\n"),
        *PYTHON.split("\n"),
        *GO.split("\n"),
        *NODE.split("\n"),
        "",
        "plain",
        "  indented",
        "[1] header",
    ]
)


@given(st.lists(_LINES, max_size=40), st.sampled_from(Continuation))
def test_no_line_is_lost_or_moved(lines, continuation):
    found = groups(lines, continuation, lambda line: line.startswith("[1]"))
    assert [line for group in found for line in group if line] == [line for line in lines if line]
    assert all(group[0] and group[-1] for group in found)
