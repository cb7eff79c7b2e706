import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bpci_node import __version__
from bpci_node.cli import main as main_module
from bpci_node.cli.main import GROUPS, main
from bpci_node.errors import RefusedError

ROOT = Path(__file__).parents[3]


def call(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "appliance"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_and_help_name_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version", capsys=capsys) == (0, f"bpci {__version__}\n", "")
    status, out, _ = call("--help", capsys=capsys)
    assert status == 0
    for name, text in GROUPS.items():
        assert name in out
        assert text in out
    assert "Examples:" in out
    assert "Completion" in out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bpci_node.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ('httpx', 'fastapi', 'pydantic', 'cryptography', 'cbor2', 'textual', 'psutil')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert process("-c", code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "group",
    [
        "node",
        "devnet",
        "mempool",
        "network",
        "registry",
        "identity",
        "authority",
        "governance",
        "wallet",
        "dao",
        "auction",
        "miner",
        "notary",
        "access",
        "alerts",
    ],
)
def test_every_command_shows_examples(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = main_module.cli.get_command(None, group)
    for name in command.commands:
        status, out, _ = call(group, name, "--help", capsys=capsys)
        assert status == 0
        assert "Example" in out, f"{group} {name}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("--nonsense",),
        ("mempool", "replay"),
        ("node", "status", "--port"),
        ("devnet", "up", "--port", "5"),
    ],
)
def test_a_wrong_call_has_status_2_and_a_hint(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert "hint: Try" in err
    assert "Traceback" not in err


def test_errors_leave_with_the_status_of_their_family(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call("node", "status", "--node", "http://127.0.0.1:1", capsys=capsys)
    assert (status, out) == (3, "")
    assert "refused the connection" in err
    status, out, err = call("node", "status", "--node", "http://127.0.0.1:1", "--json", capsys=capsys)
    assert (status, out) == (3, "")
    assert json.loads(err)["code"] == "unreachable.refused"
    status, _, err = call("node", "run", "--config", "/nonexistent", capsys=capsys)
    assert status == 2
    assert "/nonexistent" in err


def test_a_fault_of_ours_shows_where_and_asks_for_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("inner")

    monkeypatch.setattr(main_module.cli, "main", broken)
    status, _, err = call("node", capsys=capsys)
    assert status == 3
    assert "Traceback" in err
    assert "report" in err


def test_interruption_is_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.cli, "main", interrupted)
    assert call("node", capsys=capsys) == (130, "", "interrupted\n")


def test_an_error_with_json_is_one_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise RefusedError("no", code="entry.no", hint="Ask later.", limit=3)

    monkeypatch.setattr(main_module.cli, "main", refuse)
    status, _, err = call("node", "--json", capsys=capsys)
    assert status == 1
    assert json.loads(err)["details"] == {"limit": 3}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call("completion", shell, capsys=capsys)
    assert status == 0
    assert "_BPCI_COMPLETE" in out


def test_completion_completes() -> None:
    found = process("-m", "bpci_node.cli.main", _BPCI_COMPLETE="bash_complete", COMP_WORDS="bpci dev", COMP_CWORD="1")
    assert "devnet" in found.stdout


def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -m bpci_node.cli.main --help | true; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "appliance")}
    found = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr
