"""What holds for every test."""

import signal

import pytest

# A shell that starts the tests in the background has them ignore SIGINT, and so would every program that they start;
# the tests of Ctrl-C need it as a terminal gives it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

AGAINST_THE_CLOCK = ("tests/e2e/", "tests/edge/agent/", "tests/infer/", "tests/shop/", "tests/training/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try once more what drives real processes or a browser: a starved machine can miss any deadline.

    The summary tells it as RERUN. A test that needs it twice is a defect, of the test or of the product.
    """
    for item in items:
        if item.nodeid.startswith(AGAINST_THE_CLOCK):
            item.add_marker(pytest.mark.flaky(reruns=1))
