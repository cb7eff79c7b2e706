import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bpci_node.cli import disk
from bpci_node.errors import BpciError
from bpci_node.setup import encryption
from bpci_node.setup.system import System


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> System:
    """This machine, for the command, is a directory."""
    (tmp_path / "data").mkdir()
    found = System(tmp_path)
    monkeypatch.setattr(disk, "SYSTEM", found)
    monkeypatch.setattr(disk, "DATA", tmp_path / "data")
    return found


def test_status_tells_the_room_and_what_is_kept_for_root(system: System) -> None:
    done = CliRunner().invoke(disk.command, ["status", "--json"])
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["encryption"]) == (0, encryption.state(system))
    assert 0 < shown["free_bytes"] + shown["reserved_bytes"] <= shown["size_bytes"]
    text = CliRunner().invoke(disk.command, ["status"]).stdout
    assert "kept for root" in text
    assert "not encrypted" in text


def test_after_a_start_by_the_recovery_key_status_says_what_binds_again(system: System) -> None:
    system.write(encryption.STATE, "recovery\n")
    assert "sudo bpci disk enroll" in CliRunner().invoke(disk.command, ["status"]).stdout


def test_a_machine_without_a_data_partition_is_told_so(system: System) -> None:
    system.path("/data").rmdir()
    done = CliRunner().invoke(disk.command, ["status"])
    assert isinstance(done.exception, BpciError)
    assert done.exception.code == "host.data"


@pytest.mark.parametrize("arguments", [["enroll"], ["recovery-key", "--yes"]])
@pytest.mark.parametrize("as_root", [False, True])
def test_keys_are_root_s_and_of_an_encrypted_disk(
    system: System, monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, as_root: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0 if as_root else 1000)
    if not as_root:
        system.write(encryption.STATE, "tpm")
    done = CliRunner().invoke(disk.command, arguments)
    assert isinstance(done.exception, BpciError)
    assert done.exception.code == ("host.encryption" if as_root else "usage.root")


def test_a_new_recovery_key_goes_to_standard_output_alone(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.write(encryption.STATE, "tpm")
    old, kept = encryption.new_recovery_key(bytes), list[str]()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(encryption, "replace_recovery_key", lambda _system, one, new: kept.extend((one, new)))
    done = CliRunner().invoke(disk.command, ["recovery-key", "--yes"], input=io.BytesIO(old.upper().encode() + b"\n"))
    assert kept[0] == old
    assert done.stdout == kept[1] + "\n"
    assert kept[1] not in done.stderr
