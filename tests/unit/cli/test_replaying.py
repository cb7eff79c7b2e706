import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bpci_node.cli.replaying import ReceiptFile, _batches, load_transactions, read_receipts
from bpci_node.errors import BpciError, FormatError, UsageError
from bpci_node.primitives.ethereum import Transaction

MAINNET = Path(__file__).parents[3] / "data" / "mainnet"


def test_the_repositorys_blocks_give_back_their_raw_transactions(mainnet: list[Transaction]) -> None:
    assert load_transactions(sorted(MAINNET.glob("*.json.gz"))) == [item.raw for item in mainnet]


def test_an_answer_of_an_rpc_server_unpacked_is_read_too(
    tmp_path: Path, mainnet_json: list[dict[str, Any]], mainnet: list[Transaction]
) -> None:
    path = tmp_path / "block.json"
    path.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"transactions": mainnet_json[:2]}}))
    assert load_transactions([path]) == [item.raw for item in mainnet[:2]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"transactions": ["0x12"]}',
        b'{"transactions": {}}',
        b"\x1f\x8bnonsense",
        gzip.compress(b"{}", mtime=0)[:-4],
        b'{"result": null}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_block_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "block.json"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        load_transactions([path])
    assert caught.value.code == "format.block_file"
    assert "block.json" in caught.value.message


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load_transactions([tmp_path / "absent.json"])


def test_a_transaction_that_does_not_fit_its_hash_is_refused(
    tmp_path: Path, mainnet_json: list[dict[str, Any]]
) -> None:
    path = tmp_path / "block.json"
    path.write_text(json.dumps({"transactions": [mainnet_json[0] | {"hash": "0x" + "00" * 32}]}))
    with pytest.raises(BpciError):
        load_transactions([path])


def test_batches_end_at_count_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(part) for part in _batches([b"x"] * 7, 3)] == [3, 3, 1]
    monkeypatch.setattr("bpci_node.cli.replaying.MAX_BATCH_BYTES", 10)
    assert [len(part) for part in _batches([b"x" * 6, b"x" * 6, b"x" * 20, b"x"], 9)] == [1, 1, 1, 1]
    assert list(_batches([], 3)) == []


def test_receipts_come_back_and_a_cut_off_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    with ReceiptFile(path) as kept:
        kept.append("eip155:1", [b"one", b"two"])
    with ReceiptFile(path) as kept:
        kept.append("eip155:1", [b"three"])
    with path.open("a") as file:
        file.write('{"v": 1, "rec')
    assert read_receipts(path) == [b"one", b"two", b"three"]
    path.write_text('{"v": 1}\n')
    with pytest.raises(FormatError) as caught:
        read_receipts(path)
    assert "line 1" in caught.value.message


def test_without_a_path_no_receipt_is_kept() -> None:
    with ReceiptFile(None) as kept:
        kept.append("eip155:1", [b"one"])
