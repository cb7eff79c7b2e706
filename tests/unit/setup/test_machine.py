import hashlib
import os
import shutil
import subprocess

import pytest

from bpci_node.errors import BpciError, HostError, UsageError
from bpci_node.setup import keystore, machine, settings
from bpci_node.setup.answers import Answers, NetworkAnswers
from bpci_node.setup.settings import settings_of
from tests.unit.setup.simulated import SimulatedMachine

SEED = bytes(range(32))
STATIC = NetworkAnswers("static", "eth0", "192.0.2.5/24", "192.0.2.1", ("192.0.2.1", "9.9.9.9"))


@pytest.fixture
def set_up(machine: SimulatedMachine, answers: Answers) -> SimulatedMachine:
    """A machine with settings, keys and a node's configuration in its data."""
    machine.system.write(settings.PATH, settings.dump(settings_of(answers)), 0o600)
    keystore.keep(machine.system, keystore.NODE_KEY, SEED)
    machine.system.write("/etc/bpci/node.toml", "v = 1\n")
    machine.calls.clear()
    return machine


def test_settings_read_back_equal(answers: Answers) -> None:
    kept = settings_of(answers)
    assert settings.parse(settings.dump(kept)) == kept


@pytest.mark.parametrize(
    "text", ["", "v = 2", "v = 1", "v = 1\n[machine]\n[network]\ndns=[]\n[owner]\nssh_keys=[]", "["]
)
def test_settings_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"settings\.toml"):
        settings.parse(text)


def test_a_new_root_gets_all_that_the_owner_has_set(set_up: SimulatedMachine) -> None:
    assert machine.apply_all(set_up.system)
    assert set_up.system.read_text("/etc/hostname") == "attic"
    assert machine.home_of(set_up.system, "ada") == "/home/ada"
    assert "LoadCredentialEncrypted=node-key" in set_up.system.read_text(machine.NODE_DROP_IN)
    for unit in ("ssh.service", "bpci-node.service"):
        assert set_up.ran("systemctl", "enable", unit)
        assert set_up.ran("systemctl", "--no-block", "start", unit)
    assert not set_up.ran("systemctl", "start")


def test_what_was_applied_is_a_list_that_sha256sum_checks(set_up: SimulatedMachine) -> None:
    machine.apply_all(set_up.system)
    digest = hashlib.sha256(set_up.system.read(settings.PATH) or b"").hexdigest()
    assert f"{digest}  {settings.PATH}\n" in set_up.system.path(machine.APPLIED).read_text()


def test_before_set_up_there_is_nothing_to_apply(machine: SimulatedMachine) -> None:
    from bpci_node.setup.machine import apply_all

    assert not apply_all(machine.system)
    assert machine.calls == []


def test_applying_leaves_ssh_keys_that_the_owner_has_edited(set_up: SimulatedMachine) -> None:
    set_up.system.write("/home/ada/.ssh/authorized_keys", "edited\n")
    machine.apply_all(set_up.system)
    assert set_up.system.read_text("/home/ada/.ssh/authorized_keys") == "edited"


def test_the_password_reaches_chpasswd_as_a_hash_on_standard_input(set_up: SimulatedMachine, answers: Answers) -> None:
    machine.make_owner(set_up.system, answers.owner)
    [stdin] = [stdin for argv, stdin in set_up.calls if argv[0] == "chpasswd"]
    assert stdin == f"ada:{answers.owner.password_hash}\n".encode()


def test_an_account_that_exists_is_brought_in_line_and_keeps_its_home(
    set_up: SimulatedMachine, answers: Answers
) -> None:
    with set_up.system.path("/etc/passwd").open("a") as file:
        file.write("ada:x:1001:1001::/srv/ada:/bin/zsh\n")
    machine.make_owner(set_up.system, answers.owner)
    assert set_up.ran("usermod", "--append", "--groups", "sudo,bpci-owner", "ada")
    assert not set_up.ran("useradd")
    assert set_up.system.exists("/srv/ada/.ssh/authorized_keys")


def test_a_uid_that_is_taken_is_not_asked_for(set_up: SimulatedMachine, answers: Answers) -> None:
    with set_up.system.path("/etc/passwd").open("a") as file:
        file.write("bob:x:1000:1000::/home/bob:/bin/bash\n")
    machine.make_owner(set_up.system, answers.owner)
    [argv] = [argv for argv, _ in set_up.calls if argv[0] == "useradd"]
    assert "--uid" not in argv


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("useradd"), reason="makes a real account below a directory")
def test_useradd_takes_what_is_asked_of_it(set_up: SimulatedMachine, answers: Answers) -> None:
    for name in ("etc/shadow", "etc/gshadow"):
        (set_up.root / name).touch()
    (set_up.root / "etc/group").write_text("root:x:0:\nsudo:x:27:\nbpci-owner:x:881:\n")
    machine.make_owner(set_up.system, answers.owner)
    [argv] = [argv for argv, _ in set_up.calls if argv[0] == "useradd"]
    (set_up.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    shutil.rmtree(set_up.root / "home")
    (set_up.root / "home").mkdir()
    subprocess.run([argv[0], "--prefix", str(set_up.root), *argv[1:]], check=True, capture_output=True)
    assert "ada:x:1000:" in (set_up.root / "etc/passwd").read_text()
    assert "sudo:x:27:ada" in (set_up.root / "etc/group").read_text()
    [entry] = [line for line in (set_up.root / "etc/shadow").read_text().splitlines() if line.startswith("ada:")]
    assert entry.split(":")[4] in ("", "-1"), "the owner's password expires"


def test_a_fixed_address_becomes_a_unit_of_networkd(machine: SimulatedMachine) -> None:
    from bpci_node.setup.networking import NETWORK_UNIT, set_network

    set_network(machine.system, STATIC)
    text = machine.system.read_text(NETWORK_UNIT)
    assert "Name=eth0" in text
    assert "Address=192.0.2.5/24\nGateway=192.0.2.1\nDNS=192.0.2.1\nDNS=9.9.9.9" in text
    assert machine.ran("networkctl", "reconfigure", "eth0")
    set_network(machine.system, NetworkAnswers())
    assert not machine.system.exists(NETWORK_UNIT)


def test_a_network_that_others_manage_is_left_alone_and_says_so(machine: SimulatedMachine) -> None:
    from bpci_node.setup.networking import NETWORK_UNIT, set_network

    machine.failing["systemctl is-enabled"] = ""
    with pytest.raises(HostError, match="not run by systemd-networkd"):
        set_network(machine.system, STATIC)
    assert not machine.system.exists(NETWORK_UNIT)


def test_the_hosts_file_names_the_machine_once(set_up: SimulatedMachine, answers: Answers) -> None:
    for _ in range(2):
        machine.name_machine(set_up.system, answers.machine)
    assert set_up.system.read_text("/etc/hosts").splitlines() == ["127.0.0.1\tlocalhost", "127.0.1.1\tattic"]


@pytest.mark.parametrize(
    "line",
    ["127.0.1.1 attic.example.com attic", "192.0.2.5\tattic.example.com attic # by hand"],
    ids=["own", "address"],
)
def test_a_hosts_file_that_has_the_name_stays_as_it_is(set_up: SimulatedMachine, answers: Answers, line: str) -> None:
    text = f"127.0.0.1 localhost\n\n{line}\n"
    set_up.system.write("/etc/hosts", text)
    machine.name_machine(set_up.system, answers.machine)
    assert set_up.system.read("/etc/hosts") == text.encode()


def test_a_comment_gives_the_machine_no_name(set_up: SimulatedMachine, answers: Answers) -> None:
    set_up.system.write("/etc/hosts", "127.0.0.1 localhost # attic\n")
    machine.name_machine(set_up.system, answers.machine)
    assert set_up.system.read_text("/etc/hosts").splitlines()[-1] == "127.0.1.1\tattic"


@pytest.mark.parametrize(
    ("text", "keymap", "stays"),
    [
        ('XKBLAYOUT="us"\nXKBOPTIONS="ctrl:nocaps"\n', "us", True),
        ("# by hand\nXKBLAYOUT=us,ru\nXKBVARIANT=,phonetic\n", "us", True),
        ('XKBLAYOUT="ch"\nXKBVARIANT="fr"\n', "ch:fr", True),
        ('XKBLAYOUT="ch"\nXKBVARIANT="fr"\n', "ch", False),
        ('XKBLAYOUT="us"\n', "de", False),
        ("", "us", False),
    ],
    ids=["options", "two layouts", "variant", "without variant", "another", "empty"],
)
def test_a_keyboard_that_is_set_already_keeps_its_owner_s_options(
    set_up: SimulatedMachine, answers: Answers, text: str, keymap: str, *, stays: bool
) -> None:
    from dataclasses import replace

    set_up.system.write("/etc/default/keyboard", text)
    machine.set_keyboard_and_clock(set_up.system, replace(answers.machine, keymap=keymap))
    wanted = text if stays else machine.keyboard_file(keymap)
    assert set_up.system.read("/etc/default/keyboard") == wanted.encode()


def test_an_unknown_time_zone_is_refused_before_anything_is_linked(set_up: SimulatedMachine, answers: Answers) -> None:
    from dataclasses import replace

    with pytest.raises(HostError, match="Mars/Olympus"):
        machine.set_keyboard_and_clock(set_up.system, replace(answers.machine, timezone="Mars/Olympus"))
    assert not set_up.system.exists("/etc/localtime")


def test_a_changed_password_is_kept_on_request(set_up: SimulatedMachine) -> None:
    changed = "$6$abcdefgh$" + "b" * 86
    set_up.system.write("/etc/shadow", f"root:*:1::::::\nada:{changed}:1::::::\n")
    assert machine.remember_password(set_up.system) == "ada"
    kept = settings.load(set_up.system)
    assert kept is not None
    assert kept.owner.password_hash == changed


def test_a_locked_account_has_no_password_to_keep(set_up: SimulatedMachine) -> None:
    set_up.system.write("/etc/shadow", "ada:!:1::::::\n")
    with pytest.raises(HostError, match="no password"):
        machine.remember_password(set_up.system)


def test_a_key_that_was_sealed_under_another_name_does_not_open(set_up: SimulatedMachine) -> None:
    assert keystore.open_key(set_up.system, keystore.NODE_KEY) == SEED
    sealed = set_up.system.read(keystore.sealed_path(keystore.NODE_KEY)) or b""
    set_up.system.write(keystore.sealed_path(keystore.REGISTRY_KEY), sealed, 0o400)
    with pytest.raises(BpciError, match="name does not match"):
        keystore.open_key(set_up.system, keystore.REGISTRY_KEY)


def test_a_missing_key_says_how_to_get_it_back(machine: SimulatedMachine) -> None:
    with pytest.raises(BpciError, match="missing or damaged") as caught:
        keystore.open_key(machine.system, keystore.NODE_KEY)
    assert "recovery phrase" in str(caught.value.hint)
