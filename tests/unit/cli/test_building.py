"""What a builder puts into a parcel."""

import pytest
from click.testing import CliRunner

from bpci_node.auction.parcel import MAX_ENTRIES, MAX_PARCEL_BYTES, decode_parcel
from bpci_node.cli import building
from bpci_node.cli.auction import command
from bpci_node.cli.bidding import make_candidate, tier_of
from bpci_node.cli.building import build_parcel, read_pool
from bpci_node.errors import BpciError, NotFoundError
from tests.unit.auction.parcels import commit_parcel
from tests.unit.auction.sealed import LEDGER, TERMS


def built(own, pool, *, gas=400_000, most=64, payment=500):
    data = build_parcel(own, pool, TERMS, 100, LEDGER, payment=payment, gas=gas, most=most)
    return list(decode_parcel(data)[1])


def refusal(call, *arguments):
    with pytest.raises(BpciError) as caught:
        call(*arguments)
    return caught.value.code


def test_own_entries_come_first_then_the_best_of_the_pool_behind_their_senders_earlier_ones(sign_raw):
    own = [sign_raw(1), sign_raw(2)]
    low, high = sign_raw(3, max_fee=60, tip=10), sign_raw(4, max_fee=90, tip=40)
    first, second = sign_raw(5, nonce=0, max_fee=52, tip=2), sign_raw(5, nonce=1, max_fee=900, tip=800)
    assert built(own, [second, low, first, high]) == [*own, high, low, first, second]
    assert built(own, [second, low, first, high], most=1) == [*own, high]
    assert built([], [low]) == [low]


def test_a_parcel_that_was_built_opens_its_commit_and_can_run(sign_raw):
    raws = built([sign_raw(1)], [sign_raw(number, max_fee=50 + number, tip=1) for number in range(2, 12)])
    assert len(commit_parcel(raws).opened(0).entries) == 11


def test_what_can_not_run_is_left_in_the_pool(sign_raw):
    own = [sign_raw(1, nonce=5)]
    pool = [
        sign_raw(1, nonce=6),  # a sender of the builder's own: its order is the builder's business
        sign_raw(2, max_fee=49, tip=1),  # below the base fee
        sign_raw(3, nonce=0, gas=300_000, max_fee=90, tip=40),  # more gas than there is
        sign_raw(3, nonce=1, max_fee=800, tip=700),  # behind it
        b"\x09nonsense",
        sign_raw(4),
    ]
    assert built(own, pool, gas=200_000) == [*own, pool[5]]


def test_a_parcel_stays_below_its_limits(sign_raw):
    pool = [sign_raw(number, data=bytes(20_000), gas=90_000, max_fee=90, tip=40) for number in range(1, 12)]
    terms = TERMS.gas_limit
    data = build_parcel([], pool, TERMS, 100, LEDGER, payment=2**63 - 1, gas=terms, most=MAX_ENTRIES)
    assert len(data) <= MAX_PARCEL_BYTES
    assert len(decode_parcel(data)[1]) == 4


def test_nothing_to_build_from_is_said(sign_raw):
    assert refusal(lambda: built([], [])) == "parcel.empty"
    assert refusal(lambda: built([b"\x09"], [])) == "entry.type"


def test_the_least_tier_that_covers_a_payment_is_taken():
    assert tier_of(10**9, TERMS, None) == 0
    assert refusal(tier_of, 10**9 + 1, TERMS, None) == "reveal.tier"
    assert refusal(tier_of, 1, TERMS, 7) == "reveal.tier"


def test_the_dearest_buckets_are_read_first_and_not_more_than_a_bound(monkeypatch):
    class Mempool:
        def buckets(self, _target):
            return iter([{"key": "0x00000001", "max_fee_wei": "5"}, {"key": "0x00000002", "max_fee_wei": "90"}])

        def entries(self, _target, key):
            if key == b"\x00\x00\x00\x01":
                yield from (b"a", b"b")
            else:
                yield b"c"
                raise NotFoundError("it emptied", code="mempool.no_bucket")

    class Client:
        mempool = Mempool()

    assert read_pool(Client(), "eip155:1") == [b"c", b"a", b"b"]
    monkeypatch.setattr(building, "MAX_READ", 2)
    assert read_pool(Client(), "eip155:1") == [b"c", b"a"]


def test_entries_are_sorted_on_the_terms_of_the_window(sign_raw):
    assert make_candidate(sign_raw(1, max_fee=51, tip=1), TERMS, 100, LEDGER, 0).pays_base_fee


def test_a_payment_is_needed(tmp_path):
    found = CliRunner().invoke(command, ["build", "--file", str(tmp_path / "x"), "--key", str(tmp_path / "k")])
    assert found.exit_code == 2
    assert "--pay" in found.output
