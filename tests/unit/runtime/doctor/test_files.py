"""Key files and the state directory: real files, real modes."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.errors import HostError
from bpci_node.host.privacy import Exposure, enclose, exposures
from bpci_node.runtime.config import KeysSection, NodeConfig
from bpci_node.runtime.doctor.keys import KEY_DIRECTORY, KEYS
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.state_directory import STATE_DIRECTORY
from bpci_node.setup.system import System
from bpci_node.store.store import Store


def test_a_key_that_others_may_read_is_closed(patient: Callable[..., Patient], tmp_path: Path) -> None:
    assert not KEYS.examine(patient()).issues
    path, before = tmp_path / "node.key", (tmp_path / "node.key").read_bytes()
    path.chmod(0o644)
    issue = KEYS.examine(patient()).issues[0]
    assert (issue.code, issue.subject) == ("keys.mode", str(path))
    assert KEYS.repairs["keys.mode"].plan(patient(), issue) == (f"chmod 0600 {path}",)
    KEYS.repairs["keys.mode"].carry_out(patient(), issue)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == before
    assert not KEYS.examine(patient()).issues


def test_a_key_with_a_second_name_is_not_closed_through_one_of_them(
    patient: Callable[..., Patient], tmp_path: Path
) -> None:
    os.link(tmp_path / "node.key", tmp_path / "also")
    issue = KEYS.examine(patient()).issues[0]
    assert issue.code == "keys.mode"
    with pytest.raises(HostError):
        KEYS.repairs["keys.mode"].carry_out(patient(), issue)


def test_absent_short_and_linked_keys_are_named_and_left_alone(patient: Callable[..., Patient], tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(b"short")
    assert KEYS.examine(patient()).issues[0].code == "keys.content"
    path.unlink()
    assert KEYS.examine(patient()).issues[0].code == "keys.absent"
    path.symlink_to(tmp_path / "registry.key")
    issue = KEYS.examine(patient()).issues[0]
    assert issue.code == "keys.content"
    assert issue.code not in KEYS.repairs


def test_keys_that_are_handed_over_by_the_service_manager_are_looked_at_where_they_rest(
    patient: Callable[..., Patient], config: NodeConfig, tmp_path: Path
) -> None:
    directory = tmp_path / KEY_DIRECTORY.lstrip("/")
    directory.mkdir(parents=True)
    (directory / "node-key.key").write_bytes(bytes(32))
    (directory / "node-key.key").chmod(0o440)
    (directory / "other.cred").write_bytes(bytes(300))
    (directory / "other.cred").chmod(0o400)
    who = patient(system=System(tmp_path), config=replace(config, keys=KeysSection("credential:node-key")))
    assert [issue.subject for issue in KEYS.examine(who).issues] == [str(directory / "node-key.key")]


def test_what_lets_others_into_the_state_directory_is_closed(
    patient: Callable[..., Patient], config: NodeConfig
) -> None:
    assert STATE_DIRECTORY.examine(patient()).text == "not made yet"
    Store(config.state_dir).close()
    assert not STATE_DIRECTORY.examine(patient()).issues
    (config.state_dir / "node.db").chmod(0o644)
    assert not STATE_DIRECTORY.examine(patient()).issues  # nobody else gets as far as that file
    config.state_dir.chmod(0o755)
    issue = STATE_DIRECTORY.examine(patient()).issues[0]
    assert issue.code == "state_directory.mode"
    repair = STATE_DIRECTORY.repairs[issue.code]
    assert str(config.state_dir / "node.db") in "\n".join(repair.plan(patient(), issue))
    repair.carry_out(patient(), issue)
    assert config.state_dir.stat().st_mode & 0o777 == 0o700
    assert (config.state_dir / "node.db").stat().st_mode & 0o777 == 0o600
    assert not STATE_DIRECTORY.examine(patient()).issues


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_files_of_another_user_are_given_back_and_links_lead_nowhere(
    patient: Callable[..., Patient], config: NodeConfig, tmp_path: Path
) -> None:
    Store(config.state_dir).close()
    outside = tmp_path / "outside"
    outside.write_text("not the node's")
    outside.chmod(0o644)
    os.chown(config.state_dir, 65_534, 65_534)
    (config.state_dir / "link").symlink_to(outside)
    os.link(outside, config.state_dir / "second")
    issue = STATE_DIRECTORY.examine(patient()).issues[0]
    assert issue.code == "state_directory.owner"
    with pytest.raises(HostError, match="second name"):
        STATE_DIRECTORY.repairs[issue.code].carry_out(patient(), issue)
    (config.state_dir / "second").unlink()
    STATE_DIRECTORY.repairs[issue.code].carry_out(patient(), issue)
    assert (config.state_dir / "node.db").stat().st_uid == 65_534
    assert (outside.stat().st_uid, outside.stat().st_mode & 0o777) == (0, 0o644)
    assert not list(exposures(config.state_dir, 65_534))


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "target").chmod(0o644)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        enclose(Exposure(tmp_path / "link", os.geteuid(), os.geteuid(), 0o777, 0o600))
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o644
