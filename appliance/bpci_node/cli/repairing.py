"""``bpci node repair``: what it says to a person."""

from __future__ import annotations

from typing import Any


def render(report: dict[str, Any]) -> str:
    """Return the report of a check or a repair for a person."""
    if report["sound"]:
        earlier = [
            f"{name}: arrivals lost in earlier repairs: {_spans(target['lost_earlier'])}"
            for name, target in report["targets"].items()
            if target["lost_earlier"]
        ]
        return "\n".join(["the database is sound", *earlier])
    lines = [
        f"repaired; the damaged files are in {report['copy']}"
        if report["copy"]
        else "the database is damaged; nothing was changed"
    ]
    if report["first_page_lost"]:
        lines.append("its first page is destroyed")
    if report["unreadable_pages"]:
        lines.append(f"pages that can't be read: {_some(report['unreadable_pages'])}")
    if report["damaged"]:
        lines.append(f"damaged: {', '.join(report['damaged'])}")
    kept = ", ".join(f"{count} of {table}" for table, count in report["kept"].items())
    lines.append(f"rows that can be read: {kept or 'none'}")
    for name, target in report["targets"].items():
        lines += [f"{name}: {line}" for line in _lines_of(target)]
    return "\n".join(lines)


def _lines_of(target: dict[str, Any]) -> list[str]:
    lines = []
    if target["lost_arrivals"]:
        lines.append(f"lost arrivals {_spans(target['lost_arrivals'])}")
        lines += [f"lost arrival {seq}: txid {txid}" for seq, txid in list(target["lost_txids"].items())[:20]]
    if target["lost_waiting"]:
        lines.append(f"{target['lost_waiting']} of the lost entries waited")
    if target["lost_bundles"]:
        lines.append(f"lost bundles {_some(target['lost_bundles'])}")
    if target["end_lost"]:
        lines.append(f"the end of the order may be lost: the next arrival is {target['next_arrival']}")
    if target["guarded_bundle"] > target["last_bundle"]:
        lines.append(
            f"bundle {target['guarded_bundle']} was signed and the last one here is {target['last_bundle']}:"
            " this node does not start under its identity any more, see docs/spec/journal.md"
        )
    return lines or ["nothing lost"]


def _spans(spans: list[list[int]]) -> str:
    return _some([str(first) if first == last else f"{first}-{last}" for first, last in spans])


def _some(items: list[Any]) -> str:
    shown = ", ".join(map(str, items[:20]))
    return shown if len(items) <= 20 else f"{shown} and {len(items) - 20} more"
