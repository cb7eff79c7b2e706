from dataclasses import replace

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.entry_proof import EntryProof, position_of, prove_entry, verify_entry
from bpci_node.auction.light import FinalHeader, LightState, begin, committee_of_proof
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.draw import committee_entry
from bpci_node.chain.ledger_proof import StateEntryProof
from bpci_node.errors import BpciError, FormatError
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.record import save_record
from bpci_node.primitives.state_proof import StateProof, path_of, state_leaf
from scripts.auction_scene import members
from tests.unit.auction.sealed import LEDGER, WINDOW, bundle, draft, hidden, txid

FIRST, SECOND, THIRD = members(), members(epoch=2, first=11), members(epoch=3, first=21)
REGISTRY = LocalSigner(b"\x09" * 32)


@pytest.fixture(scope="module")
def chain(sign_raw):
    """Five bundles: two of epoch 1, whose second hands over, two of epoch 2, and the first of epoch 3."""
    made, parent = [], bytes(32)
    plan = [(FIRST, None), (FIRST, SECOND), (SECOND, None), (SECOND, THIRD), (THIRD, None)]
    for number, (group, following) in enumerate(plan, 1):
        window = replace(WINDOW, index=WINDOW.index + number)
        found = [hidden(sign_raw(number, max_fee=70, tip=70), 0, window=window)]
        changes = {"window": window, "epoch": group.committee.epoch, "sequence": number, "parent": parent}
        changes["next_committee"] = None if following is None else following.committee
        made.append(bundle(draft(found, **changes), group))
        parent = made[-1].header.digest()
    return made


def start():
    return begin(LEDGER, "eip155:1", FIRST.committee)


def code_of(call):
    with pytest.raises(BpciError) as caught:
        call()
    return caught.value.code


def test_a_client_follows_across_changes_of_committee_and_verifies_each_bundle(chain):
    state = start()
    for made in chain:
        state, verified = state.check(AuctionBundle.decode(made.encode()), is_full=True)
        assert verified.depth == "full"
    assert (state.sequence, state.committee) == (5, THIRD.committee)


def test_headers_alone_are_enough_to_follow(chain):
    state = start()
    for made in chain:
        final = FinalHeader.decode(FinalHeader.of(made).encode())
        state = state.follow(final)
    assert state.digest == chain[-1].header.digest()
    again, _ = state.check(chain[-1])
    assert again == state


def test_a_client_that_was_stored_goes_on_where_it_was(chain):
    state = start()
    for made in chain:
        state = LightState.decode(state.encode()).follow(FinalHeader.of(made))
    assert state.sequence == 5
    with pytest.raises(FormatError):
        LightState.decode(b"\xa0")


def test_a_client_may_begin_at_any_header_of_its_committee(chain):
    state = begin(LEDGER, "eip155:1", SECOND.committee).follow(FinalHeader.of(chain[2]))
    assert state.sequence == 3


def test_headers_come_one_after_the_other(chain):
    state = start().follow(FinalHeader.of(chain[0]))
    assert code_of(lambda: state.follow(FinalHeader.of(chain[2]))) == "light.sequence"
    assert code_of(lambda: state.follow(FinalHeader.of(chain[0]))) == "light.sequence"
    header = replace(chain[1].header, parent=b"\x01" * 32)
    forked = FinalHeader(header, FIRST.certify(header.digest()), SECOND.committee)
    assert code_of(lambda: state.follow(forked)) == "light.parent"


def test_a_window_is_auctioned_once(chain):
    state = start().follow(FinalHeader.of(chain[0]))
    header = replace(chain[1].header, index=chain[0].header.index)
    again = FinalHeader(header, FIRST.certify(header.digest()), SECOND.committee)
    assert code_of(lambda: state.follow(again)) == "light.window"


def test_after_the_handover_only_the_next_committee_counts(chain):
    state = start().follow(FinalHeader.of(chain[0])).follow(FinalHeader.of(chain[1]))
    header = chain[2].header
    by_old = FinalHeader(header, FIRST.certify(header.digest()), None)
    assert code_of(lambda: state.follow(by_old)) == "certificate.signature"
    state = state.follow(FinalHeader.of(chain[2]))
    late = replace(chain[3].header, epoch=1)
    assert code_of(lambda: state.follow(FinalHeader(late, FIRST.certify(late.digest()), None))) == "light.epoch"


def final_of(chain, at, group, *, following=None, **changes):
    """A header in the place of another of the chain, by a committee and with a next one of choice."""
    named = None if following is None else following.committee
    header = replace(chain[at].header, next_committee=None if named is None else named.digest(), **changes)
    return FinalHeader(header, group.certify(header.digest()), named)


def test_each_header_after_the_draw_may_name_the_next_committee(chain):
    state = start().follow(FinalHeader.of(chain[0])).follow(FinalHeader.of(chain[1]))
    parent, sequence = state.digest, state.sequence
    for following in (SECOND, None):
        final = final_of(chain, 2, FIRST, following=following, epoch=1)
        found = state.follow(final)
        assert (found.committee, found.following) == (FIRST.committee, SECOND.committee)
        after = final_of(chain, 3, SECOND, epoch=2, sequence=sequence + 2, parent=found.digest)
        assert found.follow(after).committee == SECOND.committee
    other = final_of(chain, 2, FIRST, following=members(epoch=2, first=31), epoch=1)
    assert (other.header.parent, code_of(lambda: state.follow(other))) == (parent, "light.next_committee")


def test_without_a_handover_the_next_epoch_is_not_followed(chain):
    state = start().follow(FinalHeader.of(chain[0]))
    header = replace(chain[2].header, sequence=2, parent=chain[0].header.digest())
    final = FinalHeader(header, SECOND.certify(header.digest()), None)
    assert code_of(lambda: state.follow(final)) == "light.epoch"


def test_a_committee_that_the_header_does_not_name_does_not_take_over(chain):
    state = start().follow(FinalHeader.of(chain[0]))
    final = FinalHeader.of(chain[1])
    for following in (THIRD.committee, None):
        changed = replace(final, next_committee=following)
        assert code_of(lambda changed=changed: state.follow(changed)) == "light.next_committee"
    early = replace(SECOND.committee, epoch=1)
    header = replace(chain[1].header, next_committee=early.digest())
    backwards = FinalHeader(header, FIRST.certify(header.digest()), early)
    assert code_of(lambda: state.follow(backwards)) == "light.next_committee"


def test_other_ledgers_targets_and_minorities_are_refused(chain):
    first = FinalHeader.of(chain[0])
    assert code_of(lambda: begin("other" + LEDGER[7:], "eip155:1", FIRST.committee).follow(first)) == "light.ledger"
    assert code_of(lambda: begin(LEDGER, "eip155:10", FIRST.committee).follow(first)) == "light.target"
    certificate = replace(first.certificate, bitmap=b"\x01")
    assert code_of(lambda: start().follow(replace(first, certificate=certificate))) == "certificate.weight"


def gap(chain, group, **changes):
    """The header that follows on the first of the chain although none handed over."""
    return final_of(chain, 2, group, sequence=2, parent=chain[0].header.digest(), **changes)


def test_where_no_header_handed_over_the_ledger_s_committee_goes_on_with_the_same_chain(chain):
    state = start().follow(FinalHeader.of(chain[0]))
    assert (state.knows(1), state.knows(2)) == (True, False)
    for group in (SECOND, THIRD):  # one epoch later, and over an epoch in which nothing was auctioned
        appointed = LightState.decode(state.appoint(group.committee).encode())
        assert appointed.knows(group.committee.epoch)
        assert appointed.appoint(group.committee) == appointed
        final = gap(chain, group, epoch=group.committee.epoch)
        assert appointed.follow(final).committee == group.committee
        jump = final_of(chain, 2, group, epoch=group.committee.epoch)
        assert code_of(lambda final=jump, found=appointed: found.follow(final)) == "light.sequence"
        assert code_of(lambda final=final: state.follow(final)) == "light.epoch"


def test_a_committee_that_was_named_may_be_passed_over_when_it_held_no_auction(chain):
    state = start().follow(FinalHeader.of(chain[0])).follow(FinalHeader.of(chain[1])).appoint(THIRD.committee)
    final = final_of(chain, 2, THIRD, epoch=3)
    assert state.follow(final).committee == THIRD.committee
    assert code_of(lambda: state.follow(FinalHeader.of(chain[2]))) == "light.epoch"


def test_an_old_committee_and_one_beside_a_named_one_are_not_appointed(chain):
    handed = start().follow(FinalHeader.of(chain[0])).follow(FinalHeader.of(chain[1]))
    beside = members(epoch=2, first=31).committee
    assert code_of(lambda: handed.appoint(beside)) == "light.next_committee"
    assert code_of(lambda: handed.appoint(FIRST.committee)) == "light.epoch"
    later = handed.follow(FinalHeader.of(chain[2]))
    for old in (FIRST.committee, beside, members(epoch=1, first=31).committee):
        assert code_of(lambda old=old: later.appoint(old)) == "light.epoch"
    # What a header names must not contradict the ledger either.
    appointed = start().follow(FinalHeader.of(chain[0])).appoint(beside)
    assert code_of(lambda: appointed.follow(FinalHeader.of(chain[1]))) == "light.next_committee"


def proof_of(key, value, signer=REGISTRY, proved=None):
    """The state of a ledger that holds one entry, and the proof of it."""
    root = state_leaf(path_of(key), sha256(proved if proved is not None else value))
    block = Block(7, 1_000, bytes(32), bytes(32), root, signer.public_key)
    return StateEntryProof(sign_block(signer, block).encode(), key, value, StateProof((), None).encode())


def test_the_first_committee_is_proved_by_an_entry_of_the_ledger():
    key, value = committee_entry(1), save_record(FIRST.committee.as_map())
    assert committee_of_proof(proof_of(key, value), REGISTRY.public_key) == FIRST.committee
    assert code_of(lambda: committee_of_proof(proof_of(key, value), b"\x01" * 32)) == "proof.proposer"
    lie = save_record(SECOND.committee.as_map())
    assert code_of(lambda: committee_of_proof(proof_of(key, lie, proved=value), REGISTRY.public_key)) == "proof.state"
    for entry in (proof_of(committee_entry(2), value), proof_of(b"account/x", value), proof_of(key, b"\xa0")):
        assert code_of(lambda entry=entry: committee_of_proof(entry, REGISTRY.public_key)) == "light.committee"


def test_one_entry_is_proved_against_a_followed_header(sign_raw):
    found = [hidden(sign_raw(1 + number, max_fee=70 + number, tip=70), number) for number in range(5)]
    made = bundle(draft(found))
    for item in found:
        proof = EntryProof.decode(prove_entry(made, txid(item)).encode())
        verify_entry(proof, made.header)
        assert proof.commit_id == item.commit_id
        assert code_of(lambda p=proof: verify_entry(replace(p, position=p.position ^ 1), made.header)) == "proof.merkle"
        assert code_of(lambda p=proof: verify_entry(replace(p, origin=0), made.header)) == "proof.merkle"
        assert code_of(lambda p=proof: verify_entry(replace(p, raw=b"x"), made.header)) == "entry_proof.txid"
    other = replace(made.header, index=WINDOW.index + 1)
    assert code_of(lambda: verify_entry(proof, other)) == "entry_proof.header"


def test_absence_follows_from_a_verified_bundle(sign_raw):
    made = bundle(draft([hidden(sign_raw(1), 0)]))
    assert position_of(made, b"\x01" * 32) is None
    assert code_of(lambda: prove_entry(made, b"\x01" * 32)) == "entry_proof.absent"
    assert code_of(lambda: position_of(made.without_body(), b"\x01" * 32)) == "bundle.no_body"
