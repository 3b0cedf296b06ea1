"""Counting distinct masked lines: masks as specified, weights, bounds, files; and the words that keep a line out."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.learn.line_counts import ENTRY_BYTES, LineCounts, has_failure_words
from watchkeeper.learn.line_tokens import TOKENS_MAX, form_of, masked, words


@pytest.mark.parametrize(
    ("kind", "line", "right"),
    [
        ("escape codes", "\x1b[31;1mERROR\x1b[0m done", "ERROR done"),
        ("escape codes", "\x1b]0;title\x07prompt", "prompt"),
        ("URL", "GET https://a.b:8080/c?d=1#e ok", "GET <url> ok"),
        ("URL", 'from "s3://bucket/key"', 'from " <url> "'),
        ("date", "2024-01-02T03:04:05.123Z up", "<date> up"),
        ("date", "2024-01-02 03:04:05,123 +0100 up", "<date> up"),
        ("date", "2024/01/02 03:04:05 up", "<date> up"),
        ("date", "Jan  2 03:04:05 host up", "<date> host up"),
        ("date", "[02/Jan/2024:03:04:05 +0000] up", "[ <date> ] up"),
        ("date", "Tue, 02 Jan 2024 15:04:05 GMT up", "<date> up"),
        ("date", "at 23:59:59.120 up", "at <date> up"),
        ("date", "2005-06-03-15.42.50.675872 up", "<date> up"),
        ("go file:line", "server.go:1081] started", "<code> ] started"),
        ("go file:line", "/go/src/k8s.io/api/main.go:17 +0x1d", "<code> + <word_with_digit>"),
        ("e-mail", "mail to jo.doe+x@mail.example.org sent", "mail to <mail> sent"),
        ("IP", "10.0.0.1:8080 and 192.168.0.0/16", "<ip> and <ip>"),
        ("IP", "fe80::1, 2001:db8:0:0:8a2e:0:370:7334", "<ip> , <ip>"),
        ("IP", "std::vector and a::b stay", "std::vector and a::b stay"),
        ("duration", "took 12.5ms, 1h2m3.5s, 7s and 12µs", "took <duration> , <duration> , <duration> and <duration>"),
        ("path", "open /var/log/x.log and C:\\Temp\\a.txt", "open <path> and <path>"),
        ("path", "either/or stays", "either/or stays"),
        ("token with digit", "blk_12 on node7 at 0x7f", "<word_with_digit> on <word_with_digit> at <word_with_digit>"),
        ("number", "-5 of 3.14 and +7, 12%", "<number> of <number> and <number> , <number> %"),
        ("empty set or list", "got [] and {} and [ ]", "got <empty> and <empty> and <empty>"),
        ("place of a template", "took <*> ms", "took <any> ms"),
    ],
)
def test_what_varies_is_masked(kind, line, right):
    assert masked(line) == right


def test_lines_of_a_template_have_one_form_with_the_kinds_of_their_values():
    assert form_of("Received block blk_-16 of size 9 from /10.250.10.6") == (
        "Received block <word_with_digit> of size <number> from <ip>"
    )
    assert form_of("session for user=ann ended") == form_of("session for user=bob ended")
    assert len(words(form_of("word " * 200))) == TOKENS_MAX


@given(st.text(max_size=300))
def test_any_text_is_masked(text):
    assert "\n" not in form_of(text)
    assert len(words(form_of(text))) <= TOKENS_MAX


@pytest.mark.parametrize("part", ["0", "a1", "a.a.", "a@", ":", "1:", "/a", "1s", "a-", "1.1.", "\x1b[", "://", "f::"])
def test_hostile_lines_cost_little(part):
    begun_s = time.process_time()
    masked(part * (200_000 // len(part)))
    assert time.process_time() - begun_s < 0.5


@pytest.mark.parametrize(
    "word",
    ["error", "fail", "fatal", "exception", "timeout", "unavailable", "crash", "connection refused", "network error",
     "deadlock", "out of disk", "high load"],
)  # fmt: skip
def test_lines_with_failure_words_are_told(word):
    told = has_failure_words([f"it was {word.upper()}ed", f"my {word}", "all is well"])
    assert told.tolist() == [True, True, False]


def test_lines_are_counted_by_form_and_weigh_the_root_of_their_count():
    counts = LineCounts()
    counts.add(["took 1 s", "took 2 s", "closed"], [3, 6, 4])
    counts.add(pa.chunked_array([["took 3 s", None], ["closed"]]))
    assert dict(zip(counts.lines(), counts.counts().tolist(), strict=True)) == {
        "took <number> s": 10,
        "closed": 5,
        "": 1,
    }
    assert np.array_equal(counts.weights(), np.sqrt(counts.counts()))
    assert counts.told() == (16, 3, 0, 0)


def test_the_order_of_batches_changes_nothing():
    lines = [f"{word} took {at} s" for at in range(20) for word in ("read", "write", "sync")]
    whole, parts = LineCounts(), LineCounts()
    whole.add(lines)
    for line in reversed(lines):
        parts.add([line])
    assert whole.fingerprint() == parts.fingerprint()
    assert whole.split()[1].fingerprint() == parts.split()[1].fingerprint()


def name(at):
    """Give a word without digits for each number."""
    return "".join(chr(ord("a") + (at // 26**place) % 26) for place in range(4))


def test_memory_is_bounded_the_frequent_stay_and_the_rare_are_sampled():
    counts = LineCounts(distinct_max=400)
    for begin in range(0, 4_000, 100):
        rare = [f"met {name(at)} once" for at in range(begin, begin + 100)]
        counts.add_forms([*rare, "usual one", "usual two"], [1] * 100 + [50, 70])
        assert len(counts) <= 400
    told = counts.told()
    assert "usual one" in counts
    assert "usual two" in counts
    assert told.lines == 4_000 + 40 * 120
    assert told.dropped_distinct == 4_000 + 2 - told.distinct
    assert told.lines == int(counts.counts().sum()) + told.dropped_lines
    half = sum(line < f"met {name(2_000)}" for line in counts.lines() if line.startswith("met"))
    assert half > 0.25 * told.distinct


def test_the_bytes_are_bounded_too():
    counts = LineCounts(bytes_max=100 * (ENTRY_BYTES + 500))
    counts.add_forms([f"{name(at)} {'x' * 500}" for at in range(1_000)], [1] * 1_000)
    assert 50 < len(counts) < 100


def test_counts_come_back_from_their_file(tmp_path):
    counts = LineCounts(distinct_max=50)
    counts.add_forms([name(at) for at in range(100)], range(1, 101))
    counts.save(tmp_path)
    again = LineCounts.load(tmp_path)
    assert again.fingerprint() == counts.fingerprint()
    assert again.told() == counts.told()
    LineCounts().save(tmp_path)
    assert len(LineCounts.load(tmp_path)) == 0
