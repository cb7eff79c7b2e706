"""Bundles by what their entries are, as the buckets that the header commits to say it."""

import json

import pytest

from bpci_node.auction.candidates import public_candidate
from bpci_node.auction.contents import TYPES, BundleType, Part, contents_of, type_of
from bpci_node.auction.verify_auction import verify_decoded
from bpci_node.cli.main import main
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.keys import LocalSigner
from scripts.auction_scene import members
from scripts.mempool_vectors import transaction
from tests.unit.auction.sealed import LEDGER, TERMS, WINDOW, bundle, draft

TRANSFERS = [transaction(1, 0, 60), transaction(2, 0, 61)]
CALL = transaction(3, 0, 62, b"\x01" * 4, 30_000)
RECORD = sign_native(
    LocalSigner(b"\x31" * 32),
    ledger_id=LEDGER,
    target=TERMS.target,
    kind=EntryType.SETTLEMENT,
    nonce=0,
    fee=70,
    gas=40_000,
    body=b"settled",
)


def sealed(entries):
    return bundle(draft([public_candidate(entry, WINDOW, TERMS, LEDGER, is_forced=False) for entry in entries]))


def test_every_type_of_entry_has_a_type_of_bundle():
    assert set(TYPES) == set(EntryType)
    assert set(TYPES.values()) == set(BundleType) - {BundleType.MIXED}


@pytest.mark.parametrize(
    ("entries", "expected", "whole"),
    [
        (TRANSFERS, {"transaction": Part(2, 42_000)}, "transaction"),
        ([CALL], {"contract": Part(1, 30_000)}, "contract"),
        ([RECORD], {"record": Part(1, 40_000)}, "record"),
        ([*TRANSFERS, CALL], {"contract": Part(1, 30_000), "transaction": Part(2, 42_000)}, "mixed"),
    ],
    ids=["transactions", "contract", "record", "mixed"],
)
def test_a_bundle_is_of_the_type_of_its_entries(entries, expected, whole):
    made = sealed(entries)
    verify_decoded(made, members().committee)
    contents = contents_of(made)
    assert contents == expected
    assert type_of(contents) == whole
    assert sum(part.gas for part in contents.values()) == made.header.gas_used


def test_a_bundle_without_its_entries_is_of_no_type():
    light = sealed(TRANSFERS).without_body()
    assert contents_of(light) == {}
    assert type_of({}) is None


@pytest.mark.parametrize("shown", [True, False], ids=["json", "table"])
def test_the_command_line_says_what_a_bundle_holds(tmp_path, capsys, shown):
    file = tmp_path / "auction.bundle"
    file.write_bytes(sealed([*TRANSFERS, CALL]).encode())
    with pytest.raises(SystemExit) as left:
        main(["bundle", "show", str(file), *(("--json",) if shown else ())])
    text = capsys.readouterr().out
    assert left.value.code == 0
    if shown:
        view = json.loads(text)
        assert (view["type"], view["contents"]["transaction"]) == ("mixed", {"count": 2, "gas": "42000"})
    else:
        assert "1 contract, 2 transaction" in text
