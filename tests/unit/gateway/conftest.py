"""A node with its doors open, in a thread of this process; tests talk to it over real sockets."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.gateway.server import open_faces
from bpci_node.network.client import NodeClient
from bpci_node.runtime.config import (
    ApiSection,
    KeysSection,
    LedgerSection,
    LimitsSection,
    NodeConfig,
    NodeSection,
    OwnerSection,
    TargetSection,
)
from bpci_node.runtime.faucet_section import FaucetSection
from bpci_node.runtime.node import Node


@dataclass
class Served:
    """A node that is being served."""

    node: Node
    url: str
    socket: Path
    http: httpx.Client
    client: NodeClient
    owner: NodeClient
    loop: asyncio.AbstractEventLoop

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rpartition(":")[2])


def _config(home: Path, limits: LimitsSection, faucet: FaucetSection) -> NodeConfig:
    home.mkdir(exist_ok=True)
    for name in ("node.key", "registry.key"):
        (home / name).write_bytes(os.urandom(32))
        (home / name).chmod(0o600)
    return NodeConfig(
        state_dir=home / "state",
        node=NodeSection("one"),
        api=ApiSection("127.0.0.1", 0),
        owner=OwnerSection(home / "owner.sock", ""),
        ledger=LedgerSection("embedded", "testnet"),
        keys=KeysSection(f"file:{home / 'node.key'}", f"file:{home / 'registry.key'}"),
        targets=(TargetSection("eip155:1", 45_000_000, 10_000_000),),
        limits=limits,
        faucet=faucet,
    )


@contextmanager
def _serving(home: Path, *, faucet: FaucetSection | None = None, **limits: int) -> Iterator[Served]:
    config = _config(home, replace(LimitsSection(requests_per_second=10_000), **limits), faucet or FaucetSection())
    ready, found, failure = threading.Event(), {}, []

    async def run() -> None:
        node = Node(config)
        try:
            faces = await open_faces(node)
            found.update(node=node, url=faces.addresses[0], loop=asyncio.get_running_loop())
            ready.set()
            await node.stopping.wait()
            await faces.close(1.0)
        finally:
            await node.close()

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - the test that waits raises it
            failure.append(error)
            ready.set()

    worker = threading.Thread(target=thread)
    worker.start()
    assert ready.wait(60)
    if failure:
        raise failure[0]
    node, url, socket = found["node"], found["url"], config.owner.socket
    with httpx.Client(base_url=url) as http, NodeClient(url) as client, NodeClient(socket) as owner:
        yield Served(node, url, socket, http, client, owner, found["loop"])
    found["loop"].call_soon_threadsafe(node.stopping.set)
    worker.join(10)
    assert not worker.is_alive()
    assert not failure


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with _serving(tmp_path_factory.mktemp("node")) as item:
        yield item


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Serve another node; keyword arguments are its limits."""
    with ExitStack() as stack:
        yield lambda name="node", **limits: stack.enter_context(_serving(tmp_path / name, **limits))
