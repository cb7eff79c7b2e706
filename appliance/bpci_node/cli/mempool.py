"""``bpci mempool``: send transactions to a node, seal what waits, hold the node to its receipts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.entries import cancel, submit
from bpci_node.cli.files import write_file
from bpci_node.cli.local import NodePlace, dir_option, find_node, node_option, target_option
from bpci_node.cli.output import Progress, emit, fields, json_option
from bpci_node.cli.pools import buckets, status
from bpci_node.cli.proving import prove, verify
from bpci_node.errors import BpciError, ProofError, UsageError

gas_limit_option = click.option(
    "--gas-limit",
    type=click.IntRange(21_000),
    metavar="GAS",
    help="Gas that the bundle may use.  [default: the target's]",
)
base_fee_option = click.option(
    "--base-fee", type=click.IntRange(0), metavar="WEI", help="Named base fee; it stays.  [default: the one in force]"
)


@click.group("mempool")
def command() -> None:
    """Send entries, see what waits, prove it, seal bundles, check receipts.

    Without --dir and --node a command means the node of this machine if it has one, else the devnet in its default
    directory.
    """


for item in (status, submit, cancel, buckets, prove, verify):
    command.add_command(item)


@command.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@dir_option
@node_option
@target_option
@click.option("--batch", type=click.IntRange(1, 5000), default=500, show_default=True, help="Transactions per request.")
@click.option("--seal", is_flag=True, help="Seal a bundle afterwards, through the owner's socket.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="BUNDLE", help="Where to write it.")
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append every receipt to FILE, one JSON object a line, on the disk before the next batch is sent.",
)
@gas_limit_option
@base_fee_option
@json_option
def replay(
    *,
    files: tuple[Path, ...],
    directory: Path | None,
    url: str | None,
    target: str,
    batch: int,
    seal: bool,
    out: Path | None,
    receipts: Path | None,
    gas_limit: int | None,
    base_fee: int | None,
    as_json: bool,
) -> int:
    """Send the transactions of Ethereum blocks (JSON or JSON.gz, as eth_getBlockByNumber gives them).

    Every receipt is verified. Exit status 1 if the node took none and knew none.

    \b
    Examples:
      bpci mempool replay data/mainnet/*.json.gz
      bpci mempool replay data/mainnet/*.json.gz --seal --out auction.bundle
      bpci mempool replay block.json --node http://192.0.2.5:8545 --receipts receipts.jsonl
    """
    from bpci_node.cli.replaying import ReceiptFile, load_transactions, send
    from bpci_node.network.client import NodeClient

    place = find_node(directory, url)
    if seal != (out is not None):
        raise UsageError("--seal and --out belong together", code="usage.call")
    if seal and place.socket is None:
        raise UsageError(
            "sealing goes through the owner's socket, which is on the node's own machine",
            code="usage.call",
            hint="Run 'bpci mempool seal' there, or leave --node out.",
        )
    raws = load_transactions(files)
    progress = Progress()
    with NodeClient(place.url) as client, ReceiptFile(receipts) as kept:
        try:
            found = send(
                client,
                target,
                raws,
                batch=batch,
                keep=kept.append,
                show=lambda done: progress.update(f"sent {done} of {len(raws)} transactions"),
            )
        finally:
            progress.finish()
    data = {"target": target, "node": place.url, "files": len(files), **found}
    if out is not None:
        bundle = _seal(place, target, gas_limit, base_fee)
        write_file(out, bundle)
        data["sealed"] = _describe_bundle(bundle) | {"file": str(out)}
    emit(data, as_json, _render_replay)
    return 0 if data["accepted"] or data["duplicates"] or not raws else 1


@command.command("seal")
@dir_option
@target_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    required=True,
    metavar="FILE",
    help="Where to write the bundle; '-' is standard output.",
)
@gas_limit_option
@base_fee_option
@json_option
def seal_command(
    *,
    directory: Path | None,
    target: str,
    out: Path,
    gas_limit: int | None,
    base_fee: int | None,
    as_json: bool,
) -> None:
    """Seal a bundle of what waits now, through the owner's socket of this machine.

    \b
    Examples:
      sudo bpci mempool seal --out auction.bundle
      ssh owner@node bpci mempool seal --out - > auction.bundle
    """
    is_stdout = str(out) == "-"
    if is_stdout and (as_json or sys.stdout.isatty()):
        raise UsageError(
            "a bundle is not for a terminal, nor mixed with JSON", code="usage.call", hint="Give --out FILE."
        )
    bundle = _seal(find_node(directory, None), target, gas_limit, base_fee)
    if is_stdout:
        sys.stdout.buffer.write(bundle)
        sys.stdout.buffer.flush()
        return
    write_file(out, bundle)
    emit(_describe_bundle(bundle) | {"file": str(out)}, as_json, fields)


@command.command("check-receipts")
@click.argument("file", type=click.Path(path_type=Path))
@dir_option
@node_option
@click.option("--signer", metavar="DID", help="The node that must have signed them.  [default: the node asked]")
@json_option
def check_receipts(*, file: Path, directory: Path | None, url: str | None, signer: str | None, as_json: bool) -> int:
    """Check that a node honours every receipt in FILE: signed by it, and the node says what became of the entry.

    FILE is what 'bpci mempool submit' or 'replay' wrote with --receipts. An entry that was replaced, cancelled, evicted
    from a full pool or spent on its chain is honoured: the node knows it and says so. Exit status 1 if one is broken.

    \b
    Examples:
      bpci mempool check-receipts receipts.jsonl --node http://192.0.2.5:8545
    """
    from bpci_node.cli.replaying import check, read_receipts
    from bpci_node.network.client import NodeClient
    from bpci_node.primitives.keys import public_key_of

    receipts = read_receipts(file)
    place = find_node(directory, url)
    with NodeClient(place.url) as client:
        did = signer or str(client.status()["node"]["did"])
        found = check(client, receipts, public_key_of(did))
    data = {"file": str(file), "node": place.url, "signer": did, **found}
    emit(data, as_json, _render_check)
    return 1 if data["broken"] else 0


def _seal(place: NodePlace, target: str, gas_limit: int | None, base_fee: int | None) -> bytes:
    from bpci_node.network.client import NodeClient

    if place.socket is None:
        raise UsageError("sealing goes through the owner's socket", code="usage.call")
    with NodeClient(place.socket) as client:
        return client.seal(target, gas_limit=gas_limit, base_fee=base_fee)


def _describe_bundle(data: bytes) -> dict[str, Any]:
    from bpci_node.auction.bundle import Bundle

    try:
        header = Bundle.decode(data).header
    except BpciError as error:
        raise ProofError(f"the node sent no bundle: {error.message}", code="proof.bundle") from error
    return {
        "sequence": header.sequence,
        "entries": header.count,
        "gas_used": header.gas_used,
        "gas_limit": header.gas_limit,
        "digest": "0x" + header.digest().hex(),
        "size_bytes": len(data),
    }


def _render_replay(data: dict[str, Any]) -> str:
    shown = {
        "transactions": f"{data['transactions']} of {data['files']} files, for {data['target']} at {data['node']}",
        "accepted": f"{data['accepted']}, every receipt verified",
        "duplicates": data["duplicates"],
        "refused": ", ".join(f"{count} {code}" for code, count in data["refused"].items()) or "none",
        "rate": f"{data['per_second']} transactions/s in {data['milliseconds']} ms",
    }
    if "sealed" in data:
        sealed = data["sealed"]
        shown["sealed"] = f"bundle {sealed['sequence']}, {sealed['entries']} entries, {sealed['gas_used']} gas"
        shown["bundle"] = f"{sealed['file']} ({sealed['size_bytes']} bytes)"
    return fields(shown)


def _render_check(data: dict[str, Any]) -> str:
    from bpci_node.cli.replaying import LEFT

    if not data["broken"]:
        states = ", ".join(f"{data[state]} {state}" for state in ("pooled", "sealed", *LEFT) if data[state])
        return f"all {data['receipts']} receipts are honoured ({states or 'none'})"
    lines = [f"{len(data['broken'])} of {data['receipts']} receipts are broken:"]
    lines += [f"  {item['txid']}: {item['reason']}" for item in data["broken"][:20]]
    return "\n".join(lines)
