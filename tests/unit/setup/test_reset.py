"""Back to the state of delivery."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bpci_node.errors import StorageError, UsageError
from bpci_node.setup import reset, wifi
from bpci_node.setup.answers import MachineAnswers, NetworkAnswers, OwnerAnswers
from bpci_node.setup.settings import Settings, dump
from bpci_node.setup.system import Finished, System

OF_OTHERS = {
    "etc/wpa_supplicant/wpa_supplicant-wlan1.conf",
    "etc/systemd/network/10-bpci.network.d/mdns.conf",
    "usr/share/bpci/appliance",
}
"""What the image brings, and what set-up did not write."""


class Owned:
    """An appliance with an owner, below a directory."""

    def __init__(self, root: Path, *, is_appliance: bool = True) -> None:
        self.root, self.calls = root, []  # type: Path, list[tuple[str, ...]]
        self.lets_go = True
        self.system = System(root, self.run)
        settings = Settings(MachineAnswers(), NetworkAnswers(), OwnerAnswers("ada", "x", "x"))
        for name, text in {
            "etc/passwd": "ada:x:1000:1000:Owner:/home/ada:/bin/bash\n",
            "etc/bpci/settings.toml": dump(settings),
            "etc/bpci/node.toml": "v = 1\n",
            "etc/bpci/backup.toml": "v = 1\n",
            "etc/bpci/backup/server": "REST_USERNAME=a\n",
            "etc/bpci/keys/node-key.cred": "sealed",
            "etc/bpci/ssh/ssh_host_ed25519_key": "key",
            "etc/bpci-machine.sha256": "x",
            "var/lib/systemd/credential.secret": "secret",
            "var/lib/bpci/node/node.db": "database",
            "var/lib/bpci/node/guard/blocks": "guard",
            "var/lib/bpci/backup/state.json": "{}",
            "var/lib/bpci/backup/scratch-drill/node.db": "copy",
            "var/lib/bpci/update/installed.json": "{}",
            "var/lib/bpci/web/access.json": "{}",
            "var/lib/bpci/setup/complete": "",
            "home/ada/notes": "mine",
            "etc/wpa_supplicant/wpa_supplicant-wlan0.conf": f"{wifi.MARK}\npsk",
            "etc/wpa_supplicant/wpa_supplicant-wlan1.conf": "somebody else's",
            "etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service": "unit",
            "etc/systemd/network/10-bpci.network": "[Match]",
            "etc/systemd/network/10-bpci.network.d/mdns.conf": "of the image",
            "var/log/nginx/access.log": "who came",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        if is_appliance:
            (root / "usr/share/bpci").mkdir(parents=True)
            (root / "usr/share/bpci/appliance").touch()

    def run(self, argv: Sequence[str], _stdin: bytes) -> Finished:
        self.calls.append(tuple(argv))
        if argv[0] == "userdel" and self.lets_go:
            (self.root / "etc/passwd").write_text("")
        return Finished(0, b"", "")

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


def test_nothing_goes_before_it_was_asked_for_or_after_it_was_withdrawn(tmp_path: Path) -> None:
    owned = Owned(tmp_path)
    before = owned.files()
    assert reset.carry_out(owned.system) is None
    reset.ask(owned.system, reset.WIPE)
    assert reset.asked(owned.system) == reset.WIPE
    assert reset.withdraw(owned.system)
    assert not reset.withdraw(owned.system)
    assert reset.carry_out(owned.system) is None
    assert (owned.files(), owned.calls) == (before, [])


def test_keeping_leaves_the_node_its_guards_and_peoples_files(tmp_path: Path) -> None:
    owned = Owned(tmp_path)
    reset.ask(owned.system, reset.KEEP)
    assert reset.carry_out(owned.system) == reset.KEEP
    assert owned.files() == {
        "etc/passwd",
        "etc/bpci/backup.toml",
        "etc/bpci/backup/server",
        "var/lib/systemd/credential.secret",
        "var/lib/bpci/node/node.db",
        "var/lib/bpci/node/guard/blocks",
        "var/lib/bpci/backup/state.json",
        "var/lib/bpci/update/installed.json",
        "home/ada/notes",
        "var/log/nginx/access.log",
        *OF_OTHERS,
    }
    assert ("userdel", "ada") in owned.calls


def test_wiping_leaves_nothing_of_the_owner(tmp_path: Path) -> None:
    owned = Owned(tmp_path)
    reset.ask(owned.system, reset.WIPE)
    assert reset.carry_out(owned.system) == reset.WIPE
    assert owned.files() == {"etc/passwd", *OF_OTHERS}
    assert (tmp_path / "var/log/nginx").is_dir()
    assert ("userdel", "--remove", "ada") in owned.calls


def test_a_machine_of_somebodys_own_keeps_accounts_homes_and_logs(tmp_path: Path) -> None:
    owned = Owned(tmp_path, is_appliance=False)
    reset.ask(owned.system, reset.WIPE)
    reset.carry_out(owned.system)
    assert owned.files() == {
        "etc/passwd",
        "etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
        "etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service",
        "etc/systemd/network/10-bpci.network",
        *OF_OTHERS - {"usr/share/bpci/appliance"},
        "home/ada/notes",
        "var/log/nginx/access.log",
    }
    assert not any(call[0] == "userdel" for call in owned.calls)


@pytest.mark.parametrize("place", range(0, 14, 2))
def test_a_reset_that_breaks_off_is_carried_out_at_the_next_start(
    tmp_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned = Owned(tmp_path)
    reset.ask(owned.system, reset.WIPE)
    remove, count = reset._remove, 0

    def dying(path: Path) -> None:
        nonlocal count
        count += 1
        if count > place:
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(reset, "_remove", dying)
    with pytest.raises(KeyboardInterrupt):
        reset.carry_out(owned.system)
    # What opens the keys goes before everything else.
    assert not (tmp_path / "var/lib/systemd/credential.secret").exists()
    monkeypatch.undo()
    assert reset.carry_out(owned.system) == reset.WIPE
    assert owned.files() == {"etc/passwd", *OF_OTHERS}
    assert ("userdel", "--remove", "ada") in owned.calls


def test_an_account_that_cannot_be_removed_is_named_and_the_reset_stays_asked_for(tmp_path: Path) -> None:
    owned = Owned(tmp_path)
    owned.lets_go = False
    reset.ask(owned.system, reset.WIPE)
    with pytest.raises(StorageError) as caught:
        reset.carry_out(owned.system)
    assert "the account ada" in caught.value.message
    assert reset.asked(owned.system) == reset.WIPE
    owned.lets_go = True
    assert reset.carry_out(owned.system) == reset.WIPE


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"v": 2, "mode": "wipe"}), json.dumps({"v": 1, "mode": "all"})])
def test_a_marker_of_another_form_removes_nothing(tmp_path: Path, text: str) -> None:
    owned = Owned(tmp_path)
    (tmp_path / reset.MARKER.lstrip("/")).write_text(text)
    before = owned.files()
    with pytest.raises(UsageError) as caught:
        reset.carry_out(owned.system)
    assert caught.value.code == "usage.reset"
    assert owned.files() == before


def test_what_cannot_be_removed_is_named_and_stays_to_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned = Owned(tmp_path)
    reset.ask(owned.system, reset.KEEP)

    def failing(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reset.shutil, "rmtree", failing)
    with pytest.raises(StorageError) as caught:
        reset.carry_out(owned.system)
    assert "Input/output error" in caught.value.message
    assert reset.asked(owned.system) == reset.KEEP
