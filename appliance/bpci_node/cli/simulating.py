"""The play behind ``bpci auction simulate``: real transactions bid, in virtual time, on the auction's own parts.

Every transaction becomes a hidden bid of its own bidder, at a time and over a link that follow from the seed; some are
attacked. Coordinator, notaries, signatures, selection and headers are the real ones. The same transactions and the same
attackers are also played in the open: in a pool that everybody reads, in the same windows and by the same rules of
selection. Nothing here knows what time it is; the same blocks and the same seed give the same play.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.commit import sign_commit
from bpci_node.auction.outcome import Outcome
from bpci_node.auction.reveal import Reveal, commitment_of, payment_of
from bpci_node.auction.simulated import SimulatedBid, SimulatedNotary, SimulatedWindow
from bpci_node.auction.simulator import Simulator
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.target_terms import COMMUNITY, TargetTerms, Tier
from bpci_node.cli.replaying import MinedBlock
from bpci_node.errors import BpciError, UsageError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import Entry, check_destination, decode_entry, make_entry
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner

LEDGER_ID = "simulation:" + "00" * 32
TARGET = "eip155:1"
ASSET = "BPI"
WEI_PER_UNIT = 10**9
"""One unit of the bonds' asset is worth a gwei of fees here."""
REVEAL_MS, SEAL_MS = 400, 400
FIRST_US = 1_000_000
"""When the first window opens."""
_BIN_WEI = 10_000_000
_TIERS = tuple(Tier(number, 10**power, 10**power) for number, power in enumerate(range(3, 19)))


class Attack(StrEnum):
    """What an attacker does to a victim's bid."""

    COPY = "copy"
    """It commits under the digest that it saw, and opens it with what the victim reveals."""
    FRONT_RUN = "front-run"
    """It bids one wei more as soon as it knows the bid."""
    SANDWICH = "sandwich"
    """It bids one wei more and one wei less as soon as it knows the bid."""
    LATE_REVEAL = "late reveal"
    """It bids blind, waits for what the others reveal, and reveals too late."""
    NO_REVEAL = "no reveal"
    """It bids blind, sees what the others reveal, and never reveals."""


IN_THE_OPEN = (Attack.COPY, Attack.FRONT_RUN, Attack.SANDWICH)
"""Attacks that need nothing but to read the pool: those that are played there, too."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a play is made of."""

    seed: int = 1
    qlock_ms: int = 100
    windows: int = 3
    """Windows over which the transactions of one block arrive, and among which its gas limit is divided."""
    attackers_percent: int = 20
    """Share of the transactions that are attacked, each by an attacker of its own."""
    notaries: int = 5


@dataclass(slots=True)
class Player:
    """A transaction of a block, and the bid that it becomes."""

    block: int
    """Position of its block among the blocks."""
    position: int
    """Where it ran in its block."""
    entry: Entry
    window: WindowId
    signer: LocalSigner
    arrives_us: int
    """When its commit reaches the coordinator; in the open, when it reaches the pool."""
    bid: SimulatedBid


@dataclass(slots=True)
class Attacker:
    """Somebody who wants something of a victim."""

    kind: Attack
    victim: Player
    bids: list[SimulatedBid]
    """Its bids in the auction; of a sandwich the front ones first."""
    fronts: set[bytes] = field(default_factory=set)
    """Transactions that must run before the victim."""
    backs: set[bytes] = field(default_factory=set)
    """Transactions that must run after the victim."""
    open_arrives_us: int = 0
    """When its transactions reach the open pool."""
    open_entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Play:
    """A play, and what became of it."""

    setting: Setting
    blocks: list[MinedBlock]
    terms: TargetTerms
    players: list[Player]
    attackers: list[Attacker]
    unplayable: Counter[str]
    """Transactions that cannot bid here, by the code that says why."""
    results: list[SimulatedWindow] = field(default_factory=list)
    refused: dict[bytes, str] = field(default_factory=dict)
    """Codes by commit."""
    outcomes: dict[bytes, Outcome] = field(default_factory=dict)
    """The last outcome of each commit."""
    ran: list[Entry] = field(default_factory=list)
    """What ran in the auction, in the order of the headers."""
    ran_in: dict[bytes, SimulatedWindow] = field(default_factory=dict)
    """The window in which a transaction ran."""
    ran_open: list[Entry] = field(default_factory=list)
    """What ran in the open."""


def play(blocks: Sequence[MinedBlock], setting: Setting) -> Play:
    """Play blocks.

    Raises:
        UsageError: there is no transaction that can bid (``usage.blocks``).
    """
    made = _cast(blocks, setting)
    if not made.players:
        raise UsageError("these blocks hold no transaction that can bid", code="usage.blocks")
    _hidden(made)
    _open(made)
    return made


def _cast(blocks: Sequence[MinedBlock], setting: Setting) -> Play:
    """Make the players and their attackers."""
    limit = min(block.gas_limit for block in blocks) // setting.windows if blocks else 0
    terms = TargetTerms(
        target=TARGET,
        kind=COMMUNITY,
        owner=None,
        base_fee_wei=min((block.base_fee_wei for block in blocks), default=0),
        fee_bin_wei=_BIN_WEI,
        region=0,
        gas_limit=max(limit, 1),
        classes=(setting.qlock_ms,),
        reveal_ms=REVEAL_MS,
        seal_ms=SEAL_MS,
        asset=ASSET,
        wei_per_unit=WEI_PER_UNIT,
        forced_gas_bps=0,
        policy="auction-25",
        sla=None,
        tiers=_TIERS,
    )
    made = Play(setting, list(blocks), terms, [], [], Counter())
    chance = random.Random(f"{setting.seed}/bidders")  # noqa: S311 - a play, repeatable by its seed
    for number, block in enumerate(blocks):
        made.players += _players(made, number, block, chance)
    chance = random.Random(f"{setting.seed}/attackers")  # noqa: S311 - a play, repeatable by its seed
    for player in made.players:
        if chance.randrange(100) < setting.attackers_percent:
            made.attackers.append(_attacker(made, player, chance.choice(list(Attack)), _link(chance)))
    return made


def _players(made: Play, number: int, block: MinedBlock, chance: random.Random) -> list[Player]:
    setting, terms = made.setting, made.terms
    span_us = setting.windows * setting.qlock_ms * 1_000
    begins_us = FIRST_US // (setting.qlock_ms * 1_000) * setting.qlock_ms * 1_000 + number * span_us
    found: list[tuple[int, Entry]] = []
    config = terms.config(setting.qlock_ms)
    for position, raw in enumerate(block.raws):
        try:
            tx = decode_entry(raw)
            check_destination(tx, config, LEDGER_ID)
            entry = make_entry(tx, config, arrival_seq=0, arrival_ms=0)
        except BpciError as error:
            made.unplayable[error.code] += 1
            continue
        if entry.leaf.gas > terms.gas_limit:
            made.unplayable["entry.gas"] += 1
            continue
        found.append((position, entry))
    times: dict[bytes, list[int]] = {}
    for _, entry in found:
        times.setdefault(entry.leaf.sender, []).append(begins_us + chance.randrange(span_us))
    for drawn in times.values():
        drawn.sort(reverse=True)  # who sends several sends them in the order of their nonces, as the block has them
    players = []
    for position, entry in found:
        arrives_us, link_us = times[entry.leaf.sender].pop(), _link(chance)
        window = WindowId(TARGET, setting.qlock_ms, arrives_us // (setting.qlock_ms * 1_000))
        signer = LocalSigner(sha256(b"%d/bidder/" % setting.seed + entry.leaf.sender))
        tier = _tier(payment_of(entry, terms))
        bid = _from_afar(_bid(signer, window, entry, tier, arrives_us), link_us, chance.randrange(setting.notaries))
        players.append(Player(number, position, entry, window, signer, arrives_us, bid))
    return players


def _link(chance: random.Random) -> int:
    """Return a distance from everybody, one way, microseconds: 2 ms at least, 25 ms more on average, 120 at most."""
    return min(2_000 + int(chance.expovariate(1 / 25_000)), 120_000)


def _tier(payment: int) -> int:
    """Return the least tier that covers a payment, the greatest if none does."""
    return next((tier.number for tier in _TIERS if tier.cap >= payment), _TIERS[-1].number)


def _salt(signer: LocalSigner, entry: Entry) -> bytes:
    return sha256(b"salt/" + signer.public_key + entry.transaction.raw)


def _bid(signer: LocalSigner, window: WindowId, entry: Entry, tier: int, arrives_us: int) -> SimulatedBid:
    """Return a bid that is made next to coordinator and notaries."""
    account, salt = account_id_of(signer.public_key), _salt(signer, entry)
    digest = commitment_of(window, account, entry, salt)
    commit = sign_commit(signer, ledger_id=LEDGER_ID, window=window, digest=digest, account=account, tier=tier)
    reveal = Reveal(window, commit.commit_id, entry.transaction.raw, salt)
    return SimulatedBid(commit, reveal, signer.public_key, arrives_us, 0)


def _from_afar(bid: SimulatedBid, link_us: int, seat: int) -> SimulatedBid:
    """Return a bid that arrives at the same time, and comes over a link."""
    return replace(bid, sent_us=max(0, bid.sent_us - link_us), link_us=link_us, seat=seat)


# Attackers


def _attacker(made: Play, victim: Player, kind: Attack, link_us: int) -> Attacker:
    """Return an attacker with its bids, at the best moment that there can be for it.

    In the auction it is next to coordinator and notaries, and knows a bid as soon as it could be revealed at all: when
    the commit phase is over. In the open it hears of it over its link, and answers over its link.
    """
    setting, window = made.setting, victim.window
    signer = LocalSigner(sha256(b"%d/attacker/" % setting.seed + victim.entry.leaf.txid))
    closes_us = window.opens_us + setting.qlock_ms * 1_000
    following = WindowId(TARGET, setting.qlock_ms, window.index + 1)
    fee = victim.entry.leaf.fee_per_w
    front = _native(made, signer, 0, fee + 1, victim)
    back = _native(made, signer, 1, max(fee - 1, made.terms.base_fee_wei), victim)
    made_by = Attacker(kind, victim, [], {front.leaf.txid}, open_arrives_us=victim.arrives_us + 2 * link_us)
    if kind is Attack.COPY:
        # The digest is on the wire at once, next to the coordinator; what opens it, when the victim reveals.
        copied, account = victim.bid.commit, account_id_of(signer.public_key)
        commit = sign_commit(
            signer, ledger_id=LEDGER_ID, window=window, digest=copied.digest, account=account, tier=copied.tier
        )
        reveal = Reveal(window, commit.commit_id, victim.entry.transaction.raw, _salt(victim.signer, victim.entry))
        made_by.bids = [SimulatedBid(commit, reveal, signer.public_key, victim.arrives_us, 0)]
    elif kind in (Attack.FRONT_RUN, Attack.SANDWICH):
        entries = [front] if kind is Attack.FRONT_RUN else [front, back]
        made_by.backs = {back.leaf.txid} if kind is Attack.SANDWICH else set()
        for entry in entries:
            tier = _tier(payment_of(entry, made.terms))
            made_by.bids += [_bid(signer, place, entry, tier, closes_us) for place in (window, following)]
    else:
        link_us = REVEAL_MS * 1_000 if kind is Attack.LATE_REVEAL else 0
        bid = _bid(signer, window, front, _tier(payment_of(front, made.terms)), victim.arrives_us)
        withheld = None if kind is Attack.NO_REVEAL else bid.reveal
        made_by.bids = [replace(_from_afar(bid, link_us, 0), reveal=withheld)]
    made_by.open_entries = [front, back] if kind is Attack.SANDWICH else [front] if kind in IN_THE_OPEN else []
    return made_by


def _native(made: Play, signer: LocalSigner, nonce: int, fee: int, victim: Player) -> Entry:
    """Return an attacker's own entry: as much gas as its victim's, whatever it does with it."""
    raw = sign_native(
        signer,
        ledger_id=LEDGER_ID,
        target=TARGET,
        kind=EntryType.SETTLEMENT,
        nonce=nonce,
        fee=fee,
        gas=min(max(victim.entry.leaf.gas, 22_000), made.terms.gas_limit),
        body=victim.entry.leaf.txid,
    ).raw
    return make_entry(decode_entry(raw), made.terms.config(made.setting.qlock_ms), arrival_seq=0, arrival_ms=0)


# The two worlds


def _hidden(made: Play) -> None:
    """Play the auction."""
    setting = made.setting
    chance = random.Random(f"{setting.seed}/notaries")  # noqa: S311 - a play, repeatable by its seed
    nodes = [LocalSigner(sha256(b"%d/node/%d" % (setting.seed, seat))) for seat in range(setting.notaries)]
    voters = [BlsSigner(1 + chance.getrandbits(240)) for _ in nodes]
    seats = tuple(
        Seat(account_id_of(node.public_key), node.public_key, voter.public_key, number.to_bytes(1312), 1)
        for number, (node, voter) in enumerate(zip(nodes, voters, strict=True))
    )
    notaries = [
        SimulatedNotary(node, voter, 0 if seat == 0 else 1_000 + chance.randrange(39_000))
        for seat, (node, voter) in enumerate(zip(nodes, voters, strict=True))
    ]
    ends_us = FIRST_US + (len(made.blocks) * setting.windows + 20) * setting.qlock_ms * 1_000
    epoch = AuctionEpoch(LEDGER_ID, Committee(1, seats), 0, ends_us, {TARGET: made.terms})
    simulator = Simulator(epoch, notaries)
    bids = [player.bid for player in made.players] + [bid for item in made.attackers for bid in item.bids]
    lines = Counter((bid.commit.account, bid.commit.tier) for bid in bids)
    for (account, tier), slots in sorted(lines.items()):
        simulator.open_line(TARGET, account, tier, slots)
    for bid in bids:
        simulator.bid(bid)
    # The windows behind the last block: what is carried runs there.
    last = max(player.window.index for player in made.players)
    for step in (1, 2):
        window = WindowId(TARGET, setting.qlock_ms, last + step)
        simulator.want(window, window.opens_us)
    made.results = simulator.run()
    made.refused = simulator.refused
    headed = [result for result in made.results if result.header is not None and result.final_us is not None]
    for result in sorted(headed, key=lambda item: item.header.sequence if item.header else 0):
        made.outcomes.update((item.commit_id, item) for item in result.outcomes)
        for winner in result.selection.winners if result.selection else ():
            made.ran.append(winner.entry)
            made.ran_in[winner.entry.leaf.txid] = result


def _open(made: Play) -> None:
    """Play the same in a pool that everybody reads."""
    setting = made.setting
    waiting = [(player.arrives_us, player.entry) for player in made.players]
    for item in made.attackers:
        waiting += [(item.open_arrives_us, entry) for entry in item.open_entries]
    waiting.sort(key=lambda pair: (pair[0], pair[1].leaf.txid))
    first = min(player.window.index for player in made.players)
    last = max(player.window.index for player in made.players) + 2
    for index in range(first, last + 1):
        closes_us = (index + 1) * setting.qlock_ms * 1_000
        there = [Candidate(entry, Origin.PUBLIC) for arrives_us, entry in waiting if arrives_us < closes_us]
        winners = [item.entry for item in select_window(there, made.terms).winners]
        made.ran_open += winners
        gone = {entry.leaf.txid for entry in winners}
        waiting = [pair for pair in waiting if pair[1].leaf.txid not in gone]
