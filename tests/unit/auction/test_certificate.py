from dataclasses import replace

import pytest

from bpci_node.auction.certificate import (
    Certificate,
    aggregate_votes,
    count_votes,
    verify_certificate,
    verify_vote,
)
from bpci_node.errors import BpciError, FormatError
from bpci_node.primitives import bls
from scripts.auction_scene import members

DIGEST, OTHER = b"\x01" * 32, b"\x02" * 32
GROUP = members(weights=(10, 10, 10, 5))
"""2/3 of 35 is 23.33: three seats of ten, or two of ten with that of five, are enough."""


def votes(*seats, digest=DIGEST):
    return {seat: GROUP.voters[seat].sign(digest) for seat in seats}


def code_of(call):
    with pytest.raises(BpciError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("seats", [(0, 1, 2), (0, 1, 3), (0, 1, 2, 3)], ids=str)
def test_more_than_two_thirds_of_the_weight_make_a_certificate(seats):
    certificate = aggregate_votes(GROUP.committee, votes(*seats))
    assert certificate.seats() == list(seats)
    verify_certificate(GROUP.committee, DIGEST, certificate)


@pytest.mark.parametrize("seats", [(), (0,), (0, 1), (2, 3)], ids=str)
def test_less_weight_makes_none(seats):
    assert code_of(lambda: aggregate_votes(GROUP.committee, votes(*seats))) == "certificate.weight"
    assert count_votes(GROUP.committee, DIGEST, votes(*seats)).certificate is None


def test_exactly_two_thirds_are_not_more():
    even = members(weights=(10, 10, 10))
    held = {seat: even.voters[seat].sign(DIGEST) for seat in (0, 1)}
    assert code_of(lambda: aggregate_votes(even.committee, held)) == "certificate.weight"


def test_a_certificate_is_of_one_digest_and_one_committee():
    certificate = aggregate_votes(GROUP.committee, votes(0, 1, 2))
    assert code_of(lambda: verify_certificate(GROUP.committee, OTHER, certificate)) == "certificate.signature"
    others = members(first=20, weights=(10, 10, 10, 5)).committee
    assert code_of(lambda: verify_certificate(others, DIGEST, certificate)) == "certificate.signature"


def test_a_bitmap_that_claims_more_or_other_seats_is_refused():
    certificate = aggregate_votes(GROUP.committee, votes(0, 1, 2))
    for bitmap, code in (
        (b"\x0f", "certificate.signature"),
        (b"\x0b", "certificate.signature"),
        (b"\x17", "certificate.seat"),
        (b"\x07\x00", "certificate.seat"),
        (b"\x03", "certificate.weight"),
    ):
        claimed = replace(certificate, bitmap=bitmap)
        assert code_of(lambda claimed=claimed: verify_certificate(GROUP.committee, DIGEST, claimed)) == code


def test_votes_for_something_else_are_told_apart_and_left_out():
    mixed = votes(0, 1, 3) | votes(2, digest=OTHER)
    count = count_votes(GROUP.committee, DIGEST, mixed)
    assert count.refused == (2,)
    assert count.certificate == aggregate_votes(GROUP.committee, votes(0, 1, 3))
    assert code_of(lambda: verify_vote(GROUP.committee, 2, DIGEST, mixed[2])) == "certificate.vote"


def test_two_false_votes_that_cancel_each_other_do_not_count():
    shift = bls.BlsSigner(99).sign(DIGEST)
    minus = bls.BlsSigner(bls.ORDER - 99).sign(DIGEST)
    held = votes(0, 1, 2)
    crossed = {0: bls.aggregate([held[0], shift]), 1: bls.aggregate([held[1], minus]), 2: held[2]}
    # The sum is that of true votes: it proves that all three signed, whoever bent the parts on the way.
    verify_certificate(GROUP.committee, DIGEST, aggregate_votes(GROUP.committee, crossed))
    assert code_of(lambda: verify_vote(GROUP.committee, 0, DIGEST, crossed[0])) == "certificate.vote"


def test_garbage_and_strangers_are_refused():
    assert count_votes(GROUP.committee, DIGEST, votes(0, 1) | {2: bytes(96)}).refused == (2,)
    assert code_of(lambda: count_votes(GROUP.committee, DIGEST, {4: bytes(96)})) == "certificate.seat"
    assert code_of(lambda: verify_vote(GROUP.committee, -1, DIGEST, bytes(96))) == "certificate.seat"


def test_a_certificate_reads_back_and_another_algorithm_is_named():
    certificate = aggregate_votes(GROUP.committee, votes(0, 1, 2))
    value = certificate.as_map()
    assert Certificate.from_map(value) == certificate
    assert code_of(lambda: Certificate.from_map(value | {"algorithm": 2})) == "certificate.algorithm"
    for wrong in ({"v": 2}, {"seats": b""}, {"signature": b"\x00"}, {"more": 1}):
        with pytest.raises(FormatError):
            Certificate.from_map(value | wrong)
