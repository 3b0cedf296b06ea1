"""What the words of a template say of its gravity."""

from __future__ import annotations

import pytest

from watchkeeper.detect.parts import SEVERITY_ERROR, SEVERITY_WARN
from watchkeeper.detect.words import implied_severity


@pytest.mark.parametrize(
    "text",
    [
        "kernel terminated for reason <*>",
        "connection to <*> lost",
        "java.io.IOError at <*>",
        "process <*> was killed",
        "<*> uncorrectable errors",
        "Broken pipe",
    ],
)
def test_grave(text: str) -> None:
    assert implied_severity(text) == SEVERITY_ERROR


@pytest.mark.parametrize(
    "text",
    ["<*> ddr errors detected and corrected", "recovered from failure <*>", "unable to steer", "read timeout <*>"],
)
def test_warnings(text: str) -> None:
    assert implied_severity(text) == SEVERITY_WARN


@pytest.mark.parametrize(
    "text",
    ["done, 0 errors", "errors: 0", "parity error..............0", "no failures", "determined", "default route <*>"],
)
def test_neither(text: str) -> None:
    assert implied_severity(text) == 0
