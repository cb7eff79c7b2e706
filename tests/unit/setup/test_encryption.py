import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import HostError, UsageError
from bpci_node.setup import encryption, install
from bpci_node.setup.answers import Answers
from bpci_node.setup.answers_file import from_document
from bpci_node.setup.plan import plan_of
from bpci_node.setup.steps import steps_for
from bpci_node.setup.system import Finished
from bpci_node.setup.turn import JOURNAL
from bpci_node.setup.unattended import Teller, make_plan, read_from, set_up
from tests.unit.setup.conftest import CHECKS
from tests.unit.setup.simulated import SimulatedMachine

OLD = encryption.new_recovery_key(lambda size: bytes(range(size)))
NEW = encryption.new_recovery_key(bytes)


class Luks:
    """The key slots of a partition, by what opens them, and the programs that change them."""

    def __init__(self, machine: SimulatedMachine) -> None:
        self.machine = machine
        self.slots: dict[str, bytes] = {"0": b"in memory"}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.label = "bpci-data-new"
        machine._cryptsetup = self.cryptsetup  # type: ignore[attr-defined]
        machine._systemd_cryptenroll = self.cryptenroll  # type: ignore[attr-defined]

    def put(self, secret: bytes) -> str:
        slot = str(next(number for number in range(32) if str(number) not in self.slots))
        self.slots[slot] = secret
        return slot

    def opens(self, file: str) -> bool:
        with open(file, "rb") as opened:  # noqa: PTH123 - a path of the machine below
            return opened.read() in self.slots.values()

    def cryptsetup(self, argv: Sequence[str], _stdin: bytes) -> Finished:
        words = list(argv[1:])
        if words[0] == "luksDump":
            return Finished(0, json.dumps({"keyslots": self.slots, "tokens": self.tokens}, default=str).encode(), "")
        if words[0] == "open" and "--token-only" in words:
            return Finished(0 if self.tokens else 1, b"", "no token")
        if words[0] == "open":
            return Finished(0 if self.opens(words[words.index("--key-file") + 1]) else 2, b"", "No key available")
        if words[0] == "luksAddKey":
            if not self.opens(words[words.index("--key-file") + 1]):
                return Finished(2, b"", "No key available")
            with open(words[-1], "rb") as file:  # noqa: PTH123
                self.put(file.read())
        elif words[0] == "luksKillSlot":
            del self.slots[words[-1]]
        elif words[0] == "luksRemoveKey":
            with open(words[-1], "rb") as file:  # noqa: PTH123
                gone = file.read()
            self.slots = {slot: secret for slot, secret in self.slots.items() if secret != gone}
        elif words[:2] == ["token", "remove"]:
            del self.tokens[words[words.index("--token-id") + 1]]
        elif words[0] == "config":
            self.label = words[words.index("--label") + 1]
        return Finished(0, b"", "")

    def cryptenroll(self, argv: Sequence[str], _stdin: bytes) -> Finished:
        if not self.opens(argv[1].removeprefix("--unlock-key-file=")):
            return Finished(1, b"", "Failed to unlock")
        assert "--tpm2-pcrs=7" in argv
        if "--wipe-slot=tpm2" in argv:
            self.tokens = {}
            self.slots = {slot: secret for slot, secret in self.slots.items() if secret != b"sealed"}
        self.tokens[str(len(self.tokens))] = {"keyslots": [self.put(b"sealed")]}
        return Finished(0, b"", "")


@pytest.fixture
def encrypted(machine: SimulatedMachine) -> SimulatedMachine:
    """An appliance with a TPM that may be encrypted."""
    machine.add_tpm()
    return machine


@pytest.fixture
def luks(encrypted: SimulatedMachine) -> Luks:
    """The same after the start that has encrypted its data."""
    encrypted.system.write(encryption.STATE, "new\n")
    encrypted.system.write(encryption.KEY, "in memory", 0o600)
    return Luks(encrypted)


@pytest.fixture
def wanted(document: dict[str, Any]) -> Answers:
    return from_document(document | {"disk": {"encrypt": True}}, source="answers.toml")


def go(machine: SimulatedMachine, answers: Answers, keys: list[str]) -> dict[str, Any]:
    plan = make_plan(machine.system, answers, read_from({}, "answers.toml"))
    teller = Teller(lambda _line: None, lambda _phrase: None, keys.append)
    return set_up(machine.system, plan, answers.identity.phrase, teller, checks=CHECKS, **machine.run_options)


def test_a_recovery_key_has_256_bits_and_is_read_however_it_is_typed() -> None:
    assert len({NEW, OLD}) == 2
    assert "-".join(["cccccccc"] * 8) == NEW
    assert encryption.normal_recovery_key(f" {OLD.upper().replace('-', ' ')}\n") == OLD


@pytest.mark.parametrize("typed", ["", "cccccccc", "abandon " * 24, OLD + "c", OLD.replace("c", "a")])
def test_what_is_no_recovery_key_is_refused_and_not_repeated(typed: str) -> None:
    with pytest.raises(UsageError, match="no recovery key") as caught:
        encryption.normal_recovery_key(typed)
    assert caught.value.code == "usage.recovery_key"


def test_without_a_tpm_nothing_is_offered_and_asking_is_refused(machine: SimulatedMachine, wanted: Answers) -> None:
    assert not encryption.can_request(machine.system)
    with pytest.raises(HostError, match=r"no TPM 2\.0") as caught:
        go(machine, wanted, [])
    assert caught.value.code == "host.tpm"
    assert not machine.system.exists(JOURNAL)


@pytest.mark.parametrize("held", [JOURNAL, "/var/lib/bpci/node/node.db", "/home/ada/notes"])
def test_a_disk_that_holds_something_is_never_erased(encrypted: SimulatedMachine, held: str) -> None:
    for directory in encryption.PLACES:
        encrypted.system.path(directory).mkdir(parents=True, exist_ok=True)
    assert encryption.offer(encrypted.system) == "ask"
    encrypted.system.write(held, "{}")
    assert encryption.offer(encrypted.system) == ""
    with pytest.raises(HostError, match="holds something"):
        encryption.request(encrypted.system)
    assert not encrypted.system.exists(encryption.REQUEST)


def test_what_was_asked_for_in_vain_is_not_asked_for_again(encrypted: SimulatedMachine) -> None:
    encryption.request(encrypted.system)
    with pytest.raises(HostError) as caught:
        encryption.request(encrypted.system)
    assert caught.value.code == "host.encryption"


def test_set_up_first_asks_for_encryption_and_then_binds(encrypted: SimulatedMachine, wanted: Answers) -> None:
    keys: list[str] = []
    assert go(encrypted, wanted, keys) == {"v": 1, "restart": True, "encrypts": True}
    assert (keys, encrypted.system.exists(encryption.REQUEST)) == ([], True)
    assert not encrypted.system.exists(JOURNAL)

    encrypted.system.write(encryption.STATE, "new\n")  # the start that follows
    encrypted.system.write(encryption.KEY, "in memory", 0o600)
    luks = Luks(encrypted)
    assert go(encrypted, wanted, keys)["owner"] == "ada"
    assert list(luks.slots.values()) == [keys[0].encode(), b"sealed"]
    assert (luks.label, encryption.state(encrypted.system)) == ("bpci-data", "tpm")
    assert not encrypted.system.exists(encryption.KEY)


def test_binding_that_was_interrupted_leaves_no_second_key(luks: Luks) -> None:
    system = luks.machine.system
    luks.machine.failing["cryptsetup config"] = "the power failed"
    with pytest.raises(HostError, match="the power failed"):
        encryption.bind(system, encryption.PARTITION, OLD)
    assert system.exists(encryption.KEY)
    luks.machine.failing.clear()
    encryption.bind(system, encryption.PARTITION, NEW)
    assert sorted(luks.slots.values()) == sorted([NEW.encode(), b"sealed"])


def test_a_tpm_that_gives_nothing_back_keeps_the_key_in_memory(luks: Luks) -> None:
    luks.machine.failing["cryptsetup open --test-passphrase --token-only"] = "TPM policy does not match"
    with pytest.raises(HostError, match="TPM policy"):
        encryption.bind(luks.machine.system, encryption.PARTITION, OLD)
    assert luks.slots["0"] == b"in memory"
    assert luks.label == "bpci-data-new"


def test_the_recovery_key_binds_again_and_another_does_not(luks: Luks) -> None:
    system = luks.machine.system
    encryption.bind(system, encryption.PARTITION, OLD)
    system.write(encryption.STATE, "recovery\n")
    with pytest.raises(HostError) as caught:
        encryption.enroll(system, NEW)
    assert caught.value.code == "host.recovery_key"
    encryption.enroll(system, OLD)
    assert list(luks.slots.values()).count(b"sealed") == 1
    assert encryption.state(system) == "tpm"


def test_a_new_recovery_key_takes_the_place_of_the_old_one(luks: Luks) -> None:
    system = luks.machine.system
    encryption.bind(system, encryption.PARTITION, OLD)
    encryption.replace_recovery_key(system, OLD, NEW)
    assert sorted(luks.slots.values()) == sorted([NEW.encode(), b"sealed"])
    with pytest.raises(HostError, match="does not open"):
        encryption.replace_recovery_key(system, OLD, NEW)


def test_keys_are_handed_over_as_files_of_root_that_go_away(luks: Luks) -> None:
    seen: list[int] = []
    add = luks.cryptsetup

    def watch(argv: Sequence[str], stdin: bytes) -> Finished:
        assert not any(OLD in word for word in argv)
        if argv[1] == "luksAddKey":
            seen.append(stat.S_IMODE(Path(argv[-1]).stat().st_mode))
        return add(argv, stdin)

    luks.machine._cryptsetup = watch  # type: ignore[attr-defined]
    encryption.bind(luks.machine.system, encryption.PARTITION, OLD)
    assert seen == [0o600]
    assert [path.name for path in (luks.machine.root / "run/bpci-boot").iterdir()] == ["encryption"]


def test_another_disk_is_encrypted_while_it_is_installed(encrypted: SimulatedMachine, document: dict[str, Any]) -> None:
    encrypted.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000))
    encrypted.system.write(encryption.KEY, "in memory", 0o600)
    encrypted.progress.insert(1, "encrypted /dev/nvme0n1p4")
    luks, keys = Luks(encrypted), list[str]()
    answers = from_document(
        document | {"disk": {"install_to": "Samsung SSD 980:1000", "encrypt": True}}, source="answers.toml"
    )
    assert go(encrypted, answers, keys)["disk"] == "nvme0n1"
    assert encrypted.ran(str(encrypted.root / "usr/lib/bpci/install-disk"), "--encrypt", "--yes", "/dev/nvme0n1")
    assert encrypted.ran("cryptsetup", "config", "--label", "bpci-data", "/dev/nvme0n1p4")
    assert encrypted.ran("cryptsetup", "close", install.MAPPED)
    assert list(luks.slots.values()) == [keys[0].encode(), b"sealed"]


def test_answers_without_a_word_of_it_never_fill_a_disk_that_nothing_opens(luks: Luks, answers: Answers) -> None:
    with pytest.raises(HostError) as caught:
        go(luks.machine, answers, [])
    assert caught.value.code == "host.encryption"


def test_without_encryption_no_step_of_it_is_there(answers: Answers) -> None:
    assert not any("encryption" in step.id for step in steps_for(plan_of(answers)))
    assert not any("encryption" in step.id for step in steps_for(plan_of(answers, disk="sda")))
