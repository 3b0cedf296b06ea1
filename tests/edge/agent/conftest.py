"""What holds for every test of the agent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.edge.agent.processes import Edge


@pytest.fixture(autouse=True)
def _no_agent_is_left() -> Iterator[None]:
    yield
    while Edge.running:
        process = Edge.running.pop()
        if process.poll() is None:
            process.kill()
        process.communicate()
