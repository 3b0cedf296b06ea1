"""The matcher of facts by hand: what the question holds tells nothing, and only the beginning of an answer is read."""

import pytest

from watchkeeper.bench.scores.facts import (
    NEIGHBOURS,
    TEXTS_READ,
    Fact,
    checkable,
    fact,
    pieces,
    recall,
    stems,
    tells,
    token_f1,
    unsupported,
)

QUESTION = "What is wrong with payment-worker?"
MISSING = fact("The answer must mention that the `DEPLOY_ENV` variable of payment-worker is undefined", QUESTION)


def test_words_of_the_question_and_of_judging_do_not_count():
    assert MISSING.words == {"deploy", "env", "variable", "undefin"}
    assert recall(["What is wrong with payment-worker?"], [MISSING]) == 0.0
    assert recall(["Environment variable DEPLOY_ENV is undefined"], [MISSING]) == 1.0


def test_a_fact_is_told_by_neighbours_not_by_far_texts():
    one = fact("certificate of redis expired")
    near = [frozenset(stems(text)) for text in ("the certificate", "of redis", "x", "y", "expired")]
    assert tells(near, one)  # two of three words within NEIGHBOURS texts
    far = [near[0], *[frozenset({"x"})] * NEIGHBOURS, near[4]]
    assert not tells(far, one)


def test_only_the_beginning_of_an_answer_is_read():
    assert recall(["nothing"] * TEXTS_READ + ["DEPLOY_ENV variable undefined"], [MISSING]) == 0.0


def test_recall_is_the_share_of_facts():
    facts = [fact("5 pods"), fact("disk full"), fact("redis timeout"), fact("node lost")]
    assert recall(["5 pods, and the disk is full"], facts) == 0.5


def test_one_plain_word_is_too_little_and_a_number_is_not():
    assert not checkable(Fact("up", frozenset({"up"})))
    assert checkable(fact("There are 7"))


def test_what_is_not_in_the_evidence_is_unsupported():
    evidence = ["cart: connection refused\nby redis:6379"]
    assert unsupported(["connection  refused by redis", "the moon is made of cheese"], evidence) == [False, True]


def test_token_f1_by_hand():
    assert token_f1(["disk full"], "disk full now") == pytest.approx(0.8)
    assert token_f1(["日志分析"], "日志") == pytest.approx(0.5)
    assert token_f1([], "disk") == 0.0


def test_long_lines_are_cut_and_empty_ones_left_out():
    assert [len(piece) for piece in pieces(["x" * 700 + "\n\ny"])] == [300, 300, 100, 1]
