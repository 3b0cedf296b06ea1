"""Quoting: word for word, of what is asked, of what went wrong; silence below the floor."""

import os
import subprocess
import sys

from watchkeeper.diagnose.quotes import PASSAGE_CHARS, QUOTES_MAX, Weights, cut, quotes

LOG = "\n".join(
    [*(f"GET /health 200 in {at} ms" for at in range(30)), "cart: connection refused by redis:6379"]
    + [f"GET /health 200 in {at} ms" for at in range(30, 60)]
)


def test_the_decisive_line_is_quoted_first_and_word_for_word():
    found = quotes("why does the cart fail", [LOG])
    assert "connection refused by redis:6379" in found[0].text
    assert len(found) <= QUOTES_MAX
    assert all(line in LOG for quote in found for line in quote.text.splitlines())


def test_the_source_of_a_quote_is_told():
    [first, *_] = quotes("redis refused", ["nothing here", LOG])
    assert first.source == 1


def test_below_the_floor_nothing_is_quoted():
    assert quotes("why does the cart fail", [LOG], Weights(floor=99.0)) == []
    assert quotes("anything", []) == []


def test_lines_alike_but_for_numbers_are_quoted_once():
    found = quotes("health", ["\n\n".join(f"GET /health 200 in {at} ms" for at in range(9))])
    assert len(found) == 1


def test_passages_are_short_and_lose_nothing():
    text = "\n".join(["a" * 700, "b", "", "c"])
    told = list(cut(text))
    assert all(len(passage) <= PASSAGE_CHARS + 2 for passage in told)
    assert "".join("".join(told).split()) == "".join(text.split())


ASK = """
import sys
from watchkeeper.diagnose.quotes import Passages
words = "disk node pod timeout refused memory queue latency certificate expired gateway replica quota throttle".split()
told = Passages([" ".join(words[at:] + words[:at // 2]) for at in range(len(words))])
sys.stdout.write(told.asked(" ".join(words)).tobytes().hex())
"""


def test_shares_do_not_hang_on_the_order_of_hashes():
    told = {
        subprocess.run(
            [sys.executable, "-c", ASK],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(told) == 1
    assert told != {""}
