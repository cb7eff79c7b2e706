import json
from dataclasses import replace

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.light import FinalHeader
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.draw import committee_entry
from bpci_node.chain.ledger_proof import StateEntryProof
from bpci_node.chain.settling import mock_ledger_id
from bpci_node.cli.main import main
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.record import save_record
from bpci_node.primitives.state_proof import StateProof, path_of, state_leaf
from scripts.auction_scene import members
from tests.unit.auction.sealed import LEDGER, WINDOW, bundle, draft, hidden, txid

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
        (tmp_path / f"epoch-{group.committee.epoch}.proof").write_bytes(proof_of(group, group.committee.epoch))
    NetworkFile(LEDGER, bytes.fromhex("ab" * 32), REGISTRY.public_key, ()).save(tmp_path / "network.json")
    return tmp_path


def proof_of(group, epoch, signer=REGISTRY):
    """The file that proves a committee to stand at the key of an epoch."""
    key, value = committee_entry(epoch), save_record(group.committee.as_map())
    block = Block(7, 1, bytes(32), bytes(32), state_leaf(path_of(key), sha256(value)), signer.public_key)
    return StateEntryProof(sign_block(signer, block).encode(), key, value, StateProof((), None).encode()).encode()


@pytest.fixture
def gap(world, sign_raw):
    """The first header of an epoch that follows on bundle 1, in which nobody handed over."""
    header = AuctionBundle.decode((world / "1.bundle").read_bytes()).header
    window = replace(WINDOW, index=5)
    found = [hidden(sign_raw(5, max_fee=70, tip=70), 0, window=window)]
    made = bundle(draft(found, window=window, epoch=2, sequence=2, parent=header.digest()), SECOND)
    (world / "gap.bundle").write_bytes(made.encode())
    return world / "1.bundle", world / "gap.bundle"


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
    assert (found["committee_epoch"], found["committees_from_ledger"]) == (2, [1])
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
    assert run(capsys, "light", "verify", world / "3.bundle", *options(world))[0] == 3
    wrong = ("--network", world / "network.json", "--committee", other)
    assert run(capsys, "light", "verify", world / "1.bundle", *wrong)[0] == 2
    assert run(capsys, "light", "verify", world / "1.bundle", *options(world), "--state", other)[0] == 2


def test_where_no_header_handed_over_the_ledger_proves_the_committee_and_the_output_says_so(world, gap, capsys):
    both = (*options(world), "--committee", world / "epoch-2.proof")
    status, out, err = run(capsys, "light", "verify", *gap, *both, "--no-ledger", "--full", "--json")
    assert (status, json.loads(out)["committees_from_ledger"]) == (0, [1, 2])
    assert "no header named the committee of epoch 2" in err
    status, out, _ = run(capsys, "light", "headers", *gap, *both)
    assert (status, "committees that the ledger proved: of epoch 1, 2" in out) == (0, True)
    status, _, err = run(capsys, "light", "headers", *gap, *options(world))
    assert (status, "no node of the network showed the committee of epoch 2" in err) == (3, True)
    status, _, err = run(capsys, "light", "verify", *gap, *options(world), "--no-ledger")
    assert (status, "the ledger may not be asked" in err) == (3, True)


def test_a_committee_of_a_false_block_or_of_an_old_epoch_takes_nothing_over(world, gap, capsys):
    false = world / "false.proof"
    forged = members(epoch=2, first=31)
    for data, reason in (
        (proof_of(forged, 2, LocalSigner(b"\x08" * 32)), "not one of this network's registry"),
        (proof_of(FIRST, 2), "not that of an epoch's committee"),
        (proof_of(replace(FIRST, committee=replace(FIRST.committee, epoch=34)), 2), "no node of the network"),
    ):
        false.write_bytes(data)
        status, _, err = run(capsys, "light", "headers", *gap, *options(world), "--committee", false)
        assert (status in (1, 3), reason in err) == (True, True), err
    keep = ("--network", world / "network.json", "--state", world / "light.state")
    assert run(capsys, "light", "headers", world / "1.bundle", *options(world), *keep[2:])[0] == 0
    before = (world / "light.state").read_bytes()
    false.write_bytes(proof_of(forged, 2, LocalSigner(b"\x08" * 32)))
    assert run(capsys, "light", "headers", gap[1], *keep, "--committee", false)[0] == 1
    assert (world / "light.state").read_bytes() == before


def test_played_auctions_are_followed_only_when_asked_for(world, sign_raw, capsys):
    made = draft([hidden(sign_raw(1, max_fee=70, tip=70), 0)], ledger_id=mock_ledger_id(LEDGER))
    (world / "played.bundle").write_bytes(bundle(made, FIRST).encode())
    call = ("light", "verify", world / "played.bundle", *options(world), "--full")
    assert run(capsys, *call, "--played", "--state", world / "played.state")[0] == 0
    status, _, err = run(capsys, *call)
    assert (status, "of another ledger" in err) == (1, True)
    assert run(capsys, *call, "--state", world / "played.state")[0] == 2
    assert run(capsys, "light", "verify", world / "1.bundle", *options(world), "--played")[0] == 1
    alone = ("bundle", "verify", world / "played.bundle", *options(world))
    assert [run(capsys, *alone, *more)[0] for more in (("--played",), ())] == [0, 1]


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
