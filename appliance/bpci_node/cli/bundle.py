"""``bpci bundle``: show and verify sealed bundles, with no access to any node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.auction_view import bundle_view, render_bundle, version_of
from bpci_node.cli.files import read_file
from bpci_node.cli.light_trust import played_option
from bpci_node.cli.local import dir_option, find_node, node_option, target_option
from bpci_node.cli.output import emit, fields, json_option, table
from bpci_node.cli.trust import check_signer, load_network, network_option, signer_option
from bpci_node.errors import FormatError, ProofError, UnreachableError

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
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.auction.bundle import MAX_BUNDLE_BYTES, Bundle

    data = read_file(file, MAX_BUNDLE_BYTES)
    if version_of(data) == 2:
        verdict = {"verified": False, "verdict": "not verified (bpci bundle verify, or bpci light verify)"}
        emit(bundle_view(AuctionBundle.decode(data)) | verdict, as_json, render_bundle)
        return
    bundle = Bundle.decode(data)
    emit(_view(bundle) | {"verified": False}, as_json, _render)


@command.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@signer_option
@network_option
@click.option(
    "--committee",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Of a window's bundle: proof of its committee.  [default: asked of the network's nodes, and checked]",
)
@click.option("--full", "is_full", is_flag=True, help="Of a window's bundle: also recover every sender.")
@played_option
@json_option
def verify(
    *,
    file: Path,
    signer: str | None,
    network: Path | None,
    committee: Path | None,
    is_full: bool,
    is_played: bool,
    as_json: bool,
) -> None:
    """Check FILE against a signer or a network that you trust; "-" reads standard input.

    The bundle of an auction's window needs a network. It is checked by itself; 'bpci light verify' also says that it
    follows on the ones before.

    Exit status: 0 it holds, 1 it is refused, 2 the call was wrong, 3 nobody said whom to trust.

    \b
    Examples:
      bpci bundle verify auction.bundle --network network.json
      bpci bundle verify auction.bundle --signer did:key:z6Mk...
      bpci bundle verify window.bundle --network network.json --committee epoch-7.proof --full
    """
    from bpci_node.auction.bundle import MAX_BUNDLE_BYTES
    from bpci_node.auction.verify import verify_bundle

    data = read_file(file, MAX_BUNDLE_BYTES)
    if version_of(data) == 2:
        view = _verify_window(data, network, committee, is_full=is_full, is_played=is_played)
        emit(view, as_json, render_bundle)
        return
    check_signer(signer)
    verified = verify_bundle(data, signer=signer, network=load_network(network))
    certificate = verified.certificate
    trust = {
        "verified": True,
        "trusted": "network" if network else "signer",
        "node_id": certificate.node_id if certificate else None,
    }
    emit(_view(verified.bundle) | trust, as_json, _render)


@command.command("list")
@dir_option
@node_option
@target_option
@click.option("--after", default=0, metavar="N", help="Begin behind this number of the target's chain.")
@click.option("--most", default=20, show_default=True, metavar="N", help="Bundles at most.")
@json_option
def list_bundles(*, directory: Path | None, url: str | None, target: str, after: int, most: int, as_json: bool) -> None:
    """List the bundles of auctions that a validator's node has.

    \b
    Examples:
      bpci bundle list --node http://192.0.2.5:8545
      bpci bundle list --target eip155:1 --after 120 --json
    """
    from bpci_node.network.auction_client import AuctionClient

    with AuctionClient(find_node(directory, url).url) as client:
        rows = client.bundles(target, after=after, limit=most)
    found = [{"sequence": row["sequence"], "digest": "0x" + row["digest"].hex(), "bytes": row["bytes"]} for row in rows]
    emit({"v": 1, "target": target, "bundles": found}, as_json, _render_list)


def _render_list(view: dict[str, Any]) -> str:
    rows = [[str(item["sequence"]), item["digest"], f"{item['bytes']:,}"] for item in view["bundles"]]
    return table(rows, ["number", "header", "bytes"])


def _verify_window(
    data: bytes, network: Path | None, committee: Path | None, *, is_full: bool, is_played: bool
) -> dict[str, Any]:
    """Verify a bundle of version 2 by itself, and return its view."""
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.auction.verify_auction import verify_decoded
    from bpci_node.cli.light_trust import ask_committee, ledger_of, load_trust, read_proof

    if network is None:
        raise UnreachableError(
            "nobody said whom to trust, so nothing can be said about this bundle",
            code="bundle.no_trust",
            hint="Give the file of the network.",
        )
    trusted = load_trust(network)
    try:
        bundle = AuctionBundle.decode(data)
    except FormatError as error:
        raise ProofError(f"not a bundle: {error.message}", code="bundle.format") from error
    if bundle.header.ledger_id != ledger_of(trusted, is_played=is_played):
        raise ProofError("the bundle belongs to another ledger", code="bundle.ledger")
    found = ask_committee(trusted, bundle.header.epoch) if committee is None else read_proof(committee, trusted)
    verified = verify_decoded(bundle, found, is_full=is_full)
    verdict = f"holds ({verified.depth}), by the committee of epoch {found.epoch}"
    return bundle_view(bundle) | {"verified": True, "depth": verified.depth, "verdict": verdict}


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
