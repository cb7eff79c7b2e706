"""``bpci auction commit``, ``reveal``, ``bid``, ``status``, ``included``: one file of bids, step by step or at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bpci_node.cli.auction_bid_view import show
from bpci_node.cli.files import writing
from bpci_node.cli.local import dir_option, find_node, node_option, target_option
from bpci_node.cli.output import Progress, json_option, say
from bpci_node.cli.sending import account_of, key_option, load_signer, open_ledger, place_options
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import BpciError, UnreachableError, UsageError

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.cli.bid_file import BidFile
    from bpci_node.cli.bidding import Market

_Command = TypeVar("_Command", bound=Callable[..., object])

entries_argument = click.argument("entries", nargs=-1, required=True, metavar="FILE|-|0xRAW...")
file_argument = click.argument("path", type=click.Path(path_type=Path, dir_okay=False), metavar="BID")
class_option = click.option(
    "--class",
    "qlock_ms",
    type=click.Choice(["10", "20", "50", "100"]),
    help="Class of the window, milliseconds.  [default: the longest that the target has]",
)
ahead_option = click.option(
    "--ahead", type=click.IntRange(0, 4_500), default=300, show_default=True, metavar="MS", help="Bid so far ahead."
)
tier_option = click.option(
    "--tier", type=click.IntRange(0, 255), help="Which bond to use.  [default: the least that covers the bid]"
)
notaries_option = click.option(
    "--notaries", type=click.IntRange(1, 64), default=3, show_default=True, help="Reveal to so many of them."
)
out_option = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="BUNDLE", help="Write the bundle here."
)
bid_option = click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="BID",
    help="Keep in this file what opens the bid; nobody else may read it.",
)


def window_options(command: _Command) -> _Command:
    """Say for which window a bid is, and with which bond."""
    return target_option(class_option(ahead_option(tier_option(command))))


@click.command("commit")
@entries_argument
@key_option
@bid_option
@window_options
@place_options
def commit(
    *,
    entries: Sequence[str],
    key_file: KeySource,
    path: Path,
    target: str,
    qlock_ms: str | None,
    ahead: int,
    tier: int | None,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> int:
    """Commit to signed entries for a window that opens soon, and no more; 'reveal' opens them.

    What opens them is in the file BID, on the disk, before anything leaves. Bonds must be reserved ('lines').
    Exit status 1 if a commit was refused.

    \b
    Examples:
      bpci auction commit 0x02f8... --key bidder.key --file monday.bid
      bpci auction commit signed.txt --wallet anna --file monday.bid --class 10 --ahead 1000
    """
    from bpci_node.cli.bidding import commit as send_commits
    from bpci_node.cli.bidding import open_market, prepare

    signer, raws = load_signer(key_file), raws_of(entries)
    with open_ledger(directory, url, network) as ledger:
        account = account_of(ledger, signer)
    with open_market(find_node(directory, url).url, network) as market:
        chosen = class_of(market, target, qlock_ms)
        kept = prepare(market, signer, account, raws, path, target=target, qlock_ms=chosen, ahead_ms=ahead, tier=tier)
        refused = send_commits(market, kept)
    return show(kept, as_json, refused=refused)


@click.command("reveal")
@file_argument
@notaries_option
@place_options
def reveal(
    *, path: Path, notaries: int, directory: Path | None, url: str | None, network: Path | None, as_json: bool
) -> int:
    """Wait for the certificate over a window's commits, check it, and reveal the bids of a file.

    Nothing is revealed before more than two thirds of the committee's weight signed the set. May be done again: what a
    notary has, it has. Exit status 1 if a reveal was refused.

    \b
    Examples:
      bpci auction reveal monday.bid
      bpci auction reveal monday.bid --notaries 5 --node http://192.0.2.5:8545 --json
    """
    from bpci_node.cli.bid_file import BidFile
    from bpci_node.cli.bidding import open_market, wait_for_set
    from bpci_node.cli.bidding import reveal as send_reveals

    kept = BidFile.load(path)
    with open_market(find_node(directory, url).url, network, kept.epoch) as market:
        _same_ledger(market, kept)
        wait_for_set(market, kept)
        refused = send_reveals(market, kept, notaries)
    return show(kept, as_json, refused=refused)


@click.command("bid")
@click.argument("entries", nargs=-1, metavar="[FILE|-|0xRAW]...")
@key_option
@bid_option
@window_options
@notaries_option
@out_option
@place_options
def bid(
    *,
    entries: Sequence[str],
    key_file: KeySource,
    path: Path,
    target: str,
    qlock_ms: str | None,
    ahead: int,
    tier: int | None,
    notaries: int,
    out: Path | None,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> int:
    """Bid for signed entries, from the bonds to the bundle: reserve, commit, wait for the set, reveal, follow, verify.

    If the file BID is there, its bids go on where they were, and no entry may be named. Exit status 0 if every entry
    runs, 1 if one does not.

    \b
    Examples:
      bpci auction bid 0x02f8... --key bidder.key --file monday.bid
      bpci auction bid signed.txt --wallet anna --file monday.bid --out monday.bundle --json
      bpci auction bid --wallet anna --file monday.bid
    """
    from bpci_node.cli.bid_file import BidFile
    from bpci_node.cli.bidding import open_market, prepare

    is_new, raws = not path.exists(), raws_of(entries) if entries else []
    if is_new != bool(raws):
        raise UsageError(
            f"{path} is there: its bids go on, and no entry is named" if raws else "no entry is named",
            code="usage.call",
        )
    signer, place, progress = load_signer(key_file), find_node(directory, url).url, Progress()
    known = None if is_new else BidFile.load(path)
    with open_ledger(directory, url, network) as ledger:
        account = account_of(ledger, signer)
    with open_market(place, network, None if known is None else known.epoch) as market:
        if known is None:
            chosen = class_of(market, target, qlock_ms)
            progress.update("reserving bonds")
            _reserve(market, signer, account, raws, target=target, qlock_ms=chosen, tier=tier)
            kept = prepare(
                market, signer, account, raws, path, target=target, qlock_ms=chosen, ahead_ms=ahead, tier=tier
            )
        else:
            kept = known
            _same_ledger(market, kept)
        refused, stage, bundle = bring_home(market, kept, notaries, progress)
    if out is not None and bundle is not None:
        write_bundle(out, bundle.encode())
    return show(kept, as_json, refused=refused, stage=stage, bundle=bundle)


def bring_home(
    market: Market, kept: BidFile, notaries: int, progress: Progress
) -> tuple[list[BpciError], str, AuctionBundle | None]:
    """Bring bids that are in their file from where they are to the bundle; return what was refused, stage and bundle.

    Raises:
        BpciError: something that was answered does not hold, or nobody answers.
    """
    from bpci_node.cli.bidding import commit as send_commits
    from bpci_node.cli.bidding import follow, wait_for_set
    from bpci_node.cli.bidding import reveal as send_reveals

    refused: list[BpciError] = []
    if kept.certified is None:
        progress.update("committing")
        refused = send_commits(market, kept)
        if len(refused) < len(kept.bids):
            progress.update("waiting for the committee's certificate")
            wait_for_set(market, kept)
    if kept.certified is not None and not all(item.reveals for item in kept.bids):
        progress.update("revealing")
        refused += _late_is_no_end(send_reveals, market, kept, notaries)
    stage, bundle = "refused", None
    if kept.certified is not None:
        progress.update("waiting for the bundle")
        stage, bundle = follow(market, kept)
    progress.finish()
    return refused, stage, bundle


@click.command("status")
@file_argument
@dir_option
@node_option
@json_option
def status(*, path: Path, directory: Path | None, url: str | None, as_json: bool) -> int:
    """Show how far the bids of a file have come, and what a validator says of their window.

    \b
    Examples:
      bpci auction status monday.bid
      bpci auction status monday.bid --node http://192.0.2.5:8545 --json
    """
    from bpci_node.cli.bid_file import BidFile
    from bpci_node.errors import NotFoundError
    from bpci_node.network.auction_client import AuctionClient

    kept = BidFile.load(path)
    with AuctionClient(find_node(directory, url).url) as client:
        try:
            stage = str(client.window(kept.window)["stage"])
        except NotFoundError:
            stage = "unknown here"
    return show(kept, as_json, stage=stage)


@click.command("included")
@file_argument
@out_option
@place_options
def included(
    *, path: Path, out: Path | None, directory: Path | None, url: str | None, network: Path | None, as_json: bool
) -> int:
    """Fetch the bundle of a bid's window, verify it in full, and show where each entry runs.

    Exit status 0 if every entry of the file runs in it, 1 if one does not.

    \b
    Examples:
      bpci auction included monday.bid --out monday.bundle
      bpci auction included monday.bid --network network.json --json
    """
    from bpci_node.cli.bid_file import BidFile
    from bpci_node.cli.bidding import follow, open_market

    kept = BidFile.load(path)
    with open_market(find_node(directory, url).url, network, kept.epoch) as market:
        _same_ledger(market, kept)
        stage, bundle = follow(market, kept)
    if out is not None and bundle is not None:
        write_bundle(out, bundle.encode())
    return show(kept, as_json, stage=stage, bundle=bundle)


def _reserve(
    market: Market, signer: Any, account: str, raws: Sequence[bytes], *, target: str, qlock_ms: int, tier: int | None
) -> None:
    """Reserve a bond for each bid."""
    from collections import Counter

    from bpci_node.cli.bidding import open_lines, tier_for

    terms = market.overview.terms_of(target)
    wanted = Counter(tier_for(raw, terms, qlock_ms, market.network.ledger_id, tier) for raw in raws)
    for number, count in sorted(wanted.items()):
        open_lines(market, signer, account, target=target, tier=number, count=count)


def _late_is_no_end(
    send_reveals: Callable[[Market, BidFile, int], list[BpciError]], market: Market, kept: BidFile, notaries: int
) -> list[BpciError]:
    """Reveal; who comes too late sees it in the bundle."""
    try:
        return send_reveals(market, kept, notaries)
    except UnreachableError as error:
        say(f"not revealed: {error.message}")
        return [error]


def raws_of(entries: Sequence[str]) -> list[bytes]:
    """Read signed entries from files, the standard input or the command line."""
    from bpci_node.cli.entries import read_entries

    return [raw for name in entries for raw in read_entries(name)]


def class_of(market: Market, target: str, qlock_ms: str | None) -> int:
    """Return the class that was asked for, or the longest of the target."""
    return int(qlock_ms) if qlock_ms is not None else market.overview.terms_of(target).classes[-1]


def _same_ledger(market: Market, kept: BidFile) -> None:
    if kept.ledger_id != market.network.ledger_id:
        raise UsageError(f"{kept.path} is of another ledger", code="usage.network")


def write_bundle(path: Path, data: bytes) -> None:
    """Write a bundle's file.

    Raises:
        UsageError: it can't be written (``usage.file``).
    """
    with writing(path):
        path.write_bytes(data)
