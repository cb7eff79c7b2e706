"""``bpci mempool prove`` and ``verify``: what waits at a node, shown to somebody who trusts its key and asks nobody."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import read_file, write_file
from bpci_node.cli.local import dir_option, find_node, node_option
from bpci_node.cli.output import emit, fields, json_option, table
from bpci_node.cli.trust import check_signer, load_network, network_option, signer_option
from bpci_node.errors import BpciError, FormatError, ProofError, UsageError

if TYPE_CHECKING:
    from bpci_node.mempool.proof import MempoolProof

_SHOWN = 12


def _hex(size: int) -> Any:
    def read(_context: click.Context, option: click.Parameter, value: Any) -> Any:
        from bpci_node.network.wire import bytes_of

        if value is None:
            return None
        found = []
        for text in value if isinstance(value, tuple) else (value,):
            try:
                found.append(bytes_of(text, what=f"{option.opts[0]} {text}"))
            except FormatError as error:
                raise UsageError(error.message, code="usage.call") from error
            if len(found[-1]) != size:
                raise UsageError(f"{option.opts[0]} {text} must have {size} bytes", code="usage.call")
        return found if isinstance(value, tuple) else found[0]

    return read


@click.command("prove")
@click.option("--txid", "txids", multiple=True, metavar="HEX", callback=_hex(32), help="An entry that waits.")
@click.option("--bucket", "keys", multiple=True, metavar="KEY", callback=_hex(4), help="A bucket as it stands.")
@click.option(
    "--absent", multiple=True, metavar="KEY", callback=_hex(4), help="A bucket that must be empty, else exit status 1."
)
@dir_option
@node_option
@click.option("--target", default="eip155:1", show_default=True, metavar="CHAIN", help="Target chain, CAIP-2.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=Path("-"),
    metavar="FILE",
    help="Where to write the proof.  [default: standard output]",
)
@json_option
def prove(
    *,
    txids: Sequence[bytes],
    keys: Sequence[bytes],
    absent: Sequence[bytes],
    directory: Path | None,
    url: str | None,
    target: str,
    out: Path,
    as_json: bool,
) -> None:
    """Ask a node for a proof of entries that wait, of buckets, and of buckets that are empty.

    The proof is one file for anyone who trusts the node's key: 'bpci mempool verify'. A bucket's key is
    region, class and fee bin, 4 bytes; 'bpci mempool buckets' lists those that are not empty.

    \b
    Examples:
      bpci mempool prove --txid 0x5c50... --out waiting.proof
      bpci mempool prove --bucket 0x00030004 --absent 0x0003ffff --node http://192.0.2.5:8545 --out pool.proof
      bpci mempool prove --txid 0x5c50... | ssh friend bpci mempool verify --signer did:key:z6Mk...
    """
    from bpci_node.mempool.proof import MempoolProof
    from bpci_node.mempool.verify import require_shown
    from bpci_node.network.client import NodeClient

    if not (txids or keys or absent):
        raise UsageError("name an entry or a bucket", code="usage.call", hint="--txid, --bucket or --absent")
    is_stdout = str(out) == "-"
    if is_stdout and (as_json or sys.stdout.isatty()):
        raise UsageError(
            "a proof is not for a terminal, nor mixed with JSON", code="usage.call", hint="Give --out FILE."
        )
    with NodeClient(find_node(directory, url).url) as client:
        data = client.mempool_proof(target, txids, [*keys, *absent])
    try:
        proof = MempoolProof.decode(data)
    except BpciError as error:
        raise ProofError(f"the node sent no proof: {error.message}", code="proof.format") from error
    require_shown(proof, txids, absent)
    if is_stdout:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    write_file(out, data)
    emit({"file": str(out), "size_bytes": len(data)} | _summary(proof), as_json, fields)


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default=Path("-"))
@signer_option
@network_option
@click.option("--root", metavar="HEX", callback=_hex(32), help="Trust this mx_root, known from elsewhere.")
@click.option("--txid", "txids", multiple=True, metavar="HEX", callback=_hex(32), help="An entry it must show.")
@click.option("--absent", multiple=True, metavar="KEY", callback=_hex(4), help="An empty bucket it must show.")
@json_option
def verify(
    *,
    file: Path,
    signer: str | None,
    network: Path | None,
    root: bytes | None,
    txids: Sequence[bytes],
    absent: Sequence[bytes],
    as_json: bool,
) -> None:
    """Check a mempool proof against a signer, a network or a root that you trust; all that are given must hold.

    FILE is standard input without one, or for "-". No node is asked. With --root alone, time, counts and terms
    are the word of a signer for whom nobody vouched.
    Exit status: 0 it holds, 1 it is refused, 2 the call was wrong, 3 nobody said whom to trust.

    \b
    Examples:
      bpci mempool verify waiting.proof --signer did:key:z6Mk...
      bpci mempool verify waiting.proof --network network.json --txid 0x5c50...
      ssh node bpci mempool prove --absent 0x0003ffff | bpci mempool verify --signer did:key:z6Mk... --json
    """
    from bpci_node.mempool.proof import MAX_BYTES
    from bpci_node.mempool.proof_view import proof_view
    from bpci_node.mempool.trust import certified_signer
    from bpci_node.mempool.verify import Trust, require_shown, verify_mempool_proof

    if str(file) == "-" and sys.stdin.isatty():
        raise UsageError("there is no proof on standard input", code="usage.call", hint="Name a FILE, or pipe one in.")
    data = read_file(file, MAX_BYTES)
    key, known = check_signer(signer), load_network(network)
    certificate = None if known is None else certified_signer(data, ledger_id=known[0], registry_key=known[1])
    if key is None and certificate is not None:
        key = certificate.node_key
    proof = verify_mempool_proof(data, Trust(signer=key, ledger_id=known[0] if known else None, mx_root=root))
    require_shown(proof, txids, absent)
    trusted = [name for name, given in (("signer", signer), ("network", network), ("root", root)) if given]
    verdict = {"verified": True, "trusted": trusted, "node_id": certificate.node_id if certificate else None}
    emit(proof_view(proof) | verdict, as_json, _render)


def _summary(proof: MempoolProof) -> dict[str, Any]:
    return {
        "mx_root": "0x" + proof.header.mx_root.hex(),
        "entries": sum(len(bucket.entries) for bucket in proof.buckets),
        "buckets": len(proof.buckets),
        "absent": len(proof.absent),
        "verkle_bytes": len(proof.verkle.encode()),
    }


def _render(view: dict[str, Any]) -> str:
    header = view["header"]
    holds = "holds, for the trusted " + " and ".join(view["trusted"])
    about = {
        "verdict": holds + (f"; signed by its node {view['node_id']}" if view["node_id"] else ""),
        "pool": f"{header['target']}: {header['entries']} entries in {header['buckets']} buckets",
        "ledger": header["ledger_id"],
        "signer": header["signer"],
        "mx_root": header["mx_root"],
        "as of": f"arrival {header['arrival_seq']}, bundle {header['sequence']}, {header['time_ms']} ms",
        "base fee": f"{header['base_fee']} wei",
        "empty": ", ".join(view["absent"][:_SHOWN]) + (", ..." if len(view["absent"]) > _SHOWN else "") or "-",
    }
    entries = [
        [entry["txid"], bucket["key"], f"{entry['position']} of {bucket['count']}", entry["fee_per_w"]]
        for bucket in view["buckets"]
        for entry in bucket["entries"]
    ]
    buckets = [
        [item["key"], item["type"], item["gas_class"], str(item["fee_bin"]), str(item["count"]), str(item["gas_sum"])]
        for item in view["buckets"]
    ]
    parts = [fields(about)]
    for rows, headings in (
        (buckets, ["bucket", "type", "gas", "fee bin", "entries", "gas in all"]),
        (entries, ["entry", "bucket", "place", "fee (wei per gas)"]),
    ):
        if rows:
            left = len(rows) - _SHOWN
            more = f"\n... and {left} more (--json shows all)" if left > 0 else ""
            parts.append(table(rows[:_SHOWN], headings) + more)
    return "\n\n".join(parts)
