"""``bpci node capabilities`` and ``bpci node heartbeat``: what a node can do, and that it lives."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.local import dir_option, find_node, node_option
from bpci_node.cli.output import emit, fields, json_option
from bpci_node.cli.sending import key_option, load_signer, open_ledger, place_options, render_sent, send
from bpci_node.cli.wallet_keys import KeySource


@click.command("capabilities")
@click.argument("name", metavar="ACCOUNT_OR_DID", required=False)
@dir_option
@node_option
@json_option
def capabilities(*, name: str | None, directory: Path | None, url: str | None, as_json: bool) -> None:
    """Show what a registered node says that it can do, and whether it is heard; the asked node itself without a name.

    \b
    Examples:
      bpci node capabilities
      bpci node capabilities bpa1u74fhz7s2k5qx5htad56bigilp3fjisp --json
    """
    from bpci_node.network.client import NodeClient
    from bpci_node.network.registry_client import RegistryClient

    place = find_node(directory, url).url
    with NodeClient(place) as client, closing(RegistryClient(place)) as registry:
        name = name or str(client.status()["node"]["did"])
        node, heard = client.node(name)["node"], registry.liveness(name)
    chosen = {key: node[key] for key in ("account", "node_type", "status", "flags", "capabilities", "endpoints")}
    found = chosen | {"region": node.get("region"), "liveness": heard["liveness"], "heartbeat": heard["heartbeat"]}
    emit(found, as_json, _render)


@click.command("heartbeat")
@key_option
@place_options
def heartbeat(
    *, key_file: KeySource, directory: Path | None, url: str | None, network: Path | None, as_json: bool
) -> None:
    """Send a heartbeat of a node, with the digest of what the asked node says of itself.

    \b
    Examples:
      bpci node heartbeat --key node.key
    """
    from bpci_node.chain.registry import find_node as find_record
    from bpci_node.primitives.codec import encode
    from bpci_node.primitives.hashing import sha256
    from bpci_node.primitives.keys import did_of

    signer = load_signer(key_file)
    with open_ledger(directory, url, network) as ledger:
        record = find_record(ledger.state, did_of(signer.public_key))
        health = sha256(encode(ledger.client.status()))
        body = {"health": health, "instance": record.instance}
        emit(send(ledger, signer, "registry.heartbeat", body), as_json, render_sent)


def _render(data: dict[str, Any]) -> str:
    flags = [name.replace("_", " ") for name, is_set in data["flags"].items() if is_set]
    last = data["heartbeat"]
    return fields(
        {
            "account": data["account"],
            "type": data["node_type"],
            "status": f"{data['status']}, {data['liveness']}",
            "last heard": "never" if last is None else f"at height {last['height']}, {last['count']} times so far",
            "flags": ", ".join(flags) or "none",
            "capabilities": ", ".join(data["capabilities"]) or "none",
            "endpoints": " ".join(data["endpoints"]) or "none",
            "region": data["region"] or "not said",
        }
    )
