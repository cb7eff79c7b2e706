"""The bidder's and watcher's command line against real validator processes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.cli.bid_file import BidFile
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import AuctionNetwork, Bidder, early, start_network
from tests.integration.conftest import COMMAND, ENVIRONMENT

pytestmark = pytest.mark.real_time


def coordinator_of(network: AuctionNetwork, bundle: AuctionBundle) -> bytes:
    with AuctionClient(network.validators[0].url) as client:
        return client.committee(bundle.header.epoch).coordinator.node_key


def watch(*arguments: str | Path) -> list[dict[str, Any]]:
    """What the coordinator's stream has told, line by line."""
    done = subprocess.run(
        [*COMMAND, "auction", "watch", "--once", "--json", *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def bpci(*arguments: str | Path | int, status: int | None = 0, group: str = "auction") -> Any:
    done = subprocess.run(
        [*COMMAND, group, *map(str, arguments), "--json"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert status is None or done.returncode == status, (done.returncode, done.stdout, done.stderr)
    text = done.stdout or done.stderr
    return json.loads(text) if text.startswith("{") else [json.loads(line) for line in text.splitlines()]


def at_the_beginning_of_an_epoch(network: AuctionNetwork) -> list[str]:
    """Wait until there is time enough left to bid; return the options that name a validator and the network."""
    network.wait_for(lambda: early(network), what="the beginning of an epoch")
    return ["--node", network.validators[0].url, "--network", str(network.registry.home.parent / "network.json")]


def until_it_is_final(network: AuctionNetwork, command: Callable[[list[str], Path], list[Any]], first: Path) -> Any:
    """Bid, and again in a later window while a machine that has too much to do lets windows go void."""
    for number in range(8):
        file = first.with_name(f"{number}-{first.name}")
        done = bpci(*command(at_the_beginning_of_an_epoch(network), file), "--ahead", 1_000, status=None)
        if done.get("stage") == "final":
            return done
    raise AssertionError(done)


def test_bids_go_from_nothing_to_a_bundle_with_commands_alone_at_once_and_step_by_step(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes]
) -> None:
    network = start_network(start, tmp_path, epoch_ms=16_000, reveal_ms=4_000, seal_ms=4_000)
    bidder = Bidder(network, LocalSigner(b"\x09" * 32))
    bidder.fund()
    key, entries, kept = tmp_path / "bidder.key", tmp_path / "entries.txt", tmp_path / "monday.bid"
    key.write_bytes(b"\x09" * 32)
    key.chmod(0o600)
    entries.write_text("\n".join("0x" + raw.hex() for raw in raws[:3]))

    where = at_the_beginning_of_an_epoch(network)
    shown = bpci("windows", "--node", where[1])
    assert [item["qlock_ms"] for item in shown["windows"]] == [100]
    assert shown["tiers"] == [{"number": 0, "bond": "1000000000", "cap": "1000000000"}]

    found = bpci("join-committee", "--config", network.validators[0].home / "node.toml", group="notary")
    assert (found["draws"], found["missing"], found["seats"]) == (True, [], 4)
    assert found["seat"] in range(4)

    bundle = tmp_path / "monday.bundle"
    done = until_it_is_final(
        network, lambda where, file: ["bid", entries, "--key", key, "--file", file, "--out", bundle, *where], kept
    )
    kept = Path(done["file"])
    assert done["stage"] == "final"
    assert sorted(item["place"] for item in done["bids"]) == [0, 1, 2]
    assert all(item["has_receipt"] and item["is_in_set"] and item["revealed_to"] for item in done["bids"])
    assert kept.stat().st_mode & 0o777 == 0o600
    decoded = AuctionBundle.decode(bundle.read_bytes())
    assert decoded.header.digest().hex() == done["header"].removeprefix("0x")
    assert BidFile.load(kept).window == decoded.header.window

    network.wait_for(lambda: network.events("auction.settled"), what="the settlement")
    assert bpci("status", kept, "--node", where[1])["stage"] == "final"
    settled = bpci("settlements", "--node", network.registry.url)["settlements"]
    assert decoded.header.sequence in [item["fields"]["sequence"] for item in settled]
    held = next(node.url for node in network.validators if node.signer.public_key == coordinator_of(network, decoded))
    seen = tmp_path / "seen"
    told = watch("--node", held, "--state", seen)
    own = [item for item in told if item["data"]["window"] == done["window"]]
    assert [item["kind"] for item in own] == ["set", "window", "bundle"]
    assert own[-1]["data"]["digest"] == done["header"]
    assert not {item["sequence"] for item in told} & {
        item["sequence"] for item in watch("--node", held, "--state", seen)
    }
    assert {item["kind"] for item in watch("--node", held, "--kind", "bundle")} == {"bundle"}

    done = step_by_step(network, key, "0x" + raws[3].hex(), tmp_path)
    assert (done["stage"], done["bids"][0]["place"]) == ("final", 0)


def step_by_step(network: AuctionNetwork, key: Path, entry: str, home: Path) -> Any:
    """Reserve, commit, reveal, go on; again in a later window if a busy machine lets this one go void."""
    done: dict[str, Any] = {}
    for number in range(8):
        kept, where = home / f"{number}-tuesday.bid", at_the_beginning_of_an_epoch(network)
        line = bpci("lines", "--key", key, "--count", 2, *where, status=None)
        if "code" in line:
            continue
        assert line["lines"][0]["free"] >= 2
        first = bpci("commit", entry, "--key", key, "--file", kept, "--ahead", 1_000, *where, status=None)
        if "code" in first or not first["bids"][0]["has_receipt"]:
            continue
        assert not first["is_certified"]
        shown = bpci("reveal", kept, *where, status=None)
        if "code" in shown or shown["refused"]:
            continue
        assert shown["is_certified"]
        done = bpci("bid", "--key", key, "--file", kept, *where, status=None)
        assert done["window"] == first["window"]
        if done["stage"] == "final":
            return done
    raise AssertionError(done)
