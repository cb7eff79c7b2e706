import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.auction.bundle import SIGNATURE_CONTEXT, Bundle
from bpci_node.cli.main import main
from bpci_node.mempool.pool import Pool
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.keys import LocalSigner, did_of, sign_object

LEDGER_ID = "devnet:" + "ab" * 32


@pytest.fixture
def bundle(seal: Callable[..., Bundle], small_pool: Pool) -> Bundle:
    return seal(small_pool)


@pytest.fixture
def file(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "auction.bundle"
    path.write_bytes(bundle.encode())
    return path


@pytest.fixture
def network(registry: LocalSigner, tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    NetworkFile(LEDGER_ID, bytes.fromhex("ab" * 32), registry.public_key, ()).save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["bundle", *map(str, arguments)])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


def test_a_bundle_holds_for_its_signer(capsys: pytest.CaptureFixture[str], file: Path, node: LocalSigner) -> None:
    status, out, err = run(capsys, "verify", file, "--signer", did_of(node.public_key))
    assert (status, err) == (0, "")
    assert "holds, for the trusted signer" in out


def test_a_bundle_holds_for_its_network(capsys: pytest.CaptureFixture[str], file: Path, network: Path) -> None:
    status, out, _ = run(capsys, "verify", file, "--network", network, "--json")
    view = json.loads(out)
    assert status == 0
    assert (view["verified"], view["trusted"], view["node_id"]) == (True, "network", "bpa1" + "a" * 32)
    assert (view["header"]["count"], view["header"]["base_fee"], len(view["entries"])) == (6, "50", 6)


def test_nobody_said_whom_to_trust_exits_3(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    status, out, err = run(capsys, "verify", file)
    assert (status, out) == (3, "")
    assert "hint:" in err
    status, _, err = run(capsys, "verify", file, "--json")
    assert (status, json.loads(err)["code"]) == (3, "bundle.no_trust")


def test_an_altered_bundle_exits_1_with_the_reason(
    capsys: pytest.CaptureFixture[str], file: Path, network: Path, node: LocalSigner
) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for trust in (["--signer", did_of(node.public_key)], ["--network", str(network)]):
        status, out, err = run(capsys, "verify", file, *trust, "--json")
        assert (status, out) == (1, "")
        assert json.loads(err)["code"].startswith("bundle.")


def test_a_bundle_signed_again_by_another_key_exits_1(
    capsys: pytest.CaptureFixture[str], file: Path, network: Path, node: LocalSigner, bundle: Bundle
) -> None:
    other = LocalSigner(b"\x07" * 32)
    altered = replace(bundle, signer=other.public_key, header=replace(bundle.header, time_ms=1))
    file.write_bytes(replace(altered, signature=sign_object(other, SIGNATURE_CONTEXT, altered.signed_map())).encode())
    for trust, code in (
        (["--signer", did_of(node.public_key)], "bundle.untrusted"),
        (["--network", str(network)], "bundle.certificate"),
    ):
        status, _, err = run(capsys, "verify", file, *trust, "--json")
        assert (status, json.loads(err)["code"]) == (1, code)


def test_what_is_no_bundle_exits_1(capsys: pytest.CaptureFixture[str], tmp_path: Path, node: LocalSigner) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert run(capsys, "verify", path, "--signer", did_of(node.public_key))[0] == 1
    assert run(capsys, "show", path)[0] == 1


def test_wrong_calls_exit_2(capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path) -> None:
    wrong_network = tmp_path / "wrong.json"
    wrong_network.write_text("{}")
    for arguments, code in (
        (["verify", tmp_path / "absent", "--signer", "x"], "usage.file"),
        (["verify", tmp_path, "--signer", "x"], "usage.file"),
        (["verify", file, "--signer", "nobody"], "usage.signer"),
        (["verify", file, "--network", wrong_network], "usage.network"),
        (["verify", file, "--network", tmp_path / "absent"], "usage.network"),
        (["verify", file, "--unknown"], "usage.call"),
        (["verify"], "usage.call"),
        (["show", tmp_path / "absent"], "usage.file"),
    ):
        status, out, err = run(capsys, *arguments, "--json")
        assert (status, out, json.loads(err)["code"]) == (2, "", code), arguments


def test_show_prints_without_verifying(capsys: pytest.CaptureFixture[str], file: Path, bundle: Bundle) -> None:
    status, out, _ = run(capsys, "show", file)
    assert status == 0
    assert "not verified" in out
    assert "6 of 8 that were waiting" in out
    status, out, _ = run(capsys, "show", file, "--json")
    view = json.loads(out)
    assert (view["verified"], view["digest"]) == (False, "0x" + bundle.header.digest().hex())
    assert [item["type"] for item in view["buckets"]].count("blob") == 1


def test_a_bundle_is_read_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bundle: Bundle, node: LocalSigner
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bundle.encode())))
    assert run(capsys, "verify", "-", "--signer", did_of(node.public_key))[0] == 0


def test_the_verifier_needs_no_code_of_the_node(file: Path, node: LocalSigner) -> None:
    program = (
        "import sys; from pathlib import Path; from bpci_node.auction.verify import verify_bundle\n"
        "verify_bundle(Path(sys.argv[1]).read_bytes(), signer=sys.argv[2])\n"
        "used = {name.split('.')[1] for name in sys.modules if name.startswith('bpci_node.')}\n"
        "assert used == {'auction', 'chain', 'errors', 'mempool', 'primitives'}, used\n"
        "assert not {'asyncio', 'fastapi', 'httpx', 'rlp', 'sqlite3'} & set(sys.modules)\n"
    )
    appliance = Path(__file__).parents[3] / "appliance"
    subprocess.run(
        [sys.executable, "-c", program, file, did_of(node.public_key)], env={"PYTHONPATH": str(appliance)}, check=True
    )
