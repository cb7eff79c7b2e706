"""``bpci hardware measure`` and ``score``: load the machine for minutes, keep the figures, and rate them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.output import Progress, emit, json_option, table
from bpci_node.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from bpci_node.host.figures import Figures
    from bpci_node.host.measure import Bounds

KEPT = Path("/var/lib/bpci/hardware/figures.cbor")
PARTS = ("processor", "memory", "disk", "network", "miner")

figures_option = click.option(
    "--figures",
    "kept",
    type=click.Path(path_type=Path, dir_okay=False),
    default=KEPT,
    show_default=True,
    help="Where the figures are kept.",
)


@click.command("measure")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this part; may be repeated.")
@click.option("--quick", is_flag=True, help="Half a minute in all: tells little of heat and of full caches.")
@click.option("--processor-seconds", type=click.IntRange(1, 3600), help="Length of the run with all processors.")
@click.option("--disk-seconds", type=click.IntRange(1, 3600), help="Longest sustained write.")
@click.option("--node", "url", metavar="URL", help="Node of the network to measure the line against.")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="The node's key, 32 bytes, for --node.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/bpci/node"),
    show_default=True,
    help="Directory whose disk is loaded.",
)
@figures_option
@json_option
def measure(
    *,
    parts: tuple[str, ...],
    quick: bool,
    processor_seconds: int | None,
    disk_seconds: int | None,
    url: str | None,
    key: Path | None,
    data_dir: Path,
    kept: Path,
    as_json: bool,
) -> int:
    """Load this machine, part after part, and keep what it can do.

    Some five minutes; the node on it is slow meanwhile. The disk is written with at most a quarter of its free room,
    in a file without a name. Figures of parts that are not measured now stay. Exit status 3 if a part could not be
    measured.

    \b
    Examples:
      sudo bpci hardware measure --node http://192.0.2.5:8545
      bpci hardware measure --quick --part disk --data-dir . --figures figures.cbor --json
    """
    from bpci_node.host.measure import Plan, keep, read_kept
    from bpci_node.host.measure import measure as run
    from bpci_node.primitives.keys import LocalSigner
    from bpci_node.runtime.key_files import read_key

    signer = None
    if url is not None:
        # Any key may measure, within limits; one that is made for this run names nobody.
        signer = LocalSigner(os.urandom(32) if key is None else read_key(f"file:{key}", key="--key"))
    _require_writable(kept)
    read_kept(kept)  # what can't be added to is said now, not after minutes
    chosen = tuple(part for part in PARTS if part in parts) or tuple(
        part for part in PARTS if part != "network" or url is not None
    )
    progress = Progress()
    bounds = _bounds(quick=quick, processor_seconds=processor_seconds, disk_seconds=disk_seconds)
    try:
        found, reasons = run(Plan(data_dir.absolute(), bounds, chosen, url, signer), progress.update)
    finally:
        progress.finish()
    joined = keep(kept, found)
    emit(_view(joined, reasons) | {"file": str(kept)}, as_json, _render)
    return 3 if reasons else 0


@click.command("score")
@figures_option
@json_option
def score(*, kept: Path, as_json: bool) -> int:
    """Rate the figures that are kept: 1,000 is just what a community node is asked for, more is better.

    Exit status 3 while a figure is missing.

    \b
    Examples:
      bpci hardware score
      bpci hardware score --figures figures.cbor --json
    """
    found = read_figures(kept)
    data = _view(found, {})["score"]
    emit(data, as_json, render_score)
    return 3 if data["missing"] else 0


def read_figures(kept: Path) -> Figures:
    """Return the figures of a file.

    Raises:
        NotFoundError: there is none (``host.no_figures``).
        BpciError: it can't be read, or holds something else.
    """
    from bpci_node.host.measure import read_kept

    found = read_kept(kept)
    if found is None:
        raise NotFoundError(
            f"there are no figures in {kept}", code="host.no_figures", hint="Run 'bpci hardware measure' first."
        )
    return found


def _bounds(*, quick: bool, processor_seconds: int | None, disk_seconds: int | None) -> Bounds:
    from dataclasses import replace

    from bpci_node.host.measure import QUICK, THOROUGH

    bounds = QUICK if quick else THOROUGH
    if processor_seconds is not None:
        bounds = replace(bounds, processor_seconds=float(processor_seconds))
    if disk_seconds is not None:
        bounds = replace(bounds, disk=replace(bounds.disk, seconds=float(disk_seconds)))
    return bounds


def _require_writable(kept: Path) -> None:
    """Say at once that the figures could not be kept, not after minutes.

    Raises:
        UsageError: they could not (``host.figures_place``).
    """
    place = kept.absolute().parent
    try:
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        is_writable = os.access(place, os.W_OK | os.X_OK)
    except OSError:
        is_writable = False
    if not is_writable:
        raise UsageError(
            f"the figures can't be kept in {kept}: this user may not write there",
            code="host.figures_place",
            hint="Run it as root, or name another file with --figures.",
        )


def _view(figures: Figures, reasons: dict[str, str]) -> dict[str, Any]:
    from bpci_node.host.fingerprint import fingerprint
    from bpci_node.host.score import score_of

    return {
        "parts": {part: dict(values) for part, values in figures.parts.items()},
        "time_ms": figures.time_ms,
        "fingerprint": "0x" + figures.fingerprint.hex(),
        "of_this_machine": figures.fingerprint == fingerprint(),
        "could_not_tell": reasons,
        "score": score_of(figures).as_object(),
    }


def _render(data: dict[str, Any]) -> str:
    lines = [render_figures(data["parts"])]
    lines += [f"{part}: could not tell: {reason}" for part, reason in data["could_not_tell"].items()]
    return "\n".join([*lines, "", render_score(data["score"]), f"kept in {data['file']}"])


def render_figures(parts: dict[str, dict[str, int]]) -> str:
    """Return figures as a table."""
    from bpci_node.host.figures import CATALOG

    rows = [
        [part, name, amount(values[name], unit)]
        for part, known in CATALOG.items()
        if (values := parts.get(part)) is not None
        for name, (unit, _) in known.items()
        if name in values
    ]
    return table(rows, ["part", "figure", "measured"])


def amount(value: int, unit: str) -> str:
    """Return a figure for people: ``1,234 MB/s``."""
    for scale, prefix in ((10**9, "G"), (10**6, "M")):
        if unit in ("B", "B/s", "bit/s") and value >= 10 * scale:
            return f"{value // scale:,} {prefix}{unit}"
    if unit == "m°C":
        return f"{value // 1000} °C"
    return f"{value:,} {unit}".rstrip()


def render_score(data: dict[str, Any]) -> str:
    """Return a score for people."""
    rows = [[name, f"{points:,}"] for name, points in data["figures"].items()]
    lines = [table(rows, ["figure", "points"])] if rows else []
    if data["missing"]:
        lines.append(f"not measured: {', '.join(data['missing'])}")
    return "\n".join([*lines, f"score {data['points']:,}, tier {data['tier']}"])
