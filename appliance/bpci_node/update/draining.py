"""Before the node or the machine is restarted: its part in the auctions ends, so that nobody's window goes void."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from bpci_node.errors import BpciError
from bpci_node.network.owner_client import OwnerClient
from bpci_node.runtime.config import NodeConfig

_PAUSE_SECONDS = 1.0


def drain(config: NodeConfig | None, seconds: int, tell: Callable[[str], None]) -> bool:
    """Let the node take nothing new, and wait until its part in the auctions has ended; tell whether it has.

    A node that can't be asked, or takes longer than ``seconds``, is not waited for: what is certified by then is in its
    journal, and taken up at its next start. If somebody interrupts the waiting, it takes part again.
    """
    if config is None:
        return True
    tell("letting the auctions end")
    end = time.monotonic() + seconds
    try:
        with OwnerClient(config.owner.socket) as owner:
            status = owner.drain(seconds)
            while not status["drained"]:
                if time.monotonic() >= end:
                    tell(f"the auctions did not end within {seconds} seconds")
                    return False
                time.sleep(_PAUSE_SECONDS)
                status = owner.drain_status()
    except BpciError as error:
        tell(f"the node can't be asked to end its auctions: {error.message}")
        return False
    except KeyboardInterrupt:
        resume(config)
        raise
    return True


def resume(config: NodeConfig | None) -> None:
    """Let the node take part again, if it still runs."""
    if config is not None:
        with suppress(BpciError), OwnerClient(config.owner.socket) as owner:
            owner.resume()
