from collections.abc import Callable

import cbor2
import pytest

from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.keys import LocalSigner
from bpci_node.store.facts import FIELDS, NONE, VERSION, pack, unpack


def again(item: Transaction, facts: bytes) -> Transaction | None:
    return unpack(facts, raw=item.raw, txid=item.txid, sender=item.sender)


def test_facts_give_back_every_transaction_as_it_was_decoded(mainnet: list[Transaction]) -> None:
    assert [again(item, pack(item)) for item in mainnet] == mainnet


def test_the_largest_amounts_are_kept(mainnet: list[Transaction]) -> None:
    values = {name: getattr(mainnet[0], name) for name in ("raw", "txid", "sender", *FIELDS)}
    largest = Transaction(**values | {"max_fee": 2**256 - 1, "value": 2**256 - 1, "nonce": 2**64 - 2, "to": None})
    assert again(largest, pack(largest)) == largest


def test_other_fields_need_another_version() -> None:
    assert (VERSION, FIELDS) == (
        1,
        (
            "tx_type",
            "chain_id",
            "nonce",
            "gas",
            "max_fee",
            "max_priority_fee",
            "to",
            "value",
            "data_bytes",
            "floor_gas",
            "blob_wei",
        ),
    )


@pytest.mark.parametrize("facts", [NONE, cbor2.dumps((VERSION + 1, 7))])
def test_without_facts_of_this_version_the_raw_bytes_are_asked(mainnet: list[Transaction], facts: bytes) -> None:
    assert again(mainnet[0], facts) is None


def test_a_native_entry_has_none(node: LocalSigner, sign_raw: Callable[..., bytes]) -> None:
    terms = {"nonce": 1, "fee": 5, "gas": 30_000, "body": b"x"}
    entry = sign_native(node, ledger_id="l:" + "a" * 64, target="eip155:1", kind=EntryType.SETTLEMENT, **terms)
    assert pack(entry) == NONE
