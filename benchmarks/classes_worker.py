"""Runs inside the peer's own environment: `python classes_worker.py TASK.json ANSWERS.json`.

Rows: a random forest, its classes as they are and even. Texts: tf-idf with logistic regression and with a random
forest. Defaults but for the number of trees. Imports nothing of Watchkeeper.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

TREES = 200


def main() -> None:
    source, target = sys.argv[1:]
    task = json.loads(Path(source).read_text(encoding="utf-8"))
    labels, folds = np.array(task["labels"]), np.array(task["folds"])

    def forest(**more: object) -> RandomForestClassifier:
        return RandomForestClassifier(TREES, random_state=0, **more)

    if "rows" in task:
        rows = np.log1p(np.array(task["rows"]))
        peers = {"random_forest": forest(), "random_forest_balanced": forest(class_weight="balanced")}
    else:
        rows = np.array(task["texts"], object)
        peers = {
            "tfidf_logistic": make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=2000)),
            "tfidf_logistic_balanced": make_pipeline(
                TfidfVectorizer(), LogisticRegression(max_iter=2000, class_weight="balanced")
            ),
            "tfidf_forest": make_pipeline(TfidfVectorizer(), forest()),
        }
    told = {}
    for name, peer in peers.items():
        answers = np.empty(len(labels), object)
        for fold in np.unique(folds):
            out = folds == fold
            answers[out] = peer.fit(rows[~out], labels[~out]).predict(rows[out])
        told[name] = answers.tolist()
    Path(target).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
