"""A ledger and validators on loopback, each a process of its own, and a bidder with an escrow."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from bpci_node.auction.commit import Commit, encode_commits, sign_commit
from bpci_node.auction.commit_receipt import verify_commit_receipt
from bpci_node.auction.line_request import LineRequest, sign_line_request
from bpci_node.auction.reveal import Reveal, commitment_of, encode_reveals
from bpci_node.auction.window import WindowId, window_at
from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.defaults import default_parameters
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.target_terms import TargetTerms, Tier
from bpci_node.chain.validators import prove_keys
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import NotFoundError
from bpci_node.mempool.entry import decode_entry, make_entry
from bpci_node.network.auction_client import AuctionClient
from bpci_node.network.proved_state import ProvedState
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.record import load_record
from bpci_node.runtime.auction_config import AuctionSection, ValidatorSection
from bpci_node.runtime.config import LedgerSection, LimitsSection, NodeConfig

TARGET = "eip155:1"
STAKE = 2 * 10**11
EPOCH_MS = 16_000
LIMITS = LimitsSection(requests_per_second=100_000, connections_per_source=500)
TERMS = TargetTerms(
    target=TARGET,
    kind="community",
    owner=None,
    base_fee_wei=45_000_000,
    fee_bin_wei=10_000_000,
    region=0,
    gas_limit=60_000_000,
    classes=(100,),
    reveal_ms=3_000,
    seal_ms=4_000,
    asset="BPI",
    wei_per_unit=10**9,
    forced_gas_bps=1_000,
    policy="auction-25",
    sla=None,
    tiers=(Tier(0, 10**9, 10**9),),
)


@dataclass
class AuctionNetwork:
    """One ledger node and its validators."""

    registry: Any
    validators: list[Any]
    ledger_id: str
    guardian: LocalSigner
    nonces: dict[str, int] = field(default_factory=dict)

    def submit(self, signer: LocalSigner, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        account = account_id_of(signer.public_key)
        with self.registry.client() as client:
            try:
                nonce = int(client.account(account)["nonce"])
            except NotFoundError:
                nonce = 0
            command = Command(
                ledger_id=self.ledger_id, sender=account, nonce=nonce, expires_height=10**6, kind=kind, body=body
            )
            return client.submit_command(sign_command(signer, command).encode())

    def wait_for(self, found: Callable[[], Any], *, seconds: float = 60.0, what: str = "it") -> Any:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                value = found()
            except NotFoundError:
                value = None
            if value:
                return value
            time.sleep(0.05)
        logs = "\n".join(f"--- {node.home.name}\n{node.log()[-3000:]}" for node in self.validators)
        raise AssertionError(f"{what} did not happen in {seconds} s\n{logs}")

    def overview(self, validator: int = 0) -> dict[str, Any]:
        with AuctionClient(self.validators[validator].url) as client:
            return client.overview()

    def proved(self, key: bytes) -> Any:
        """What the ledger's state holds at a key, proved to its registry."""
        with self.registry.client() as client:
            data = ProvedState(client, self.guardian.public_key).get(key)
        return None if data is None else load_record(data)

    def escrow(self, account: str) -> int:
        """What an account has in the hands of the auctions and not reserved."""
        found = self.proved(f"escrow/{account}/{WALLETS['auction']}/BPI".encode())
        return 0 if found is None else int(found["amount"])

    def events(self, kind: str) -> list[Any]:
        """The ledger's events of a kind."""
        return list(httpx.get(f"{self.registry.url}/v1/ledger/events", params={"of": kind}).json()["events"])

    def coordinator(self, overview: dict[str, Any]) -> str:
        """The URL of the epoch's coordinator."""
        return str(overview["committee"][0]["endpoints"][0])


def key_files(home: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    home.mkdir(exist_ok=True)
    seeds = {}
    for name in names:
        path = home / f"{name}.key"
        if not path.exists():
            path.write_bytes(b"\x01" + os.urandom(31) if name == "bls" else os.urandom(32))
            path.chmod(0o600)
        seeds[name] = path.read_bytes()
    return seeds


def start_network(
    start: Callable[..., Any], home: Path, count: int = 4, *, epoch_ms: int = EPOCH_MS, **terms: Any
) -> AuctionNetwork:
    """Start a ledger, ``count`` validators with a stake each, and wait until a committee of all of them serves."""
    (home / "registry").mkdir()
    for name in ("node", "registry"):
        path = home / "registry" / f"{name}.key"
        path.write_bytes(os.urandom(32))
        path.chmod(0o600)
    guardian = LocalSigner((home / "registry" / "registry.key").read_bytes())
    parameters = replace(
        default_parameters(guardian.public_key), values={"auction_epoch_ms": epoch_ms, "admission_bits": 0}
    )
    genesis = Genesis("testnet", guardian.public_key, time.time_ns() // 1_000_000, parameters)
    (home / "genesis.cbor").write_bytes(genesis.encode())
    ledger = LedgerSection("embedded", "testnet", genesis_file=home / "genesis.cbor")
    registry = start("registry", ledger=ledger, limits=LIMITS)
    with registry.client() as client:
        file = client.network()
    file.save(home / "network.json")
    network = AuctionNetwork(registry, [], file.ledger_id, guardian)
    network.submit(guardian, "auction.set_target", {"target": TARGET, "terms": replace(TERMS, **terms).as_map()})
    for number in range(count):
        network.validators.append(start_validator(start, home, network, number))
    network.wait_for(
        lambda: all(len(network.overview(n)["committee"]) == count for n in range(count)), what="a committee of all"
    )
    return network


def start_validator(start: Callable[..., Any], home: Path, network: AuctionNetwork, number: int) -> Any:
    name = f"validator-{number}"
    is_new = not (home / name).exists()
    seeds = key_files(home / name, ("node", "bls", "vrf", "ml-dsa"))
    files = [f"file:{home / name / f'{key}.key'}" for key in ("bls", "vrf", "ml-dsa")]

    def adapt(config: NodeConfig) -> NodeConfig:
        node = replace(config.node, flags=("validator",))
        auction = AuctionSection(peer_requests_per_second=100_000)
        return replace(config, node=node, validator=ValidatorSection(*files), auction=auction)

    node = start(name, network_file=home / "network.json", limits=LIMITS, adapt=adapt)
    if is_new:
        with node.owner() as owner:
            owner.register()
        signer = LocalSigner(seeds["node"])
        account = account_id_of(signer.public_key)
        spend = {"wallet": "treasury", "asset": "BPI", "to": account, "amount": 2 * STAKE, "reason": bytes(32)}
        network.submit(network.guardian, "wallet.spend", spend)
        network.submit(signer, "stake.deposit", {"amount": STAKE + number})
        body = prove_keys(
            BlsSigner(int.from_bytes(seeds["bls"])),
            LocalSigner(seeds["vrf"]),
            MlDsaSigner(seeds["ml-dsa"]),
            ledger_id=network.ledger_id,
            account=account,
            commission_bps=500,
        )
        network.submit(signer, "validator.set_up", body.as_body())
    return node


@dataclass
class Bidder:
    """Somebody who bids, with an escrow of its own."""

    network: AuctionNetwork
    signer: LocalSigner
    secrets: dict[bytes, tuple[WindowId, bytes, bytes]] = field(default_factory=dict)

    @property
    def account(self) -> str:
        return account_id_of(self.signer.public_key)

    def fund(self, amount: int = 10**12) -> None:
        spend = {"wallet": "treasury", "asset": "BPI", "to": self.account, "amount": amount, "reason": bytes(32)}
        self.network.submit(self.network.guardian, "wallet.spend", spend)
        body = {"holder": WALLETS["auction"], "asset": "BPI", "amount": amount // 2}
        self.network.submit(self.signer, "escrow.deposit", body)

    def open_line(self, client: AuctionClient, epoch: int, count: int) -> dict[str, Any]:
        request = LineRequest(self.network.ledger_id, epoch, TARGET, self.account, 0, count, os.urandom(16))
        return client.open_lines(sign_line_request(self.signer, request).encode())

    def prepare(self, window: WindowId, raw: bytes) -> Commit:
        entry = make_entry(decode_entry(raw), TERMS.config(window.qlock_ms), arrival_seq=0, arrival_ms=window.opens_ms)
        salt = os.urandom(32)
        commit = sign_commit(
            self.signer,
            ledger_id=self.network.ledger_id,
            window=window,
            digest=commitment_of(window, self.account, entry, salt),
            account=self.account,
            tier=0,
        )
        self.secrets[commit.commit_id] = window, raw, salt
        return commit

    def reveal_of(self, commit: Commit) -> Reveal:
        window, raw, salt = self.secrets[commit.commit_id]
        return Reveal(window, commit.commit_id, raw, salt)


def bid(
    network: AuctionNetwork,
    bidder: Bidder,
    raws: list[bytes],
    *,
    leave: int = 0,
    overview: dict[str, Any] | None = None,
) -> tuple[WindowId, list[Commit]]:
    """Commit to one window ahead, wait for its set, reveal to a notary; all but the last ``leave`` commits."""
    overview = overview or network.wait_for(lambda: early(network), what="the beginning of an epoch")
    coordinator = network.coordinator(overview)
    with AuctionClient(coordinator) as client:
        network.wait_for(lambda: bidder.open_line(client, overview["epoch"], len(raws)), seconds=10, what="a line")
        window = window_at(TARGET, 100, client.overview()["time_us"] + 300_000)
        commits = [bidder.prepare(window, raw) for raw in raws]
        results = client.send_commits(encode_commits(commits))
        key = next(node.signer.public_key for node in network.validators if node.url == coordinator)
        for commit, result in zip(commits, results, strict=True):
            assert isinstance(result, bytes), result
            receipt = verify_commit_receipt(result, coordinator=key, ledger_id=network.ledger_id)
            assert receipt.commit_id == commit.commit_id
        network.wait_for(lambda: client.commit_set(window), seconds=5, what="a certified set")
    shown = commits[: len(commits) - leave]
    alive = [node for node in network.validators if node.process.poll() is None and node.url != coordinator]
    with AuctionClient(alive[0].url) as notary:
        batch = encode_reveals([bidder.reveal_of(commit) for commit in shown])
        # The notary may hear of the certificate a moment after the bidder.
        network.wait_for(lambda: all_taken(notary.send_reveals(batch)), seconds=5, what="receipts of all reveals")
    return window, commits


def all_taken(results: list[Any]) -> bool:
    """Whether a notary holds every reveal of a batch, from this time or an earlier one."""
    return all(isinstance(item, bytes) or item.code == "reveal.duplicate" for item in results)


def run_window(network: AuctionNetwork, bidder: Bidder, raws: list[bytes]) -> tuple[WindowId, list[Commit], bytes, int]:
    """Bid, again where a busy machine lets a window go void; return window, commits, header, and how many were void."""
    for voids in range(4):
        window, commits = bid(network, bidder, raws)
        with AuctionClient(network.coordinator(network.overview())) as client:
            end = network.wait_for(
                lambda client=client, window=window: (
                    (found := client.window(window))["stage"] in ("final", "void") and found
                ),
                seconds=30,
                what="an end of the window",
            )
        if end["stage"] == "final":
            return window, commits, end["header"], voids
    raise AssertionError("four windows in a row went void")


def early(network: AuctionNetwork) -> dict[str, Any] | None:
    """The overview of a running validator while there is time enough left in the epoch to bid."""
    for number, node in enumerate(network.validators):
        if node.process.poll() is None:
            found = network.overview(number)
            left = found["ends_us"] - found["time_us"]
            return found if found["committee"] and left > (found["ends_us"] - found["begins_us"]) // 2 else None
    return None
