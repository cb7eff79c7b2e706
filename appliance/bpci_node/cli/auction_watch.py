"""``bpci auction watch`` and ``settlements``: what happens in the auctions, as it happens and as the ledger has it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import write_file
from bpci_node.cli.local import dir_option, find_node, node_option
from bpci_node.cli.output import emit, json_option, say, table
from bpci_node.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from bpci_node.network.auction_client import AuctionClient

KINDS = ("set", "window", "bundle", "void")
_WAIT_SECONDS = 15.0
_PAUSE_SECONDS = 1.0


@click.command("watch")
@dir_option
@node_option
@click.option("--target", metavar="CHAIN", help="Only this target chain.")
@click.option("--kind", type=click.Choice(KINDS), help="Only events of this kind.")
@click.option("--after", type=click.IntRange(0), help="Begin behind this event.  [default: what happens from now on]")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Go on behind the event that this file names, and keep in it how far all was shown.",
)
@click.option("--once", is_flag=True, help="Show what there is, and do not wait for more.")
@json_option
def watch(
    *,
    directory: Path | None,
    url: str | None,
    target: str | None,
    kind: str | None,
    after: int | None,
    state: Path | None,
    once: bool,
    as_json: bool,
) -> None:
    """Follow a validator's auctions: certified sets, final headers, bundles, void windows, one on a line.

    With --json every line is one JSON document. A connection that breaks is made anew and goes on behind the last
    event; an event is shown once. --once begins with the first event that is kept.

    \b
    Examples:
      bpci auction watch --node http://192.0.2.5:8545
      bpci auction watch --kind bundle --state seen.txt --json
      bpci auction watch --once --after 0
    """
    from bpci_node.network.auction_client import AuctionClient

    if after is not None and state is not None:
        raise UsageError("--after and --state exclude one another", code="usage.call")
    with AuctionClient(find_node(directory, url).url) as client:
        begin = after if state is None else _remembered(state)
        if begin is None:
            begin = 0 if once else int(client.overview()["last_event"])
        events = _stored(client, begin, target, kind) if once else _live(client, begin, target, kind)
        for event in events:
            _print(event, as_json)
            if state is not None:
                _remember(state, event["sequence"])


def _stored(client: AuctionClient, after: int, target: str | None, kind: str | None) -> Iterator[dict[str, Any]]:
    """Yield what the stream told and is kept."""
    while page := client.events(after=after):
        for event in page:
            after = event["sequence"]
            if target in (None, event["target"]) and kind in (None, event["kind"]):
                yield event


def _live(client: AuctionClient, after: int, target: str | None, kind: str | None) -> Iterator[dict[str, Any]]:
    """Yield events for ever, over as many connections as it takes.

    Raises:
        UnreachableError: not even the first connection could be made.
    """
    has_begun = False
    while True:
        try:
            for event in client.subscribe(after=after, target=target, kind=kind, timeout_seconds=_WAIT_SECONDS):
                has_begun = True
                if event["sequence"] > after:
                    after = event["sequence"]
                    yield event
        except UnreachableError as error:
            if error.code == "unreachable.timeout":
                continue
            if not has_begun:
                raise
            say(f"{error.message}; trying again")
            time.sleep(_PAUSE_SECONDS)


def _print(event: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001 - as all commands
    from bpci_node.network.wire import json_view

    view = json_view(event)
    sys.stdout.write((json.dumps(view, ensure_ascii=False) if as_json else line_of(view)) + "\n")
    sys.stdout.flush()


def line_of(event: dict[str, Any]) -> str:
    """Return the line that a person reads of an event, given as JSON types."""
    data, kind = event["data"], event["kind"]
    if kind == "gap":
        return f"{event['sequence']:>8}  events after {event.get('after', 'that')} are not kept any more"
    window = data.get("window") or [event["target"], "?", "?"]
    made = (data.get(name) for name in ("sequence", "count", "bytes", "digest"))
    said = {
        "set": "its commits are certified; reveals come in",
        "window": "its header is final",
        "bundle": "bundle {}: {} entries, {} bytes, {}".format(*made),
        "void": f"void, with {data.get('commits')} commits: bonds go back",
    }
    return f"{event['sequence']:>8}  {window[0]}  {window[1]:>3} ms  {window[2]:>12}  {said.get(kind, kind)}"


def _remembered(path: Path) -> int | None:
    """Return the number in a file; None where there is no file yet."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} names no event", code="usage.state") from error


def _remember(path: Path, sequence: int) -> None:
    write_file(path, b"%d\n" % sequence)


@click.command("settlements")
@dir_option
@node_option
@click.option("--target", metavar="CHAIN", help="Only this target chain.")
@click.option("--after", default="", metavar="PLACE", help="Go on behind this place, as 'next' says.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="So many at once.")
@json_option
def settlements(
    *, directory: Path | None, url: str | None, target: str | None, after: str, limit: int, as_json: bool
) -> None:
    """Show which windows the ledger has settled, and what each brought.

    \b
    Examples:
      bpci auction settlements
      bpci auction settlements --target eip155:1 --limit 20 --json
    """
    from bpci_node.network.client import NodeClient
    from bpci_node.network.wire import json_view

    with NodeClient(find_node(directory, url).url) as client:
        found = client.ledger.events("auction.settled", after=after, limit=limit)
    rows = [json_view(item) for item in found["events"] if target in (None, item["fields"].get("target"))]
    emit({"v": 1, "settlements": rows, "next": found.get("next")}, as_json, _render_settlements)


def _render_settlements(data: dict[str, Any]) -> str:
    shown = ("target", "sequence", "first", "count", "amount", "asset")
    rows = [
        [str(item["height"]), *(str(item["fields"].get(name, "-")) for name in shown)] for item in data["settlements"]
    ]
    return table(rows, ["block", "target", "header", "from", "outcomes", "brought", "asset"])
