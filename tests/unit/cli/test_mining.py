"""What `bpci miner` does on a machine, and what it says."""

import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from bpci_node.cli.miner import render
from bpci_node.cli.mining import missing_of, waits_for
from bpci_node.cli.mining_configure import catch_up
from bpci_node.cli.mining_place import MiningPlace, make_keys, write_secret
from bpci_node.cli.receiving import coins
from bpci_node.errors import UsageError
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.derivation import derive_keys, new_phrase
from bpci_node.runtime.config import parse
from bpci_node.setup import keystore
from bpci_node.setup.answers_file import from_document
from bpci_node.setup.unattended import Teller, make_plan, set_up
from tests.unit.setup.conftest import CHECKS, PASSWORD, PHRASE
from tests.unit.setup.simulated import SimulatedMachine

CONFIG = Path("/etc/bpci/node.toml")


@pytest.fixture
def machine() -> Iterator[SimulatedMachine]:
    """A machine in a directory with a short name: Unix sockets have at most 108 characters."""
    with tempfile.TemporaryDirectory(prefix="m") as directory:
        made = SimulatedMachine(Path(directory))
        yield made
        made.stop()


@pytest.fixture
def place(machine: SimulatedMachine) -> MiningPlace:
    """The node of a machine that was set up from the owner's phrase."""
    document = {
        "v": 1,
        "owner": {"password": PASSWORD},
        "identity": {"mode": "restore", "phrase": PHRASE},
        "node": {"name": "Attic", "type": "bpi-community", "hardware_profile": "dev"},
        "join": {"mode": "devnet", "name": "home"},
    }
    answers = from_document(document, source="a")
    plan = make_plan(machine.system, answers, lambda _name: b"")
    teller = Teller(lambda _line: None, lambda _phrase: None, lambda _key: None)
    set_up(machine.system, plan, answers.identity.phrase, teller, checks=CHECKS, **machine.run_options)
    return MiningPlace(CONFIG, parse(machine.system.read_text(str(CONFIG)), source="a"), machine.system)


def test_keys_of_the_phrase_go_into_the_machine_s_keystore_and_to_its_node(
    place: MiningPlace, machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.is_service
    made = make_keys(place, PHRASE)
    assert make_keys(place, None).config == made.config  # what is there stays
    keys, derived = made.validator_keys(), derive_keys(PHRASE, place.config.node.instance)
    assert keys.bls.public_key == BlsSigner(derived.bls).public_key
    assert repr(derived.bls) not in repr(made)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(machine.node_directory))
    stored = made.store(made.config)
    assert parse(machine.system.read_text(str(CONFIG)), source="a") == stored.config
    assert stored.config.validator is not None
    assert stored.config.validator.vrf == "credential:vrf-key"
    assert stored.start_anew()
    drop_in = machine.system.read_text("/etc/systemd/system/bpci-node.service.d/credentials.conf")
    for name in keystore.VALIDATOR_KEYS:
        assert f"LoadCredentialEncrypted={name}:/etc/bpci/keys/{name}.cred" in drop_in
    assert machine.ran("systemctl", "restart", "bpci-node.service")


def test_a_node_that_an_interrupted_run_left_behind_its_configuration_begins_again(
    place: MiningPlace, machine: SimulatedMachine
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    made = make_keys(place, PHRASE)
    stored = made.store(replace(made.config, api=replace(made.config.api, port=free)))
    machine.calls.clear()
    catch_up(stored)
    assert machine.ran("systemctl", "restart", "bpci-node.service")
    drop_in = machine.system.read_text("/etc/systemd/system/bpci-node.service.d/credentials.conf")
    assert "LoadCredentialEncrypted=bls-key:" in drop_in


def test_the_words_of_another_node_are_refused_before_anything_is_written(
    place: MiningPlace, machine: SimulatedMachine
) -> None:
    with pytest.raises(UsageError) as caught:
        make_keys(place, new_phrase(bytes(range(32))))
    assert caught.value.code == "miner.phrase"
    assert not any(keystore.is_there(machine.system, name) for name in keystore.VALIDATOR_KEYS)


@pytest.mark.parametrize(
    ("listen", "url"),
    [(str(IPv4Address(0)), "http://127.0.0.1:9"), ("::", "http://[::1]:9"), ("192.0.2.7", "http://192.0.2.7:9")],
)
def test_a_node_is_asked_where_it_listens(place: MiningPlace, listen: str, url: str) -> None:
    config = replace(place.config, api=replace(place.config.api, listen=listen, port=9))
    assert replace(place, config=config).url == url


def test_a_secret_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    write_secret(tmp_path / "a", b"first")
    write_secret(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


COMPLETE: dict[str, Any] = {
    "account": "bpa1",
    "registered": True,
    "type": "bpi-community",
    "balance": "0",
    "staked": "100000000000",
    "least_stake": "100000000000",
    "validator": "active",
    "miner": "active",
    "pool": None,
    "configured": True,
    "serves": True,
    "epoch": 4,
    "seat": None,
    "seats": 4,
    "counts_from": {"epoch": 4, "time_ms": 0},
    "earned": [],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"registered": False}, "node register"),
        ({"staked": "99999999999"}, "a stake of 1,000 BPI"),
        ({"validator": "jailed"}, "unjail"),
        ({"validator": "exited"}, "not on the ledger"),
        ({"miner": None}, "the miner is not registered"),
        ({"configured": False, "serves": False}, "no [validator]"),
        ({"serves": False}, "does not serve"),
    ],
)
def test_each_thing_that_is_missing_is_named(changes: dict[str, Any], words: str) -> None:
    found = COMPLETE | changes
    (line,) = missing_of(found)
    assert words in line
    assert waits_for(found | {"missing": [line]}) is None
    assert line in render(found | {"missing": [line], "waits_for": None})


def test_what_it_waits_for_is_its_epoch_then_a_seat_then_nothing() -> None:
    complete = COMPLETE | {"missing": missing_of(COMPLETE)}
    assert complete["missing"] == []
    early = complete | {"counts_from": {"epoch": 6, "time_ms": 0}}
    assert waits_for(early) == "epoch 6, from which its keys count"
    assert str(waits_for(complete)).startswith("a seat")
    seated = complete | {"seat": 0}
    assert waits_for(seated) is None
    assert "seat 0 of 4, coordinating" in render(seated | {"waits_for": None})
    assert coins("100000000001") == "1,000.00000001 BPI"
