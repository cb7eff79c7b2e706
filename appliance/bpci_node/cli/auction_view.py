"""Views of auctions: JSON with bytes as hex and amounts as decimal strings, and tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpci_node.cli.output import fields, table

if TYPE_CHECKING:
    from bpci_node.auction.auction_bundle import AuctionBundle
    from bpci_node.auction.header import AuctionHeader

_SHOWN = 12


def version_of(data: bytes) -> int | None:
    """Return the version that a bundle file names, None if it names none."""
    from bpci_node.auction.auction_bundle import MAX_BUNDLE_BYTES
    from bpci_node.errors import FormatError
    from bpci_node.primitives.codec import decode

    try:
        value = decode(data, max_bytes=MAX_BUNDLE_BYTES)
    except FormatError:
        return None
    found = value.get("v") if type(value) is dict else None
    return found if type(found) is int else None


def header_view(header: AuctionHeader) -> dict[str, Any]:
    """Return the JSON view of a header, its digest with it."""
    values = header.as_map() | {"digest": header.digest(), "mx_root": header.mx_root}
    return {name: "0x" + value.hex() if type(value) is bytes else value for name, value in values.items()}


def bundle_view(bundle: AuctionBundle) -> dict[str, Any]:
    """Return the JSON view of a bundle of version 2."""
    from bpci_node.auction.candidates import Origin
    from bpci_node.auction.contents import contents_of, type_of

    contents = contents_of(bundle)
    body = bundle.body
    rows = () if body is None else body.entries
    others = () if body is None else tuple(zip(body.left_out, body.causes, strict=True))
    return {
        "v": 2,
        "header": header_view(bundle.header),
        "seats": bundle.certificate.seats(),
        "forced": ["0x" + txid.hex() for txid in bundle.forced],
        "buckets": [
            {
                "key": "0x" + row.key.hex(),
                "place": row.place,
                "size": row.size,
                "gas_sum": str(row.gas_sum),
                "min_fee": str(row.min_fee),
                "max_fee": str(row.max_fee),
                "merkle_root": "0x" + row.merkle_root.hex(),
            }
            for row in bundle.buckets
        ],
        "has_entries": body is not None,
        "type": type_of(contents),
        "contents": {name: {"count": part.count, "gas": str(part.gas)} for name, part in contents.items()},
        "entries": [
            {
                "txid": "0x" + row.txid.hex(),
                "origin": Origin(row.origin).name.lower(),
                "commit_id": None if row.commit_id is None else "0x" + row.commit_id.hex(),
                "sender": "0x" + row.sender.hex(),
                "nonce": row.nonce,
                "fee_per_w": str(row.fee_per_w),
                "gas": row.gas,
                "arrival_seq": row.arrival_seq,
                "bytes": len(row.raw),
            }
            for row in rows
        ],
        "left_out": [
            {"txid": "0x" + row.txid.hex(), "origin": Origin(row.origin).name.lower(), "cause": cause.name.lower()}
            for row, cause in others
        ],
        "next_committee": None if bundle.next_committee is None else len(bundle.next_committee.seats),
        "proof_bytes": sum(map(len, bundle.verkle)) + 32 * len(bundle.mesh),
    }


def render_bundle(view: dict[str, Any]) -> str:
    """Return the view of a bundle for people; ``verdict`` is in it."""
    header = view["header"]
    about = {
        "verdict": view["verdict"],
        "window": f"{header['target']}, {header['qlock_ms']} ms, number {header['index']}",
        "header": f"number {header['sequence']} of epoch {header['epoch']}, {header['digest']}",
        "ledger": header["ledger_id"],
        "votes": "seats " + ", ".join(map(str, view["seats"])),
        "commits": f"{header['commits']}, of which {header['reveals']} were revealed",
        "entries": f"{header['count']} of {header['candidates']} candidates, {header['gas_used']:,} gas",
        "type": ", ".join(f"{part['count']} {name}" for name, part in view["contents"].items()) or "no entries shown",
        "forced": f"{len(view['forced'])}, and {len(view['left_out'])} are shown that do not run",
        "buckets": f"{len(view['buckets'])} of {header['buckets']} opened, {view['proof_bytes']:,} proof bytes",
    }
    rows = [[item["txid"], item["origin"], item["fee_per_w"], f"{item['gas']:,}"] for item in view["entries"][:_SHOWN]]
    rows += [
        [item["txid"], item["origin"], "out: " + item["cause"], ""] for item in view["left_out"][: _SHOWN - len(rows)]
    ]
    left = len(view["entries"]) + len(view["left_out"]) - len(rows)
    if not rows:
        return fields(about)
    shown = table(rows, ["transaction", "origin", "fee per gas", "gas"])
    return fields(about) + "\n\n" + shown + (f"\n... and {left} more (--json shows all)" if left else "")


def render_headers(view: dict[str, Any]) -> str:
    """Return headers, one on a line, for people."""
    rows = [
        [
            str(item["sequence"]),
            str(item["epoch"]),
            f"{item['qlock_ms']} ms",
            str(item["index"]),
            str(item["count"]),
            "yes" if item["next_committee"] else "",
        ]
        for item in view["headers"]
    ]
    return table(rows, ["number", "epoch", "class", "window", "entries", "hands over"]) + render_trust(view)


def render_trust(view: dict[str, Any]) -> str:
    """Return which committees a light client took from the ledger, as a line for people."""
    epochs = ", ".join(map(str, view["committees_from_ledger"]))
    return f"\n\ncommittees that the ledger proved: of epoch {epochs}" if epochs else ""
