from collections.abc import Iterator

import pytest

from tests.execution.flow import Flow


@pytest.fixture
def flow() -> Iterator[Flow]:
    """An engine over the pack of flow nodes."""
    made = Flow()
    yield made
    made.engine.close()
