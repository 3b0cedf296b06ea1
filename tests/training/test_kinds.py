"""Kinds of logs: what is built in, what a file adds, what is counted of their data, and a model published from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.learn.log_lines import SHORT, STRANGE, lines, torch_needed

from watchkeeper.datasets.read import locate
from watchkeeper.errors import DataSetError, QueryError, SettingError, UnknownName
from watchkeeper.learn.log_model import LogModel
from watchkeeper.models.versions import ModelVersions
from watchkeeper.settings import Settings
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.kinds import KINDS, Kind, count_lines, kind_of, kinds, publish_kind, train_kind
from watchkeeper.training.public_lines import public_lines, set_names
from watchkeeper.training.workloads import Workload

OWN = """
[kinds.databases]
about = "databases"
files = ["*.log"]
false_alarms_max = 0.01
workloads = ["*/data/postgres-*"]

[kinds.control-plane]
workloads = ["kube-system/*"]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kinds.toml"
    path.write_text(OWN)
    (tmp_path / "one.log").write_text("\n".join([*lines(), "an error: " + STRANGE]))
    return path


def test_a_file_adds_kinds_and_tells_what_the_built_in_ones_score(file):
    known = kinds(file)
    assert set(known) == {*(kind.name for kind in KINDS), "databases"}
    own, control = known["databases"], known["control-plane"]
    assert (own.model, own.budget, own.data) == ("kind/databases", 0.01, ())
    assert own.covers(Workload("eu", "data", "postgres-7"))
    assert not own.covers(Workload("eu", "shop", "postgres-7"))
    assert control.covers(Workload("local", "kube-system", "etcd"))
    assert control.data == kinds()["control-plane"].data
    assert not any(kind.workloads for kind in KINDS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[kinds.x]\nfoo = 1", "foo"),
        ("[kinds.x]\nfalse_alarms_max = 2", "false_alarms_max"),
        ("[kinds.x]\nworkloads = ['//']", "names no workload"),
        ("kinds = 7", "cannot be read"),
        ("[kinds", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path, text, why):
    path = tmp_path / "kinds.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=why):
        kinds(path)


def test_own_files_are_counted_without_lines_of_failure(file, tmp_path):
    counts = count_lines(kinds(file)["databases"], "", tmp_path)
    assert len(counts) == 25
    assert counts.told().lines == 250
    with pytest.raises(QueryError, match="no line to train"):
        count_lines(Kind("none", "nothing"), "", tmp_path)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(UnknownName, match="control-plane"):
        kind_of("databasse", kinds())
    with pytest.raises(UnknownName, match="openstack"):
        next(public_lines("no-such-set", tmp_path))
    with pytest.raises(DataSetError, match="watchkeeper data fetch"):
        next(public_lines("hdfs", tmp_path))


@torch_needed
def test_a_kind_is_trained_published_and_active(file, tmp_path):
    kind = kinds(file)["databases"]
    model, card = train_kind(kind, folder=tmp_path, training=SHORT)
    assert model.calibration.budget == 0.01
    assert card.trained_on["data"] == [str(tmp_path / "one.log")]
    assert card.thresholds[card.parameters["measure"]] == model.threshold
    metadata = Metadata(tmp_path / "metadata.sqlite")
    try:
        models = ModelVersions(metadata, tmp_path / "models")
        version = publish_kind(models, kind, model, card, who="ada", why="first")
        assert (version.name, version.state) == ("kind/databases", "active")
        assert LogModel.load(version.folder).flagged([STRANGE]).all()
    finally:
        metadata.close()


@pytest.mark.data
@pytest.mark.parametrize("name", ["openstack", "bgl", "hadoop", "hdfs", "nezha", "loghub/Zookeeper"])
def test_public_lines_come_without_their_heads(name):
    folder = Settings().path("data")
    if not present(name, folder):
        pytest.skip(f"{name} is not in {folder}")
    first = next(public_lines(name, folder))
    assert name in set_names()
    assert len(first) > 1_000
    if "/" not in name:
        assert not any(line.startswith(("20", "08", "INFO ", "- ")) for line in first[:1_000])


def present(name: str, folder: Path) -> bool:
    try:
        locate({"openstack": "openstack_mixed", "bgl": "bgl_100k_raw", "hadoop": "hadoop_raw_labelled",
                "hdfs": "hdfs_2pct_raw", "nezha": "nezha_trainticket"}.get(name, "loghub_2k"), folder)  # fmt: skip
    except DataSetError:
        return False
    return True
