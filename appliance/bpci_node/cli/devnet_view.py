"""What ``bpci devnet`` shows: the nodes of a devnet, whether they are in step, and its auctions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bpci_node.cli.devnet_files import RPC_PORT, Place, Ports, nodes_of, ports_of, validators_of
from bpci_node.cli.output import fields, table
from bpci_node.errors import BpciError

STEP_SECONDS = 10.0
"""How long ``up`` waits for those who follow to have what there is."""


def describe(home: Path) -> dict[str, Any]:
    """Return what there is to say of a devnet of which a node runs."""
    places = nodes_of(home)
    running = running_of(places)
    ports = ports_of(home) or Ports(RPC_PORT, 0, 0)
    nodes = [describe_node(place, running.get(place.number)) for place in places]
    first = nodes[0]
    pages = f"http://127.0.0.1:{ports.dashboard or ports.base}/"
    faucet = f"http://127.0.0.1:{ports.faucet}/" if ports.faucet else f"http://127.0.0.1:{ports.base}/faucet"
    developer = home / "developer.key"
    return {
        "running": True,
        "ready": all(node["ready"] for node in nodes),
        "dir": str(home),
        "pid": first["pid"],
        "url": first["url"],
        "dashboard_url": pages,
        "faucet_url": faucet,
        "owner_socket": str(places[0].socket),
        "network_file": str(home / "network.json"),
        "phrase_file": str(home / "phrase.txt"),
        "developer_key_file": str(developer) if developer.exists() else None,
        "developer_account": _developer(developer),
        "log_file": str(places[0].log),
        "node": first["node"],
        "ledger": first["ledger"],
        "targets": first["targets"],
        "auction": _auction(home, running),
        "nodes": nodes,
    }


def _auction(home: Path, running: dict[int, int]) -> dict[str, Any] | None:
    """Return epoch, committee and last window, as the first validator that answers knows them; ``None`` without any."""
    from bpci_node.network.auction_client import AuctionClient
    from bpci_node.network.wire import json_view

    places = validators_of(home)
    numbers = {place.load().node.endpoints[0]: place.number for place in places}
    for url, number in numbers.items():
        if number not in running:
            continue
        try:
            with AuctionClient(url) as client:
                found = client.overview()
        except BpciError:
            continue
        seats = [numbers.get(next(iter(seat["endpoints"]), "")) for seat in found["committee"]]
        chains = {
            name: {"sequence": item["sequence"], "digest": item["digest"]} for name, item in found["chains"].items()
        }
        return {
            "validators": len(places),
            "epoch": found["epoch"],
            "halted": (found.get("halt") or {"until_us": 0})["until_us"] is None,
            "epoch_ends_in_ms": max(0, found["ends_us"] - found["time_us"]) // 1000,
            "committee": seats,
            "targets": [terms["target"] for terms in found["targets"]],
            "last_windows": json_view(chains),
        }
    return {"validators": len(places), "epoch": None, "committee": [], "targets": []} if places else None


def describe_node(place: Place, pid: int | None) -> dict[str, Any]:
    """Return what there is to say of one node; of one that does not answer, how it is reached."""
    from bpci_node.network.client import NodeClient

    shown: dict[str, Any] = {"number": place.number, "pid": pid, "url": place.load().node.endpoints[0]}
    shown |= {"running": pid is not None, "ready": False, "in_step": False, "height": None, "log_file": str(place.log)}
    shown |= {"node": None, "ledger": None, "targets": None}
    try:
        with NodeClient(place.socket) as client:
            found = client.owner_status()
    except BpciError:
        return shown  # it does not run, is starting, or ending
    return shown | {
        "ready": not found["obstacles"],
        "in_step": _is_in_step(found["ledger"], found["time_ms"]),
        "height": found["ledger"]["height"],
        "node": found["node"],
        "ledger": found["ledger"],
        "targets": found["targets"],
    }


def _is_in_step(ledger: dict[str, Any] | None, now_ms: int) -> bool:
    """Tell whether a node has, by what it heard a moment ago, every block that there is."""
    if ledger is None or ledger["stopped"] is not None or ledger["lag"] != 0:
        return False
    return ledger["mode"] == "embedded" or now_ms - (ledger["heard_ms"] or 0) < STEP_SECONDS * 1000


def _developer(key_file: Path) -> str | None:
    from bpci_node.chain.account import account_id_of
    from bpci_node.primitives.keys import LocalSigner

    return account_id_of(LocalSigner(key_file.read_bytes()).public_key) if key_file.exists() else None


def render(data: dict[str, Any]) -> str:
    """Return what a person reads of a devnet."""
    about = {
        "devnet": f"{'ready' if data['ready'] else 'NOT READY'} at {data['url']} (pid {data['pid']})",
        "pages": data["dashboard_url"],
        "faucet": data["faucet_url"],
    }
    if data["node"] is not None:
        about |= {"node": data["node"]["did"], "account": data["node"]["account"], "ledger": data["ledger"]["id"]}
    about |= {
        "network file": data["network_file"],
        "owner's socket": data["owner_socket"],
        "phrase": data["phrase_file"],
        "your account": data["developer_account"] or "none: this devnet began without one",
        "its key": data["developer_key_file"] or "-",
        "log": data["log_file"],
    }
    if data["auction"] is not None:
        about |= _auction_lines(data["auction"])
    shown = fields(about)
    if len(data["nodes"]) > 1:
        rows = [
            [str(node["number"]), str(node["pid"] or "-"), str(node["height"]), _step(node), node["url"]]
            for node in data["nodes"]
        ]
        shown += "\n\n" + table(rows, ["node", "pid", "height", "state", "url"])
    return shown


def _auction_lines(auction: dict[str, Any]) -> dict[str, str]:
    if auction["epoch"] is None:
        return {"auctions": f"{auction['validators']} validators, none of which answers yet"}
    seats = ", ".join("?" if number is None else f"node {number}" for number in auction["committee"])
    lines = {
        "epoch": f"{auction['epoch']}, for {auction['epoch_ends_in_ms'] / 1000:.1f} s more",
        "committee": f"{seats} (the first one coordinates)"
        if seats
        else "none drawn yet: keys count from the second epoch",
    }
    if auction["halted"]:
        lines["auctions"] = "HALTED by the guardians"
    for target in auction["targets"]:
        last = auction["last_windows"].get(target)
        number = 0 if last is None else last["sequence"]
        lines[target] = f"last bundle {number}" if number else "no bundle yet"
    return lines


def _step(node: dict[str, Any]) -> str:
    if not node["running"]:
        return "does not run"
    return "in step" if node["in_step"] else "behind"


def running_of(places: list[Place]) -> dict[int, int]:
    """Return number and pid of every node that runs."""
    from bpci_node.runtime.supervision import pid_of

    found = {place.number: pid_of(place.state) for place in places}
    return {number: pid for number, pid in found.items() if pid is not None}
