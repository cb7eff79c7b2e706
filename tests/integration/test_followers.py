"""One node sequences a ledger, others follow it: real processes, killed, cut off, lied to, restored from snapshots."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import decode_signed_block, sign_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.wallets import WALLETS
from bpci_node.consensus.checkpoint import Checkpoint, issue_checkpoint, verify_checkpoint
from bpci_node.errors import BpciError
from bpci_node.primitives.keys import LocalSigner, did_of
from bpci_node.primitives.state_proof import decode_state_proof, verify_state
from bpci_node.runtime.config import LedgerSection
from bpci_node.store.store import Store

ONE, TWO = LocalSigner(b"\x21" * 32), LocalSigner(b"\x22" * 32)
ONE_ID, TWO_ID = account_id_of(ONE.public_key), account_id_of(TWO.public_key)


def wait_for(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = what()
        except BpciError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(what())


def ledger_of(node: Any) -> dict[str, Any]:
    with node.client() as client:
        return dict(client.status()["ledger"])


def follows(node: Any, other: Any) -> Any:
    """Wait until ``node`` has all that ``other`` has."""

    def same() -> bool:
        mine, theirs = ledger_of(node), ledger_of(other)
        return (mine["height"], mine["root"], mine["lag"]) == (theirs["height"], theirs["root"], 0)

    return wait_for(same)


class Town:
    """A sequencer, and who transfers on its ledger."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.registry = LocalSigner((node.home / "registry.key").read_bytes())
        with node.client() as client:
            self.network = client.network()
        self.file = node.home / "network.json"
        self.network.save(self.file)
        self._send(
            self.registry,
            "wallet.spend",
            {"wallet": "faucet", "asset": "BPI", "to": ONE_ID, "amount": 10**12, "reason": bytes(32)},
        )

    def transfer(self, count: int = 1) -> None:
        for _ in range(count):
            self._send(ONE, "asset.transfer", {"asset": "BPI", "to": TWO_ID, "amount": 1})

    def _send(self, signer: LocalSigner, kind: str, body: dict[str, Any]) -> None:
        sender = account_id_of(signer.public_key)
        with self.node.client() as client:
            try:
                nonce = client.account(sender)["nonce"]
            except BpciError:
                nonce = 0
            command = Command(self.network.ledger_id, sender, nonce, 10**6, kind, body)
            client.submit_command(sign_command(signer, command).encode())


@pytest.fixture
def town(start: Callable[..., Any]) -> Town:
    return Town(start("sequencer"))


def test_two_followers_come_to_the_same_root_and_answer_from_their_own_state(
    town: Town, start: Callable[..., Any], bpci: Callable[..., Any]
) -> None:
    town.transfer(5)
    assert bpci("node", "register", "--socket", town.node.owner_socket).returncode == 0
    one, two = (start(name, network_file=town.file) for name in ("one", "two"))
    follows(one, town.node)
    town.transfer(3)
    follows(one, town.node)
    follows(two, town.node)
    town.node.kill()
    with one.client() as client:
        assert client.ledger.balances(TWO_ID) == {"BPI": "8"}
        assert client.account(ONE_ID)["nonce"] == 8
        assert [asset["id"] for asset in client.ledger.assets()] == ["BPI", "FLX", "GEN", "NEX"]
        page = client.ledger.events(TWO_ID, limit=3)
        rest = client.ledger.events(TWO_ID, after=page["next"])
        assert [event["fields"]["amount"] for event in page["events"] + rest["events"]] == ["1"] * 8
        assert client.ledger.block(1)["block"]["height"] == 1
        # What it answers needs no trust in it: the sequencer's block and checkpoint lead to it.
        key = b"account/" + ONE_ID.encode()
        found = client.ledger.state(key)
        block = decode_signed_block(found["signed_block"]).block
        said = verify_checkpoint(
            found["checkpoint"], registry_key=town.network.registry_key, ledger_id=town.network.ledger_id
        )
        assert said.block == block.digest
        verify_state(block.state_root, key, found["value"], decode_state_proof(found["proof"]))
    with one.client(network=town.network) as client:
        # A registered node as well, though a follower can give no certificate of it.
        assert client.node(did_of(town.node.signer.public_key))["certificate"] is None
        with pytest.raises(BpciError) as caught:
            client.submit_command(b"\xa0")
        assert caught.value.code == "registry.elsewhere"
    shown = bpci("node", "status", "--node", one.url)
    assert shown.returncode == 0, shown.stderr
    assert "up to date" in shown.stdout


def test_a_follower_killed_again_and_again_catches_up_each_time(town: Town, start: Callable[..., Any]) -> None:
    follower = start("one", network_file=town.file)
    for _ in range(3):
        town.transfer(4)
        time.sleep(0.3)
        follower.kill()
        town.transfer(4)
        follower = start("one", network_file=town.file)
    follows(follower, town.node)
    town.node.kill()
    town.node = start("sequencer")
    town.transfer()
    follows(follower, town.node)


def test_a_forged_block_of_the_sequencer_stops_the_follower_with_its_height(
    town: Town, start: Callable[..., Any], bpci: Callable[..., Any]
) -> None:
    town.transfer(3)
    first = start("one", network_file=town.file)
    follows(first, town.node)
    town.transfer(2)
    height = ledger_of(town.node)["height"]
    town.node.kill()
    first.kill()
    store = Store(town.node.config.state_dir)
    try:
        honest = store.query("SELECT block FROM blocks WHERE height = ?", (height,))[0][0]
        forged = sign_block(town.registry, replace(decode_signed_block(honest).block, state_root=bytes(32)))
        # A sequencer that publishes another state than it has; its own start would notice.
        checkpoint = issue_checkpoint(town.registry, Checkpoint(town.network.ledger_id, height, forged.block.digest))
        with lying(town, store, height, forged.encode(), checkpoint) as port:
            file = town.node.home / "lying.json"
            replace(town.network, urls=(f"http://127.0.0.1:{port}",)).save(file)
            follower = start("one", network_file=file)
            stopped = wait_for(lambda: ledger_of(follower)["stopped"])
    finally:
        store.close()
    assert stopped["code"] == "proof.state_root"
    assert f"block {height}" in stopped["title"]
    assert ledger_of(follower)["height"] == height - 1
    with follower.client() as client:
        assert not client.is_ready()
    shown = bpci("node", "status", "--node", follower.url)
    assert shown.returncode == 1
    assert "proof.state_root" in shown.stdout
    # A restart does not forget it; the owner's word does.
    follower.stop()
    town.node = start("sequencer")
    follower = start("one", network_file=town.file)
    time.sleep(1.5)
    assert ledger_of(follower)["stopped"]["code"] == "proof.state_root"
    follower.stop()
    config = follower.home / "node.toml"
    assert bpci("network", "resume", "--yes", "--config", config).returncode == 0
    assert bpci("network", "resume", "--yes", "--config", config).returncode == 1
    follower = start("one", network_file=town.file)
    follows(follower, town.node)


@contextmanager
def lying(town: Town, store: Store, height: int, block: bytes, checkpoint: bytes) -> Iterator[int]:
    """Serve the sequencer's blocks as a node does, one of them forged."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from urllib.parse import parse_qs, urlsplit

    from bpci_node.primitives import codec
    from bpci_node.store.blocks import SqliteBlockStore

    blocks, genesis = SqliteBlockStore(store), store.meta("genesis")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            value: Any = {"v": 1, "node": {}, "ledger": {"id": town.network.ledger_id, "mode": "embedded"}}
            if parts.path == "/v1/ledger/genesis":
                value = {"v": 1, "ledger_id": town.network.ledger_id, "genesis": genesis}
            elif parts.path == "/v1/ledger/blocks":
                first = int(parse_qs(parts.query)["from"][0])
                found = blocks.block_range(first, most_blocks=64, most_bytes=1 << 20)
                pairs = [[data, commands] for data, commands in found]
                for number, pair in enumerate(pairs):
                    if first + number == height:
                        pair[0] = block
                listed = [{"block": data, "commands": commands} for data, commands in pairs]
                value = {"v": 1, "first": 1, "checkpoint": checkpoint, "blocks": listed}
            body = codec.encode(value)
            self.send_response(200)
            self.send_header("Content-Type", "application/cbor")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_new_node_restores_from_a_snapshot_when_the_blocks_are_gone(
    start: Callable[..., Any], bpci: Callable[..., Any]
) -> None:
    section = LedgerSection("embedded", "testnet", snapshot_blocks=4, keep_blocks=2, heartbeat_seconds=0)
    town = Town(start("sequencer", ledger=section))
    town.transfer(12)
    with town.node.client() as client:
        wait_for(lambda: client.ledger.blocks(1, 1).first > 1)
        assert client.ledger.snapshots()
    follower = start("one", network_file=town.file)
    follows(follower, town.node)
    with follower.client() as client:
        assert client.ledger.balances(TWO_ID) == {"BPI": "12"}
        assert client.ledger.blocks(1, 1).first > 1
        assert client.is_ready()
    # It goes on, and after a restart as well; it makes snapshots of its own, from which a third node begins.
    town.transfer(2)
    follows(follower, town.node)
    follower.kill()
    town.transfer(2)
    follower = start("one", network_file=town.file)
    follows(follower, town.node)
    done = bpci("network", "snapshot", "--socket", follower.owner_socket, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["height"] == ledger_of(town.node)["height"]
    height = ledger_of(town.node)["height"]
    town.node.kill()
    file = town.node.home / "other.json"
    replace(town.network, urls=(follower.url,)).save(file)
    third = start("two", network_file=file)
    wait_for(lambda: ledger_of(third)["height"] == height)
    assert ledger_of(third)["root"] == ledger_of(follower)["root"]


def test_a_network_that_is_cut_is_followed_again_when_it_is_back(town: Town, start: Callable[..., Any]) -> None:
    replace(town.network, urls=("http://127.0.0.1:1", town.node.url)).save(town.file)
    follower = start("one", network_file=town.file)
    follows(follower, town.node)
    town.node.kill()
    time.sleep(2.5)
    with follower.client() as client:
        assert client.is_ready()
        assert client.ledger.balances(ONE_ID) == {"BPI": str(10**12)}
        silent_ms = client.status()["time_ms"] - client.status()["ledger"]["heard_ms"]
        assert silent_ms > 1_000
    town.node = start("sequencer")
    town.transfer(2)
    follows(follower, town.node)
    assert "the ledger can't be followed" in follower.log()


@pytest.mark.parametrize("from_snapshot", [False, True])
def test_a_ledger_is_carried_in_a_file(
    town: Town, start: Callable[..., Any], bpci: Callable[..., Any], tmp_path: Path, *, from_snapshot: bool
) -> None:
    town.transfer(4)
    assert bpci("network", "snapshot", "--socket", town.node.owner_socket).returncode == 0
    town.transfer(2)
    file = tmp_path / "ledger.bpci"
    options = ["--snapshot"] if from_snapshot else []
    done = bpci("network", "export", file, "--node", town.node.url, *options)
    assert done.returncode == 0, done.stderr
    expected = ledger_of(town.node)
    town.node.kill()
    follower = start("one", network_file=town.file)
    config = follower.home / "node.toml"
    refused = bpci("network", "import", file, "--config", config)
    assert refused.returncode == 1
    assert "another node process" in refused.stderr
    follower.stop()
    data = bytearray(file.read_bytes())
    for damaged in (
        data[:-30],
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    ):
        other = tmp_path / f"damaged-{len(damaged)}"
        other.write_bytes(damaged)
        assert bpci("network", "import", other, "--config", config).returncode == 1
    done = bpci("network", "import", file, "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "ledger_id": town.network.ledger_id,
        "height": expected["height"],
        "state_root": expected["root"],
    }
    town.node = start("sequencer")
    town.transfer()
    follower = start("one", network_file=town.file)
    follows(follower, town.node)


def test_a_network_begins_with_a_genesis_from_a_file(
    start: Callable[..., Any], bpci: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "sequencer"
    home.mkdir()
    (home / "registry.key").write_bytes(os.urandom(32))
    (home / "registry.key").chmod(0o600)
    signer = LocalSigner((home / "registry.key").read_bytes())
    (home / "node.key").write_bytes(os.urandom(32))
    (home / "node.key").chmod(0o600)
    file = tmp_path / "genesis.cbor"
    call = ["network", "genesis", "--out", file, "--name", "testnet", "--network", "testnet", "--json"]
    call += ["--registry-key", did_of(signer.public_key), "--set", "fee_min=7", "--allocate", f"{ONE_ID}:BPI:5000"]
    call += ["--allocate", f"{WALLETS['faucet']}:BPI:100000000000000"]
    made = bpci(*call)
    assert made.returncode == 0, made.stderr
    assert bpci(*call).returncode == 2  # it is there, and is not written over
    node = start("sequencer", ledger=LedgerSection("embedded", "testnet", genesis_file=file, heartbeat_seconds=0))
    with node.client() as client:
        assert client.status()["ledger"]["id"] == json.loads(made.stdout)["ledger_id"]
        assert client.ledger.genesis() == file.read_bytes()
    body = {"asset": "BPI", "to": TWO_ID, "amount": 1}
    with node.client() as client:
        command = Command(client.network().ledger_id, ONE_ID, 0, 99, "asset.transfer", body)
        with pytest.raises(BpciError) as caught:
            client.submit_command(sign_command(ONE, command).encode())
        assert caught.value.code == "chain.fee"
        client.submit_command(sign_command(ONE, replace(command, fee=7)).encode())
        assert client.ledger.balances(ONE_ID) == {"BPI": "4992"}
