import asyncio
from collections.abc import Callable

import pytest

from bpci_node.runtime import process
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.funding import Funding
from bpci_node.runtime.node import Node
from bpci_node.runtime.recovery import Recovery
from bpci_node.runtime.upkeep import Upkeep


class Closed:
    """Faces that nobody comes to."""

    addresses = ("nowhere",)

    async def close(self, grace_seconds: float) -> None:
        del grace_seconds


def test_a_running_node_looks_after_workers_chains_and_journal_until_it_is_told_to_stop(
    make_config: Callable[..., NodeConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    running: list[Node] = []

    def noting(kind: type, name: str) -> None:
        original = getattr(kind, name)

        def call(self: object, *arguments: object) -> object:
            seen.add(f"{kind.__name__}.{name}")
            if len(seen) == 3:
                running[0].stopping.set()
            return original(self, *arguments)

        monkeypatch.setattr(kind, name, call)

    for kind, name in ((Funding, "revise"), (Recovery, "retire_idle"), (Upkeep, "compact")):
        noting(kind, name)
    monkeypatch.setattr(process, "HOUSEKEEPING_SECONDS", 0.02)
    monkeypatch.setattr(process, "REVISION_SECONDS", 0.02)

    async def open_faces(node: Node) -> Closed:
        running.append(node)
        return Closed()

    asyncio.run(asyncio.wait_for(process.run(make_config(), open_faces), 20))
    assert seen == {"Funding.revise", "Recovery.retire_idle", "Upkeep.compact"}
