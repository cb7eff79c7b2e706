from dataclasses import fields, replace

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle, Row, post_quantum_message
from bpci_node.auction.bundle import Bundle
from bpci_node.auction.candidates import Origin, leaf_bytes
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lists import (
    INCLUSIONS,
    InclusionList,
    ListName,
    check_passed_over,
    forced_of,
    sign_list,
    verify_list,
)
from bpci_node.auction.outcome import Kind, Outcome
from bpci_node.auction.seal_auction import draft_window
from bpci_node.auction.verify_auction import verify_auction, verify_decoded
from bpci_node.auction.window_selection import Cause
from bpci_node.errors import FormatError, ProofError
from bpci_node.mempool.pool import Pool
from bpci_node.primitives import codec
from scripts.auction_scene import members
from tests.unit.auction.sealed import (
    LEDGER,
    TERMS,
    WINDOW,
    bundle,
    draft,
    hidden,
    public,
    stakes_of,
    txid,
)

GROUP = members()
FOLLOWING = members(epoch=2, first=11).committee


@pytest.fixture(scope="module")
def world(sign_raw):
    """Candidates by every door: some run, some are out for a cause, and one forced entry is behind a revealed one."""
    found = [hidden(sign_raw(1 + number, max_fee=60 + 9 * number, tip=60), number) for number in range(6)]
    found.append(hidden(sign_raw(20, max_fee=70, tip=20), 0, origin=Origin.CARRIED))
    found.append(hidden(sign_raw(21, nonce=0, gas=450_000, max_fee=500, tip=500), 8))
    found.append(public(sign_raw(21, nonce=1), is_forced=True))
    found.append(hidden(sign_raw(24, nonce=0, gas=450_000, max_fee=501, tip=501), 7))
    found += [
        public(sign_raw(22 + number, gas=70_000, max_fee=100 + number, tip=90), is_forced=True) for number in (0, 1)
    ]
    found += [public(sign_raw(30 + number, max_fee=80 + number, tip=70)) for number in range(4)]
    found.append(public(sign_raw(40, max_fee=30, tip=10), is_forced=True))
    return found


@pytest.fixture(scope="module")
def sealed(world):
    return bundle(draft(world, commits=9))


def code_of(changed, **options):
    with pytest.raises(ProofError) as caught:
        verify_decoded(changed, GROUP.committee, **options)
    return caught.value.code


def with_body(sealed, **changes):
    return replace(sealed, body=replace(sealed.body, **changes))


def test_a_bundle_holds_at_every_depth(sealed):
    data = sealed.encode()
    assert AuctionBundle.decode(data) == sealed
    assert verify_auction(data, GROUP.committee).depth == "entries"
    assert verify_auction(data, GROUP.committee, is_full=True).depth == "full"
    found = verify_auction(sealed.without_body().encode(), GROUP.committee)
    assert (found.depth, found.seats, found.digest) == ("proofs", (0, 1, 2), sealed.header.digest())


def test_the_bundle_shows_what_ran_and_why_forced_entries_did_not(sealed, world):
    origins = [row.origin for row in sealed.body.entries]
    assert origins == sorted(origins)
    assert {0, 1, 2, 4} <= {*origins, *(row.origin for row in sealed.body.left_out)}
    by_sender = dict(zip([row.txid for row in sealed.body.left_out], sealed.body.causes, strict=True))
    forced_behind, blocker, unpaid = txid(world[8]), txid(world[7]), txid(world[-1])
    assert by_sender[forced_behind] is Cause.BEHIND
    assert by_sender[blocker] is Cause.ROOM
    assert by_sender[unpaid] is Cause.FEE


def test_a_notary_that_has_the_same_makes_the_same_header_in_whatever_order_it_came(world):
    here, there = draft(world, commits=9).header, draft(world[::-1], commits=9).header
    # Outcomes stand in the order of the commits, which the set gives, not in that of the candidates.
    assert replace(there, outcomes_root=here.outcomes_root) == here


def test_every_member_of_the_header_is_bound_by_the_votes(sealed):
    for field in fields(AuctionHeader):
        value = getattr(sealed.header, field.name)
        other = {int: lambda v: v + 1, bytes: lambda v: bytes([v[0] ^ 1]) + v[1:], str: lambda v: v + "0"}
        changed = bytes(32) if value is None else other[type(value)](value)
        header = replace(sealed.header, **{field.name: changed})
        assert code_of(replace(sealed, header=header)) in ("certificate.signature", "bundle.epoch")


def test_a_minority_another_committee_and_the_coordinators_pen_are_not_enough(sealed):
    digest = sealed.header.digest()
    minority = replace(sealed.certificate, bitmap=b"\x03")
    assert code_of(replace(sealed, certificate=minority)) == "certificate.weight"
    others = members(first=30)
    assert code_of(replace(sealed, certificate=others.certify(digest))) == "certificate.signature"
    wrong = GROUP.quantum[1].sign(post_quantum_message(digest))
    assert code_of(replace(sealed, post_quantum=wrong)) == "bundle.signature"
    with pytest.raises(ProofError) as caught:
        verify_decoded(sealed, FOLLOWING)
    assert caught.value.code == "bundle.epoch"


def test_what_the_header_names_by_a_hash_is_what_the_bundle_shows(sealed):
    assert code_of(replace(sealed, terms=replace(TERMS, gas_limit=500_000))) == "bundle.terms"
    assert code_of(replace(sealed, next_committee=FOLLOWING)) == "bundle.next_committee"
    assert code_of(replace(sealed, lists=(ListName(0, 1, bytes(32)),))) == "bundle.lists"
    assert code_of(replace(sealed, forced=sealed.forced[::-1])) == "bundle.forced"
    assert code_of(replace(sealed, forced=sealed.forced[1:])) == "bundle.forced"
    assert code_of(replace(sealed, forced=tuple(sorted((*sealed.forced, bytes(32)))))) == "bundle.forced"


def test_buckets_are_bound_by_both_trees(sealed):
    first, *others = sealed.buckets
    for changed in (first._replace(max_fee=first.max_fee + 1), first._replace(gas_sum=first.gas_sum + 1)):
        assert code_of(replace(sealed, buckets=(changed, *others)).without_body()) == "bundle.proof"
    changed = first._replace(merkle_root=bytes(32))
    assert code_of(replace(sealed, buckets=(changed, *others)).without_body()) == "bundle.proof"
    assert code_of(replace(sealed, buckets=(first._replace(size=999), *others)).without_body()) == "bundle.count"
    assert code_of(replace(sealed, buckets=(others[0], first, *others[1:])).without_body()) == "bundle.buckets"
    assert code_of(replace(sealed, buckets=()).without_body()) == "bundle.buckets"
    other = bundle(draft([], sequence=1)).verkle or (b"\x01" + bytes(8 + 96),)
    assert code_of(replace(sealed, verkle=other)) == "bundle.proof"


def test_entries_are_bound_by_the_header(sealed):
    entries = sealed.body.entries
    for name, value in (("raw", entries[0].raw + b"x"), ("commit", bytes(31) + b"\x01"), ("sender", bytes(20))):
        changed = (entries[0]._replace(**{name: value}), *entries[1:])
        assert code_of(with_body(sealed, entries=changed)) == "bundle.entries_root"
    assert code_of(with_body(sealed, entries=(entries[1], entries[0], *entries[2:]))) == "bundle.entries_root"
    assert code_of(with_body(sealed, entries=entries[1:])) == "bundle.count"
    extra = entries[0].gas + 1
    assert code_of(with_body(sealed, entries=(entries[0]._replace(gas=extra), *entries[1:]))) == "bundle.gas"


def test_places_and_paths_lead_to_the_buckets(sealed):
    positions, paths = sealed.body.positions, sealed.body.paths
    at = next(number for number, row in enumerate(sealed.buckets) if row.size > len(positions[number]))
    moved = tuple(place + 1 for place in positions[at])
    for changes in (
        {"positions": (*positions[:at], moved, *positions[at + 1 :])},
        {"paths": (*paths[:at], (bytes(32),) * len(paths[at]), *paths[at + 1 :])},
        {"paths": (*paths[:at], (), *paths[at + 1 :])},
    ):
        assert code_of(with_body(sealed, **changes)) == "bundle.proof"
    assert code_of(with_body(sealed, positions=positions[1:])) == "bundle.buckets"
    entries = list(sealed.body.entries)
    entries[0] = entries[0]._replace(bucket=(entries[0].bucket + 1) % len(sealed.buckets))
    assert code_of(with_body(sealed, entries=tuple(entries))) in ("bundle.buckets", "bundle.proof")


def test_a_forced_entry_can_not_be_dropped_or_be_out_for_another_cause(sealed):
    body = sealed.body
    assert code_of(with_body(sealed, left_out=body.left_out[1:], causes=body.causes[1:])) in (
        "bundle.forced",
        "bundle.cause",
        "bundle.order",
    )
    assert code_of(with_body(sealed, causes=(Cause.NONCE, *body.causes[1:]))) == "bundle.cause"
    assert code_of(with_body(sealed, left_out=(), causes=())) == "bundle.forced"


def test_even_a_committee_that_signs_it_can_not_leave_a_forced_entry_out_without_cause(world):
    """More than two thirds lie: they seal without an entry that a list names, and claim that there was no room."""
    honest = draft(world, commits=9)
    victim = next(item for item in honest.selection.winners if item.origin is Origin.FORCED)
    without = [item for item in world if item is not victim]
    lie = bundle(draft(without, commits=9, forced=honest.facts.forced))
    assert code_of(lie) == "bundle.forced"
    row = next(row for row in bundle(honest).body.entries if row.txid == txid(victim))
    claimed = with_body(
        lie,
        left_out=(*lie.body.left_out, row._replace(bucket=0)),
        causes=(*lie.body.causes, Cause.ROOM),
    )
    assert code_of(claimed) == "bundle.order"


def test_a_list_that_was_passed_over_is_shown_by_the_list_and_the_bundle(sealed):
    unsigned = InclusionList(LEDGER, 1, WINDOW, 2, (sealed.forced[0], b"\xff" * 32))
    found = sign_list(GROUP.nodes[2], unsigned)
    verify_list(GROUP.nodes[2].public_key, found)
    assert InclusionList.decode(found.encode()) == found
    assert forced_of([found]) == found.txids
    name = ListName(INCLUSIONS, 2, found.digest())
    check_passed_over(found, [name], found.txids)
    for names, forced in (([], found.txids), ([name], sealed.forced), ([replace(name, seat=1)], found.txids)):
        with pytest.raises(ProofError) as caught:
            check_passed_over(found, names, forced)
        assert caught.value.code == "list.left_out"
    with pytest.raises(ProofError) as caught:
        verify_list(GROUP.nodes[1].public_key, found)
    assert caught.value.code == "list.signature"


def test_an_order_that_favours_somebody_is_refused_even_with_all_signatures(world, sealed):
    """Every root is made for the changed order, and the committee signs it; selecting again shows the lie."""
    honest = draft(world, commits=9)
    entries = honest.selection.winners
    swapped = replace(honest.selection, winners=(entries[0], entries[2], entries[1], *entries[3:]))
    lie = bundle(draft_window(swapped, (), TERMS, honest.facts))
    assert code_of(lie) == "bundle.order"


def test_arrivals_that_the_rules_do_not_give_are_refused(world):
    public_one = next(item for item in world if item.origin is Origin.PUBLIC)
    late = replace(public_one, entry=replace(public_one.entry, leaf=replace(public_one.entry.leaf, arrival_seq=5)))
    assert code_of(bundle(draft([late]))) == "bundle.arrival"
    shown = world[0]
    dated = replace(shown, entry=replace(shown.entry, leaf=replace(shown.entry.leaf, arrival_seq=1)))
    assert code_of(bundle(draft([dated]))) == "bundle.arrival"


def test_in_full_every_transaction_is_reckoned_again(world):
    """A committee signs leaves that are not those of their transactions: only the full depth sees it."""
    shown = world[0]
    for changes in ({"sender": b"\x09" * 20}, {"nonce": 3}, {"fee_per_w": 61}, {"txid": b"\x09" * 32}):
        leaf = replace(shown.entry.leaf, **changes)
        lie = bundle(draft([replace(shown, entry=replace(shown.entry, leaf=leaf))]))
        verify_decoded(lie, GROUP.committee)
        assert code_of(lie, is_full=True) == "bundle.entry"
    moved = replace(shown, entry=replace(shown.entry, bucket_key=b"\x03\x02\xff\xff"))
    assert code_of(bundle(draft([moved])), is_full=True) == "bundle.entry"


def test_in_full_needs_the_entries(sealed):
    assert code_of(sealed.without_body(), is_full=True) == "bundle.no_body"


def test_an_empty_handover_holds_and_names_the_next_committee():
    made = draft([], next_committee=FOLLOWING)
    found = bundle(made)
    assert verify_auction(found.encode(), GROUP.committee, is_full=True).bundle.next_committee == FOLLOWING
    assert (found.header.count, found.header.candidates, found.verkle) == (0, 0, ())


def test_a_window_of_more_buckets_than_one_verkle_proof_opens(sign_raw, monkeypatch):
    for module in ("auction_bundle", "window_trees", "verify_auction"):
        monkeypatch.setattr(f"bpci_node.auction.{module}.KEYS_OF_PROOF", 2)
    found = [
        hidden(sign_raw(1 + number, max_fee=60 + 40 * number, tip=60 + 40 * number), number) for number in range(5)
    ]
    made = bundle(draft(found))
    assert (len(made.buckets), len(made.verkle)) == (5, 3)
    verify_auction(made.encode(), GROUP.committee)
    assert code_of(replace(made, verkle=(made.verkle[0], made.verkle[0], made.verkle[2]))) == "bundle.proof"


def test_no_byte_of_a_bundle_can_be_changed_unseen(sealed):
    data = sealed.encode()
    for at in range(0, len(data), 31):
        changed = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]
        with pytest.raises(ProofError):
            verify_auction(changed, GROUP.committee, is_full=True)


def test_no_member_of_a_bundle_may_be_missing_or_unknown(sealed):
    value = codec.decode(sealed.encode())
    for inside in (value, value["body"], value["header"], value["certificate"], value["post_quantum"]):
        for name in [*inside, None]:
            saved = dict(inside)
            inside.pop(name, None)
            if name is None:
                inside["more"] = 1
            with pytest.raises(FormatError):
                AuctionBundle.from_map(value)
            inside.clear()
            inside.update(saved)
    assert AuctionBundle.from_map(value) == sealed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("entries", b"\x00"),
        ("causes", b"\x05\x05\x05\x05"),
        ("raws", []),
        ("raws", [1]),
        ("opaques", [[0, b""]]),
        ("opaques", [[1, b"x"], [0, b"x"]]),
        ("opaques", [[10**6, b"x"]]),
        ("positions", b"\x00"),
        ("positions", b"\x00\x00\x00\x00"),
        ("positions", b"\x00\x00\x00\x09\x00\x00\x00\x00"),
        ("paths", [b"\x00"]),
        ("paths", [1]),
    ],
    ids=str,
)
def test_a_body_that_is_not_in_form_is_refused(sealed, name, value):
    with pytest.raises(FormatError):
        AuctionBundle.from_map(codec.decode(sealed.encode()) | {"body": sealed.body.as_map() | {name: value}})


def test_rows_with_impossible_origins_are_refused(sealed):
    first = sealed.body.entries[0]
    for changes in ({"origin": 5}, {"origin": 4}, {"commit": bytes(32)}, {"gas": 2**63}, {"bucket": 99}):
        row = first._replace(**changes)
        with pytest.raises(FormatError) as caught:
            AuctionBundle.decode(with_body(sealed, entries=(row, *sealed.body.entries[1:])).encode())
        assert caught.value.code == "bundle.format"


def test_version_1_is_no_bundle_of_version_2_and_the_other_way_round(sealed, seal, small_pool: Pool):
    first = seal(small_pool).encode()
    with pytest.raises(FormatError):
        AuctionBundle.decode(first)
    with pytest.raises(FormatError):
        Bundle.decode(sealed.encode())


def test_headers_say_only_what_fits_together(sealed, world):
    good = sealed.header.as_map()
    assert AuctionHeader.from_map(good) == sealed.header
    assert AuctionHeader.decode(sealed.header.encode()).digest() == sealed.header.digest()
    assert len(sealed.header.encode()) < 700
    for changes in (
        {"sequence": 2},
        {"parent": b"\x01" * 32},
        {"commit_set": None},
        {"reveals": 10},
        {"candidates": 1},
        {"gas_used": 0},
        {"buckets": 0},
        {"qlock_ms": 30},
        {"entries_root": bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")},
    ):
        with pytest.raises(FormatError) as caught:
            AuctionHeader.from_map(good | changes)
        assert caught.value.code == "header.format"


def test_rows_and_leaves_have_the_same_bytes(sealed, world):
    leaves = {txid(item): item.entry.leaf.encode() for item in world}
    for row in (*sealed.body.entries, *sealed.body.left_out):
        assert isinstance(row, Row)
        assert row.leaf_bytes() == leaves[row.txid]


def test_leaves_and_outcomes_that_are_put_together_by_hand_are_those_of_the_encoder(world):
    numbers = (0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1)
    for number in numbers:
        leaf = replace(world[0].entry.leaf, nonce=number, fee_per_w=number, gas=number, ts=number, arrival_seq=number)
        for found in (leaf, replace(leaf, qos=number % 256, opaque=b"n" * (number % 65))):
            assert leaf_bytes(tuple(found.as_list()[1:])) == found.encode()
        outcome = Outcome(b"\x01" * 32, stakes_of(world)[0].account, number % 256, Kind.WON, number)
        assert outcome.encode() == codec.encode(outcome.as_list())
