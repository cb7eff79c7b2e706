"""Make a node a validator's: its keys, its configuration, a new start, its registration."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bpci_node.errors import BpciError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from bpci_node.cli.mining_place import MiningPlace
    from bpci_node.network.client import NodeClient

READY_SECONDS = 30.0


def configure(place: MiningPlace, node_type: str | None, phrase_file: Path | None) -> tuple[MiningPlace, list[str]]:
    """Make keys and configuration where they are missing, start the node anew, and renew its registration.

    Args:
        node_type: of :data:`bpci_node.chain.registration.NODE_TYPES`; ``None`` leaves it as it is.
        phrase_file: holds the phrase of which the keys are made; ``None`` draws them.

    Returns:
        The place as it is then, and what was done.

    Raises:
        RefusedError: somebody else has to start the node anew (``miner.restart``), or the registry's reason.
        BpciError: as :func:`bpci_node.cli.mining_place.make_keys` and ``store``.
    """
    from bpci_node.cli.mining_place import make_keys
    from bpci_node.network.client import NodeClient

    done = []
    node = place.config.node
    wanted = replace(
        node, type=node_type or node.type, flags=(*(f for f in node.flags if f != "validator"), "validator")
    )
    has_keys = place.config.validator is not None
    if not has_keys or wanted != node:
        phrase = None
        if phrase_file is not None and not has_keys:
            with click.open_file(str(phrase_file)) as file:
                phrase = file.read(4096)
        place = place if has_keys else make_keys(place, phrase)
        place = place.store(replace(place.config, node=wanted))
        done.append("configuration")
        restart(place)
    else:
        catch_up(place)
    with NodeClient(place.config.owner.socket) as client:
        _await(client)
        client.register({"node_type": wanted.type, "flags": list(wanted.flags)})
    return place, done


def catch_up(place: MiningPlace) -> None:
    """Start the machine's node anew if it does not serve: an interrupted run leaves it with its former configuration.

    Raises:
        HostError: it does not start (``host.command``).
    """
    from bpci_node.network.auction_client import AuctionClient

    if not place.is_service:
        return
    try:
        with AuctionClient(place.url) as client:
            client.overview()
    except BpciError:
        restart(place)


def restart(place: MiningPlace) -> None:
    """Let the node begin again with its configuration.

    Raises:
        RefusedError: somebody else has to do that (``miner.restart``).
    """
    if not place.start_anew():
        raise RefusedError(
            "the node has a new configuration, and runs with the former one",
            code="miner.restart",
            hint="Start it anew, then start this command again.",
        )


def _await(client: NodeClient) -> None:
    """Wait until the node answers its owner."""
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            client.owner_status()
        except BpciError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return
