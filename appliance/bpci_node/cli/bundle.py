"""``bpci bundle``: show and verify sealed bundles, with no access to any node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.output import emit, fields, json_option, table
from bpci_node.cli.trust import check_signer, load_network, network_option, read_file, signer_option

if TYPE_CHECKING:
    from bpci_node.auction.bundle import Bundle

_SHOWN_BUCKETS = 12


@click.group()
def command() -> None:
    """Show and verify sealed bundles."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
def show(file: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Print what FILE says of itself; "-" reads standard input. Nothing is verified.

    \b
    Examples:
      bpci bundle show auction.bundle
      bpci bundle show auction.bundle --json
    """
    from bpci_node.auction.bundle import MAX_BUNDLE_BYTES, Bundle

    bundle = Bundle.decode(read_file(file, MAX_BUNDLE_BYTES))
    emit(_view(bundle) | {"verified": False}, as_json, _render)


@command.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@signer_option
@network_option
@json_option
def verify(file: Path, signer: str | None, network: Path | None, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Check FILE against a signer or a network that you trust; "-" reads standard input.

    Exit status: 0 it holds, 1 it is refused, 2 the call was wrong, 3 nobody said whom to trust.

    \b
    Examples:
      bpci bundle verify auction.bundle --network network.json
      bpci bundle verify auction.bundle --signer did:key:z6Mk...
    """
    from bpci_node.auction.bundle import MAX_BUNDLE_BYTES
    from bpci_node.auction.verify import verify_bundle

    data = read_file(file, MAX_BUNDLE_BYTES)
    check_signer(signer)
    verified = verify_bundle(data, signer=signer, network=load_network(network))
    certificate = verified.certificate
    trust = {
        "verified": True,
        "trusted": "network" if network else "signer",
        "node_id": certificate.node_id if certificate else None,
    }
    emit(_view(verified.bundle) | trust, as_json, _render)


def _view(bundle: Bundle) -> dict[str, Any]:
    """Return the JSON view of a bundle: bytes as hex, amounts as decimal strings."""
    from bpci_node.mempool.bucket_key import BucketKey
    from bpci_node.primitives.hashing import keccak256
    from bpci_node.primitives.keys import did_of

    header = bundle.header
    buckets = []
    for opening in bundle.buckets:
        key = BucketKey.decode(opening.key)
        buckets.append(
            {
                "key": "0x" + opening.key.hex(),
                "region": key.region,
                "type": key.kind.name.lower(),
                "gas_class": key.gas.name,
                "qlock_ms": key.qlock_ms,
                "fee_bin": key.fee_bin,
                "index": opening.index,
                "count": opening.count,
                "sealed": len(opening.positions),
                "merkle_root": "0x" + opening.merkle_root.hex(),
            }
        )
    return {
        "v": 1,
        "digest": "0x" + header.digest().hex(),
        "signer": did_of(bundle.signer),
        "has_certificate": bundle.certificate is not None,
        "header": {
            "ledger_id": header.ledger_id,
            "target": header.target,
            "sequence": header.sequence,
            "parent": "0x" + header.parent.hex(),
            "time_ms": header.time_ms,
            "base_fee": str(header.base_fee),
            "fee_bin_wei": str(header.fee_bin_wei),
            "region": header.region,
            "qlock_ms": header.qlock_ms,
            "gas_limit": header.gas_limit,
            "gas_used": header.gas_used,
            "count": header.count,
            "entries_root": "0x" + header.entries_root.hex(),
            "mesh_root": "0x" + header.mesh_root.hex(),
            "bucket_count": header.bucket_count,
            "pool_count": header.pool_count,
        },
        "entries": [
            {
                "txid": "0x" + keccak256(entry.raw).hex(),
                "arrival_seq": entry.arrival_seq,
                "ts": entry.ts,
                "bytes": len(entry.raw),
            }
            for entry in bundle.entries
        ],
        "buckets": buckets,
        "proof_bytes": 32 * (sum(map(len, bundle.bucket_proofs)) + len(bundle.mesh_proof)),
    }


def _render(view: dict[str, Any]) -> str:
    header = view["header"]
    verdict = "not verified (bpci bundle verify)"
    if view["verified"]:
        verdict = "holds, for the trusted " + (
            "signer" if view["trusted"] == "signer" else f"network; sealed by its node {view['node_id']}"
        )
    about = {
        "verdict": verdict,
        "bundle": f"{header['target']} number {header['sequence']}",
        "ledger": header["ledger_id"],
        "signer": view["signer"],
        "digest": view["digest"],
        "parent": header["parent"],
        "entries": f"{header['count']} of {header['pool_count']} that were waiting",
        "gas": f"{header['gas_used']:,} of {header['gas_limit']:,}",
        "base fee": f"{header['base_fee']} wei",
        "buckets": f"{len(view['buckets'])} of {header['bucket_count']} opened, {view['proof_bytes']:,} proof bytes",
    }
    rows = [
        [item["key"], item["type"], item["gas_class"], str(item["fee_bin"]), f"{item['sealed']} of {item['count']}"]
        for item in view["buckets"][:_SHOWN_BUCKETS]
    ]
    left = len(view["buckets"]) - len(rows)
    shown = table(rows, ["bucket", "type", "gas", "fee bin", "sealed"])
    return fields(about) + "\n\n" + shown + (f"\n... and {left} more (--json shows all)" if left > 0 else "")
