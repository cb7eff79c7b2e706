from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from bpci_node.cli.main import main
from bpci_node.errors import HostError, NotFoundError
from bpci_node.runtime.alerts import applying
from bpci_node.runtime.alerts.trial import choose, known

ROOT = Path(__file__).parents[3]
NAMES = ["nobody", "mail:owner", "test/mail:owner", "ntfy:phone", "test/ntfy:phone", "dead-man:switch"]


def call(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(("alerts", *arguments))
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.mark.parametrize(
    "arguments",
    [
        ("silence", "BpciWatchdog"),
        ("silence", "no name"),
        ("silence", "BpciDiskFull", "--for", "31d"),
        ("silence", "BpciDiskFull", "--for", "0h"),
        ("silence", "BpciDiskFull", "--where", "mountpoint"),
        ("test", "--timeout", "1"),
        ("relay", "--receivers", "/nonexistent", "--records", "/nonexistent"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_asked(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert "Traceback" not in err


def test_without_alertmanager_it_can_not_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/alerts"
        status, out, err = call("list", "--alertmanager", url, "--json", capsys=capsys)
    assert (status, out) == (3, "")
    assert json.loads(err)["code"] == "unreachable.alertmanager"


def test_a_test_goes_to_people_unless_another_receiver_is_named() -> None:
    assert known(NAMES) == ["mail:owner", "ntfy:phone", "dead-man:switch"]
    assert choose(NAMES, ()) == ["mail:owner", "ntfy:phone"]
    assert choose(NAMES, ("dead-man:switch",)) == ["dead-man:switch"]
    for names, wanted in ((NAMES, ("mail:nobody",)), (["nobody"], ())):
        with pytest.raises(NotFoundError) as caught:
            choose(names, wanted)
        assert caught.value.code == "not_found.receiver"


def test_nothing_is_changed_where_alertmanagers_own_tool_does_not_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "alerts.toml"
    source.write_text("v = 1\n")
    source.chmod(0o600)
    tool = tmp_path / "bin" / "amtool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho no; exit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    monkeypatch.setattr(applying.os, "geteuid", lambda: 0)
    if source.stat().st_uid != 0:
        pytest.skip("a file of root's can be made by root alone")
    with pytest.raises(HostError) as caught:
        applying.apply(source, tmp_path / "rendered")
    assert caught.value.code == "host.alertmanager"
    assert not (tmp_path / "rendered").exists()


def test_every_code_is_in_the_table_and_every_row_is_a_code() -> None:
    node = ROOT / "appliance/bpci_node"
    files = [*(node / "runtime/alerts").glob("*.py"), node / "network/alertmanager.py", node / "host/smart.py"]
    text = "".join(path.read_text() for path in files)
    used = set(re.findall(r'(?:code=|, )"((?:alerts|access|host|unreachable|not_found|format)\.[a-z_]+)"', text))
    used -= {"format.url"}  # of every client, in the table of the API
    assert used == set(
        re.findall(r"^\| `([a-z_.]+)` \|", (ROOT / "docs/spec/errors/alerts.md").read_text(), re.MULTILINE)
    )
