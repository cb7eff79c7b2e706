import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bpci_node.cli import disk
from bpci_node.errors import BpciError


def test_status_tells_the_room_and_what_is_kept_for_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "DATA", tmp_path)
    done = CliRunner().invoke(disk.command, ["status", "--json"])
    shown = json.loads(done.stdout)
    assert done.exit_code == 0
    assert 0 < shown["free_bytes"] + shown["reserved_bytes"] <= shown["size_bytes"]
    assert "kept for root" in CliRunner().invoke(disk.command, ["status"]).stdout


def test_a_machine_without_a_data_partition_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "DATA", tmp_path / "data")
    done = CliRunner().invoke(disk.command, ["status"])
    assert isinstance(done.exception, BpciError)
    assert done.exception.code == "host.data"
