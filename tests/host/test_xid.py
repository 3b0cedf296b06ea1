"""The catalogue of XIDs is whole, sourced, and says of the grave ones what the requirement says."""

from __future__ import annotations

import pytest

from watchkeeper.host.check import CheckSeverity
from watchkeeper.host.xid import ACTIONS, Origin, catalogue, xid_entry

# The codes of NVIDIA's published catalogue for Ampere and newer GPUs, and one that only the newest drivers report.
PUBLISHED = {*range(1, 173), 185}
RESET = {46, 62, 64, 95, 109, 119, 120, 140, 143, 155, 156, 158}


def test_every_published_code_is_there():
    assert set(catalogue()) == PUBLISHED


@pytest.mark.parametrize("code", sorted(PUBLISHED))
def test_every_row_is_whole(code):
    entry = catalogue()[code]
    assert entry.name == entry.name.strip() != ""
    assert entry.meaning.endswith(".")
    assert entry.source.startswith("https://docs.nvidia.com/")
    assert {entry.action, entry.then} <= set(ACTIONS)
    assert entry.severity is not CheckSeverity.UNKNOWN


def test_names_are_not_given_twice():
    names = [entry.name for entry in catalogue().values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("code", sorted(RESET | {48, 79}))
def test_codes_that_need_a_reset_or_a_reboot_are_critical(code):
    entry = xid_entry(code)
    assert entry.severity is CheckSeverity.CRITICAL
    assert entry.action == ("reboot_node" if code == 79 else "reset_gpu")


def test_a_contained_error_asks_for_the_application_only():
    entry = xid_entry(94)
    assert (entry.severity, entry.action, entry.origin) == (
        CheckSeverity.WARNING, "restart_application", Origin.HARDWARE,
    )  # fmt: skip


@pytest.mark.parametrize("code", [13, 31, 43, 137])
def test_faults_of_applications_are_told_from_hardware(code):
    assert xid_entry(code).origin is Origin.APPLICATION
    assert xid_entry(code).severity is not CheckSeverity.CRITICAL


def test_an_unknown_code_says_so():
    entry = xid_entry(9999)
    assert (entry.origin, entry.severity) == (Origin.UNKNOWN, CheckSeverity.WARNING)
    assert entry.advice
