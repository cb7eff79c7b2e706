import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bpci_node.chain.target_terms import TargetTerms
from tests.unit.auction.panel import Panel
from tests.unit.auction.scene import TERMS


@pytest.fixture
def panel_on(tmp_path: Path) -> Iterator[Callable[[TargetTerms], Panel]]:
    """Make the panel of a target with these terms."""
    made: list[Panel] = []
    with asyncio.Runner() as runner:

        def make(terms: TargetTerms) -> Panel:
            made.append(Panel(tmp_path, runner, terms=terms))
            return made[-1]

        yield make
        for panel in made:
            panel.close()


@pytest.fixture
def panel(panel_on: Callable[[TargetTerms], Panel]) -> Panel:
    return panel_on(TERMS)
