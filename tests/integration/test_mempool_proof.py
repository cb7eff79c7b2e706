"""A proof made at one node and checked by a process that can reach nobody."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.mempool.proof import MempoolProof
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.keys import LocalSigner, did_of

COMMAND = [sys.executable, "-m", "bpci_node.cli.main"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "appliance")}
EMPTY = "0x0003ffff"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def alone() -> list[str]:
    """What a command is run by, so that it has no network interface at all; empty where that can't be arranged."""
    isolate = ["unshare", "--net", "--"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    return isolate if subprocess.run([*isolate, "true"], check=False).returncode == 0 else []


@pytest.fixture
def verify(tmp_path: Path, alone: list[str]) -> Run:
    """Run ``bpci mempool verify`` on these bytes from standard input, alone, in a directory of its own."""
    home = tmp_path / "elsewhere"
    home.mkdir()

    def run(data: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*alone, *COMMAND, "mempool", "verify", *map(str, arguments)],
            input=data,
            cwd=home,
            env=ENVIRONMENT | {"HOME": str(home), "XDG_STATE_HOME": str(home)},
            capture_output=True,
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def test_what_waits_at_a_node_is_verified_elsewhere(
    start: Callable[..., Any], bpci: Run, verify: Run, raws: list[bytes], tmp_path: Path
) -> None:
    node = start()
    with node.client() as client, node.owner() as owner:
        assert all(result.receipt for result in client.submit_entries("eip155:1", raws))
        owner.register()
        client.network().save(tmp_path / "network.json")
    txids = ["0x" + decode_transaction(raw).txid.hex() for raw in raws[::73]]
    file = tmp_path / "waiting.proof"
    wanted = [part for txid in txids for part in ("--txid", txid)]
    made = bpci("mempool", "prove", *wanted, "--absent", EMPTY, "--node", node.url, "--out", file, "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["entries"] == len(txids)
    data, did = file.read_bytes(), did_of(node.signer.public_key)
    piped = subprocess.run(
        [*COMMAND, "mempool", "prove", *wanted, "--absent", EMPTY, "--node", node.url],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout
    assert MempoolProof.decode(piped).header.mx_root == MempoolProof.decode(data).header.mx_root
    node.stop()

    root = "0x" + MempoolProof.decode(data).header.mx_root.hex()
    for trust in (("--signer", did), ("--network", tmp_path / "network.json"), ("--root", root)):
        done = verify(data, *trust, *wanted, "--absent", EMPTY, "--json")
        assert done.returncode == 0, done.stderr
        view = json.loads(done.stdout)
        assert view["verified"]
        assert view["header"]["entries"] == 1167
        assert {entry["txid"] for bucket in view["buckets"] for entry in bucket["entries"]} == set(txids)
        assert view["absent"] == [EMPTY]
    assert "holds" in verify(piped, "-", "--signer", did).stdout

    silent = verify(data)
    assert (silent.returncode, "whom to trust" in silent.stderr) == (3, True)
    other = did_of(LocalSigner(b"\x07" * 32).public_key)
    for arguments in (("--signer", other), ("--root", "0x" + "00" * 32), ("--signer", did, "--txid", "0x" + "11" * 32)):
        assert verify(data, *arguments).returncode == 1
    for wrong in (("--signer", "nobody"), ("--root", "0x12"), ("--network", "/nowhere")):
        assert verify(data, *wrong).returncode == 2
    for place in (0, 10, len(data) // 3, len(data) // 2, len(data) - 1):
        altered = bytearray(data)
        altered[place] ^= 1
        assert verify(bytes(altered), "--signer", did).returncode == 1
    assert verify(data + b"\x00", "--signer", did).returncode == 1
    assert verify(b"", "--signer", did).returncode == 1


def test_what_does_not_wait_is_not_proved(
    start: Callable[..., Any], bpci: Run, raws: list[bytes], tmp_path: Path
) -> None:
    node = start()
    with node.client() as client:
        client.submit_entries("eip155:1", raws[:50])
        data = client.mempool_proof("eip155:1", [decode_transaction(raws[0]).txid], [])
        key = "0x" + MempoolProof.decode(data).buckets[0].key.hex()
    out = tmp_path / "proof"
    missing = bpci("mempool", "prove", "--txid", "0x" + "11" * 32, "--node", node.url, "--out", out, "--json")
    assert (missing.returncode, json.loads(missing.stderr)["code"]) == (1, "entry.not_waiting")
    occupied = bpci("mempool", "prove", "--absent", key, "--node", node.url, "--out", out, "--json")
    assert (occupied.returncode, json.loads(occupied.stderr)["code"]) == (1, "proof.not_shown")
    assert not out.exists()
    assert bpci("mempool", "prove", "--bucket", key, "--node", node.url, "--out", out).returncode == 0
    assert bpci("mempool", "prove", "--node", node.url, "--out", out).returncode == 2
    assert bpci("mempool", "prove", "--txid", "0x11", "--node", node.url, "--out", out).returncode == 2
    assert bpci("mempool", "prove", "--bucket", key, "--node", node.url, "--json").returncode == 2
