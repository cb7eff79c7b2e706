"""What follows at the end of a block from the commands that succeeded in it."""

from __future__ import annotations

from collections.abc import Mapping

from bpci_node.chain.draw import close_draws
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.recent import store_recent
from bpci_node.chain.state import Overlay
from bpci_node.chain.validator_set import renew_set
from bpci_node.chain.weight import record_weights


def close_block(
    state: Overlay,
    writes: Mapping[bytes, bytes | None],
    *,
    genesis: Genesis,
    height: int,
    time_ms: int,
    parent_root: bytes,
) -> None:
    """Write what a block of version 2 leaves besides the effects of its commands, one of which succeeded.

    Args:
        writes: what the commands wrote; ``state`` shows it.
        height: of the block.
        time_ms: of the block, Unix milliseconds.
        parent_root: root of the state after the block before, 32 bytes.
    """
    store_recent(state, height - 1, parent_root)
    renew_set(state, writes, height)
    record_weights(state, writes, height)
    close_draws(state, genesis, height=height, time_ms=time_ms)
