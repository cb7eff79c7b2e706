import json
from dataclasses import replace

import pytest

from bpci_node.auction.light import FinalHeader
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.draw import committee_entry
from bpci_node.chain.ledger_proof import StateEntryProof
from bpci_node.cli.main import main
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.record import save_record
from bpci_node.primitives.state_proof import StateProof, path_of, state_leaf
from tests.unit.auction.sealed import LEDGER, WINDOW, bundle, draft, hidden, members, txid

FIRST, SECOND = members(), members(epoch=2, first=11)
REGISTRY = LocalSigner(b"\x09" * 32)


@pytest.fixture
def world(sign_raw, tmp_path):
    """Three bundles over a change of committee, the proof of the first committee, and the network file."""
    files, parent = [], bytes(32)
    for number, (group, following) in enumerate(((FIRST, None), (FIRST, SECOND), (SECOND, None)), 1):
        window = replace(WINDOW, index=number)
        found = [hidden(sign_raw(number, max_fee=70, tip=70), 0, window=window)]
        made = bundle(
            draft(
                found,
                window=window,
                epoch=group.committee.epoch,
                sequence=number,
                parent=parent,
                next_committee=following and following.committee,
            ),
            group,
        )
        parent = made.header.digest()
        files.append(tmp_path / f"{number}.bundle")
        files[-1].write_bytes(made.encode())
        (tmp_path / f"{number}.header").write_bytes(FinalHeader.of(made).encode())
    for group in (FIRST, SECOND):
        key, value = committee_entry(group.committee.epoch), save_record(group.committee.as_map())
        block = Block(7, 1, bytes(32), bytes(32), state_leaf(path_of(key), sha256(value)), REGISTRY.public_key)
        proof = StateEntryProof(sign_block(REGISTRY, block).encode(), key, value, StateProof((), None).encode())
        (tmp_path / f"epoch-{group.committee.epoch}.proof").write_bytes(proof.encode())
    NetworkFile(LEDGER, bytes.fromhex("ab" * 32), REGISTRY.public_key, ()).save(tmp_path / "network.json")
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main([str(item) for item in arguments])
    captured = capsys.readouterr()
    return left.value.code, captured.out, captured.err


def options(world, epoch=1):
    return ("--network", world / "network.json", "--committee", world / f"epoch-{epoch}.proof")


def test_bundles_are_followed_across_a_change_of_committee(world, capsys):
    files = sorted(world.glob("*.bundle"))
    status, out, _ = run(capsys, "light", "verify", *files, *options(world), "--full", "--json")
    assert status == 0
    found = json.loads(out)
    assert [item["depth"] for item in found["bundles"]] == ["full"] * 3
    assert found["committee_epoch"] == 2
    status, out, _ = run(capsys, "light", "verify", *files, *options(world))
    assert (status, out.count("holds (entries)")) == (0, 3)


def test_headers_are_followed_alone_and_remembered(world, capsys):
    state = world / "light.state"
    keep = ("--network", world / "network.json", "--state", state)
    status, out, _ = run(capsys, "light", "headers", world / "1.header", world / "2.bundle", *options(world), *keep[2:])
    assert status == 0
    assert "hands over" in out
    status, out, _ = run(capsys, "light", "verify", world / "3.bundle", *keep, "--json")
    assert status == 0
    status, _, err = run(capsys, "light", "verify", world / "1.bundle", *keep)
    assert (status, "does not follow" in err) == (1, True)


def test_a_transaction_that_ran_is_told_from_one_that_did_not(world, capsys, sign_raw):
    ran = hidden(sign_raw(1, max_fee=70, tip=70), 0)
    call = ("light", "verify", world / "1.bundle", *options(world), "--json", "--txid")
    status, out, _ = run(capsys, *call, "0x" + txid(ran).hex())
    assert (status, json.loads(out)["bundles"][0]["position"]) == (0, 0)
    assert run(capsys, *call, "0x" + "00" * 32)[0] == 1
    assert run(capsys, *call, "0x00")[0] == 2


def test_without_a_committee_nothing_can_be_said(world, capsys):
    status, _, err = run(capsys, "light", "verify", world / "1.bundle", "--network", world / "network.json")
    assert (status, "committee of epoch 1" in err) == (3, True)


def test_files_that_are_none_and_proofs_of_something_else_are_refused(world, capsys):
    other = world / "other"
    other.write_bytes(b"\xa0")
    assert run(capsys, "light", "verify", other, *options(world))[0] == 1
    assert run(capsys, "light", "verify", world / "3.bundle", *options(world))[0] == 1
    wrong = ("--network", world / "network.json", "--committee", other)
    assert run(capsys, "light", "verify", world / "1.bundle", *wrong)[0] == 2
    assert run(capsys, "light", "verify", world / "1.bundle", *options(world), "--state", other)[0] == 2


def test_bundle_show_and_verify_know_a_window_s_bundle(world, capsys):
    status, out, _ = run(capsys, "bundle", "show", world / "1.bundle", "--json")
    assert (status, json.loads(out)["verified"]) == (0, False)
    status, out, _ = run(capsys, "bundle", "verify", world / "3.bundle", *options(world, 2), "--full", "--json")
    assert (status, json.loads(out)["depth"]) == (0, "full")
    assert run(capsys, "bundle", "verify", world / "3.bundle", *options(world, 1))[0] == 1
    assert run(capsys, "bundle", "verify", world / "3.bundle")[0] == 3
    data = bytearray((world / "1.bundle").read_bytes())
    data[len(data) // 2] ^= 1
    (world / "1.bundle").write_bytes(data)
    assert run(capsys, "bundle", "verify", world / "1.bundle", *options(world, 1))[0] == 1
