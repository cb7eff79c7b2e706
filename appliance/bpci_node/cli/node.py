"""``bpci node``: run a node, and ask one."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.files import read_file
from bpci_node.cli.local import dir_option, find_node, find_socket, node_option, socket_option
from bpci_node.cli.node_config import config_option
from bpci_node.cli.node_duties import capabilities, heartbeat
from bpci_node.cli.output import emit, fields, json_option, say, table
from bpci_node.errors import UsageError

MAX_FILE_BYTES = 65_536
"""Longest file with a challenge."""


@click.group("node")
def command() -> None:
    """Run a node, and ask one.

    Without --dir, --node and --socket a command means the node of this machine if it has one, else the devnet in its
    default directory.
    """


for extra in (capabilities, heartbeat):
    command.add_command(extra)


@command.command("run")
@config_option
@click.option("--check", is_flag=True, help="Only check the configuration, then leave.")
def run(*, config: Path, check: bool) -> None:
    """Run a node until it is told to stop (SIGTERM, Ctrl-C, or its owner).

    \b
    Examples:
      bpci node run
      bpci node run --config node.toml --check
    """
    from bpci_node.runtime.config import load

    loaded = load(config)
    if check:
        say(f"{config} is a valid configuration")
        return
    import asyncio

    from bpci_node.gateway.server import open_faces
    from bpci_node.runtime.process import run as run_node
    from bpci_node.runtime.service import set_up_logging

    set_up_logging()
    asyncio.run(run_node(loaded, open_faces))


@command.command("repair")
@config_option
@click.option("--check", "only_check", is_flag=True, help="Only look at every page and row, and change nothing.")
@json_option
def repair(*, config: Path, only_check: bool, as_json: bool) -> int:
    """Save what can be read of a damaged database, and say exactly what is lost. The node must not run.

    The damaged files are copied aside first; the sign guards are never changed. A sound database is left alone. With
    --check the exit status is 1 if there is damage.

    \b
    Examples:
      bpci node repair --check --json
      sudo -u bpci bpci node repair
    """
    import time

    from bpci_node.cli.repairing import render
    from bpci_node.network.wire import json_view
    from bpci_node.runtime.config import load
    from bpci_node.runtime.sealing import bundle_guard
    from bpci_node.store import repair as store_repair

    loaded = load(config)
    names = tuple(target.id for target in loaded.targets)
    if only_check:
        report = store_repair.check(loaded.state_dir, names)
    else:
        report = store_repair.repair(loaded.state_dir, names, time.time_ns() // 1_000_000)
    found = report.as_map()
    for name, target in found["targets"].items():
        remembered = bundle_guard(loaded.state_dir / "guard", name).last()
        target["guarded_bundle"] = remembered[0] if remembered else 0
    emit(json_view(found), as_json, render)
    return 1 if only_check and not report.is_sound else 0


@command.command("status")
@dir_option
@node_option
@json_option
def status(*, directory: Path | None, url: str | None, as_json: bool) -> int:
    """Show a node's state. Exit status 1 if it is not ready, 3 if it can't be reached.

    \b
    Examples:
      bpci node status
      bpci node status --node http://192.0.2.5:8545 --json
    """
    from bpci_node.network.client import NodeClient

    with NodeClient(find_node(directory, url).url) as client:
        found = client.status()
        found["ready"] = client.is_ready()
        emit(found, as_json, lambda data: render_status(client.where, data))
    return 0 if found["ready"] else 1


@command.command("register")
@dir_option
@socket_option
@click.option(
    "--hardware-report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Signed report of 'bpci hardware check --report'.",
)
@click.option(
    "--challenge",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The registry's answer (JSON) that the report was made over.",
)
@json_option
def register(
    *,
    directory: Path | None,
    socket: Path | None,
    hardware_report: Path | None,
    challenge: Path | None,
    as_json: bool,
) -> None:
    """Register the node of this machine with its registry, or bring its registration up to date.

    \b
    Examples:
      sudo bpci node register
      sudo bpci node register --hardware-report report.cbor --challenge challenge.json
    """
    from bpci_node.network.client import NodeClient

    report = _report(hardware_report, challenge)
    with NodeClient(find_socket(directory, socket), timeout_seconds=60.0) as client:
        found = client.register(report)
    emit(found, as_json, lambda data: f"registered as {data['account']}")


@command.command("list")
@dir_option
@node_option
@click.option("--type", "node_type", metavar="TYPE", help="Only nodes of this type.")
@json_option
def list_nodes(*, directory: Path | None, url: str | None, node_type: str | None, as_json: bool) -> None:
    """List registered nodes, and whether each is heard: live, silent, or not seen yet.

    \b
    Examples:
      bpci node list --type bpi-community
      bpci node list --node http://192.0.2.5:8545 --json
    """
    from bpci_node.network.registry_client import RegistryClient

    conditions = {} if node_type is None else {"type": node_type}
    with closing(RegistryClient(find_node(directory, url).url)) as client:
        found = [item["node"] | {"liveness": item["liveness"]} for item in client.search(conditions)]
    emit(found, as_json, render_nodes)


@command.command("stop")
@dir_option
@socket_option
def stop(*, directory: Path | None, socket: Path | None) -> None:
    """Stop the node of this machine gracefully, through the owner's socket.

    Under systemd use 'systemctl stop bpci-node', or it is started again.

    \b
    Example:
      sudo bpci node stop
    """
    from bpci_node.network.client import NodeClient

    with NodeClient(find_socket(directory, socket)) as client:
        client.stop()
    say("the node is stopping")


def render_nodes(nodes: list[dict[str, Any]]) -> str:
    """Return registered nodes as a table."""
    if not nodes:
        return "no nodes are registered"
    rows = [
        [
            node["account"],
            node["node_type"],
            node["status"] if node["liveness"] == node["status"] else f"{node['status']}, {node['liveness']}",
            str(node["registered_height"]),
            " ".join(node["endpoints"]),
        ]
        for node in nodes
    ]
    return table(rows, ["account", "type", "status", "height", "endpoints"])


def render_status(where: str, data: dict[str, Any]) -> str:
    """Return a node's status for a person."""
    node, ledger = data["node"], data["ledger"]
    shown = {
        "node": f"{node['name']} ({node['type']}), {'ready' if data['ready'] else 'NOT READY'}",
        "address": where,
        "key": node["did"],
        "account": f"{node['account']} ({'registered' if node['registered'] else 'not registered'})",
        "ledger": f"{ledger['id']} ({ledger['mode']})",
    }
    if ledger["height"] is not None:
        behind = {None: "nobody says how far the ledger is", 0: "up to date"}.get(
            ledger["lag"], f"{ledger['lag']} behind"
        )
        shown["height"] = f"{ledger['height']} ({behind})"
        shown["root"] = ledger["root"]
    else:
        shown["height"] = "the ledger is not here yet"
    shown["guard"] = describe_guard(data["guard"])
    if ledger["stopped"] is not None:
        shown["STOPPED"] = f"{ledger['stopped']['title']} ({ledger['stopped']['code']})"
    for name, target in data["targets"].items():
        shown[name] = f"{target['count']} entries wait, {target['bytes']} bytes, base fee {target['base_fee_wei']} wei"
    return fields(shown | {"version": data["version"]})


def describe_guard(guard: dict[str, Any]) -> str:
    """Return the state of a node's registry guard for a person."""
    shown = str(guard["state"])
    if guard["expires_ms"] is not None:
        until = datetime.fromtimestamp(guard["expires_ms"] / 1000, tz=UTC)
        shown += f", activated until {until:%Y-%m-%d %H:%M} UTC"
    if guard["reason"] is not None:
        shown += f", for the reason {guard['reason']}"
    return shown if guard["failure"] is None else f"{shown} ({guard['failure']})"


def _report(hardware_report: Path | None, challenge: Path | None) -> dict[str, bytes] | None:
    if hardware_report is None and challenge is None:
        return None
    if hardware_report is None or challenge is None:
        raise UsageError(
            "a report and the challenge that it answers belong together",
            code="usage.call",
            hint="Give both --hardware-report and --challenge.",
        )
    from bpci_node.errors import FormatError
    from bpci_node.network.wire import bytes_of
    from bpci_node.primitives.hashing import sha256
    from bpci_node.primitives.json_text import read_json

    try:
        signed = hardware_report.read_bytes()
        answer = read_json(read_file(challenge, MAX_FILE_BYTES), max_bytes=MAX_FILE_BYTES)
        return {
            "report_digest": sha256(signed),
            "challenge": bytes_of(answer["challenge"], what="challenge"),
            "challenge_sig": bytes_of(answer["signature"], what="signature"),
        }
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}", code="usage.file") from error
    except (KeyError, TypeError, FormatError) as error:
        raise FormatError(
            f"{challenge} is not a registry's answer with a challenge", code="format.challenge"
        ) from error
