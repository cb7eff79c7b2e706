"""``bpci registry``: look nodes up, and register the one of this machine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.admitting import admit, invite, resume, suspend
from bpci_node.cli.guarding import deactivate, guard, reactivate, token
from bpci_node.cli.local import dir_option, find_node, find_socket, node_option, socket_option
from bpci_node.cli.node import render_nodes
from bpci_node.cli.output import emit, fields, json_option

network_option = click.option(
    "--network",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Check the answer against this network file.",
)


@click.group("registry")
def command() -> None:
    """Look nodes up, register one, invite, suspend; see whether this one may sign, stop the ledger."""


for extra in (admit, invite, suspend, resume, guard, token, deactivate, reactivate):
    command.add_command(extra)


@command.command("list")
@dir_option
@node_option
@click.option("--type", "node_type", metavar="TYPE", help="Only nodes of this type.")
@click.option("--status", type=click.Choice(["active", "suspended", "retired"]), help="Only nodes of this status.")
@click.option("--capability", help="Only nodes that name this capability.")
@click.option("--region", help="Only nodes of this region.")
@click.option("--flag", metavar="FLAG", help="Only nodes with this flag, such as app_hosting.")
@click.option("--validator", is_flag=True, help="Only active validators.")
@json_option
def list_nodes(*, directory: Path | None, url: str | None, as_json: bool, validator: bool, **conditions: Any) -> None:
    """List registered nodes; each condition that is given must hold.

    \b
    Examples:
      bpci registry list
      bpci registry list --type hybrid --json
      bpci registry list --capability storage --region eu-central --status active
    """
    from bpci_node.network.registry_client import RegistryClient

    conditions["type"] = conditions.pop("node_type")
    given = {name: value for name, value in conditions.items() if value is not None}
    given |= {"validator": "true"} if validator else {}
    with closing(RegistryClient(find_node(directory, url).url)) as registry:
        found = [item["node"] | {"liveness": item["liveness"]} for item in registry.search(given)]
    emit(found, as_json, render_nodes)


@command.command("show")
@click.argument("name", metavar="ACCOUNT_OR_DID")
@dir_option
@node_option
@network_option
@json_option
def show(*, name: str, directory: Path | None, url: str | None, network: Path | None, as_json: bool) -> None:
    """Show one registered node and its certificate. Exit status 1 if there is none, or the certificate is refused.

    \b
    Examples:
      bpci registry show bpa1u74fhz7s2k5qx5htad56bigilp3fjisp
      bpci registry show did:key:z6Mk... --network network.json --json
    """
    from bpci_node.network import file
    from bpci_node.network.client import NodeClient

    trusted = None if network is None else file.load(network)
    with NodeClient(find_node(directory, url).url, network=trusted) as client:
        found = client.node(name)
    emit({**found, "checked": trusted is not None}, as_json, _render)


@command.command("register-node")
@dir_option
@socket_option
@click.option(
    "--type", "node_type", type=click.Choice(["bpi-community", "bpci-enterprise", "hybrid"]), help="Its type."
)
@click.option("--app-hosting", is_flag=True, help="It hosts applications.")
@click.option("--validator", is_flag=True, help="It validates.")
@click.option("--bank-sponsored", is_flag=True, help="A bank sponsors it.")
@click.option("--community-operated", is_flag=True, help="A community operates it.")
@json_option
def register_node(
    *,
    directory: Path | None,
    socket: Path | None,
    node_type: str | None,
    app_hosting: bool,
    validator: bool,
    bank_sponsored: bool,
    community_operated: bool,
    as_json: bool,
) -> None:
    """Register the node of this machine, as its configuration describes it unless an option says otherwise.

    \b
    Examples:
      sudo bpci registry register-node
      sudo bpci registry register-node --type hybrid --validator
    """
    from bpci_node.network.client import NodeClient

    given = {
        "app_hosting": app_hosting,
        "validator": validator,
        "bank_sponsored": bank_sponsored,
        "community_operated": community_operated,
    }
    changes: dict[str, Any] = {}
    if node_type is not None:
        changes["node_type"] = node_type
    if any(given.values()):
        changes["flags"] = [name for name, is_set in given.items() if is_set]
    with NodeClient(find_socket(directory, socket)) as client:
        found = client.register(changes)
    emit(found, as_json, lambda data: f"registered as {data['account']}")


def _render(data: dict[str, Any]) -> str:
    node = data["node"]
    flags = [name.replace("_", " ") for name, is_set in node["flags"].items() if is_set]
    certified = "none" if data["certificate"] is None else "not checked: no network file was given"
    return fields(
        {
            "account": node["account"],
            "key": node["did"],
            "type": node["node_type"],
            "status": f"{node['status']}, instance {node['instance']}",
            "flags": ", ".join(flags) or "none",
            "capabilities": ", ".join(node["capabilities"]) or "none",
            "endpoints": " ".join(node["endpoints"]) or "none",
            "report": node["report_digest"],
            "registered": f"at height {node['registered_height']}, changed at {node['updated_height']}",
            "certificate": "holds" if data["checked"] and data["certificate"] else certified,
        }
    )
