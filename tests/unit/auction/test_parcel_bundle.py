"""Bundles of windows in which a parcel runs: what anybody can see of it, and what unbundling it comes to."""

from dataclasses import replace

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.entry_proof import EntryProof, prove_entry, verify_entry
from bpci_node.auction.outcome import Kind
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.seal_auction import draft_window
from bpci_node.auction.verify_auction import verify_auction, verify_decoded
from bpci_node.auction.window_selection import select_window
from bpci_node.errors import FormatError, ProofError
from bpci_node.mempool.entry import make_entry
from bpci_node.primitives import codec
from scripts.auction_scene import members
from tests.unit.auction.parcels import parcel
from tests.unit.auction.sealed import TERMS, WINDOW, bundle, facts_of, hidden, public, stakes_of, txid

GROUP = members()
SET = bytes(range(32))


@pytest.fixture(scope="module")
def world(sign_raw):
    """A hidden bid, two forced entries of which the parcel brings one, and a pool that the builder chose from."""
    pool = [public(sign_raw(10 + number, max_fee=60 + number, tip=9), is_forced=number < 2) for number in range(5)]
    bought = [pool[number].entry.transaction.raw for number in (3, 1, 2)]
    candidates = [hidden(sign_raw(1, max_fee=90, tip=9), 0), *pool]
    high = parcel([sign_raw(20), *bought], 700, position=1)
    low = parcel(bought, 600, position=2, number=2)
    return candidates, high, low


def sealed_from(candidates, *parcels):
    selection = select_window(candidates, TERMS, parcels=parcels)
    stakes = stakes_of(candidates)
    stakes += [Stake(item.commit.commit_id, item.commit.account, item.commit.tier) for item in parcels]
    outcomes = outcomes_of(stakes, selection, TERMS, lambda _: 5)
    facts = facts_of(candidates, commit_set=SET, commits=len(stakes), reveals=len(stakes))
    return draft_window(selection, outcomes, TERMS, facts), outcomes


@pytest.fixture(scope="module")
def sealed(world):
    candidates, high, low = world
    return bundle(sealed_from(candidates, high, low)[0])


def code_of(changed, **options):
    with pytest.raises(ProofError) as caught:
        verify_decoded(changed, GROUP.committee, **options)
    return caught.value.code


def forged(world, change):
    """The bundle of a committee that signs whatever its coordinator made of the parcel's entries."""
    candidates, high, low = world
    honest = select_window(candidates, TERMS, parcels=[high, low])
    made = draft_window(change(honest), (), TERMS, facts_of(candidates, commit_set=SET, commits=3, reveals=3))
    return bundle(made)


def test_a_bundle_with_a_parcel_holds_at_every_depth(sealed):
    data = sealed.encode()
    assert AuctionBundle.decode(data) == sealed
    for is_full, depth in ((False, "entries"), (True, "full")):
        assert verify_auction(data, GROUP.committee, is_full=is_full).depth == depth
    assert verify_auction(sealed.without_body().encode(), GROUP.committee).depth == "proofs"


def test_the_bundle_shows_which_entries_came_in_by_the_parcel_and_whose_it_is(sealed, world):
    candidates, high, _ = world
    inside = [row for row in sealed.body.entries if row.origin == Origin.PARCEL]
    assert [row.raw for row in inside] == [entry.transaction.raw for entry in high.entries]
    assert {row.commit_id for row in inside} == {sealed.header.parcel} == {high.commit.commit_id}
    assert sealed.body.parcel == (high.commit.account, 0, 700, high.salt)
    assert [row.origin for row in sealed.body.entries] == [1, 2, 3, 3, 3, 3, 4]
    assert txid(candidates[2]) in sealed.forced
    assert sealed.header.candidates == 7


def test_outcomes_say_who_pays(world):
    candidates, high, low = world
    _, outcomes = sealed_from(candidates, high, low)
    assert [(item.kind, item.amount) for item in outcomes[1:]] == [(Kind.WON, 700), (Kind.LOST, 0)]
    assert outcomes[1].commit_id == high.commit.commit_id


def test_one_entry_of_the_parcel_is_shown_to_have_run(sealed, world):
    proof = EntryProof.decode(prove_entry(sealed, world[1].entries[2].leaf.txid).encode())
    verify_entry(proof, sealed.header)
    assert (proof.origin, proof.commit_id) == (Origin.PARCEL, sealed.header.parcel)


def test_a_header_without_a_parcel_names_none(world):
    made = bundle(sealed_from(world[0])[0])
    assert (made.header.parcel, made.body.parcel) == (None, None)
    assert verify_decoded(made, GROUP.committee).depth == "entries"


# Unbundling: a coordinator, and even a committee, that does something else with the builder's entries.


def test_another_order_of_the_parcel_does_not_open_its_commit(world):
    def swap(honest):
        entries = honest.winners
        return replace(honest, winners=(*entries[:3], entries[4], entries[3], *entries[5:]))

    assert code_of(forged(world, swap)) == "bundle.parcel"


def test_a_parcel_without_one_of_its_entries_does_not_open_its_commit(world):
    def drop(honest):
        return replace(honest, winners=(*honest.winners[:2], *honest.winners[3:]))

    assert code_of(forged(world, drop)) == "bundle.parcel"


def test_an_entry_slipped_in_between_is_seen(world):
    def slip(honest):
        *others, last = honest.winners
        return replace(honest, winners=(*others[:3], last, *others[3:]))

    assert code_of(forged(world, slip)) == "bundle.order"


def test_an_entry_relabelled_as_the_parcels_own_is_seen(world):
    def add(honest):
        *others, last = honest.winners
        seq = honest.parcel.entries[0].leaf.arrival_seq
        config = TERMS.config(WINDOW.qlock_ms)
        entry = make_entry(last.entry.transaction, config, arrival_seq=seq, arrival_ms=WINDOW.opens_ms)
        return replace(honest, winners=(*others, Candidate(entry, Origin.PARCEL, honest.parcel.commit.commit_id)))

    assert code_of(forged(world, add)) == "bundle.parcel"


def test_a_parcel_put_before_the_hidden_bids_or_behind_the_pool_is_seen(world):
    def first(honest):
        return replace(honest, winners=(*honest.winners[2:6], *honest.winners[:2], honest.winners[6]))

    def last(honest):
        return replace(honest, winners=(*honest.winners[:2], honest.winners[6], *honest.winners[2:6]))

    assert code_of(forged(world, first)) == "bundle.order"
    assert code_of(forged(world, last)) == "bundle.order"


def test_parts_of_two_parcels_are_no_parcel(world):
    low = world[2]

    def mix(honest):
        part = Candidate(low.entries[0], Origin.PARCEL, low.commit.commit_id)
        winners = [item for item in honest.winners if txid(item) != txid(part)]
        return replace(honest, winners=(*winners[:3], part, *winners[3:]))

    assert code_of(forged(world, mix)) in ("bundle.parcel", "bundle.order")


def test_a_parcel_without_its_name_and_a_name_without_its_parcel_are_refused(sealed, world):
    shown = sealed.body.parcel
    assert code_of(replace(sealed, body=replace(sealed.body, parcel=None))) == "bundle.parcel"
    unnamed = forged(world, lambda honest: replace(honest, parcel=None))
    assert code_of(unnamed) == "bundle.parcel"
    for changed in (shown._replace(payment=701), shown._replace(tier=1), shown._replace(salt=bytes(32))):
        assert code_of(replace(sealed, body=replace(sealed.body, parcel=changed))) == "bundle.parcel"


@pytest.mark.parametrize(
    "change",
    [[], ["x", 0, 1, bytes(32)], [None, 256, 1, bytes(32)], [None, 0, 0, bytes(32)], [None, 0, 1, bytes(31)]],
    ids=["length", "account", "tier", "payment", "salt"],
)
def test_a_parcel_out_of_form_is_refused(sealed, change):
    value = codec.decode(sealed.encode(), max_bytes=1 << 20)
    value["body"]["parcel"] = [sealed.body.parcel.account if item is None else item for item in change]
    with pytest.raises(FormatError) as caught:
        AuctionBundle.from_map(value)
    assert caught.value.code == "bundle.format"
