"""Adapters of questioning, report and mitigation: no truth in what is given, no case on both sides of a split."""

import pytest

from watchkeeper.bench.base import Item, Place
from watchkeeper.bench.cases import holmesgpt, opseval
from watchkeeper.bench.cases.holmesgpt import Asked, groups, without
from watchkeeper.bench.data import questions, reports, solutions
from watchkeeper.bench.forms import Query
from watchkeeper.bench.scores.facts import fact, pieces, recall, stems, tells
from watchkeeper.datasets.read import locate
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings

FULL = fact("disk of node-7 is full")


def place(tmp_path, *names):
    folder = Settings().path("data")
    for name in names:
        try:
            locate(name, folder)
        except DataSetError as absent:
            pytest.skip(str(absent))
    return Place(folder, tmp_path)


def splits(module, name, where):
    return list(next(each for each in module.DATA if each.name == name).splits(where))


def test_a_twin_lacks_the_decisive_lines_and_keeps_the_others():
    evidence = ("all well\nnode-7: disk is full\nnode-8 fine", "other text")
    left = without(evidence, [FULL])
    assert left[1] == "other text"
    assert "all well" in left[0]
    assert recall([left[0]], [FULL]) == 0.0


def test_cases_that_share_a_fact_but_for_numbers_are_one_group():
    def asked(name, *facts):
        return Asked(name, "part", "why?", (), tuple(facts), tuple(facts))

    one, other = fact("2025-01-02 certificate of broker expired"), fact("2024-03-04 certificate of broker expired")
    told = groups([asked("a", one), asked("b", FULL), asked("c", other, FULL), asked("d", fact("quota exceeded"))])
    assert told[0] == told[1] == told[2] != told[3]


def test_questions_are_parsed_with_and_without_listed_choices():
    row = {"id": "1", "domain": "d", "question": "Which?\nA. one\nB. two", "answer": "B"}
    told = opseval.question(row)
    assert (told.text, told.choices, told.right) == ("Which?", ("one", "two"), frozenset({1}))
    several = opseval.question({**row, "question": "哪些?", "choices": ["甲", "乙", "丙"], "answer": "A,C"})
    assert (several.right, several.chinese) == (frozenset({0, 2}), True)
    assert opseval.question({**row, "answer": "E"}) is None
    opened = opseval.question({**row, "question": "Why?", "answer": "Because of DNS"})
    assert (opened.choices, opened.answer) == ((), "Because of DNS")


def test_names_are_masked_as_whole_words():
    assert solutions.masked("undo cart, cart-db and cartFailure", frozenset({"cart", "cartFailure"})) == (
        "undo NAME, cart-db and NAME"
    )


@pytest.mark.parametrize(
    ("label", "kind"),
    [("roll back config", "rollback"), ("self-healed", "itself"), ("failover device", "failover"), ("wait", "")],
)
def test_kinds_of_solutions(label, kind):
    assert solutions.mitigation_kind(label) == kind


def test_only_solutions_of_the_past_can_be_found():
    items = [Item(str(at), Query(f"text {at}"), frozenset({str(at)})) for at in range(40)]
    documents = {item.id: f"solution {item.id}" for item in items}
    kinds = {item.id: "even" if int(item.id) % 2 == 0 else "odd" for item in items}
    seen = set()
    for split in solutions.among_past(items, documents, kinds):
        asked = {item.id for item in split.test}
        seen |= asked
        assert split.facts["documents"].keys() == split.facts["kinds"].keys() == {item.id for item in split.train}
        assert not asked & split.facts["documents"].keys()
        assert all(kinds[name] == kinds[item.id] for item in split.test for name in item.truth)
    assert seen == set(documents)


@pytest.mark.data
def test_a_case_its_twin_and_its_kin_are_on_one_side(tmp_path):
    where = place(tmp_path, "holmesgpt_cases")
    cases = holmesgpt.cases(where.data)
    found = list(questions.evidence_folds(cases))
    assert sum(len(split.test) for split in found) == len(cases) >= 36
    told = dict(zip([case.id for case in cases], groups(cases), strict=True))
    for split in found:
        sides = [{told[item.id] for item in part} for part in (split.train, split.test)]
        assert not sides[0] & sides[1]
    for case in cases:
        texts = [[frozenset(stems(line)) for line in pieces([text])] for text in case.evidence]
        told_by_a_text = any(tells(text, one) for text in texts for one in case.kin)
        assert told_by_a_text is bool(case.facts), case.id


@pytest.mark.data
def test_opseval_gives_no_answers_and_keeps_translations_on_one_side(tmp_path):
    where = place(tmp_path, "opseval", "runbooks")
    [english], [chinese] = (splits(questions, name, where) for name in ("opseval_en", "opseval_zh"))
    assert len(english.test) > 400
    assert len(chinese.test) > 600
    for split in (english, chinese):
        assert not {item.id for item in split.train} & {item.id for item in split.test}
        assert all(not isinstance(value, frozenset) for item in split.test for value in item.given)
        assert all(max(item.truth.right) < len(item.given.choices) for item in split.test)


@pytest.mark.data
def test_itbench_names_are_masked_and_its_chains_are_not_given(tmp_path):
    where = place(tmp_path, "itbench_sre")
    found = splits(solutions, "itbench_alerts", where)
    assert sum(len(split.test) for split in found) >= 65
    for split in found:
        text = " ".join([*split.facts["documents"].values(), *(item.given.text for item in split.test)])
        assert "cartFailure" not in text
        assert "paymentFailure" not in text
    [split] = splits(reports, "itbench", where)
    assert len(split.test) == 36
    assert all(not hasattr(item.given, "attributes") and item.truth.hops is not None for item in split.test)
