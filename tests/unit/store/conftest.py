from collections.abc import Iterator
from pathlib import Path

import pytest

from bpci_node.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()
