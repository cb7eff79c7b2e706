"""``bpci network``: network files, and the ledger of a network as a file: genesis, archives, snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.ledger_files import export_ledger, genesis, import_ledger, resume, snapshot
from bpci_node.cli.output import emit, fields, json_option, table
from bpci_node.errors import BpciError, UnreachableError

if TYPE_CHECKING:
    from bpci_node.network.file import NetworkFile


@click.group("network")
def command() -> None:
    """Show and verify network files; make a genesis; carry a ledger in a file."""


for part in (genesis, export_ledger, import_ledger, snapshot, resume):
    command.add_command(part)


@command.command("show")
@click.argument("source", metavar="FILE_OR_URL")
@json_option
def show(*, source: str, as_json: bool) -> None:
    """Show a network file, from the disk or as a node gives it out.

    \b
    Examples:
      bpci network show /etc/bpci/network.json
      bpci network show http://192.0.2.5:8545 --json > network.json
    """
    emit(_load(source).as_json(), as_json, _render)


@command.command("verify")
@click.argument("source", metavar="FILE_OR_URL")
@json_option
def verify(*, source: str, as_json: bool) -> int:
    """Ask every URL of a network file whether it belongs to that network.

    Exit status: 0 every one that answers does, 1 one belongs to another network, 3 none answers.

    \b
    Examples:
      bpci network verify network.json
      bpci network verify http://192.0.2.5:8545
    """
    network = _load(source)
    urls = list(network.urls)
    if source.startswith("http") and source.rstrip("/") not in urls:
        urls.insert(0, source.rstrip("/"))
    nodes = [_ask(url, network) for url in urls]
    verdicts = [item["verdict"] for item in nodes]
    emit({"network": network.as_json(), "nodes": nodes}, as_json, _render_verdicts)
    if "other" in verdicts:
        return 1
    return 0 if "belongs" in verdicts else 3


def _load(source: str) -> NetworkFile:
    from bpci_node.network import file

    if not source.startswith(("http://", "https://")):
        return file.load(Path(source))
    from bpci_node.network.client import NodeClient

    with NodeClient(source) as client:
        return client.network()


def _ask(url: str, network: NetworkFile) -> dict[str, Any]:
    """Ask a node for its ledger and, as a proof that it speaks for the registry, for a signed challenge."""
    from bpci_node.network.client import NodeClient

    try:
        with NodeClient(url, network=network) as client:
            status = client.status()
            client.network()
            if status["ledger"]["mode"] == "embedded":
                client.challenge(network.registry_key)
    except UnreachableError as error:
        return {"url": url, "verdict": "unreachable", "reason": error.message}
    except BpciError as error:
        return {"url": url, "verdict": "other", "reason": error.message}
    return {"url": url, "verdict": "belongs", "reason": ""}


def _render(data: dict[str, Any]) -> str:
    return fields(
        {
            "ledger": data["ledger_id"],
            "genesis": data["genesis_hash"],
            "registry key": data["registry_key"],
            "urls": " ".join(data["urls"]) or "none",
        }
    )


def _render_verdicts(data: dict[str, Any]) -> str:
    if not data["nodes"]:
        return _render(data["network"]) + "\nthe file names no URL to ask"
    rows = [[item["verdict"], item["url"], item["reason"]] for item in data["nodes"]]
    return _render(data["network"]) + "\n\n" + table(rows, ["verdict", "node", "reason"])
