"""The category by rules: what each kind of evidence speaks for, and that thin evidence is left unnamed."""

import dataclasses
import math

import numpy as np
import pytest

from watchkeeper.diagnose.base import Category, Cause, Ranking
from watchkeeper.diagnose.category.features import features_of, sequence_features
from watchkeeper.diagnose.category.rules import CAP, EvidenceClassifier, Piece, classify_text, weigh
from watchkeeper.diagnose.window import Aspect, Change, EdgeGap, EventCounts, IncidentWindow, Series

S = 1_000_000_000
NOTHING = Ranking(())
BLANK = IncidentWindow(0, 600 * S, 900 * S, nodes=("service:a", "service:b"))


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ("Container killed: OOMKilled (exit code 137)", Category.MEMORY),
        ("java.lang.OutOfMemoryError: Java heap space", Category.MEMORY),
        ("write /data/wal: no space left on device", Category.DISK),
        ("Evicted: The node had condition: [DiskPressure]", Category.DISK),
        ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus", Category.GPU),
        ("blk_update_request: I/O error, dev sda, sector 12", Category.STORAGE_DEVICE),
        ("Node ip-10-0-0-1 status is now: NodeNotReady", Category.HOST),
        ("dial tcp 10.0.0.4:443: no route to host", Category.NETWORK),
        ("lookup redis on 10.0.0.2:53: no such host", Category.NETWORK),
        ("x509: certificate has expired or is not yet valid", Category.CHANGE),
        ("ImagePullBackOff: manifest unknown", Category.CHANGE),
        ("upstream connect error: 503 service unavailable", Category.DEPENDENCY),
        ("Traceback (most recent call last): KeyError 'price'", Category.APPLICATION),
        ("Unexpected token: JSON parse error, malformed row", Category.DATA),
    ],
)
def test_the_fields_own_words_name_their_category(said, category):
    told = classify_text([said])
    assert told.category is category
    assert not told.abstains
    assert math.isclose(sum(told.probabilities.values()), 1.0)
    assert set(told.probabilities) == set(Category)
    assert told.why


@pytest.mark.parametrize("said", ["", "request served", "user 12 logged in", "42"])
def test_words_that_say_nothing_leave_the_category_unknown(said):
    told = classify_text([said])
    assert told.category is Category.UNKNOWN
    assert told.abstains


def test_an_empty_window_is_left_unnamed():
    told = EvidenceClassifier().classify(BLANK, NOTHING)
    assert told.category is Category.UNKNOWN
    assert told.abstains


def series(aspect, scale=1.0, node="service:a"):
    times = np.arange(0, 900, 10, dtype=np.int64) * S
    values = np.sin(np.arange(90)) * 0.05 + 1.0
    values[60:] += 5.0
    return Series(node, f"{aspect.value}_used", aspect, times, values * scale)


@pytest.mark.parametrize("scale", [1.0, 2.0**20, 2.0**-20])
@pytest.mark.parametrize(
    ("aspect", "category"),
    [(Aspect.CPU, Category.CPU), (Aspect.MEMORY, Category.MEMORY), (Aspect.DISK, Category.DISK)],
)
def test_the_metric_that_deviates_names_the_resource_whatever_its_unit(aspect, category, scale):
    window = dataclasses.replace(BLANK, series=(series(aspect, scale),))
    assert EvidenceClassifier().classify(window, NOTHING).category is category


def test_a_metric_that_stays_says_nothing():
    steady = dataclasses.replace(series(Aspect.CPU), values=np.sin(np.arange(90.0)))
    assert EvidenceClassifier().classify(dataclasses.replace(BLANK, series=(steady,)), NOTHING).abstains


def spans(callers, errors):
    counts = np.full((1, 9), 20)
    return EventCounts(
        "span", ("service:b",), ("GET /",), counts, np.array([errors]), np.arange(9) * 100 * S, 100.0, None, callers
    )


def test_calls_to_a_dependency_that_fail_speak_for_the_dependency():
    window = dataclasses.replace(BLANK, events=(spans(("service:a",), [0] * 6 + [20] * 3),))
    told = EvidenceClassifier().classify(window, NOTHING)
    assert told.category is Category.DEPENDENCY
    own = dataclasses.replace(BLANK, events=(spans((), [0] * 6 + [20] * 3),))
    assert EvidenceClassifier().classify(own, NOTHING).probabilities[Category.APPLICATION] > 0.1
    healthy = dataclasses.replace(BLANK, events=(spans(("service:a",), [0] * 9),))
    assert EvidenceClassifier().classify(healthy, NOTHING).abstains


def test_waiting_between_caller_and_callee_speaks_for_the_network():
    gap = EdgeGap("service:a", "service:b", before_s=0.001, during_s=0.2, calls_before=50, calls_during=50)
    assert EvidenceClassifier().classify(dataclasses.replace(BLANK, gaps=(gap,)), NOTHING).category is Category.NETWORK


@pytest.mark.parametrize(("at_s", "counts"), [(590, True), (650, True), (700, False), (-2_000, False)])
def test_a_change_counts_only_close_to_the_onset(at_s, counts):
    change = Change("c1", "deploy", "service:a", "cart 1.4", at_s * S)
    told = EvidenceClassifier().classify(dataclasses.replace(BLANK, changes=(change,)), NOTHING)
    assert (told.category is Category.CHANGE) is counts


def test_one_source_alone_cannot_add_without_bound():
    pieces = [Piece("texts", Category.DATA, 3.0, str(at)) for at in range(50)]
    alone = weigh(pieces).probabilities
    capped = weigh([Piece("texts", Category.DATA, CAP, "one")]).probabilities
    assert alone[Category.DATA] == pytest.approx(capped[Category.DATA])


def test_the_order_of_evidence_does_not_matter():
    both = (series(Aspect.CPU), series(Aspect.MEMORY, node="service:b"))
    one = EvidenceClassifier().classify(dataclasses.replace(BLANK, series=both), Ranking((Cause("service:b", 1.0),)))
    other = EvidenceClassifier().classify(
        dataclasses.replace(BLANK, series=both[::-1]), Ranking((Cause("service:b", 1.0),))
    )
    assert one.probabilities == pytest.approx(other.probabilities)
    assert one.category is Category.MEMORY


def test_features_are_those_of_the_incident_and_name_no_node():
    lines = EventCounts(
        "log",
        ("service:a", "service:a"),
        ("connection refused to <*>", "served <*>"),
        np.array([[0] * 6 + [9] * 3, [50] * 9]),
        np.zeros((2, 9), np.int64),
        np.arange(9) * 100 * S,
        100.0,
    )
    told = features_of(dataclasses.replace(BLANK, events=(lines,), series=(series(Aspect.CPU),)))
    assert told["template:connection refused to <*>"] == 27.0
    assert "word:refused" in told
    assert "metric:cpu" in told
    assert not any("served" in name or "service:" in name for name in told)
    assert features_of(BLANK) == {}
    assert sequence_features([1, 1, 2]) == {"event:1": 2.0, "event:2": 1.0}
