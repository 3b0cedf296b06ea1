"""What users bring: a command that is spoken to by JSON lines, folders of Parquet, one TOML file for both."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from watchkeeper.bench.base import BenchError, Context, Example, Place
from watchkeeper.bench.cells import cell_of
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.measure import measure_cell
from watchkeeper.bench.own.command import CommandModel
from watchkeeper.bench.own.parquet import folder_data
from watchkeeper.bench.protocol import run_split
from watchkeeper.errors import DuplicateName, UnknownName

COMMAND = """
import json, sys
rows = []
for line in sys.stdin:
    told = json.loads(line)
    if told["do"] == "begin":
        assert told["protocol"] == 1 and told["form"] == "vectors" and told["seed"] == 3
    elif told["do"] == "example":
        assert told["label"] is None
        rows += told["given"]
    elif told["do"] == "fit":
        middle = [sum(column) / len(rows) for column in zip(*rows)]
        print(json.dumps({"threshold": 2.5}), flush=True)
    else:
        scores = [sum(abs(a - b) for a, b in zip(row, middle)) for row in told["given"]]
        print(json.dumps({"answer": scores}), flush=True)
"""


@pytest.fixture
def python(tmp_path):
    def write(text):
        path = tmp_path / "model.py"
        path.write_text(text)
        return (sys.executable, str(path))

    return write


def examples():
    return iter([Example(np.array([[0.0, 0.0], [2.0, 4.0]]), None)])


def test_a_command_learns_and_answers_by_json_lines(python):
    model = CommandModel(python(COMMAND), "vectors", 20.0)
    model.fit(examples(), Context(3, {"budget": np.float64(0.1), "columns": ("a", "b")}))
    assert model.threshold == 2.5
    assert FORMS.get("vectors").check(model.answer(np.array([[1.0, 2.0], [4.0, 2.0]])), [0, 0]).tolist() == [0.0, 3.0]


def test_a_command_that_crashes_tells_the_end_of_its_errors(python):
    model = CommandModel(python("import sys; print('no memory', file=sys.stderr); sys.exit(3)"), "vectors", 20.0)
    with pytest.raises(BenchError, match="ended with status 3: no memory"):
        model.fit(examples(), Context(0, {}))


def test_a_silent_command_and_one_that_answers_no_json_fail(python):
    silent = CommandModel(python("import sys; sys.stdin.read()"), "vectors", 0.5)
    with pytest.raises(BenchError, match=r"silent for 0\.5 s"):
        silent.fit(examples(), Context(0, {}))
    rude = CommandModel(python("print('hello', flush=True); import sys; sys.stdin.read()"), "vectors", 20.0)
    with pytest.raises(BenchError, match="no JSON: b'hello'"):
        rude.fit(examples(), Context(0, {}))
    with pytest.raises(BenchError, match="cannot be started"):
        CommandModel(("/no/such/program",), "vectors", 1.0).fit(examples(), Context(0, {}))


def sessions(folder):
    """400 sessions of three lines a second apart; every tenth of the later ones has a line never seen before."""
    folder.mkdir()
    odd = [at >= 200 and at % 10 == 0 for at in range(400)]
    rows = [
        (
            f"s{at}",
            1_000 + at + step / 10,
            "disk of node lost for good" if odd[at] and step == 2 else f"step {step} done",
        )
        for at in range(400)
        for step in range(3)
    ]
    names, times, bodies = zip(*rows, strict=True)
    time = pa.array([int(each * 1e9) for each in times], pa.timestamp("ns"))
    parquet.write_table(pa.table({"session": names, "time": time, "body": bodies}), folder / "lines.parquet")
    labels = {"session": [f"s{at}" for at in range(400)], "anomalous": odd}
    parquet.write_table(pa.table(labels), folder / "labels.parquet")


def test_a_toml_file_brings_a_folder_and_a_command(tmp_path, python):
    sessions(tmp_path / "mine")
    program = python(COMMAND)
    text = f'''
[[data]]
name = "mine"
folder = "mine"

[[model]]
name = "mine"
form = "vectors"
command = ["{program[0]}", "{program[1]}"]
'''
    (tmp_path / "own.toml").write_text(text)
    known = catalogue([str(tmp_path / "own.toml")])
    assert known.models.get("mine").parameters["command"] == list(program)
    place = Place(tmp_path, tmp_path)
    cell = cell_of(known, "anomaly-detection/mine@1/unseen_template/none")
    record = measure_cell(cell, place)
    assert record["figures"]["f1"][0] == 1.0
    assert sum(len(item.given) for item in next(iter(cell.data.splits(place))).test) == 200


def test_a_folder_of_series_is_split_by_machine_and_time(tmp_path):
    steps = 400
    values = np.sin(np.arange(steps) / 5.0)
    flags = np.zeros(steps, bool)
    flags[300:310] = True
    table = pa.table(
        {
            "machine": ["b"] * steps + ["a"] * steps,
            "time": [60 * 10**9 * at for at in range(steps)] * 2,
            "anomalous": np.r_[flags, flags],
            "cpu": np.r_[values + 9.0 * flags, values],
        }
    )
    parquet.write_table(table, tmp_path / "series.parquet")
    spec = folder_data("series", tmp_path)
    first, second = spec.splits(Place(tmp_path, tmp_path))
    assert (first.name, second.name) == ("a", "b")
    assert first.facts["step_s"] == 60.0
    assert sum(item.truth.sum() for item in second.test) == 10
    outcome, _, _ = run_split(lambda: catalogue().models.get("n_sigma").make(), second, FORMS.get("series"), 0)
    scores = np.concatenate(outcome.answers)
    assert scores[100:110].min() > np.delete(scores, np.s_[100:110]).max()


def test_what_a_folder_lacks_is_told(tmp_path):
    with pytest.raises(BenchError, match=r"neither lines\.parquet nor series\.parquet"):
        folder_data("none", tmp_path)
    parquet.write_table(pa.table({"session": ["a"], "when": [1]}), tmp_path / "lines.parquet")
    parquet.write_table(pa.table({"session": ["a"], "anomalous": [True]}), tmp_path / "labels.parquet")
    with pytest.raises(BenchError, match="lacks the columns time, body"):
        list(folder_data("bad", tmp_path).splits(Place(tmp_path, tmp_path)))
    (tmp_path / "own.toml").write_text('[[model]]\nname = "x"\nform = "vectors"\n')
    with pytest.raises(BenchError, match=r"missing keys: \['command'\]"):
        catalogue([str(tmp_path / "own.toml")])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("anomalous", ["no", "perhaps", "no"], "the column anomalous is string, which cannot be read as bool"),
        ("anomalous", [True, None, False], "the column anomalous lacks 1 of 3 values"),
        ("time", ["today", "1", "2"], "the column time is string"),
        ("machine", [[1], [2], [3]], "the column machine is list"),
        ("cpu", ["low", "high", "1"], "the column cpu is string"),
    ],
)
def test_a_column_of_another_type_is_told_by_name(tmp_path, name, values, message):
    columns = {"machine": ["a"] * 3, "time": [0.0, 1.0, 2.0], "anomalous": [False] * 3, "cpu": [1.0] * 3}
    parquet.write_table(pa.table({**columns, name: values}), tmp_path / "series.parquet")
    with pytest.raises(BenchError, match=message):
        list(folder_data("bad", tmp_path).splits(Place(tmp_path, tmp_path)))


def test_sessions_twice_or_too_few_are_told(tmp_path):
    parquet.write_table(pa.table({"session": ["a"], "time": [1], "body": ["x"]}), tmp_path / "lines.parquet")
    for labels, message in ((["a", "a"], "sessions twice"), (["a"], "has 1 labelled sessions")):
        told = {"session": labels, "anomalous": [True] * len(labels)}
        parquet.write_table(pa.table(told), tmp_path / "labels.parquet")
        with pytest.raises(BenchError, match=message):
            list(folder_data("bad", tmp_path).splits(Place(tmp_path, tmp_path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nname = 'x'\n", r"model is to be written as \[\[model\]\]"),
        ("[[model]]\nname = 1\nform = 'vectors'\ncommand = ['x']\n", "name is to be a text, not 1"),
        ("[[model]]\nname = 'x'\nform = 'vectors'\ncommand = 'x'\n", "command is to be a list of texts"),
        ("[[model]]\nname = 'x'\nform = 'vectors'\ncommand = [1]\n", "command is to be a list of texts"),
        ("[[model]]\nname = 'x'\nform = 'vector'\ncommand = ['x']\n", "did you mean 'vectors'"),
        ("[[model]]\nname = 'a/b'\nform = 'vectors'\ncommand = ['x']\n", "'a/b' is no name"),
        ("[[model]]\nname = 'x'\nform = 'vectors'\ncommand = ['x']\nrandom = 'no'\n", "random is to be true or false"),
        ("[[data]]\nname = 'x'\nfolder = '.'\nversion = 'two'\n", "version is to be a whole number, not 'two'"),
        ("[[data]]\nname = 'x'\nfolder = '.'\nversion = true\n", "version is to be a whole number, not True"),
        ("[[data]]\nname =", "cannot be read"),
        ("", "holds none of"),
    ],
)
def test_what_a_toml_file_gets_wrong_is_told(tmp_path, text, message):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises((BenchError, UnknownName), match=message):
        catalogue([str(tmp_path / "own.toml")])


HEAD = "from watchkeeper.bench.base import DataSpec, ModelSpec\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"cannot be loaded: SyntaxError: invalid syntax \(mine\.py, line 1\)"),
        ("\nimport no_such_module_at_all\n", r"No module named 'no_such_module_at_all', line 2 of .*mine\.py"),
        ("1 / 0\n", r"ZeroDivisionError: division by zero, line 1 of"),
        ("X = 1\n", "holds none of TASKS, DATA, MODELS"),
        (HEAD + "MODELS = (ModelSpec('x', ('vectors',), object, ''))\n", r"mine\.py: MODELS is to be a tuple"),
        (HEAD + "MODELS = (ModelSpec('x', 'vectors', object, ''),)\n", "forms are to be a tuple"),
        (HEAD + "MODELS = (ModelSpec('x', ('vector',), object, ''),)\n", "did you mean 'vectors'"),
        (HEAD + "MODELS = (ModelSpec('x@2', ('vectors',), object, ''),)\n", "'x@2' is no name"),
        (HEAD + "MODELS = (ModelSpec('pca', ('vectors',), object, ''),)\n", "already a model named 'pca'"),
        (HEAD + "DATA = (DataSpec('x', 1, 'category', 'counts', '', (), None, headline='f1'),)\n", "no metric 'f1'"),
        (HEAD + "DATA = (DataSpec('x', 1, 'category', 'counts', '', (), None, 'all'),)\n", "labels are to be one of"),
        (HEAD + "DATA = (DataSpec('x', 1, 'categories', 'counts', '', (), None),)\n", "did you mean 'category'"),
    ],
)
def test_what_a_file_of_python_gets_wrong_is_told(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises((BenchError, UnknownName, DuplicateName), match=message):
        catalogue([str(path)])


def test_what_is_neither_file_nor_module_is_told(tmp_path):
    for name, message in (
        (str(tmp_path / "gone.py"), "there is no file"),
        (str(tmp_path / "gone.toml"), "cannot be read"),
        ("no_such_module_at_all", "the module no_such_module_at_all cannot be loaded"),
        ("plan.yaml", r"end in \.py or \.toml"),
    ):
        with pytest.raises(BenchError, match=message):
            catalogue([name])


def test_entry_points_are_registered(monkeypatch):
    from importlib.metadata import EntryPoint

    from watchkeeper.bench import discover

    brought = EntryPoint("toy", "tests.bench.harness.toy", "watchkeeper.bench")
    monkeypatch.setattr(discover, "entry_points", lambda group: [brought] if group == "watchkeeper.bench" else [])
    assert "toy_distance" in catalogue().models
    broken = EntryPoint("gone", "no.such.module", "watchkeeper.bench")
    monkeypatch.setattr(discover, "entry_points", lambda group: [broken])
    with pytest.raises(BenchError, match=r"entry point gone = no\.such\.module cannot be loaded"):
        catalogue()
