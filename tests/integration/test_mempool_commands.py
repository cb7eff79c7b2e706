"""``bpci mempool submit|cancel|status|buckets`` against a real node process."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.rlp import encode_integer, encode_list

Run = Callable[..., subprocess.CompletedProcess[str]]
T = "eip155:1"


def transfer(key: int, fee: int = 10**9) -> bytes:
    fields = b"".join(encode_integer(value) for value in (1, 0, fee, fee, 21_000))
    fields += b"\x94" + bytes(19) + b"\x09" + b"\x01\x80\xc0"
    private = PrivateKey(key.to_bytes(32, "big"))
    signature = private.sign_recoverable(keccak256(b"\x02" + encode_list(fields)), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return b"\x02" + encode_list(fields + b"".join(map(encode_integer, (signature[64], r, s))))


def native(node: Any, key: LocalSigner) -> bytes:
    with node.client() as client:
        ledger_id = client.status()["ledger"]["id"]
    return sign_native(
        key, ledger_id=ledger_id, target=T, kind=EntryType.SETTLEMENT, nonce=0, fee=10**9, gas=60_000, body=b"body"
    ).raw


def data_of(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def node(start: Callable[..., Any]) -> Any:
    return start()


def test_entries_go_in_as_text_files_and_arguments_and_each_is_answered(node: Any, bpci: Run, tmp_path: Path) -> None:
    lines, single = tmp_path / "lines.txt", tmp_path / "single.bin"
    lines.write_text("".join(f"0x{transfer(key).hex()}\n\n" for key in (1, 2)))
    single.write_bytes(transfer(3))
    receipts = tmp_path / "receipts.jsonl"
    at = ("--node", node.url, "--json")
    found = data_of(bpci("mempool", "submit", lines, single, "0x" + transfer(4).hex(), "--receipts", receipts, *at))
    assert (found["accepted"], found["refused"]) == (4, 0)
    assert [item["arrival_seq"] for item in found["entries"]] == [1, 2, 3, 4]
    assert data_of(bpci("mempool", "check-receipts", receipts, *at))["pooled"] == 4

    again = data_of(bpci("mempool", "submit", "-", *at, input="0x" + transfer(4).hex()), status=1)
    assert again["entries"][0]["error"]["code"] == "entry.duplicate"
    text = bpci("mempool", "submit", "0x" + transfer(4, 10**9 + 5).hex(), "--node", node.url)
    assert text.returncode == 1
    assert "entry.underpriced" in text.stdout
    for wrong, code in ((("0x123",), "usage.entry"), ((tmp_path / "none",), "usage.file")):
        refused = bpci("mempool", "submit", *wrong, *at)
        assert (refused.returncode, json.loads(refused.stderr)["code"]) == (2, code)


def test_an_ethereum_sender_cancels_with_what_a_wallet_signs(node: Any, bpci: Run, tmp_path: Path) -> None:
    receipts = tmp_path / "receipts.jsonl"
    at = ("--node", node.url, "--json")
    sent = data_of(bpci("mempool", "submit", "0x" + transfer(1).hex(), "--receipts", receipts, *at))
    txid = sent["entries"][0]["txid"]
    asked = bpci("mempool", "cancel", txid, "--node", node.url)
    assert asked.returncode == 0
    assert json.loads(asked.stdout)["message"]["txid"] == txid
    assert "--signature" in asked.stderr
    digest = bytes.fromhex(data_of(bpci("mempool", "cancel", txid, *at))["digest"][2:])

    def sign(key: int) -> str:
        signature = PrivateKey(key.to_bytes(32, "big")).sign_recoverable(digest, hasher=None)
        return "0x" + signature[:64].hex() + f"{27 + signature[64]:02x}"

    refused = bpci("mempool", "cancel", txid, "--signature", sign(2), *at)
    assert (refused.returncode, json.loads(refused.stderr)["code"]) == (1, "entry.not_yours")
    assert data_of(bpci("mempool", "cancel", txid, "--signature", sign(1), *at))["state"] == "cancelled"
    checked = data_of(bpci("mempool", "check-receipts", receipts, *at))
    assert (checked["cancelled"], checked["broken"]) == (1, [])
    assert "1 cancelled" in bpci("mempool", "check-receipts", receipts, "--node", node.url).stdout
    assert data_of(bpci("mempool", "submit", "0x" + transfer(1).hex(), *at))["entries"][0]["arrival_seq"] == 2
    checked = data_of(bpci("mempool", "check-receipts", receipts, *at))
    assert (checked["again"], checked["broken"]) == (1, [])
    for wrong in (("0x12",), (txid, "--signature", "0x12"), (txid, "--signature", sign(1), "--key", receipts)):
        assert bpci("mempool", "cancel", *wrong, *at).returncode == 2


def test_the_key_of_a_native_entry_cancels_it(node: Any, bpci: Run, tmp_path: Path) -> None:
    key = tmp_path / "sender.key"
    key.write_bytes(b"\x05" * 32)
    at = ("--node", node.url, "--json")
    sent = data_of(bpci("mempool", "submit", "0x" + native(node, LocalSigner(b"\x05" * 32)).hex(), *at))
    txid = sent["entries"][0]["txid"]
    assert data_of(bpci("mempool", "cancel", txid, "--key", key, *at))["state"] == "cancelled"
    gone = bpci("mempool", "cancel", txid, "--key", key, *at)
    assert (gone.returncode, json.loads(gone.stderr)["code"]) == (1, "entry.not_waiting")


def test_status_and_buckets_show_what_waits(node: Any, bpci: Run, raws: list[bytes]) -> None:
    with node.client() as client:
        client.submit_entries(T, raws[:200])
    pool = data_of(bpci("mempool", "status", "--node", node.url, "--json"))[T]
    assert (pool["count"], pool["funding"]) == (200, "unchecked")
    listed = data_of(bpci("mempool", "buckets", "--node", node.url, "--json"))["buckets"]
    assert sum(item["count"] for item in listed) == 200
    assert len(listed) == pool["buckets"]
    text = bpci("mempool", "status", "--node", node.url).stdout
    assert "200 of 100000 entries" in text
    assert "mx_root:" in text
    assert listed[0]["key"] in bpci("mempool", "buckets", "--node", node.url).stdout
    unknown = bpci("mempool", "buckets", "--node", node.url, "--target", "eip155:9", "--json")
    assert (unknown.returncode, json.loads(unknown.stderr)["code"]) == (1, "entry.target")
