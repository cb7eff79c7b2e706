"""The picture of a play: an SVG of three parts, with no font, script or address in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from bpci_node.cli.simulating import Play
from bpci_node.cli.simulating_figures import latencies, places

_WIDTH, _HEIGHT = 1230, 470
_TOP, _SIDE = 100, 300
"""Where the parts begin, and how long their sides are, pixels."""
_LEFT = (70, 470, 870)
_INK, _PALE, _HIDDEN, _OPEN = "#22303c", "#c9d2d9", "#0b7285", "#e8590c"
_BLOCKS = ("#0b7285", "#9c36b5", "#2b8a3e", "#e67700")


def plot(made: Play, figures: dict[str, Any]) -> str:
    """Return the picture.

    Args:
        figures: of :func:`~bpci_node.cli.simulating_figures.figures_of`.
    """
    numbers = ", ".join(map(str, figures["blocks"]))
    about = f"Blocks {numbers}: {len(made.players)} bids, {len(made.attackers)} attackers, seed {figures['seed']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(about)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/><g font-family="sans-serif" fill="{_INK}">',
        _text(_LEFT[0], 34, about, size=17),
        *_orders(made),
        *_attacks(figures["attacks"]),
        *_latencies(made, figures["latency_us"]),
        "</g></svg>\n",
    ]
    return "\n".join(parts)


def _orders(made: Play) -> Iterable[str]:
    """Yield a point for each transaction: its place in the blocks, and its place in the auction."""
    left, found = _LEFT[0], places(made)
    most = max(len(made.players), 1)
    yield _text(left, 78, "Order: in the blocks →, in the auction ↑", size=15)
    yield _frame(left)
    yield _line(left, _TOP + _SIDE, left + _SIDE, _TOP, _PALE)
    for there, here in found:
        colour = _BLOCKS[made.players[there].block % len(_BLOCKS)]
        x, y = left + there * _SIDE / most, _TOP + _SIDE - here * _SIDE / most
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.6" fill="{colour}"/>'
    yield _text(left, _TOP + _SIDE + 22, "1")
    yield _text(left + _SIDE, _TOP + _SIDE + 22, str(most), anchor="end")
    yield _text(left - 8, _TOP + 10, str(most), anchor="end")
    yield _text(left, _TOP + _SIDE + 44, "one colour for each block; on the line: the same place")


def _attacks(rows: list[dict[str, Any]]) -> Iterable[str]:
    """Yield two bars for each kind of attack: the share that worked in the open, and in the auction."""
    left, step = _LEFT[1], _SIDE / max(len(rows), 1)
    yield _text(left, 78, "Attacks that worked, of those tried", size=15)
    yield _frame(left)
    for at, row in enumerate(rows):
        top = _TOP + at * step
        yield _text(left + 8, top + 18, f"{row['kind']} ({row['tried']})")
        for offset, name, colour in ((24, "succeeded_in_the_open", _OPEN), (39, "succeeded", _HIDDEN)):
            value = row[name]
            width = max(1, (value or 0) * (_SIDE - 90) / max(row["tried"], 1))
            yield f'<rect x="{left + 8}" y="{top + offset:.1f}" width="{width:.1f}" height="12" fill="{colour}"/>'
            yield _text(left + 14 + width, top + offset + 11, "not possible" if value is None else str(value))
    yield f'<rect x="{left}" y="{_TOP + _SIDE + 34}" width="12" height="12" fill="{_OPEN}"/>'
    yield _text(left + 18, _TOP + _SIDE + 45, "in an open pool")
    yield f'<rect x="{left + 140}" y="{_TOP + _SIDE + 34}" width="12" height="12" fill="{_HIDDEN}"/>'
    yield _text(left + 158, _TOP + _SIDE + 45, "in the auction")


def _latencies(made: Play, percentiles: dict[str, int]) -> Iterable[str]:
    """Yield the share of transactions that were final after so many milliseconds."""
    left, found = _LEFT[2], latencies(made)
    yield _text(left, 78, "Final so long after the commit was sent", size=15)
    yield _frame(left)
    if not found:
        return
    most_ms = -(-found[-1] // 100_000) * 100
    points = " ".join(
        f"{left + time_us * _SIDE / (most_ms * 1000):.1f},{_TOP + _SIDE - number * _SIDE / len(found):.1f}"
        for number, time_us in enumerate(found, start=1)
    )
    yield f'<polyline points="{points}" fill="none" stroke="{_HIDDEN}" stroke-width="2"/>'
    for share in (0, 50, 100):
        yield _text(left - 8, _TOP + _SIDE - share * _SIDE / 100 + 4, f"{share} %", anchor="end")
    for step in range(5):
        yield _text(left + step * _SIDE / 4, _TOP + _SIDE + 22, str(most_ms * step // 4), anchor="middle")
    named = ", ".join(f"{name} {value // 1000}" for name, value in percentiles.items())
    yield _text(left, _TOP + _SIDE + 44, f"milliseconds; {named}")


def _frame(left: int) -> str:
    return f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{_PALE}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
