"""The volumes against a direct, slow reading of their definition."""

import time

import numpy as np
import pytest

from watchkeeper.bench.scores.vus import BUFFER_STEPS, auc_pr, buffer_length, ranges, vus


def direct(score, label, buffer_steps):
    """The definition step by step: for each w the soft labels, for each distinct score one point of both curves."""
    total = len(score)
    begins, ends = ranges(label)
    precision_volumes, roc_volumes = [], []
    for w in range(buffer_steps + 1):
        soft = np.array(label, float)
        for begin, end in zip(begins, ends, strict=True):
            for distance in range(1, w // 2 + 1):
                for step in (begin - distance, end + distance):
                    if 0 <= step < total:
                        soft[step] += np.sqrt(1 - distance / w)
        soft = np.minimum(soft, 1)
        merged = []
        for begin, end in zip(begins, ends, strict=True):
            low, high = max(begin - w // 2, 0), min(end + w // 2, total - 1)
            if merged and begin - w // 2 <= merged[-1][1]:
                merged[-1][1] = high
            else:
                merged.append([low, high])
        points = [(0.0, 0.0)]
        area = 0.0
        for threshold in sorted(set(score), reverse=True):
            taken = score >= threshold
            hits = float(soft[taken].sum())
            positives = (sum(label) + float(np.where(label, 1.0, soft * taken).sum())) / 2
            existing = np.mean([taken[low : high + 1].any() for low, high in merged])
            recall = min(hits / positives, 1.0) * existing
            area += (recall - points[-1][1]) * hits / taken.sum()
            points.append(((taken.sum() - hits) / (total - positives), recall))
        points.append((1.0, 1.0))
        rate, recall = np.array(points).T
        precision_volumes.append(area)
        roc_volumes.append(float(np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2)))
    return np.mean(precision_volumes), np.mean(roc_volumes)


def labelled(seed, steps=300, share=0.06):
    random = np.random.default_rng(seed)
    label = np.zeros(steps, int)
    for begin in random.integers(0, steps, 1 + seed % 7):
        label[begin : begin + random.integers(1, max(2, int(steps * share)))] = 1
    score = random.random(steps) + label * random.random()
    return (np.round(score, 1) if seed % 2 else score), label


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("buffer_steps", [0, 1, 8, 31])
def test_vus_is_its_definition(seed, buffer_steps):
    score, label = labelled(seed)
    assert vus(score, label, buffer_steps) == pytest.approx(direct(score, label, buffer_steps), abs=1e-9)


def test_vus_depends_on_the_order_of_scores_alone():
    score, label = labelled(3)
    assert vus(np.exp(5 * score), label) == pytest.approx(vus(score, label))


def test_vus_ranges_at_both_ends():
    label = np.zeros(60, int)
    label[:3] = label[-4:] = 1
    score = np.random.default_rng(1).random(60)
    assert vus(score, label, 20) == pytest.approx(direct(score, label, 20))


def test_a_perfect_score_is_near_one_and_a_constant_one_near_the_share():
    label = np.zeros(4000, int)
    label[1000:1100] = 1
    assert vus(label, label, 0) == pytest.approx((1.0, 1.0))
    assert vus(np.zeros(4000), label, 0).pr == pytest.approx(0.025)
    assert vus(label, label, 40).pr > 0.8


def test_auc_pr_is_average_precision():
    score, label = np.array([4, 3, 3, 2, 1.0]), np.array([1, 0, 1, 0, 1])
    assert auc_pr(score, label) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_24000_steps_take_a_small_part_of_the_direct_time():
    random = np.random.default_rng(0)
    label = np.zeros(24_000, int)
    for begin in random.integers(0, 23_000, 12):
        label[begin : begin + 100] = 1
    score = random.random(24_000)
    begun = time.process_time()
    vus(score, label, BUFFER_STEPS)
    fast_s = time.process_time() - begun
    small, flags = labelled(2, steps=400)
    begun = time.process_time()
    direct(small, flags, 10)
    slow_s = (time.process_time() - begun) / (400**2 * 11) * (24_000**2 * 126)
    assert fast_s * 1000 < slow_s


@pytest.mark.parametrize(
    ("score", "label"), [([1.0], [0, 1]), ([np.nan, 1], [0, 1]), ([1.0, 2], [0, 0]), ([1.0, 2], [1, 1])]
)
def test_what_has_no_volume_is_refused(score, label):
    with pytest.raises(ValueError, match=r"must|finite"):
        vus(score, label)


def test_buffer_length_is_the_period_or_125():
    steps = np.arange(3000)
    assert buffer_length(np.sin(2 * np.pi * steps / 40)) == 40
    assert buffer_length(np.zeros(3000)) == 125
    assert buffer_length(np.sin(2 * np.pi * steps / 350)) == 125
