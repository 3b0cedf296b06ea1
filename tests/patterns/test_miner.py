"""The catalogue around the masks: ids, counts, examples, bounds, state on disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import watchkeeper.patterns.miner as miner_module
from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.patterns.kernel import Kernel, ReferenceKernel, open_kernel
from watchkeeper.patterns.miner import HOUR_NS, TemplateMiner, template_id

LINES = [
    *(f"order {number} paid in {number * 3} ms" for number in range(50)),
    *(f"user=u{number} logged in from 10.0.0.{number}" for number in range(30)),
    *("heartbeat" for _ in range(20)),
]


@pytest.fixture(params=[open_kernel, ReferenceKernel], ids=["machine's kernel", "reference"])
def miner(request: pytest.FixtureRequest) -> TemplateMiner:
    kernel: Kernel = request.param()
    return TemplateMiner(kernel=kernel)


def match(miner: TemplateMiner, lines: list[str | None], start_ns: int = 0) -> list[int]:
    times = pa.array(range(start_ns, start_ns + len(lines)), pa.int64())
    ids: list[int] = miner.match(pa.array(lines, pa.string()), times).to_pylist()
    return ids


def test_ids_are_hashes_of_the_template_text(miner: TemplateMiner) -> None:
    assert match(miner, ["order 7 paid in 5 ms"]) == [template_id("order <*> paid in <*> ms")]
    assert template_id("order <*> paid in <*> ms") == 6774845718630424555


def test_ids_do_not_depend_on_order_or_batches(miner: TemplateMiner) -> None:
    expected = dict(zip(LINES, match(miner, list(LINES)), strict=True))
    shuffled = random.Random(7).sample(LINES, len(LINES))
    other = TemplateMiner()
    found: dict[str, int] = {}
    for start in range(0, len(shuffled), 9):
        part = shuffled[start : start + 9]
        found.update(zip(part, match(other, list(part)), strict=True))
    assert found == expected
    assert [template._replace(examples=(), first_unix_ns=0, last_unix_ns=0) for template in other.templates()] == [
        template._replace(examples=(), first_unix_ns=0, last_unix_ns=0) for template in miner.templates()
    ]


def test_lines_times_and_examples_are_kept(miner: TemplateMiner) -> None:
    match(miner, list(LINES), start_ns=1000)
    first, second, third = miner.templates()
    assert (first.text, first.lines, first.first_unix_ns, first.last_unix_ns) == (
        "order <*> paid in <*> ms",
        50,
        1000,
        1049,
    )
    assert first.examples == tuple(LINES[:5])
    assert (second.lines, third.lines, third.examples) == (30, 20, ("heartbeat",))
    assert miner.get(first.id) == first
    assert len(miner) == 3


def test_empty_batches_nulls_and_empty_lines(miner: TemplateMiner) -> None:
    assert match(miner, []) == []
    assert match(miner, [None, "", " "]) == [template_id("")] * 3


def test_a_template_that_the_record_carries_is_taken_as_it_is(miner: TemplateMiner) -> None:
    bodies = pa.array(["paid 5 EUR", "paid 6 EUR", "paid 7 EUR", "x"])
    given = pa.array(["paid {amount} EUR", None, "paid {amount} EUR", ""])
    ids = miner.match(bodies, pa.array([1, 2, 3, 4]), given=given).to_pylist()
    told, own = template_id("paid {amount} EUR"), template_id("paid <*> EUR")
    assert ids == [told, own, told, template_id("x")]
    known = miner.get(told)
    assert known is not None
    assert (known.lines, known.examples, known.last_unix_ns) == (2, ("paid 5 EUR", "paid 7 EUR"), 3)


def test_counts_by_hour(miner: TemplateMiner) -> None:
    times = pa.array([0, 1, HOUR_NS, 5 * HOUR_NS + 3], pa.int64())
    ids = miner.match(pa.array(["a 1", "a 2", "a 3", "a 4"]), times).to_pylist()
    assert [tuple(hour) for hour in miner.hours(ids[0])] == [(0, 2), (HOUR_NS, 1), (5 * HOUR_NS, 1)]


def test_parameters_stand_in_order(miner: TemplateMiner) -> None:
    assert miner.parameters("took 12 ms for user=ann, [1, 2]") == ["12", "ann", "1, 2"]
    assert miner.parameters("nothing varies") == []


def test_the_least_recently_seen_templates_go_first() -> None:
    miner = TemplateMiner(templates_max=2)
    match(miner, ["first"])
    match(miner, ["second"])
    match(miner, ["first"])
    match(miner, ["third"])
    assert {template.text for template in miner.templates()} == {"first", "third"}
    assert match(miner, ["second"]) == [template_id("second")]


def test_texts_and_examples_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miner_module, "CATALOGUE_CHARACTERS_MAX", 20_000)
    miner = TemplateMiner()
    for number in range(50):
        letter = chr(97 + number % 26) + chr(97 + number // 26)
        match(miner, [f"{letter} " * 400, f"{letter} {number}"])
    assert 0 < sum(len(one.text) + sum(map(len, one.examples)) for one in miner.templates()) <= 20_000
    assert miner.get(template_id(f"{letter} <*>")) is not None


def test_a_frozen_catalogue_takes_no_new_template(miner: TemplateMiner, tmp_path: Path) -> None:
    match(miner, ["known 1"])
    miner.freeze()
    assert match(miner, ["known 2", "other"]) == [template_id("known <*>"), template_id("other")]
    assert (len(miner), miner.lines_unknown, miner.get(template_id("other"))) == (1, 1, None)
    miner.save(tmp_path)
    again = TemplateMiner()
    again.load(tmp_path)
    assert again.frozen
    again.unfreeze()
    match(again, ["other"])
    assert len(again) == 2


def test_state_is_taken_up_again(miner: TemplateMiner, tmp_path: Path) -> None:
    match(miner, list(LINES))
    miner.save(tmp_path)
    again = TemplateMiner()
    again.load(tmp_path)
    assert again.templates() == miner.templates()
    assert again.hours(template_id("heartbeat")) == miner.hours(template_id("heartbeat"))
    assert match(again, list(LINES)) == match(miner, list(LINES))
    assert again.templates() == miner.templates()


def test_an_empty_catalogue_can_be_saved(tmp_path: Path) -> None:
    TemplateMiner().save(tmp_path)
    again = TemplateMiner()
    again.load(tmp_path)
    assert len(again) == 0


def test_damaged_and_newer_state_is_refused(tmp_path: Path) -> None:
    miner = TemplateMiner()
    with pytest.raises(StoreError, match="cannot be read"):
        miner.load(tmp_path)
    miner.save(tmp_path)
    path = tmp_path / "templates.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"watchkeeper.mask_version": b"99"}), path)
    with pytest.raises(NewerFormat, match="newer"):
        miner.load(tmp_path)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(StoreError, match="not a catalogue"):
        miner.load(tmp_path)
    path.write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(StoreError, match="cannot be read"):
        miner.load(tmp_path)


def test_long_examples_are_cut(miner: TemplateMiner) -> None:
    [known] = match(miner, ["word " * 5000])
    template = miner.get(known)
    assert template is not None
    assert len(template.examples[0]) == 2000


def test_the_input_is_not_kept_or_changed(miner: TemplateMiner) -> None:
    bodies = pa.array(["a 1", "b 2"])
    times = np.array([5, 6], np.int64)
    miner.match(bodies, pa.array(times))
    before = miner.templates()
    times[:] = 0
    assert miner.templates() == before
    assert bodies.to_pylist() == ["a 1", "b 2"]
