"""A task's data set, models and an enhancement in one file: what a user adds, and what the tests measure."""

from __future__ import annotations

import os

import numpy as np

from watchkeeper.bench.base import DataSpec, Enhancement, Item, ModelSpec, Split


def splits(place):
    random = np.random.default_rng(5)
    train = random.normal(size=(200, 2))
    test = random.normal(size=(100, 2))
    true = np.arange(100) % 10 == 0
    test[true] += 6.0
    facts = {"clean": True, "budget": 0.02}
    yield Split(
        "only",
        (Item("train", train[:150], np.zeros(150, bool)),),
        (Item("first", test[:50], true[:50]), Item("second", test[50:], true[50:])),
        (Item("held", train[150:], np.zeros(50, bool)),),
        facts=facts,
    )


class Distance:
    def fit(self, examples, context):
        rows = np.concatenate([example.given for example in examples])
        self.middle = rows.mean(axis=0)

    def answer(self, given):
        return np.abs(given - self.middle).sum(axis=1)


class Broken(Distance):
    def answer(self, given):
        raise RuntimeError("the model is broken")


class Short(Distance):
    def answer(self, given):
        return np.zeros(len(given) - 1)


class Greedy(Distance):
    def fit(self, examples, context):
        self.kept = [np.ones(1_000_000) for _ in range(100)]
        super().fit(examples, context)


class Waiting(Distance):
    def fit(self, examples, context):
        reader, _ = os.pipe()
        os.read(reader, 1)


class Drawn(Distance):
    def fit(self, examples, context):
        self.random = np.random.default_rng(context.seed)

    def answer(self, given):
        return self.random.random(len(given))


class Doubled:
    def __init__(self, model):
        self.model = model

    def fit(self, examples, context):
        self.model.fit(examples, context)

    def answer(self, given):
        return self.model.answer(given) * 2


FORM = ("vectors",)
DATA = (DataSpec("toy", 1, "anomaly-detection", "vectors", "drawn rows", (), splits, "normal"),)
MODELS = (
    ModelSpec("toy_distance", FORM, Distance, "distance from the mean"),
    ModelSpec("toy_broken", FORM, Broken, "raises"),
    ModelSpec("toy_short", FORM, Short, "answers too little"),
    ModelSpec("toy_greedy", FORM, Greedy, "takes 800 MB"),
    ModelSpec("toy_waiting", FORM, Waiting, "never ends"),
    ModelSpec("toy_drawn", FORM, Drawn, "draws", random=True),
    ModelSpec("toy_absent", FORM, Distance, "needs what is not there", needs=("no_such_package_at_all",)),
)
ENHANCEMENTS = (
    Enhancement(
        "toy_doubled",
        "scores twice as high",
        lambda subject: "" if subject.model.name == "toy_distance" else "doubles distances only",
        lambda subject, place: Doubled(subject.model.make()),
    ),
)
