import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bpci_node.chain.challenge import issue_challenge
from bpci_node.cli.hardware import _render
from bpci_node.cli.main import main
from bpci_node.host.figures import Figures
from bpci_node.host.fingerprint import fingerprint
from bpci_node.host.report import report_digest, verify_report
from bpci_node.host.result import Verdict
from bpci_node.primitives.keys import LocalSigner, did_of

SEED = bytes([1]) * 32
NODE, REGISTRY = LocalSigner(SEED), LocalSigner(bytes([3]) * 32)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["hardware", "check", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "node.key"
    path.touch(0o600)
    path.write_bytes(SEED)
    return path


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    data, signature = issue_challenge(
        REGISTRY, ledger_id="devnet:" + "ab" * 32, node_key=NODE.public_key, now_ms=1_767_225_600_000, nonce16=bytes(16)
    )
    path = tmp_path / "challenge.json"
    path.write_text(json.dumps({"challenge": "0x" + data.hex(), "signature": "0x" + signature.hex()}))
    return path


def test_json_is_one_document_and_the_exit_status_follows_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run("--profile", "dev", "--json", "--data-dir", str(tmp_path))
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert report["profile"] == "dev"
    assert status == {"pass": 0, "fail": 1, "unknown": 3}[report["verdict"]]


def test_the_table_fits_80_columns_and_ends_with_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--data-dir", str(tmp_path))
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert any(line.split(":")[0] in {"PASS", "FAIL", "UNKNOWN"} for line in lines[-2:])


def test_the_development_profile_says_that_it_proves_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if run("--profile", "dev", "--data-dir", str(tmp_path)) == 0:
        assert "does not make the machine fit" in capsys.readouterr().out.replace("\n", " ")


def test_a_signed_report_is_written_and_holds(
    tmp_path: Path, key: Path, challenge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.cbor"
    options = ["--report", str(target), "--key", str(key), "--challenge", str(challenge)]
    run("--profile", "dev", "--json", "--data-dir", str(tmp_path), *options)
    shown = json.loads(capsys.readouterr().out)
    signed = target.read_bytes()
    digest = bytes.fromhex(shown["signed"]["digest"][2:])
    found = verify_report(signed, node_key=NODE.public_key, digest=digest)
    assert found.report.as_object() == {name: value for name, value in shown.items() if name != "signed"}
    assert shown["signed"]["node"] == did_of(NODE.public_key)
    assert report_digest(signed) == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["challenge.json", "node.key", "report.cbor"]


def test_a_challenge_for_another_key_is_refused_before_anything_is_measured(
    tmp_path: Path, key: Path, challenge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key.write_bytes(bytes([2]) * 32)
    options = ["--report", str(tmp_path / "r"), "--key", str(key), "--challenge", str(challenge)]
    assert run("--json", *options) == 1
    assert json.loads(capsys.readouterr().err)["code"] == "host.challenge_key"


@pytest.mark.parametrize("missing", ["--report", "--key", "--challenge"])
def test_a_report_needs_file_key_and_challenge(
    tmp_path: Path, key: Path, challenge: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"--report": str(tmp_path / "r"), "--key": str(key), "--challenge": str(challenge)}
    del options[missing]
    assert run("--json", *[word for pair in options.items() for word in pair]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["code"] == "host.report_options"
    assert not (tmp_path / "r").exists()


def test_a_key_that_others_may_read_is_refused_before_anything_is_measured(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key.chmod(0o644)
    assert run("--key", str(key), "--registry", "http://192.0.2.1:8545") == 2
    assert "chmod 0600" in capsys.readouterr().err


def test_files_that_are_not_there_are_named(
    tmp_path: Path, key: Path, challenge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = str(tmp_path / "lost" / "file")
    assert run("--report", lost, "--key", str(key), "--challenge", str(challenge)) == 2
    assert run("--report", str(tmp_path / "r"), "--key", str(key), "--challenge", lost) == 2
    assert run("--report", str(tmp_path / "r"), "--key", lost, "--challenge", str(challenge)) == 2
    assert capsys.readouterr().err.count("lost") >= 3


@pytest.mark.parametrize("arguments", [["--profile", "huge"], ["--registry", "not a url"], ["--nothing"], ["--disk"]])
def test_wrong_calls_have_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert "error:" in capsys.readouterr().err


def test_all_verdicts_are_words_and_hints_that_agree_are_given_once() -> None:
    result = {"id": "x", "text": "t " * 30, "requirement": "r", "needed": True, "hint": "Do this.", "facts": {}}
    results = [{**result, "title": verdict.value.title(), "verdict": verdict.value} for verdict in Verdict]
    data = {"profile": "dev", "note": "", "verdict": "unknown", "results": results, "versions": {"bpci": "0.1.0"}}
    text = _render(data)
    assert text.count("Do this.") == 1
    assert "- Pass, Warn, Fail, Unknown: Do this." in text
    assert text.splitlines()[-1].startswith("UNKNOWN: ") or text.splitlines()[-2].startswith("UNKNOWN: ")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_appears_on_a_terminal_only_and_can_be_refused(tmp_path: Path, no_color: str, *, coloured: bool) -> None:
    master, slave = pty.openpty()
    words = ["hardware", "check", "--profile", "dev", "--data-dir", str(tmp_path)]
    environment = {**os.environ, "NO_COLOR": no_color, "PYTHONPATH": str(Path(__file__).parents[3] / "appliance")}
    process = subprocess.Popen(
        [sys.executable, "-m", "bpci_node.cli.main", *words], stdout=slave, stderr=subprocess.DEVNULL, env=environment
    )
    os.close(slave)
    seen = b""
    try:
        while part := os.read(master, 4096):
            seen += part
    except OSError:
        pass  # the other side is closed: that is how a terminal ends
    os.close(master)
    assert process.wait() in {0, 1, 3}
    assert (b"\x1b[" in seen) is coloured


def test_a_check_says_that_the_kept_figures_are_of_other_hardware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.cbor"
    monkeypatch.setattr("bpci_node.host.measure.KEPT", kept)
    kept.write_bytes(Figures({}, 1, fingerprint()).encode())
    run("--profile", "dev", "--data-dir", str(tmp_path))
    assert capsys.readouterr().err == ""
    kept.write_bytes(Figures({}, 1, bytes(32)).encode())
    run("--profile", "dev", "--data-dir", str(tmp_path))
    assert "bpci hardware measure" in capsys.readouterr().err
