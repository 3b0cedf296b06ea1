"""Full-text search by BM25 over documents in memory, through SQLite's FTS5.

Enters: documents by id, queries as text. Leaves: ids with scores, best first. Words are taken apart at case changes and
stemmed; of writing without spaces (Chinese, Japanese) pairs of characters are the words. Holds no model.
Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009 (k1 1.2, b .75).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Mapping

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[\u3040-\u30ff\u3400-\u9fff]+")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_FUNCTION_WORDS = (
    "a an and are as at be been but by can could did do does for from had has have how if in into is it its may might "
    "not of on or should so that the their then there these they this those to was were what when where which who why "
    "will with would"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""What questions in prose may leave out: where few documents hold them they weigh too much."""
TERMS_MAX = 400


def terms(text: str) -> list[str]:
    """Give the words of a text, in order.

    >>> terms("KubePodCrashLooping at 50 %")
    ['kube', 'pod', 'crash', 'looping', 'at', '50']
    """
    found: list[str] = []
    for word in _WORD.findall(text):
        if _IDEOGRAPH.match(word):
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        else:
            found.append(word.lower())
    return found


class TextIndex:
    """An index over documents; cost: about 0.1 ms a document to build, a few ms a query over thousands.

    left_out: words of a query that do not count, unless it has no others.
    """

    def __init__(self, documents: Mapping[str, str], *, left_out: Collection[str] = ()) -> None:
        self._left_out = frozenset(left_out)
        self._names = list(documents)
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE VIRTUAL TABLE texts USING fts5(body, tokenize='porter unicode61')")
        rows = ((at, " ".join(terms(documents[name]))) for at, name in enumerate(self._names))
        self._database.executemany("INSERT INTO texts(rowid, body) VALUES (?, ?)", rows)

    def search(self, query: str, limit: int = 10) -> list[tuple[str, float]]:
        """Give up to `limit` (id, score), best first, score > 0, higher is better; ties in order of the documents."""
        every = list(dict.fromkeys(terms(query)))
        words = ([word for word in every if word not in self._left_out] or every)[:TERMS_MAX]
        if not words:
            return []
        asked = " OR ".join(f'"{word}"' for word in words)
        rows = self._database.execute(
            "SELECT rowid, -bm25(texts) AS score FROM texts WHERE texts MATCH ? ORDER BY score DESC, rowid LIMIT ?",
            (asked, limit),
        )
        return [(self._names[at], float(score)) for at, score in rows]
