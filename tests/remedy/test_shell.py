"""Parsing of shell commands: calls, skeletons, templates, and arguments put into their places."""

from __future__ import annotations

import pytest

from watchkeeper.remedy.shell import Unparsable, filled, parse, type_of
from watchkeeper.remedy.verbs import kubectl_verbs


@pytest.mark.parametrize(
    ("command", "skeleton"),
    [
        ("find . -type f -name '*.c' | xargs wc -l", "find(-name,-type) | xargs( wc(-l))"),
        ("find . -name x -exec grep -l foo {} \\;", "find(-exec,-name grep(-l))"),
        ("tar -xzf a.tgz", "tar(-f,-x,-z)"),
        ("tar -f a.tgz -zx", "tar(-f,-x,-z)"),
        ("head -10 x", "head(-n)"),
        ("head -n 10 x", "head(-n)"),
        ("sudo rm --force x && ls", "sudo( rm(--force)) && ls()"),
        ("cd $(dirname $0)", "cd( dirname())"),
        ("sort a > b", "sort() >"),
        ("/usr/bin/ls -l", "ls(-l)"),
        ("for f in *.txt; do mv $f /tmp; done", "for in ; do mv() ; done"),
    ],
)
def test_a_skeleton_has_structure_utilities_and_flags_alone(command, skeleton):
    assert parse(command).skeleton == skeleton


def test_a_template_tells_types_of_arguments_apart():
    assert parse("find /a -name '*.c'").template == parse("find /b -name '*.py'").template
    assert parse("find /a -name '*.c'").template != parse("find /a -name exact").template


@pytest.mark.parametrize("text", ["", "   ", "ls ((", "if true; then", "x" * 20_001])
def test_what_does_not_parse_is_refused(text):
    with pytest.raises(Unparsable):
        parse(text)


def test_every_call_is_seen_wherever_it_hides():
    assert parse("sudo env A=1 find . -exec rm {} +").utilities == ("sudo", "env", "find", "rm")
    assert parse("echo $(curl x) | tee >(sh)").utilities == ("echo", "curl", "tee", "sh")


@pytest.mark.parametrize(
    ("value", "kind"),
    [("$HOME", "VARIABLE"), ("+7", "NUMBER"), ("10M", "SIZE"), ("u+x", "MODE"), ("*.c", "PATTERN"), ("~/a", "PATH"),
     ("a.txt", "FILE"), ("word", "WORD")],
)  # fmt: skip
def test_types_of_arguments(value, kind):
    assert type_of(value) == kind


@pytest.mark.parametrize("value", ["it's", "a b", "$(reboot)", "`reboot`", "x; reboot", '"', "\\", "a\nb"])
@pytest.mark.parametrize("command", ["grep foo log", "grep 'foo' log", 'grep "foo" log'])
def test_a_value_that_is_put_in_stays_one_word(command, value):
    line = parse(command)
    made = parse(filled(line, {line.arguments[0].start: value}))
    assert made.utilities == ("grep",)
    assert len(made.arguments) == 2 or "'\\''" in made.text


@pytest.mark.parametrize(
    ("command", "pairs"),
    [
        ("kubectl -n shop rollout undo deployment/ad", (("rollout undo", "deployment"),)),
        ("kubectl edit deploy ad -n shop", (("edit", "deployment"),)),
        ("kubectl get networkpolicies", (("get", "networkpolicy"),)),
        ("kubectl get podchaos", (("get", "podchaos"),)),
        ("kubectl scale --replicas=1 sts/db", (("scale", "statefulset"),)),
        ("ls", ()),
        ("kubectl ((", ()),
    ],
)
def test_verb_and_kind_of_kubectl(command, pairs):
    assert kubectl_verbs(command) == pairs
