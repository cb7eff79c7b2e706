"""``bpci auction report``: evidence out of files that bidders and watchers have, and the command that brings it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bpci_node.cli.files import read_file, writing
from bpci_node.cli.output import emit, fields
from bpci_node.cli.sending import load_signer, open_ledger, optional_key_option, place_options, render_sent, send
from bpci_node.cli.wallet_keys import KeySource
from bpci_node.errors import BpciError, ProofError, UsageError

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.auction.commit_set import CommitSet
    from bpci_node.cli.bid_file import BidFile, KeptBid

_Command = TypeVar("_Command", bound=Callable[..., Any])

MAX_EVIDENCE_BYTES = 1 << 20
KINDS = (
    "auction.report_headers",
    "auction.report_sets",
    "auction.report_omission",
    "auction.report_miss",
    "auction.refund",
)


def evidence_options(command: _Command) -> _Command:
    """Add where evidence goes: into a file, to the ledger, or both."""
    out = click.option(
        "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="EVIDENCE", help="Write the evidence here."
    )
    return out(optional_key_option(place_options(command)))


def _file(name: str) -> Callable[[_Command], _Command]:
    return click.argument(name, type=click.Path(path_type=Path, dir_okay=False), metavar=name.upper())


@click.group("report")
def report() -> None:
    """Bring evidence against a coordinator or a notary, or get a forfeited bond back.

    Evidence goes into a file (--out), to the ledger (--key or --wallet, which pays the fee), or both. What a command
    here builds it has checked for itself; the ledger checks it again.

    \b
    Examples:
      bpci auction report exclusion monday.bid --out evidence.cbor
      bpci auction report send evidence.cbor --key mine.key
    """


@report.command("header")
@_file("first")
@_file("second")
@evidence_options
def header(*, first: Path, second: Path, **where: Any) -> None:
    """Report the seats that voted for two headers of one window, out of two bundles.

    \b
    Examples:
      bpci auction report header a.bundle b.bundle --out evidence.cbor
      bpci auction report header a.bundle b.bundle --key mine.key
    """
    one, other = _bundle(first), _bundle(second)
    both = set(one.certificate.seats()) & set(other.certificate.seats())
    if one.header.window != other.header.window or one.header.digest() == other.header.digest() or not both:
        raise _none("no seat voted for two headers of one window")
    body = {
        "first": one.header.encode(),
        "first_votes": one.certificate.as_map(),
        "second": other.header.encode(),
        "second_votes": other.certificate.as_map(),
    }
    _bring("auction.report_headers", body, **where)


@report.command("set")
@_file("first")
@_file("second")
@evidence_options
def sets(*, first: Path, second: Path, **where: Any) -> None:
    """Report a coordinator that signed two sets of commits for one window, out of bids' files or encoded sets.

    \b
    Examples:
      bpci auction report set mine.bid yours.bid --out evidence.cbor
      bpci auction report set mine.bid other-set.cbor --key mine.key
    """
    from bpci_node.auction.commit_set import verify_set_signature

    one, other = _set(first), _set(second)
    if one.window != other.window or one.digest() == other.digest() or one.coordinator != other.coordinator:
        raise _none("these are not two sets of one window and coordinator")
    for found in (one, other):
        verify_set_signature(found, coordinator=one.coordinator, ledger_id=one.ledger_id)
    _bring("auction.report_sets", {"first": one.encode(), "second": other.encode()}, **where)


@report.command("exclusion")
@_file("bid")
@evidence_options
def exclusion(*, bid: Path, **where: Any) -> None:
    """Report a coordinator that left a commit out of its set, or moved it, after it had given a receipt.

    \b
    Examples:
      bpci auction report exclusion monday.bid --out evidence.cbor
      bpci auction report exclusion monday.bid --wallet anna
    """
    from bpci_node.auction.commit_receipt import CommitReceipt
    from bpci_node.auction.commit_set import prove_omission
    from bpci_node.cli.bid_file import BidFile

    kept = BidFile.load(bid)
    if kept.certified is None:
        raise _none("the file has no certified set")
    for item in kept.bids:
        if item.receipt is None:
            continue
        try:
            omission = prove_omission(CommitReceipt.decode(item.receipt), kept.certified.commit_ids)
        except BpciError:
            continue
        body = {
            "receipt": item.receipt,
            "commit_set": kept.certified.commit_set.encode(),
            "commit_id": omission.commit_id,
            "path": list(omission.path),
        }
        _bring("auction.report_omission", body, **where)
        return
    raise _none("every commit that has a receipt stands where it says")


@report.command("miss")
@_file("bid")
@evidence_options
def miss(*, bid: Path, **where: Any) -> None:
    """Report that a window with certified commits got no header, on a target with a service level.

    A header that came late is credited when it is settled, without a report. The ledger takes a report once nothing
    of the epoch can be settled any more.

    \b
    Examples:
      bpci auction report miss monday.bid --out evidence.cbor
      bpci auction report miss monday.bid --key mine.key
    """
    from bpci_node.cli.bid_file import BidFile

    kept = BidFile.load(bid)
    if kept.certified is None:
        raise _none("the file has no certified set")
    certified = kept.certified
    body = {"commit_set": certified.commit_set.encode(), "certificate": certified.certificate.as_map()}
    _bring("auction.report_miss", body, **where)


@report.command("refund")
@_file("bid")
@click.option("--commit", "commit_id", metavar="0xID", help="Which commit of the file.  [default: the only one]")
@click.option(
    "--list",
    "reveals",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The list of reveals that the same notary signed, encoded: tells its fault from the coordinator's.",
)
@evidence_options
def refund(*, bid: Path, commit_id: str | None, reveals: Path | None, **where: Any) -> None:
    """Get a forfeited bond back, with a notary's receipt of the timely reveal.

    \b
    Examples:
      bpci auction report refund monday.bid --key bidder.key
      bpci auction report refund monday.bid --commit 0x3e1f... --list list.cbor --out evidence.cbor
    """
    from bpci_node.cli.bid_file import BidFile

    kept = BidFile.load(bid)
    item = _named(kept, commit_id)
    if not item.reveals:
        raise _none("the file has no notary's receipt of this reveal")
    body = {
        "commit_id": item.commit.commit_id,
        "receipt": item.reveals[0],
        "reveals": None if reveals is None else read_file(reveals, MAX_EVIDENCE_BYTES),
    }
    _bring("auction.refund", body, **where)


@report.command("send")
@_file("evidence")
@evidence_options
def send_evidence(*, evidence: Path, **where: Any) -> None:
    """Send evidence that another one of these commands wrote.

    \b
    Examples:
      bpci auction report send evidence.cbor --key mine.key
    """
    from bpci_node.primitives.codec import decode
    from bpci_node.primitives.fields import Fields

    try:
        found = Fields(
            decode(read_file(evidence, MAX_EVIDENCE_BYTES), max_bytes=MAX_EVIDENCE_BYTES),
            ("v", "kind", "body"),
            what="evidence",
            code="usage.evidence",
        )
        found.version(1)
        kind, body = found.raw("kind"), found.raw("body")
        if kind not in KINDS or type(body) is not dict:
            raise found.wrong("is of no known kind")
    except UsageError:
        raise
    except BpciError as error:
        raise UsageError(f"{evidence} is no evidence: {error.message}", code="usage.evidence") from error
    if where["key_file"] is None:
        raise UsageError("nobody signs the command", code="usage.call", hint="Give --key or --wallet.")
    _bring(kind, body, **where)


def _bring(
    kind: str,
    body: dict[str, Any],
    *,
    out: Path | None,
    key_file: KeySource | None,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Write evidence, send it, or both."""
    from bpci_node.primitives.codec import encode

    if out is None and key_file is None:
        raise UsageError(
            "the evidence has nowhere to go", code="usage.call", hint="Give --out FILE, or --key or --wallet, or both."
        )
    data = encode({"v": 1, "kind": kind, "body": body})
    if out is not None:
        with writing(out):
            out.write_bytes(data)
    if key_file is None:
        emit({"v": 1, "kind": kind, "file": str(out), "bytes": len(data)}, as_json, fields)
        return
    with open_ledger(directory, url, network) as ledger:
        emit(send(ledger, load_signer(key_file), kind, body), as_json, render_sent)


def _bundle(path: Path) -> AuctionBundle:
    from bpci_node.auction.auction_bundle import MAX_BUNDLE_BYTES, AuctionBundle

    try:
        return AuctionBundle.decode(read_file(path, MAX_BUNDLE_BYTES))
    except UsageError:
        raise
    except BpciError as error:
        raise UsageError(f"{path} is no bundle: {error.message}", code="usage.file") from error


def _set(path: Path) -> CommitSet:
    """Return the set of a bid's file, or of a file that is one."""
    from bpci_node.auction.commit_set import CommitSet
    from bpci_node.cli.bid_file import BidFile

    try:
        return CommitSet.decode(read_file(path, MAX_EVIDENCE_BYTES))
    except UsageError:
        raise
    except BpciError:
        kept = BidFile.load(path)
    if kept.certified is None:
        raise _none(f"{path} has no certified set")
    return kept.certified.commit_set


def _named(kept: BidFile, commit_id: str | None) -> KeptBid:
    found: Sequence[KeptBid] = [item for item in kept.bids if commit_id in (None, "0x" + item.commit.commit_id.hex())]
    if len(found) != 1:
        names = ", ".join("0x" + item.commit.commit_id.hex() for item in kept.bids)
        raise UsageError("name one commit of the file with --commit", code="usage.call", hint=f"It has {names}.")
    return found[0]


def _none(reason: str) -> ProofError:
    return ProofError(f"there is no evidence: {reason}", code="bid.evidence")
