from pathlib import Path

import pytest

from bpci_node.cli import local
from bpci_node.cli.local import MACHINE_SOCKET, MACHINE_URL, NodePlace, default_directory, find_node, socket_of
from bpci_node.errors import UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(local, "MACHINE_SOCKET", tmp_path / "no.sock")
    return tmp_path / "bpci" / "devnet"


def test_the_default_directory_follows_the_desktops_rule(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_directory() == home
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_directory() == Path.home() / ".local/state/bpci/devnet"


def test_a_url_means_a_node_whose_owner_we_are_not(home: Path) -> None:
    assert find_node(None, "http://192.0.2.5:8545") == NodePlace("http://192.0.2.5:8545", None)


def test_a_directory_means_its_devnet(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_node(home, None)
    assert caught.value.code == "devnet.none"
    home.mkdir(parents=True)
    (home / "node.toml").write_text("[api]\nport = 9001\n")
    place = NodePlace("http://127.0.0.1:9001", home / "owner.sock")
    assert find_node(home, None) == place
    assert find_node(None, None) == place
    with pytest.raises(UsageError):
        find_node(home, "http://192.0.2.5:8545")


def test_the_machines_own_node_goes_before_a_devnet(home: Path) -> None:
    assert find_node(None, None).url == MACHINE_URL
    home.mkdir(parents=True)
    (home / "node.toml").write_text("[api]\nport = 9001\n")
    local.MACHINE_SOCKET.touch()
    assert find_node(None, None).url == MACHINE_URL


def test_a_long_directory_has_its_socket_elsewhere(tmp_path: Path) -> None:
    assert socket_of(Path("/x")) == Path("/x/owner.sock")
    long = tmp_path / ("x" * 120)
    assert len(str(socket_of(long))) < 100
    assert socket_of(long) != socket_of(long / "y")
    assert str(MACHINE_SOCKET) == "/run/bpci/owner.sock"
