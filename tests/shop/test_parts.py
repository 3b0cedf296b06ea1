"""The parts of the shop that need no process: model, purchases, visits, readers of log files."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from shop.layout import plan
from shop.model import train_and_judge

from shop import data, edge_logs, load


def test_model_is_much_better_than_best_sellers() -> None:
    _, quality = train_and_judge(data.purchases(7), data.PRODUCTS)
    assert quality.hit_rate > 2 * quality.hit_rate_popular > 0


def test_model_recommends_nothing_that_is_in_the_basket_and_answers_an_empty_one() -> None:
    model, _ = train_and_judge(data.purchases(7), data.PRODUCTS)
    first, second = model.best([[1, 2, 3], []], 10)
    assert not {1, 2, 3} & {sku for sku, _ in first}
    assert [sku for sku, _ in second] == np.argsort(-model.popularity, kind="stable")[:10].tolist()


def test_scores_of_a_batch_are_those_of_its_parts() -> None:
    model, _ = train_and_judge(data.purchases(7), data.PRODUCTS)
    baskets = [[1], [5, 9], [], [100, 3, 7]]
    whole = model.scores(baskets)
    for row, basket in enumerate(baskets):
        np.testing.assert_allclose(whole[row], model.scores([basket])[0], rtol=1e-4, atol=1e-6)


def test_purchases_and_visits_are_the_same_for_the_same_seed() -> None:
    for one, other in zip(data.purchases(3), data.purchases(3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(len(a) != len(b) for a, b in zip(data.purchases(3), data.purchases(4), strict=True))
    assert load.visit(random.Random(5)) == load.visit(random.Random(5))


def test_visits_have_the_length_that_the_rate_counts_on() -> None:
    chance = random.Random(1)
    mean = np.mean([len(load.visit(chance)) for _ in range(4_000)])
    assert abs(mean - load.REQUESTS_A_VISIT) < 0.3


def test_arrivals_keep_the_rate_and_swing_over_the_day() -> None:
    times = np.array(list(itertools.islice(load.arrivals(56.0, 0, random.Random(2)), 5_000)))
    assert abs(5_000 / times[-1] - 10) < 0.6
    day = np.fromiter(itertools.takewhile(lambda t: t < 1_000, load.arrivals(56.0, 100, random.Random(2))), float)
    hour = day % 100
    assert ((hour > 10) & (hour < 40)).sum() > 2 * ((hour > 60) & (hour < 90)).sum()
    assert abs(len(day) / 1_000 - 10) < 0.6


def test_access_line() -> None:
    line = edge_logs.read_access(
        '{"time":"1763700000.123","method":"GET","uri":"/search?q=tea","status":"502","bytes":"310","seconds":"0.034",'
        '"agent":"curl \\"8\\"","trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
    )
    assert (line.time_unix_ns, line.severity) == (1763700000123000000, "error")
    assert line.body == "GET /search 502 310 bytes in 0.034 s"
    assert line.attributes["http.response.status_code"] == 502


def test_lines_of_nginx_errors_and_redis() -> None:
    error = edge_logs.read_nginx_error(
        "2026/11/21 07:30:00 [error] 12#12: *7 connect() failed (111: Connection refused) while connecting to upstream"
    )
    assert (error.severity, error.body[:16]) == ("error", "connect() failed")
    redis = edge_logs.read_redis("812:M 02 Jan 2024 03:04:05.678 # User requested shutdown...")
    assert (redis.severity, redis.body) == ("warn", "User requested shutdown...")
    assert redis.time_unix_ns % 1_000_000_000 == 678_000_000
    assert edge_logs.read_redis("no time").body == "no time"


def test_tail_gives_whole_lines_once_and_follows_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    tail = edge_logs.Tail(file)
    assert list(tail.lines()) == []
    file.write_text("one\ntw")
    assert list(tail.lines()) == ["one"]
    with file.open("a") as more:
        more.write("o\n\nthree\n")
    assert list(tail.lines()) == ["two", "three"]
    file.write_text("new\n")
    assert list(tail.lines()) == ["new"]


def test_tail_empties_a_file_that_grew_large_and_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_logs, "FILE_BYTES_MAX", 1_000)
    file = tmp_path / "log"
    tail = edge_logs.Tail(file)
    written, read = [], []
    with file.open("a") as writer:
        for number in range(500):
            written.append(f"line {number}")
            writer.write(written[-1] + "\n")
            writer.flush()
            if number % 7 == 0:
                read += tail.lines()
            assert file.stat().st_size < 1_200
    read += tail.lines()
    assert read == written


def test_a_taken_port_is_told_and_everything_let_go(tmp_path: Path) -> None:
    layout = plan(tmp_path / "a", otlp="http://127.0.0.1:9", with_nginx=False, with_redis=False)
    taken = layout.ports["frontend"]
    try:
        with pytest.raises(OSError, match=f"port {taken} of 127.0.0.1 is taken"):
            plan(tmp_path / "b", otlp="http://127.0.0.1:9", port_base=taken)
    finally:
        for opened in (*layout.sockets.values(), *layout.reserved):
            opened.close()
