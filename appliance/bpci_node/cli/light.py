"""``bpci light``: follow a target's auctions from a network file on, trusting nobody who is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.auction_view import bundle_view, header_view, render_bundle, render_headers, render_trust, version_of
from bpci_node.cli.files import read_file
from bpci_node.cli.light_follow import follow
from bpci_node.cli.light_trust import client_options, open_client
from bpci_node.cli.output import emit, fields, json_option
from bpci_node.errors import BpciError, ProofError, UsageError

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.auction.light import FinalHeader

_FILES = click.argument(
    "files", type=click.Path(path_type=Path, allow_dash=True), nargs=-1, required=True, metavar="FILE..."
)


@click.group()
def command() -> None:
    """Follow auctions and verify their bundles, with no other state."""


command.add_command(follow)


@command.command()
@_FILES
@client_options
@click.option("--full", "is_full", is_flag=True, help="Also decode every transaction and recover its sender.")
@click.option("--txid", metavar="HEX", help="Say whether this transaction ran; exit status 1 if it ran in none.")
@json_option
def verify(
    *,
    files: Sequence[Path],
    network: Path,
    committees: Sequence[Path],
    no_ledger: bool,
    state: Path | None,
    is_played: bool,
    is_full: bool,
    txid: str | None,
    as_json: bool,
) -> None:
    """Follow the bundles and final headers in FILE... in their order, and verify each bundle.

    A committee that takes over is named by a header; where none did, the ledger has to prove it.

    Exit status: 0 all hold, 1 one is refused, 2 the call was wrong, 3 no committee could be had.

    \b
    Examples:
      bpci light verify window-*.bundle --network network.json --committee epoch-7.proof
      bpci light verify next.bundle --network network.json --state mainnet.light --full
      bpci light verify window.bundle --network network.json --txid 0x5c50...
    """
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.auction.entry_proof import position_of

    wanted = _txid(txid)
    found = [_read(file) for file in files]
    client = open_client(network, committees, state, no_ledger=no_ledger, is_played=is_played)
    views = []
    for item in found:
        known = client.expect(item.header)
        if isinstance(item, AuctionBundle):
            client.state, verified = known.check(item, is_full=is_full)
            view = bundle_view(item) | {"depth": verified.depth, "verified": True}
            view["verdict"] = f"holds ({verified.depth}), by committee of epoch {item.header.epoch}"
            if wanted is not None:
                view["position"] = position_of(item, wanted)
        else:
            client.state = known.follow(item)
            view = {"header": header_view(item.header), "depth": "header", "verified": True}
        views.append(view)
    client.keep()
    if wanted is not None and all(view.get("position") is None for view in views):
        raise ProofError("the transaction ran in none of these windows", code="entry_proof.absent")
    emit({"v": 1, "bundles": views} | client.view(), as_json, _render_all)


@command.command()
@_FILES
@client_options
@json_option
def headers(
    *,
    files: Sequence[Path],
    network: Path,
    committees: Sequence[Path],
    no_ledger: bool,
    state: Path | None,
    is_played: bool,
    as_json: bool,
) -> None:
    """Follow the headers of the bundles and final headers in FILE..., across changes of committee.

    \b
    Examples:
      bpci light headers headers/* --network network.json --committee epoch-7.proof
      bpci light headers headers/* --network network.json --state mainnet.light --json
    """
    found = [_final(_read(file)) for file in files]
    client = open_client(network, committees, state, no_ledger=no_ledger, is_played=is_played)
    for item in found:
        client.state = client.expect(item.header).follow(item)
    client.keep()
    views = [header_view(item.header) for item in found]
    emit({"v": 1, "headers": views} | client.view(), as_json, render_headers)


def _read(file: Path) -> AuctionBundle | FinalHeader:
    """Read a bundle of version 2 or a final header.

    Raises:
        ProofError: it is neither (``bundle.format``).
    """
    from bpci_node.auction.auction_bundle import MAX_BUNDLE_BYTES, AuctionBundle
    from bpci_node.auction.light import FinalHeader

    data = read_file(file, MAX_BUNDLE_BYTES)
    try:
        return AuctionBundle.decode(data) if version_of(data) == 2 else FinalHeader.decode(data)
    except BpciError as error:
        message = f"{file}: neither a bundle of version 2 nor a final header: {error.message}"
        raise ProofError(message, code="bundle.format") from error


def _final(found: AuctionBundle | FinalHeader) -> FinalHeader:
    from bpci_node.auction.light import FinalHeader

    return found if isinstance(found, FinalHeader) else FinalHeader.of(found)


def _txid(text: str | None) -> bytes | None:
    from bpci_node.network.wire import bytes_of

    if text is None:
        return None
    try:
        found = bytes_of(text, what="--txid")
    except BpciError as error:
        raise UsageError(error.message, code="usage.call") from error
    if len(found) != 32:
        raise UsageError("--txid must have 32 bytes", code="usage.call")
    return found


def _render_all(view: dict[str, Any]) -> str:
    parts = []
    for item in view["bundles"]:
        if item["depth"] == "header":
            header = item["header"]
            parts.append(fields({"verdict": "follows", "header": f"number {header['sequence']}, {header['digest']}"}))
        else:
            parts.append(render_bundle(item))
    return "\n\n".join(parts) + render_trust(view)
