"""What a play came to, in figures: revenue, inclusion, latency, attacks, and orders beside those of the real blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from bpci_node.auction.coordinator_book import Stage
from bpci_node.auction.outcome import Kind
from bpci_node.auction.reveal import payment_of
from bpci_node.cli.simulating import IN_THE_OPEN, Attack, Attacker, Play, Player

WHOLE = 10_000
PERCENTILES = (50, 90, 99)


def figures_of(made: Play, *, prize: int) -> dict[str, Any]:
    """Return the figures as JSON types; amounts are decimal strings, shares basis points, times microseconds.

    Args:
        prize: what an attack that works takes, as a multiple of what its victim pays. Nothing on a chain says this:
            it is assumed.
    """
    setting, terms = made.setting, made.terms
    stages = Counter(result.stage for result in made.results)
    return {
        "v": 1,
        "seed": setting.seed,
        "blocks": [block.number for block in made.blocks],
        "setting": {
            "qlock_ms": setting.qlock_ms,
            "windows_of_a_block": setting.windows,
            "reveal_ms": terms.reveal_ms,
            "seal_ms": terms.seal_ms,
            "window_gas_limit": terms.gas_limit,
            "base_fee_wei": str(terms.base_fee_wei),
            "wei_per_unit": str(terms.wei_per_unit),
            "notaries": setting.notaries,
            "attackers_percent": setting.attackers_percent,
            "prize": prize,
        },
        "windows": {"final": stages[Stage.FINAL], "void": stages[Stage.VOID]},
        "revenue": _revenue(made),
        "inclusion": _inclusion(made),
        "latency_us": _latency(made),
        "attacks": [_attack(made, kind, prize) for kind in Attack],
        "orders": [_order(made, number) for number in range(len(made.blocks))],
    }


def _amount(made: Play, commit_ids: Iterable[bytes], kind: Kind) -> int:
    found = (made.outcomes.get(name) for name in commit_ids)
    return sum(item.amount for item in found if item is not None and item.kind is kind)


def _revenue(made: Play) -> dict[str, str]:
    """Return what everything paid, units of the asset; in the blocks, what the same transactions offered there."""
    own = [player.bid.commit.commit_id for player in made.players]
    others = [bid.commit.commit_id for item in made.attackers for bid in item.bids]
    return {
        "offered_in_blocks": str(sum(payment_of(player.entry, made.terms) for player in made.players)),
        "paid": str(_amount(made, own, Kind.WON)),
        "paid_by_attackers": str(_amount(made, others, Kind.WON)),
        "forfeited": str(_amount(made, own, Kind.UNREVEALED)),
        "forfeited_by_attackers": str(_amount(made, others, Kind.UNREVEALED)),
        "paid_in_the_open": str(sum(payment_of(entry, made.terms) for entry in made.ran_open)),
    }


def _inclusion(made: Play) -> dict[str, Any]:
    """Return what became of the blocks' own transactions."""
    kinds = Counter(_end(made, player) for player in made.players)
    open_ran = {entry.leaf.txid for entry in made.ran_open}
    return {
        "transactions": sum(len(block.raws) for block in made.blocks),
        "cannot_bid": dict(sorted(made.unplayable.items())),
        "bids": len(made.players),
        "ran": kinds["won"],
        "ran_after_being_carried": sum(
            made.ran_in[player.entry.leaf.txid].window != player.window
            for player in made.players
            if player.entry.leaf.txid in made.ran_in
        ),
        "no_room": kinds["lost"],
        "unrevealed": kinds["unrevealed"],
        "refused_or_void": kinds["none"],
        "ran_in_the_open": sum(player.entry.leaf.txid in open_ran for player in made.players),
    }


def _end(made: Play, player: Player) -> str:
    outcome = made.outcomes.get(player.bid.commit.commit_id)
    return "none" if outcome is None else outcome.kind.name.lower()


def latencies(made: Play) -> list[int]:
    """Return how long after its commit was sent each transaction was final, microseconds, ascending."""
    found = []
    for player in made.players:
        result = made.ran_in.get(player.entry.leaf.txid)
        if result is not None and result.final_us is not None:
            found.append(result.final_us - player.bid.sent_us)
    return sorted(found)


def _latency(made: Play) -> dict[str, int]:
    """Return percentiles (nearest rank) of the latencies, and the greatest."""
    found = latencies(made)
    if not found:
        return {}
    ranks = {f"p{percent}": found[-(-len(found) * percent // 100) - 1] for percent in PERCENTILES}
    return ranks | {"max": found[-1]}


def _attack(made: Play, kind: Attack, prize: int) -> dict[str, Any]:
    """Return what attackers of a kind tried and got, here and in the open."""
    attackers = [item for item in made.attackers if item.kind is kind]
    commit_ids = [bid.commit.commit_id for item in attackers for bid in item.bids]
    place = {entry.leaf.txid: at for at, entry in enumerate(made.ran)}
    open_place = {entry.leaf.txid: at for at, entry in enumerate(made.ran_open)}
    hits = [item for item in attackers if _succeeds(made, item, place)]
    open_hits = [item for item in attackers if kind in IN_THE_OPEN and _stands_around(item, open_place)]
    paid, forfeited = _amount(made, commit_ids, Kind.WON), _amount(made, commit_ids, Kind.UNREVEALED)
    open_ran = {entry.leaf.txid for entry in made.ran_open}
    open_paid = sum(
        payment_of(entry, made.terms)
        for item in attackers
        for entry in item.open_entries
        if entry.leaf.txid in open_ran
    )
    codes = Counter(made.refused[name] for name in commit_ids if name in made.refused)
    return {
        "kind": kind.value,
        "tried": len(attackers),
        "succeeded": len(hits),
        "refused": dict(sorted(codes.items())),
        "paid": str(paid),
        "forfeited": str(forfeited),
        "gained": str(prize * _stakes(made, hits) - paid - forfeited),
        "succeeded_in_the_open": len(open_hits) if kind in IN_THE_OPEN else None,
        "gained_in_the_open": str(prize * _stakes(made, open_hits) - open_paid) if kind in IN_THE_OPEN else None,
    }


def _stakes(made: Play, attackers: Sequence[Attacker]) -> int:
    return sum(payment_of(item.victim.entry, made.terms) for item in attackers)


def _succeeds(made: Play, item: Attacker, place: dict[bytes, int]) -> bool:
    """Tell whether an attacker got in the auction what it wanted."""
    if item.kind in (Attack.FRONT_RUN, Attack.SANDWICH):
        return _stands_around(item, place)
    found = (made.outcomes.get(bid.commit.commit_id) for bid in item.bids)
    return any(outcome is not None and outcome.kind is Kind.WON for outcome in found)


def _stands_around(item: Attacker, place: dict[bytes, int]) -> bool:
    """Tell whether an attacker ran before its victim, and behind it too where it wants that."""
    victim = place.get(item.victim.entry.leaf.txid)
    if victim is None:
        return False
    before = any(place.get(txid, victim) < victim for txid in item.fronts)
    return before and (not item.backs or any(place.get(txid, victim) > victim for txid in item.backs))


def _order(made: Play, number: int) -> dict[str, Any]:
    """Compare the order of a block with that in which its transactions ran here.

    Pairs of one sender are left out: their order is that of their nonces, everywhere.
    """
    place = {entry.leaf.txid: at for at, entry in enumerate(made.ran)}
    there = [player for player in made.players if player.block == number and player.entry.leaf.txid in place]

    def here(player: Player) -> int:
        return place[player.entry.leaf.txid]

    def window(player: Player) -> int:
        return made.ran_in[player.entry.leaf.txid].window.index

    pairs = _pairs(sorted(there, key=lambda player: player.position))
    same = sum(here(one) < here(other) for one, other in pairs)
    inside = [pair for pair in _pairs(sorted(there, key=here)) if window(pair[0]) == window(pair[1])]
    return {
        "number": made.blocks[number].number,
        "ran": len(there),
        "same_order_bps": _share(same, len(pairs)),
        "cheaper_first_in_block_bps": _cheaper_first(pairs),
        "cheaper_first_bps": _cheaper_first(inside),
    }


def _pairs(players: Sequence[Player]) -> list[tuple[Player, Player]]:
    """Return the pairs of different senders, each in the order given."""
    return [pair for pair in combinations(players, 2) if pair[0].entry.leaf.sender != pair[1].entry.leaf.sender]


def _cheaper_first(pairs: Sequence[tuple[Player, Player]]) -> int:
    """Return the share of pairs in which the one that pays less per gas stands first."""
    fees = [(one.entry.leaf.fee_per_w, other.entry.leaf.fee_per_w) for one, other in pairs]
    unequal = [pair for pair in fees if pair[0] != pair[1]]
    return _share(sum(one < other for one, other in unequal), len(unequal))


def _share(part: int, whole: int) -> int:
    """Return a share in basis points, rounded down; 0 of nothing."""
    return part * WHOLE // whole if whole else 0


def places(made: Play) -> list[tuple[int, int]]:
    """Return for each transaction that ran: its place among all in the blocks, and its place here."""
    own = {player.entry.leaf.txid: at for at, player in enumerate(made.players)}
    ran = [own[entry.leaf.txid] for entry in made.ran if entry.leaf.txid in own]
    return [(there, here) for here, there in enumerate(ran)]
