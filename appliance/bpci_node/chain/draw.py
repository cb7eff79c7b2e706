"""``auction.draw``: validators draw lots for the seats of the next epoch's committee, weighted by what they bonded.

A ticket is the output of a VRF over the epoch and the seed of the one before. Nobody but the holder of a key can tell
its output beforehand, and nobody can choose it: who may draw, with which keys and weights, is fixed no later than the
seed. Tickets race: each runs for ``-log2(output)`` divided by its weight, the shortest runs first, which gives every
unit bonded the same chance. The first tickets are the committee.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Annotated, Any

from bpci_node.chain.committee import MAX_SEATS, Committee, Seat
from bpci_node.chain.context import Context, Event
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.forms import Spec, blob, integer
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.registry import active_node
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.validator_set import last_set, set_at
from bpci_node.chain.validators import ACTIVE, load_validator
from bpci_node.errors import NotFoundError, RefusedError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.record import load_record, save_record
from bpci_node.primitives.vrf import PROOF_BYTES, verify_vrf

SEED_CONTEXT = "bpci 2026 auction seed v1"
KEPT_COMMITTEES = 32
"""Epochs whose committees the state keeps."""
RACE_BITS = 96
"""Bits behind the point of a logarithm."""

_MANTISSA_BITS = 128
_DRAWS = 4
_LAST_ENTRY = b"auction-draws"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Body of ``auction.draw``."""

    epoch: Annotated[int, Spec(integer(1), "The epoch that is drawn for: the next one.")]
    proof: Annotated[bytes, Spec(blob(PROOF_BYTES), "Proof of the VRF over `[ledger_id, epoch, seed]`.")]


def ticket_input(ledger_id: str, epoch: int, seed: bytes) -> bytes:
    """Return what a validator draws on for ``epoch``; ``seed`` is that of the epoch before, 32 bytes."""
    return encode([ledger_id, epoch, seed])


def seed_of(state: View, genesis: Genesis, epoch: int) -> bytes:
    """Return the seed of an epoch that is drawn, 32 bytes: that of the last epoch up to it for which anybody drew.

    Raises:
        NotFoundError: so early seeds are not kept any more (``auction.epoch_gone``).
    """
    data = state.get(_LAST_ENTRY)
    known: list[int] = [] if data is None else load_record(data)["epochs"]
    found = next((number for number in reversed(known) if number <= epoch), None)
    if found is not None:
        record = _load_draw(state, found)
        return derive(SEED_CONTEXT, record["seed"] + b"".join(sorted(item["output"] for item in record["tickets"])))
    if len(known) == _DRAWS:
        raise NotFoundError("so early seeds are not kept any more", code="auction.epoch_gone")
    return derive(SEED_CONTEXT, genesis.hash)


def take_ticket(state: Overlay, context: Context, body: Ticket) -> list[Event]:
    """Take the sender's ticket for the next epoch.

    Raises:
        RefusedError: not the time for it (``auction.draw_time``), drawn already (``auction.drawn``), no validator that
            may draw (``auction.not_eligible``), or no active node (as :func:`active_node`).
        ProofError: the proof does not hold (``proof.vrf``).
        FormatError: the registered key is none of the VRF (``format.key``).
    """
    epochs = load_epochs(state)
    now = epochs.number_at(context.ledger_ms)
    if body.epoch != now + 1 or epochs.is_drawn(body.epoch, context.ledger_ms):
        raise RefusedError(
            "tickets for an epoch are taken in the first three quarters of the one before",
            code="auction.draw_time",
            epoch=now + 1,
        )
    validator = load_validator(state, context.sender)
    height, weights = _eligible(state, body.epoch, context.height)
    weight = weights.get(context.sender, 0)
    if validator is None or validator.status != ACTIVE or validator.since_height > height or weight == 0:
        raise RefusedError(
            "this account was no validator when the draw's seed was fixed",
            code="auction.not_eligible",
            hint="A validator draws from the second or third epoch after its keys were set up.",
        )
    node = active_node(state, context.sender)
    record = _find_draw(state, body.epoch)
    if record is None:
        seed = seed_of(state, context.genesis, body.epoch - 1)
        size = load_parameter(state, "auction_committee_size")
        record = {"v": 1, "epoch": body.epoch, "seed": seed, "size": size, "tickets": []}
        _begin_draw(state, body.epoch)
    if any(item["account"] == context.sender for item in record["tickets"]):
        raise RefusedError("this validator has drawn for the epoch", code="auction.drawn")
    output = verify_vrf(validator.vrf_key, ticket_input(context.ledger_id, body.epoch, record["seed"]), body.proof)
    record["tickets"].append({"account": context.sender, "output": output, "weight": weight})
    state.put(_draw_entry(body.epoch), save_record(record))
    seat = Seat(context.sender, node.node_key, validator.bls_key, validator.ml_dsa_key, weight)
    state.put(_ticket_entry(body.epoch, context.sender), save_record(seat.as_map()))
    return [Event("auction.drawn", {"account": context.sender, "epoch": body.epoch, "output": output})]


def committee_of(state: View, epoch: int) -> Committee:
    """Return the committee of an epoch, as its tickets make it; it is fixed once the epoch is drawn.

    Raises:
        NotFoundError: nobody drew, or so early committees are not kept any more (``auction.no_committee``).
    """
    stored = _find_committee(state, epoch)
    if stored is not None:
        return Committee.from_map(stored)
    record = _find_draw(state, epoch)
    if record is None:
        raise NotFoundError(
            f"epoch {epoch} has no committee",
            code="auction.no_committee",
            hint="Nobody drew for it, or it is long over; there are no auctions without a committee.",
        )
    return Committee(epoch, _seats(state, record))


def race_of(output: bytes) -> int:
    """Return ``-log2(output / 2**512)``, rounded, in units of ``2**-96``; ``output`` is read big-endian, plus one.

    Source: docs/spec/vrf.md, "The race".
    """
    number = int.from_bytes(output) + 1
    whole = number.bit_length() - 1
    shift = whole - _MANTISSA_BITS
    mantissa = number >> shift if shift >= 0 else number << -shift
    fraction = 0
    for _ in range(RACE_BITS):
        mantissa = mantissa * mantissa >> _MANTISSA_BITS
        bit = mantissa >> (_MANTISSA_BITS + 1)
        mantissa >>= bit
        fraction = fraction << 1 | bit
    return (8 * len(output) << RACE_BITS) - (whole << RACE_BITS) - fraction


def ranked(tickets: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return tickets, each with ``account``, ``output`` and ``weight``, in the order of their races."""
    races = [(race_of(item["output"]), item) for item in tickets]

    def compare(first: tuple[int, Mapping[str, Any]], second: tuple[int, Mapping[str, Any]]) -> int:
        # One race through its weight against the other's, without a division.
        (race, one), (other_race, other) = first, second
        difference: int = race * other["weight"] - other_race * one["weight"]
        return difference or (one["account"] > other["account"]) - (one["account"] < other["account"])

    return [item for _, item in sorted(races, key=cmp_to_key(compare))]


def close_draws(state: Overlay, genesis: Genesis, *, height: int, time_ms: int) -> None:
    """Write down at the end of a block what the passing of time has fixed: who may draw, and a drawn committee."""
    if last_set(state) is None:
        return
    epochs, now = load_epochs(state), time_ms - genesis.time_ms
    number = epochs.number_at(now)
    # From the end of the third quarter on the seed of the next epoch is known, so who draws on it must be, too.
    _fix_eligible(state, number + 2 if epochs.is_drawn(number + 1, now) else number + 1, height - 1)
    data = state.get(_LAST_ENTRY)
    # A ledger may have had no block since an epoch was drawn, and the first one then brings the next epoch's ticket.
    for drawn in [] if data is None else load_record(data)["epochs"][-2:]:
        if drawn >= number and epochs.is_drawn(drawn, now) and _find_committee(state, drawn) is None:
            _fix_committee(state, drawn)


def _fix_committee(state: Overlay, epoch: int) -> None:
    record = _load_draw(state, epoch)
    state.put(committee_entry(epoch), save_record(Committee(epoch, _seats(state, record)).as_map()))
    for item in record["tickets"]:
        state.delete(_ticket_entry(epoch, item["account"]))


def _find_committee(state: View, epoch: int) -> dict[str, Any] | None:
    data = state.get(committee_entry(epoch))
    stored: dict[str, Any] | None = None if data is None else load_record(data)
    return stored if stored is not None and stored["epoch"] == epoch else None


def _seats(state: View, record: Mapping[str, Any]) -> tuple[Seat, ...]:
    seats = []
    for item in ranked(record["tickets"])[: min(record["size"], MAX_SEATS)]:
        data = state.get(_ticket_entry(record["epoch"], item["account"]))
        if data is None:
            raise NotFoundError("the committee is not kept any more", code="auction.no_committee")
        seats.append(Seat.from_map(load_record(data)))
    return tuple(seats)


def _eligible(state: View, epoch: int, height: int) -> tuple[int, dict[str, int]]:
    """Return the height as of which validators may draw for ``epoch``, and their weights then."""
    data = state.get(_eligible_entry(epoch))
    stored = None if data is None else load_record(data)
    if stored is not None and stored["epoch"] == epoch:
        return stored["height"], dict(stored["weights"])
    # No block has come since it became time to write them down, so the state before this block is what counts.
    return height - 1, _weights(state, height - 1)


def _fix_eligible(state: Overlay, epoch: int, height: int) -> None:
    data = state.get(_eligible_entry(epoch))
    if data is None or load_record(data)["epoch"] < epoch:
        record = {"v": 1, "epoch": epoch, "height": height, "weights": _weights(state, height)}
        state.put(_eligible_entry(epoch), save_record(record))


def _weights(state: View, height: int) -> dict[str, int]:
    return {member.account: member.power for member in set_at(state, height).members}


def _begin_draw(state: Overlay, epoch: int) -> None:
    data = state.get(_LAST_ENTRY)
    known: list[int] = [] if data is None else load_record(data)["epochs"]
    state.put(_LAST_ENTRY, save_record({"v": 1, "epochs": [*known, epoch][-_DRAWS:]}))
    if len(known) == _DRAWS:
        state.delete(_draw_entry(known[0]))


def _find_draw(state: View, epoch: int) -> dict[str, Any] | None:
    data = state.get(_draw_entry(epoch))
    return None if data is None else load_record(data)


def _load_draw(state: View, epoch: int) -> dict[str, Any]:
    record = _find_draw(state, epoch)
    if record is None:
        raise NotFoundError("so early seeds are not kept any more", code="auction.epoch_gone")
    return record


def _draw_entry(epoch: int) -> bytes:
    return f"auction-draw/{epoch}".encode("ascii")


def _ticket_entry(epoch: int, account: str) -> bytes:
    return f"auction-ticket/{epoch}/{account}".encode("ascii")


def committee_entry(epoch: int) -> bytes:
    """Return the state key at which the committee of a drawn epoch stands, until another epoch's takes its place."""
    return b"auction-committee/" + (epoch % KEPT_COMMITTEES).to_bytes(1)


def _eligible_entry(epoch: int) -> bytes:
    return b"auction-eligible/" + (epoch % 2).to_bytes(1)
