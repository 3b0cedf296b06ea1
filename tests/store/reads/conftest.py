"""Tables as the store shows them, one DuckDB a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.store.reads.tables import Tables


@pytest.fixture
def tables() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.connection.close()
