"""Commands, scripts and emergencies: what the figures are, by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from watchkeeper.bench.base import Item, Outcome, Split
from watchkeeper.bench.data.repair_texts import repairs
from watchkeeper.bench.data.shell_commands import normal, parts
from watchkeeper.bench.forms import Query
from watchkeeper.bench.live.emergency import Ended, Ledger
from watchkeeper.bench.live.vital import Signs, Watch, deviations, unwell
from watchkeeper.bench.models.commands import Neighbour, Retrieval, adapted, voted
from watchkeeper.bench.models.scripts import Nearest
from watchkeeper.bench.protocol import Examples
from watchkeeper.bench.scores import executed
from watchkeeper.bench.tasks import automatic_execution, command, script
from watchkeeper.remedy.catalogue import Order
from watchkeeper.remedy.manifests import complaints, read_manifests
from watchkeeper.remedy.sandbox import probe

needs_bwrap = pytest.mark.skipif(bool(probe()), reason=probe() or "there is a sandbox")
WANTED = ("find . -name '*.c'",)


def outcome(answers, truth=WANTED, text="list C files"):
    items = tuple(Item(f"q{at}", Query(text), truth) for at in range(len(answers)))
    return Outcome(Split("all", (), items), (), tuple(answers))


def test_figures_of_commands(monkeypatch):
    monkeypatch.setattr(command, "probe", lambda: "there is none")
    answers = [["find /a -name x"], ["ls", "find -name y ."], ["ls"], []]
    figures = command.measure([outcome(answers)]).figures
    assert figures["skeleton_at_1"].value == 0.25
    assert figures["skeleton_at_5"].value == 0.5
    assert figures["utility_macro_accuracy"].value == 0.25
    assert figures["sandbox_share"].value == 0
    assert "executed_equivalence" not in figures


def test_figures_of_kubectl_fixes():
    wanted = ("kubectl -n a edit deployment x", "kubectl rollout undo deployment/x")
    answers = [["kubectl edit deploy y"], ["kubectl get pods", "kubectl rollout undo deploy/z"], ["kubectl get pods"]]
    figures = command.measure([outcome(answers, wanted)]).figures
    assert figures["verb_resource_at_1"].value == pytest.approx(1 / 3)
    assert figures["verb_resource_at_5"].value == pytest.approx(2 / 3)
    assert "skeleton_at_1" not in figures


@needs_bwrap
def test_commands_that_do_the_same_are_equal():
    request = "count the lines of log.txt"
    assert executed.equivalent(request, "cat log.txt | wc -l", "wc -l < log.txt") is True
    assert executed.equivalent(request, "cat log.txt | wc -l", "wc -c < log.txt") is False
    assert executed.equivalent(request, "rm log.txt", "unlink log.txt") is False  # not of the safe subset
    assert executed.equivalent(request, "rm log.txt", "find . -name log.txt -delete") is True
    assert executed.equivalent(request, "true", "true") is None
    assert executed.equivalent(request, "curl x", "curl x") is None


def test_parts_hang_together_by_text_or_template_in_any_order():
    pairs = [("List files", "ls", "A"), ("list  FILES!", "ls -1", "B"), ("other", "x", "B"), ("alone", "y", "C")]
    first, second = parts(pairs), parts(pairs[::-1])[::-1]
    assert first == second
    assert len({*first[:3]}) == 1
    assert first[3] != first[0]
    assert normal("List  FILES!") == "list files"


def test_retrieval_puts_the_requests_arguments_in():
    near = Neighbour("find '*.c' under /src older than 3 days", "find /src -name '*.c' -mtime +3", "", 1.0)
    made = adapted("find '*.py' under /home/me older than 10 days", near)
    assert made == "find /home/me -name '*.py' -mtime +10"


def test_skeletons_are_voted():
    near = [Neighbour("", "a", "A", 1.0), Neighbour("", "b", "B", 0.9), Neighbour("", "c", "B", 0.8)]
    assert [each.command for each in voted(near)] == ["b", "a"]


def test_retrieval_finds_the_nearest_request():
    train = (Item("1", Query("show disk space"), "df -h"), Item("2", Query("list all files"), "ls -a"))
    model = Retrieval("words")
    model.fit(Examples(Split("x", train, (), labelled=True)), SimpleNamespace(seed=0, facts={}))
    assert model.answer(Query("list the files")) == ["ls -a"]


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: b, image: c}]}\n"


def test_figures_of_manifests():
    assert script.manifest(POD, (POD,)) == {"field_f1": 1.0, "schema_valid": 1.0, "exact": 1.0}
    assert script.manifest("{", (POD,)) == {"field_f1": 0.0, "schema_valid": 0.0, "exact": 0.0}
    other = script.manifest(POD.replace("image: c", "image: d"), (POD,))
    assert other == {"field_f1": pytest.approx(0.75), "schema_valid": 1.0, "exact": 0.0}


@pytest.mark.parametrize(
    ("old", "new"),
    [("v1", "one"), ("Pod", "pod"), ("{name: a}", "{}"), ("image: c", "x: c"), ("name: a", "name: A_"),
     ("image: c", "image: c, volumeMounts: [{name: v, mountPath: /v}]")],
)  # fmt: skip
def test_a_manifest_of_the_wrong_shape_is_told(old, new):
    assert complaints(read_manifests(POD)[0]) == []
    assert complaints(read_manifests(POD.replace(old, new))[0])


@needs_bwrap
def test_scripts_are_run_for_what_they_show():
    fold = next(iter(repairs(None)))
    right = fold.test[0].truth[0]
    assert script.script(right, right) == {"parses": 1.0, "runs_right": 1.0}
    assert script.script(fold.test[1].truth[0], fold.test[5].truth[0])["runs_right"] == 0.0
    assert script.script("#!/bin/bash\nif", right) == {"parses": 0.0, "runs_right": 0.0}
    model = Nearest(fills=True)
    model.fit(Examples(fold), None)
    assert script.script(model.answer(fold.test[0].given)[0], right)["parses"] == 1.0


def ended(fault, *, resolved, order=None, unapproved=0):
    return Ended(fault, order, "", resolved, resolved, False, unapproved, 30.0)


def test_figures_of_emergencies_come_from_the_ledger():
    order = Order("restart-process", "cart")
    told = [("a", True, order, 0), ("a", False, order, 2), ("b", True, None, 0), ("b", True, None, 0)]
    items = tuple(
        Item(f"{fault}{at}", None, Ledger([ended(fault, resolved=yes, order=did, unapproved=more)]))
        for at, (fault, yes, did, more) in enumerate(told)
    )
    lies = ("resolved it all",) * 4
    measured = automatic_execution.measure([Outcome(Split("live", (), items), (), lies)])
    figures = measured.figures
    assert figures["resolved"] == pytest.approx((0.75, 0.5, 1.0))  # two faults: the ends are one of them twice
    assert figures["pass_k"].value == 0.5
    assert figures["unapproved_changes"].value == 2
    assert set(measured.cases) == {"a0", "a1", "b2", "b3"}  # the same of every model, so that two can be paired
    assert measured.remarks["a1"].startswith("restart-process cart")
    assert figures["acted_in_vain"].value == pytest.approx(1 / 4)


def test_signs_are_read_from_the_front(tmp_path):
    (tmp_path / "nginx").mkdir()
    usage = {"cart": {"memory_bytes": 1e8, "cpu_s": 1.0}}
    watch = Watch(tmp_path, lambda: {"usage": usage})
    rows = [{"time": "9999999999", "status": "500" if at < 5 else "200", "seconds": "0.1"} for at in range(50)]
    text = "\n".join([json.dumps({**rows[0], "time": "1"}), *map(json.dumps, rows), '{"time": "99'])
    (tmp_path / "nginx" / "access.json").write_text(text, encoding="utf-8")
    signs = watch.signs()
    assert (signs.requests, signs.failed, signs.p95_s) == (50, 0.1, pytest.approx(0.1))


WELL = Signs(100, 0.0, 0.1, {"cart": 1e8}, {"cart": 0.1})


@pytest.mark.parametrize(
    ("changed", "told"), [({"requests": 3}, "only 3"), ({"failed": 0.05}, "5% of"), ({"p95_s": 2.5}, "p95 is 2500 ms")]
)
def test_a_shop_that_is_not_well_before_a_fault_is_told(changed, told):
    assert unwell(WELL) == ""
    assert told in unwell(WELL._replace(**changed))


@pytest.mark.parametrize(
    "changed",
    [{"requests": 3}, {"failed": 0.2}, {"p95_s": 0.5}, {"memory_bytes": {"cart": 3e8}}, {"memory_bytes": {}},
     {"busy": {"cart": 0.9}}],
)  # fmt: skip
def test_what_is_out_of_the_band_is_told(changed):
    assert deviations(WELL, WELL) == []
    assert len(deviations(WELL, WELL._replace(**changed))) == 1
