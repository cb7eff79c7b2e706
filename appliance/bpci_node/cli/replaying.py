"""What ``bpci mempool`` does with files: blocks of transactions in, receipts out and back in."""

from __future__ import annotations

import gzip
import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bpci_node.errors import BpciError, FormatError, LimitError, ProofError, UsageError
from bpci_node.mempool.receipt import EntryReceipt, verify_receipt
from bpci_node.network.client import EntryResult, NodeClient
from bpci_node.network.wire import bytes_of, hex_of
from bpci_node.primitives.ethereum import from_rpc_json
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.keys import public_key_of

MAX_FILE_BYTES = 256 << 20
"""Longest block file, unpacked."""
MAX_BATCH_BYTES = 4 << 20
MAX_LINE_BYTES = 1 << 16
"""Longest line of a file of receipts."""
LOOKUP = 5_000
PATIENCE = 20
"""How often a batch is sent again after the node said that it comes too fast."""
LEFT = ("replaced", "cancelled", "evicted", "spent", "again", "forgotten")
"""What became of entries that left a pool without being sealed, as an honest node says.

``again``: it left, and the same entry arrived again under a later number. ``forgotten``: the node's status says that it
keeps nothing of what left and arrived up to some number."""
DUPLICATE = frozenset({"entry.duplicate", "entry.nonce"})
"""Codes of what the node has, or has sealed, already."""


def load_transactions(files: Sequence[Path]) -> list[bytes]:
    """Return the raw transactions of block files, in their order.

    Raises:
        UsageError: a file can't be read (``usage.file``).
        FormatError: it holds no block (``format.block_file``).
    """
    return [raw for path in files for raw in _block(path)]


@dataclass(frozen=True, slots=True)
class MinedBlock:
    """A block that was mined, as far as a replay needs it."""

    number: int
    base_fee_wei: int
    """Per gas."""
    gas_limit: int
    raws: tuple[bytes, ...]
    """Its raw transactions, in the order in which they ran."""


def load_blocks(files: Sequence[Path]) -> list[MinedBlock]:
    """Return the blocks of block files, in their order.

    Raises:
        UsageError: a file can't be read (``usage.file``).
        FormatError: it holds no block (``format.block_file``).
    """
    return [_mined(path) for path in files]


def _mined(path: Path) -> MinedBlock:
    try:
        block = _read(path)
        block = block.get("result", block)
        number, base_fee, gas_limit = (int(block[name], 16) for name in ("number", "baseFeePerGas", "gasLimit"))
        return MinedBlock(number, base_fee, gas_limit, tuple(map(_raw, _transactions(block))))
    except (ValueError, KeyError, TypeError, AttributeError, FormatError) as error:
        raise _no_block(path) from error


def _block(path: Path) -> Iterator[bytes]:
    try:
        yield from map(_raw, _transactions(_read(path)))
    except (ValueError, KeyError, TypeError, FormatError) as error:
        raise _no_block(path) from error


def _read(path: Path) -> Any:
    """Return the JSON of a file, packed or not."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[assignment]  # reads bytes
            data = stream.read(MAX_FILE_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"{path} is damaged: {error}", code="format.block_file") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="usage.file") from error
    if len(data) > MAX_FILE_BYTES:
        raise FormatError(f"{path} is longer than {MAX_FILE_BYTES} bytes", code="format.block_file")
    return read_json(data, max_bytes=MAX_FILE_BYTES, allow_fractions=True)


def _transactions(block: Any) -> list[dict[str, Any]]:
    """Return the transactions of a block, or of a JSON-RPC answer that holds one."""
    if isinstance(block, dict) and "result" in block:
        block = block["result"]
    transactions = block["transactions"]
    if not isinstance(transactions, list) or not all(isinstance(item, dict) for item in transactions):
        raise TypeError("transactions are not a list of objects")
    return transactions


def _raw(transaction: dict[str, Any]) -> bytes:
    """Return the raw transaction, which must be the one that its hash names."""
    raw = from_rpc_json(transaction)
    if keccak256(raw) != bytes_of(transaction["hash"], what="hash"):
        raise FormatError("a transaction is not the one that its hash names", code="format.block_file")
    return raw


def _no_block(path: Path) -> FormatError:
    return FormatError(
        f"{path} is not a block with full transactions",
        code="format.block_file",
        hint="Fetch it with eth_getBlockByNumber and 'true'.",
    )


def deliver(
    client: NodeClient, target: str, raws: Sequence[bytes], *, batch: int, keep: Callable[[str, list[bytes]], None]
) -> Iterator[tuple[list[EntryResult], float]]:
    """Send raw entries batch by batch; yield what the node answered, receipts verified, and the seconds it took.

    Args:
        batch: entries of one request.
        keep: gets target and receipts of each batch before the next one is sent.
    Raises:
        ProofError: a receipt does not hold (``mempool.receipt``).
        BpciError: the node could not take a batch.
    """
    node_key = public_key_of(str(client.status()["node"]["did"]))
    for part in _batches(raws, batch):
        started = time.perf_counter()
        results = _submit(client, target, part)
        seconds = time.perf_counter() - started
        keep(target, [item.receipt for item in results if item.receipt is not None])
        for raw, item in zip(part, results, strict=True):
            if item.receipt is not None:
                _check_receipt(item.receipt, node_key, target, raw)
        yield results, seconds


def send(
    client: NodeClient,
    target: str,
    raws: Sequence[bytes],
    *,
    batch: int,
    keep: Callable[[str, list[bytes]], None],
    show: Callable[[int], None],
) -> dict[str, Any]:
    """Send raw entries as :func:`deliver`, and return the count of everything.

    Args:
        batch: see :func:`deliver`; so is ``keep``.
        show: gets the number of entries that were answered so far.
    Raises:
        ProofError, BpciError: as :func:`deliver`.
    """
    refused: Counter[str] = Counter()
    accepted = done = 0
    taken = 0.0
    for results, seconds in deliver(client, target, raws, batch=batch, keep=keep):
        accepted += sum(item.error is None for item in results)
        refused.update(item.error.code for item in results if item.error is not None)
        done, taken = done + len(results), taken + seconds
        show(done)
    return {
        "transactions": len(raws),
        "accepted": accepted,
        "duplicates": sum(refused[code] for code in DUPLICATE),
        "refused": {code: count for code, count in sorted(refused.items()) if code not in DUPLICATE},
        "milliseconds": round(taken * 1000),
        "per_second": round(len(raws) / taken) if taken else 0,
    }


def _submit(client: NodeClient, target: str, raws: list[bytes]) -> list[EntryResult]:
    for _ in range(PATIENCE):
        try:
            return client.submit_entries(target, raws)
        except LimitError as error:
            wait = error.details.get("retry_after_seconds")
            if not isinstance(wait, int) or error.code == "limit.body":
                raise
            time.sleep(min(wait, 10))
    return client.submit_entries(target, raws)


def _batches(raws: Sequence[bytes], count: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for raw in raws:
        if part and (len(part) >= count or size + len(raw) > MAX_BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(raw)
        size += len(raw)
    if part:
        yield part


def _check_receipt(data: bytes, node_key: bytes, target: str, raw: bytes) -> None:
    receipt = verify_receipt(data, node_key=node_key)
    if (receipt.target, receipt.txid) != (target, keccak256(raw)):
        raise ProofError("the node gave a receipt of another transaction", code="mempool.receipt")


class ReceiptFile:
    """Receipts on the disk, one JSON object a line; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        try:
            if path is not None:
                self._file = path.open("a", encoding="ascii")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", code="usage.file") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, target: str, receipts: list[bytes]) -> None:
        """Write receipts and wait until the disk has them."""
        if self._file is None or not receipts:
            return
        for data in receipts:
            self._file.write(json.dumps({"v": 1, "target": target, "receipt": hex_of(data)}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_receipts(path: Path) -> list[bytes]:
    """Return the receipts of a file; a last line that was cut off is left out.

    Raises:
        UsageError: it can't be read (``usage.file``).
        FormatError: a line is no receipt (``format.receipts``).
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="usage.file") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} holds no receipts", code="format.receipts") from error
    found = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            receipt = read_json(line.encode("ascii"), max_bytes=MAX_LINE_BYTES)["receipt"]
            found.append(bytes_of(receipt, what="receipt"))
        except (KeyError, TypeError, FormatError) as error:
            raise FormatError(f"{path}, line {number} is not a receipt", code="format.receipts") from error
    return found


def check(client: NodeClient, receipts: Sequence[bytes], node_key: bytes) -> dict[str, Any]:
    """Hold a node to receipts: each signed by its key, each entry known under its number.

    Raises:
        BpciError: the node can't be asked.
    """
    broken: list[dict[str, str]] = []
    by_target: dict[str, list[EntryReceipt]] = {}
    for data in receipts:
        try:
            receipt = verify_receipt(data, node_key=node_key)
        except BpciError as error:
            broken.append({"txid": "unknown", "reason": error.message})
        else:
            by_target.setdefault(receipt.target, []).append(receipt)
    states: Counter[str] = Counter()
    targets = client.status()["targets"]
    for target, group in by_target.items():
        forgotten = targets.get(target, {}).get("forgotten", 0)
        for start in range(0, len(group), LOOKUP):
            part = group[start : start + LOOKUP]
            for receipt, place in zip(part, client.find_entries(target, [item.txid for item in part]), strict=True):
                if place is None and receipt.arrival_seq <= forgotten:
                    states["forgotten"] += 1
                elif place is None:
                    broken.append({"txid": hex_of(receipt.txid), "reason": "the node does not know it"})
                elif place["arrival_seq"] > receipt.arrival_seq:
                    states["again"] += 1
                elif place["arrival_seq"] < receipt.arrival_seq:
                    broken.append({"txid": hex_of(receipt.txid), "reason": "it has another number now"})
                else:
                    states[str(place["state"])] += 1
    return {
        "receipts": len(receipts),
        "pooled": states["pooled"],
        "sealed": states["sealed"],
        **{state: states[state] for state in LEFT},
        "broken": broken,
    }
