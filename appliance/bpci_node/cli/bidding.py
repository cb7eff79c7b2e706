"""Bidding, step by step, against validators that need not be trusted.

What counts is signed: the committee comes from the ledger's state, proved against the registry's key; receipts, set and
bundle are checked against it. A bid is revealed to nobody before the committee's certificate over the whole set of
commits is there and holds. Every step is kept in the bid's file before the next one begins, and may be done again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bpci_node.auction.auction_bundle import AuctionBundle, Row
from bpci_node.auction.certificate import verify_certificate
from bpci_node.auction.commit import encode_commits, sign_commit
from bpci_node.auction.commit_receipt import verify_commit_receipt
from bpci_node.auction.commit_set import verify_set
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.light import begin
from bpci_node.auction.line_request import LineRequest, sign_line_request
from bpci_node.auction.parcel import parcel_commitment
from bpci_node.auction.reveal import check_reveal, commitment_of, encode_reveals, payment_of
from bpci_node.auction.reveal_receipt import RevealReceipt, verify_reveal_receipt
from bpci_node.auction.window import WindowId, phases_of, window_at
from bpci_node.chain.committee import Committee
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.cli.bid_file import BidFile, Certified, KeptBid
from bpci_node.cli.light_trust import ask_committee
from bpci_node.errors import BpciError, NotFoundError, ProofError, RefusedError, UnreachableError, UsageError
from bpci_node.mempool.admission import check_gas
from bpci_node.mempool.entry import Entry, check_destination, decode_entry, make_entry
from bpci_node.network.auction_client import AuctionClient
from bpci_node.network.client import NodeClient
from bpci_node.network.file import NetworkFile, load
from bpci_node.primitives.keys import LocalSigner

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 15.0
"""How long after a window's end what belongs to it is waited for: the bundle's proofs are made after the header."""

_UNREADY = frozenset({"window.unknown", "reveal.uncertified"})
"""What a notary says while the certificate over a window's set is on its way to it."""

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Overview:
    """What a validator says of now. It says nothing that is trusted beyond times, terms and addresses."""

    time_us: int
    taken: float
    """When it was asked, by this machine's monotonic clock, seconds."""
    epoch: int
    begins_us: int
    ends_us: int
    urls: tuple[str | None, ...]
    """Where the seats' validators are, in the order of the seats; None where one says nothing."""
    targets: dict[str, TargetTerms]

    @classmethod
    def of(cls, client: AuctionClient) -> Overview:
        """Ask a validator."""
        taken = time.monotonic()
        found = client.overview()
        try:
            terms = [TargetTerms.from_map(item) for item in found["targets"]]
            urls = [next(iter(seat["endpoints"]), None) for seat in found["committee"]]
            numbers = [int(found[name]) for name in ("time_us", "epoch", "begins_us", "ends_us")]
        except (KeyError, TypeError, ValueError) as error:
            raise UnreachableError(f"{client.where} answers nonsense", code="format.reply") from error
        time_us, epoch, begins_us, ends_us = numbers
        return cls(time_us, taken, epoch, begins_us, ends_us, tuple(urls), {item.target: item for item in terms})

    def now_us(self) -> int:
        """Return ledger time now, as far as this validator can be believed."""
        return self.time_us + int((time.monotonic() - self.taken) * 1_000_000)

    def terms_of(self, target: str) -> TargetTerms:
        """Return the terms of a target.

        Raises:
            NotFoundError: it is not auctioned now (``window.target``).
        """
        if target not in self.targets:
            raise NotFoundError(
                f"{target} is not auctioned now",
                code="window.target",
                hint=f"What is: {', '.join(sorted(self.targets)) or 'nothing; is there a committee?'}",
            )
        return self.targets[target]


@dataclass(slots=True)
class Market:
    """The validators of one epoch, and whom a bidder trusts."""

    network: NetworkFile
    overview: Overview
    committee: Committee
    """Proved by the ledger's state."""
    clients: list[AuctionClient | None]
    """One for each seat whose address is known."""

    @property
    def coordinator(self) -> AuctionClient:
        """The epoch's coordinator.

        Raises:
            UnreachableError: nobody knows where it is (``unreachable.coordinator``).
        """
        if self.clients[0] is None:
            raise UnreachableError("the epoch's coordinator says nowhere to find it", code="unreachable.coordinator")
        return self.clients[0]

    def wait_for(self, found: Callable[[AuctionClient], _Found | None], until_us: int, what: str) -> _Found:
        """Ask coordinator and notaries again and again until one of them has something.

        Raises:
            UnreachableError: nobody has it in time (``unreachable.auctions``).
        """
        while True:
            for client in self.clients:
                if client is None:
                    continue
                try:
                    value = found(client)
                except (NotFoundError, UnreachableError):
                    continue
                if value is not None:
                    return value
            if self.overview.now_us() >= until_us:
                raise UnreachableError(f"{what} did not come", code="unreachable.auctions")
            time.sleep(POLL_SECONDS)


@contextmanager
def open_market(url: str, network: Path | None, epoch: int | None = None) -> Iterator[Market]:
    """Reach the committee of an epoch through one of its validators.

    Args:
        network: the network file that is trusted; None: the one that the node names.
        epoch: None: the one of now.
    Raises:
        NotFoundError: the epoch has no committee (``auction.no_committee``).
        UnreachableError: a validator can't be reached, or the ledger's nodes show no proof.
    """
    if network is not None:
        trusted = load(network)
    else:
        with NodeClient(url) as node:
            trusted = node.network()
    with ExitStack() as opened:
        entrance = opened.enter_context(AuctionClient(url))
        overview = Overview.of(entrance)
        if not overview.urls:
            raise NotFoundError(
                f"epoch {overview.epoch} has no committee",
                code="auction.no_committee",
                hint="Auctions begin with an epoch for which validators drew.",
            )
        wanted = overview.epoch if epoch is None else epoch
        committee = ask_committee(trusted, wanted)
        urls = list(overview.urls) if wanted == overview.epoch else [url]
        clients = [None if place is None else opened.enter_context(AuctionClient(place)) for place in urls]
        yield Market(trusted, overview, committee, clients)


def prepare(
    market: Market,
    signer: LocalSigner,
    account: str,
    raws: Sequence[bytes],
    path: Path,
    *,
    target: str,
    qlock_ms: int,
    ahead_ms: int,
    tier: int | None,
) -> BidFile:
    """Make the commits of entries for a window that opens soon, and keep what opens them.

    Args:
        ahead_ms: how long from now the window's commit phase may begin, at least.
        tier: None: the least that covers each bid.
    Raises:
        UsageError: no such class, or the file is there or can't be written (``usage.*``).
        RefusedError: the epoch is over too soon (``window.epoch``), or no tier covers a bid (``reveal.tier``).
        BpciError: an entry is none, or not for this target (``entry.*``).
    """
    window = _window(market, path, target=target, qlock_ms=qlock_ms, ahead_ms=ahead_ms)
    terms, ledger_id = market.overview.terms_of(target), market.network.ledger_id
    bids = []
    for raw in raws:
        number = tier_for(raw, terms, qlock_ms, ledger_id, tier)
        entry, salt = make_candidate(raw, terms, qlock_ms, ledger_id, window.opens_ms), secrets.token_bytes(32)
        digest = commitment_of(window, account, entry, salt)
        commit = sign_commit(signer, ledger_id=ledger_id, window=window, digest=digest, account=account, tier=number)
        bids.append(KeptBid(commit, raw, salt))
    kept = BidFile(path, ledger_id, market.overview.epoch, window, bids)
    kept.save()
    return kept


def prepare_parcel(
    market: Market,
    signer: LocalSigner,
    account: str,
    parcel: bytes,
    path: Path,
    *,
    target: str,
    qlock_ms: int,
    ahead_ms: int,
    tier: int,
) -> BidFile:
    """Make the commit of an encoded parcel, as :func:`prepare` does those of entries.

    Raises:
        BpciError: as :func:`prepare`, or the parcel could never run (``parcel.*``), or bids more than its tier covers.
    """
    window = _window(market, path, target=target, qlock_ms=qlock_ms, ahead_ms=ahead_ms)
    terms, ledger_id, salt = market.overview.terms_of(target), market.network.ledger_id, secrets.token_bytes(32)
    digest = parcel_commitment(window, account, parcel, salt)
    commit = sign_commit(signer, ledger_id=ledger_id, window=window, digest=digest, account=account, tier=tier)
    kept = KeptBid(commit, parcel, salt)
    check_reveal(kept.reveal(), commit, terms, ledger_id, arrival_seq=window.first_seq)
    bid = BidFile(path, ledger_id, market.overview.epoch, window, [kept])
    bid.save()
    return bid


def _window(market: Market, path: Path, *, target: str, qlock_ms: int, ahead_ms: int) -> WindowId:
    if path.exists():
        raise UsageError(f"{path} is there already", code="usage.file", hint="Each window needs a file of its own.")
    overview, terms = market.overview, market.overview.terms_of(target)
    if qlock_ms not in terms.classes:
        classes = ", ".join(map(str, terms.classes))
        raise UsageError(f"{target} is auctioned in these classes: {classes} ms", code="usage.class")
    window = window_at(target, qlock_ms, overview.now_us() + ahead_ms * 1_000 + qlock_ms * 1_000)
    if window.opens_us >= overview.ends_us:
        raise RefusedError(
            f"epoch {overview.epoch} is over before that window",
            code="window.epoch",
            hint="Try again in a moment: the next epoch has a committee of its own.",
        )
    return window


def tier_for(raw: bytes, terms: TargetTerms, qlock_ms: int, ledger_id: str, tier: int | None) -> int:
    """Return the tier under which an entry bids: ``tier``, or the least that covers it.

    Raises:
        RefusedError: none does, or it does not (``reveal.tier``).
        BpciError: the entry is none, or not for this target (``entry.*``).
    """
    return tier_of(payment_of(make_candidate(raw, terms, qlock_ms, ledger_id, 0), terms), terms, tier)


def tier_of(payment: int, terms: TargetTerms, tier: int | None) -> int:
    """Return the tier under which so much may be bid: ``tier``, or the least that covers it.

    Raises:
        RefusedError: none does, or it does not (``reveal.tier``).
    """
    chosen = tier if tier is not None else next((item.number for item in terms.tiers if item.cap >= payment), None)
    found = None if chosen is None else terms.tier(chosen)
    if found is None or found.cap < payment:
        raise RefusedError(
            f"the bid pays {payment} {terms.asset}, more than its tier covers",
            code="reveal.tier",
            hint="; ".join(f"tier {item.number} covers {item.cap}" for item in terms.tiers),
        )
    return found.number


def make_candidate(raw: bytes, terms: TargetTerms, qlock_ms: int, ledger_id: str, arrival_ms: int) -> Entry:
    """Return what a signed entry is in a window of this target.

    Raises:
        BpciError: it is none, or not for this target (``entry.*``).
    """
    tx, config = decode_entry(raw), terms.config(qlock_ms)
    check_destination(tx, config, ledger_id)
    check_gas(tx, config.gas_limit, is_checked=False)
    return make_entry(tx, config, arrival_seq=0, arrival_ms=arrival_ms)


def open_lines(
    market: Market, signer: LocalSigner, account: str, *, target: str, tier: int, count: int
) -> dict[str, Any]:
    """Have the coordinator reserve bonds on the ledger, and return the line.

    Raises:
        BpciError: the reason for refusing it.
    """
    request = LineRequest(
        market.network.ledger_id, market.overview.epoch, target, account, tier, count, secrets.token_bytes(16)
    )
    answer = market.coordinator.open_lines(sign_line_request(signer, request).encode())
    return {"epoch": answer.get("epoch"), "lines": answer["lines"]}


def commit(market: Market, kept: BidFile) -> list[BpciError]:
    """Send commits that have no receipt, check and keep the receipts; return why some were refused.

    A commit that the coordinator has already is as good as taken: the certified set will tell.
    """
    waiting = [bid for bid in kept.bids if bid.receipt is None]
    if not waiting:
        return []
    answers = market.coordinator.send_commits(encode_commits([bid.commit for bid in waiting]))
    refused = []
    for bid, answer in zip(waiting, answers, strict=True):
        if isinstance(answer, BpciError):
            refused += [] if answer.code == "commit.duplicate" else [answer]
            continue
        key = market.committee.coordinator.node_key
        receipt = verify_commit_receipt(answer, coordinator=key, ledger_id=kept.ledger_id)
        if receipt.commit_id != bid.commit.commit_id:
            raise ProofError("the coordinator gave a receipt of another commit", code="commit.receipt")
        bid.receipt = answer
    kept.save()
    return refused


def wait_for_set(market: Market, kept: BidFile) -> None:
    """Wait for the window's certified set, check it, and keep it.

    Raises:
        UnreachableError: none comes before the reveal phase ends: the window is void (``unreachable.auctions``).
        ProofError: it does not hold, or a commit with a receipt is not in it (``bid.omitted``).
    """
    if kept.certified is not None:
        return
    phases = phases_of(kept.window, market.overview.terms_of(kept.window.target))

    def certified(client: AuctionClient) -> Certified | None:
        found = Certified.from_map(client.commit_set(kept.window))
        key = market.committee.coordinator.node_key
        verify_set(found.commit_set, found.commit_ids, coordinator=key, ledger_id=kept.ledger_id)
        if found.commit_set.window != kept.window:
            raise ProofError("the set is of another window", code="commit.set")
        verify_certificate(market.committee, found.commit_set.digest(), found.certificate)
        return found

    kept.certified = market.wait_for(certified, phases.reveal_ends_us, "the certificate over the window's commits")
    kept.save()
    there = set(kept.certified.commit_ids)
    if any(bid.receipt is not None and bid.commit.commit_id not in there for bid in kept.bids):
        raise ProofError(
            "the coordinator gave a receipt for a commit and left it out of the set",
            code="bid.omitted",
            hint=f"Keep the proof: bpci auction report exclusion {kept.path}",
        )


def reveal(market: Market, kept: BidFile, notaries: int) -> list[BpciError]:
    """Reveal what is in the certified set to several notaries, keep their receipts; return why some refused.

    Raises:
        UsageError: there is no certified set yet: who reveals before it can be outbid (``usage.certified``).
        UnreachableError: no notary took it (``unreachable.auctions``).
    """
    if kept.certified is None:
        raise UsageError("the window's set is not certified yet", code="usage.certified", hint="Reveal after it is.")
    there = set(kept.certified.commit_ids)
    shown = [bid for bid in kept.bids if bid.commit.commit_id in there]
    if not shown:
        raise RefusedError("none of these commits is in the window's set", code="reveal.unknown")
    batch, taken = encode_reveals([bid.reveal() for bid in shown]), 0
    held: set[bytes] = set()
    problems: list[tuple[KeptBid, BpciError]] = []
    until_us = phases_of(kept.window, market.overview.terms_of(kept.window.target)).reveal_ends_us
    # The coordinator comes last: it learns of a reveal soon enough from the notaries.
    order = [client for client in [*market.clients[1:], market.clients[0]] if client is not None]
    while order and not taken:
        chosen, order = order[:notaries], order[notaries:]
        with ThreadPoolExecutor(len(chosen)) as pool:
            answers = list(pool.map(lambda client: _try_reveals(market, client, batch, until_us), chosen))
        for results in answers:
            taken += results is not None
            for bid, answer in zip(shown, results or [], strict=False):
                if not isinstance(answer, BpciError):
                    _keep_receipt(market, kept, bid, answer)
                elif answer.code != "reveal.duplicate":  # what another notary handed on to it, it has
                    problems.append((bid, answer))
                    continue
                held.add(bid.commit.commit_id)
    kept.save()
    if not taken:
        raise UnreachableError("no notary could be reached", code="unreachable.auctions", hint="Reveal again, quickly.")
    return [problem for bid, problem in problems if bid.commit.commit_id not in held]


def _try_reveals(market: Market, client: AuctionClient, batch: bytes, until_us: int) -> list[bytes | BpciError] | None:
    """Return a notary's answers, None if it can't be reached; one that has not heard of the set yet is asked again."""
    while True:
        try:
            answers = client.send_reveals(batch)
        except UnreachableError:
            return None
        is_ready = any(not isinstance(item, BpciError) or item.code not in _UNREADY for item in answers)
        if is_ready or market.overview.now_us() >= until_us:
            return answers
        time.sleep(POLL_SECONDS)


def _keep_receipt(market: Market, kept: BidFile, bid: KeptBid, answer: bytes) -> None:
    """Check and keep a notary's receipt."""
    receipt = RevealReceipt.decode(answer)
    verify_reveal_receipt(receipt, committee=market.committee, ledger_id=kept.ledger_id)
    if receipt.commit_id != bid.commit.commit_id:
        raise ProofError("a notary gave a receipt of another commit", code="reveal.receipt")
    bid.reveals.append(answer)


def follow(market: Market, kept: BidFile) -> tuple[str, AuctionBundle | None]:
    """Wait for a window's end; return its stage and, of a final one, the bundle, verified in full.

    Raises:
        UnreachableError: it has no end, or its bundle is not here (``unreachable.auctions``).
        ProofError: header or bundle do not hold.
    """
    phases = phases_of(kept.window, market.overview.terms_of(kept.window.target))
    until_us = max(phases.seal_ends_us, market.overview.now_us()) + int(PATIENCE_SECONDS * 1_000_000)

    def ended(client: AuctionClient) -> tuple[str, Any] | None:
        found = client.window(kept.window)
        return (found["stage"], found.get("header")) if found["stage"] in ("final", "void") else None

    stage, encoded = market.wait_for(ended, until_us, "the window's end")
    if stage == "void":
        return stage, None
    header = AuctionHeader.decode(encoded)
    data = market.wait_for(lambda client: client.bundle(header.digest()), until_us, "the window's bundle")
    bundle = AuctionBundle.decode(data)
    if bundle.header.window != kept.window:
        raise ProofError("the bundle is of another window", code="bundle.window")
    begin(kept.ledger_id, kept.window.target, market.committee).check(bundle, is_full=True)
    return stage, bundle


def row_of(bundle: AuctionBundle, bid: KeptBid) -> tuple[int, Row] | None:
    """Return where a bid runs in a bundle, and its row; None if it does not."""
    rows = () if bundle.body is None else bundle.body.entries
    found = ((at, row) for at, row in enumerate(rows) if row.commit_id == bid.commit.commit_id)
    return next(found, None)
