from __future__ import annotations

import re

import pytest

from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.datasets.citations import CITATIONS, NO_PAPER, citations_of
from watchkeeper.datasets.fetch import upstream_files
from watchkeeper.datasets.logs import is_log_set, log_parts, log_set_names
from watchkeeper.errors import DataSetError, UnknownName


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_each_set_says_what_it_is_and_where_it_comes_from(name):
    data_set = DATA_SETS.get(name)
    assert data_set.file.startswith(name)
    assert re.fullmatch("[0-9a-f]{64}", data_set.sha256)
    assert data_set.size_bytes > 0
    assert all((data_set.licence, data_set.holds, data_set.tasks, data_set.places))
    assert data_set.as_dict()["cite"] == list(citations_of(name))
    assert all(each == NO_PAPER or re.search(r", [^,]+$", each) for each in citations_of(name))
    for place in data_set.places:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", place.repository)
        assert re.fullmatch(r"([0-9a-f]{8})?", place.commit)


def test_whom_to_cite_is_said_of_each_set_and_of_no_other():
    assert set(CITATIONS) == set(DATA_SETS)


def test_no_two_sets_share_a_file_or_a_checksum():
    sets = [DATA_SETS.get(name) for name in DATA_SETS]
    assert len({each.file for each in sets}) == len({each.sha256 for each in sets}) == len(sets) == 30


def test_single_public_files_belong_to_sets_of_the_catalogue_and_to_their_repository():
    for name, known in upstream_files().items():
        places = {(place.repository, place.commit) for place in DATA_SETS.get(name).places}
        assert (known["repository"], known["commit"]) in places
        members = [row["member"] for row in known["files"]]
        assert len(set(members)) == len(members)
        assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) and row["size_bytes"] > 0 for row in known["files"])
        assert not any(".." in member or member.startswith("/") for member in members)


def test_names_of_log_sets():
    assert all(is_log_set(name) for name in log_set_names())
    assert is_log_set("LogHub/spark")
    assert is_log_set("hdfs_2pct_raw")
    assert not is_log_set("nab")


def test_unknown_parts_say_what_there_is(tmp_path):
    with pytest.raises(UnknownName, match="Zookeeper"):
        log_parts("loghub/Nope", tmp_path)
    with pytest.raises(UnknownName, match="loghub/Spark"):
        log_parts("hdfs/part", tmp_path)


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(DataSetError, match="watchkeeper data fetch bgl_100k_raw"):
        log_parts("bgl", tmp_path)
