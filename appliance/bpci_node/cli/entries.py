"""``bpci mempool submit`` and ``cancel``: entries in, and out again by their sender's word."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import read_file
from bpci_node.cli.local import dir_option, find_node, node_option, target_option
from bpci_node.cli.output import Progress, emit, fields, json_option, say, table
from bpci_node.errors import FormatError, UsageError

if TYPE_CHECKING:
    from bpci_node.mempool.cancellation import Cancellation
    from bpci_node.network.client import EntryResult

MAX_FILE_BYTES = 256 << 20
_SHOWN = 20


@click.command("submit")
@click.argument("entries", nargs=-1, required=True, metavar="FILE|-|0xRAW...")
@dir_option
@node_option
@target_option
@click.option("--batch", type=click.IntRange(1, 5000), default=500, show_default=True, help="Entries per request.")
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append every receipt to FILE, one JSON object a line, on the disk before the next batch is sent.",
)
@json_option
def submit(
    *,
    entries: tuple[str, ...],
    directory: Path | None,
    url: str | None,
    target: str,
    batch: int,
    receipts: Path | None,
    as_json: bool,
) -> int:
    """Send signed entries: Ethereum transactions, or native ones.

    An entry is given as 0x and hexadecimal digits, or in a file ('-': standard input) that has one of them on each
    line, or that is the raw bytes of one. Every receipt is verified. Exit status 1 if one entry was refused.

    \b
    Examples:
      bpci mempool submit 0x02f8... --receipts receipts.jsonl
      bpci mempool submit signed.txt --target eip155:1 --node http://192.0.2.5:8545
      cast mktx --private-key ... | bpci mempool submit -
    """
    from bpci_node.cli.replaying import ReceiptFile, deliver
    from bpci_node.network.client import NodeClient

    raws = [raw for name in entries for raw in read_entries(name)]
    place = find_node(directory, url)
    progress, answers = Progress(), []
    with NodeClient(place.url) as client, ReceiptFile(receipts) as kept:
        try:
            for results, _ in deliver(client, target, raws, batch=batch, keep=kept.append):
                answers += results
                progress.update(f"sent {len(answers)} of {len(raws)} entries")
        finally:
            progress.finish()
    found = [_describe(raw, answer) for raw, answer in zip(raws, answers, strict=True)]
    refused = sum("error" in item for item in found)
    data = {
        "target": target,
        "node": place.url,
        "accepted": len(found) - refused,
        "refused": refused,
        "entries": found,
    }
    emit(data, as_json, _render_submitted)
    return 1 if refused else 0


@click.command("cancel")
@click.argument("txid")
@dir_option
@node_option
@target_option
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sign with the Ed25519 key in FILE (32 raw bytes), which signed the native entry.",
)
@click.option("--signature", metavar="HEX", help="The sender's signature, made elsewhere.")
@json_option
def cancel(
    *,
    txid: str,
    directory: Path | None,
    url: str | None,
    target: str,
    key_file: Path | None,
    signature: str | None,
    as_json: bool,
) -> None:
    """Take an entry back that waits, by its sender's signature.

    With neither --key nor --signature the message to sign is printed and nothing is sent: for an Ethereum sender what
    a wallet signs as typed data (EIP-712); with --json also its digest, and the message of a native entry's key.

    \b
    Examples:
      bpci mempool cancel 0x5c50... > cancel.json
      cast wallet sign --account NAME --data --from-file cancel.json
      bpci mempool cancel 0x5c50... --signature 0x3e1f...
      bpci mempool cancel 0x77aa... --key sender.key
    """
    from bpci_node.mempool.cancellation import Cancellation, sign_cancellation
    from bpci_node.network.client import NodeClient
    from bpci_node.primitives.keys import LocalSigner

    if key_file is not None and signature is not None:
        raise UsageError("--key and --signature exclude one another", code="usage.call")
    wanted = _hex(txid, what="TXID", sizes=(32,))
    signed = None if signature is None else _hex(signature, what="--signature", sizes=(64, 65))
    with NodeClient(find_node(directory, url).url) as client:
        terms: dict[str, Any] = {
            "ledger_id": str(client.status()["ledger"]["id"]),
            "target": target,
            "txid": wanted,
            "arrival_seq": int(client.entry(target, wanted)["arrival_seq"]),
        }
        if key_file is not None:
            cancellation = sign_cancellation(LocalSigner(read_file(key_file, 32)), **terms)
        elif signed is not None:
            cancellation = Cancellation(**terms, signature=signed)
        else:
            message = _message(Cancellation(**terms, signature=b""))
            emit(message, as_json, lambda data: json.dumps(data["typed_data"], indent=2))
            say("sign this, then give the signature: bpci mempool cancel ... --signature 0x...")
            return
        emit(client.mempool.cancel(cancellation.encode()), as_json, fields)


def read_entries(name: str) -> list[bytes]:
    """Return the raw entries that an argument names: itself, a file, or standard input for "-".

    Raises:
        UsageError: it can't be read (``usage.file``), or has no entry in it (``usage.entry``).
    """
    if name.startswith("0x"):
        return [_entry(name, what="the entry")]
    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if name == "-" else read_file(Path(name), MAX_FILE_BYTES)
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{name} is longer than {MAX_FILE_BYTES} bytes", code="usage.file")
    if data.lstrip()[:2] != b"0x":
        if not data:
            raise UsageError(f"{name} is empty", code="usage.entry")
        return [data]
    lines = enumerate(data.decode("ascii", "replace").splitlines(), start=1)
    return [_entry(line.strip(), what=f"{name}, line {number}") for number, line in lines if line.strip()]


def _entry(text: str, *, what: str) -> bytes:
    from bpci_node.network.wire import bytes_of

    try:
        return bytes_of(text.lower(), what=what)
    except FormatError as error:
        raise UsageError(error.message, code="usage.entry", hint="Give a raw signed entry as 0x02f8...") from error


def _hex(text: str, *, what: str, sizes: Sequence[int]) -> bytes:
    from bpci_node.network.wire import bytes_of

    try:
        data = bytes_of(text.lower(), what=what)
    except FormatError as error:
        raise UsageError(error.message, code="usage.hex") from error
    if len(data) not in sizes:
        raise UsageError(f"{what} must have {' or '.join(map(str, sizes))} bytes", code="usage.hex")
    return data


def _describe(raw: bytes, answer: EntryResult) -> dict[str, Any]:
    from bpci_node.mempool.receipt import EntryReceipt
    from bpci_node.network.wire import hex_of
    from bpci_node.primitives.hashing import keccak256

    if answer.receipt is not None:
        receipt = EntryReceipt.decode(answer.receipt)
        return {
            "txid": hex_of(receipt.txid),
            "arrival_seq": receipt.arrival_seq,
            "arrival_ms": receipt.arrival_ms,
            "receipt": hex_of(answer.receipt),
        }
    problem = answer.error.as_problem() if answer.error is not None else {}
    return {"txid": hex_of(keccak256(raw)), "error": problem}


def _message(unsigned: Cancellation) -> dict[str, Any]:
    from bpci_node.mempool.cancellation import SIGNATURE_CONTEXT, typed_data, typed_digest
    from bpci_node.network.wire import hex_of, json_view
    from bpci_node.primitives.codec import encode
    from bpci_node.primitives.hashing import derive

    value = unsigned.signed_value()
    return {
        "cancellation": json_view(value),
        "typed_data": typed_data(unsigned),
        "digest": hex_of(typed_digest(unsigned)),
        "native_message": hex_of(derive(SIGNATURE_CONTEXT, encode(value))),
    }


def _render_submitted(data: dict[str, Any]) -> str:
    rows = [
        [item["txid"], f"arrival {item['arrival_seq']}" if "arrival_seq" in item else _reason(item["error"])]
        for item in data["entries"][:_SHOWN]
    ]
    lines = [table(rows, ["entry", "result"])]
    if len(data["entries"]) > _SHOWN:
        lines.append(f"... and {len(data['entries']) - _SHOWN} more")
    lines.append(f"{data['accepted']} accepted, every receipt verified; {data['refused']} refused")
    return "\n".join(lines)


def _reason(problem: dict[str, Any]) -> str:
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{problem['code']}: {problem['title']}{hint}"
