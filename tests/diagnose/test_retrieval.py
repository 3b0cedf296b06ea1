"""Search by words: function words may be left out of a query, and a query of nothing else still finds."""

from watchkeeper.diagnose.retrieval import FUNCTION_WORDS, TextIndex

DOCUMENTS = {"disk": "the disk is full", "net": "which of the links is down and why", "cpu": "processor throttled"}


def test_function_words_find_nothing_when_left_out():
    found = TextIndex(DOCUMENTS, left_out=FUNCTION_WORDS).search("why is the processor throttled")
    assert [name for name, _ in found] == ["cpu"]
    assert len(TextIndex(DOCUMENTS).search("why is the processor throttled")) == 3


def test_a_query_of_function_words_alone_keeps_them():
    assert [name for name, _ in TextIndex(DOCUMENTS, left_out=FUNCTION_WORDS).search("why")] == ["net"]
