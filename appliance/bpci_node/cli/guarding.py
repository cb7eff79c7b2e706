"""``bpci registry guard|token|deactivate|reactivate``: may a node sign, and the guardians' emergency orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bpci_node.cli.local import dir_option, find_node, find_socket, node_option, socket_option
from bpci_node.cli.node import describe_guard
from bpci_node.cli.output import emit, fields, json_option
from bpci_node.cli.sending import (
    guardian_option,
    key_option,
    load_signer,
    open_ledger,
    place_options,
    render_sent,
    send,
)
from bpci_node.errors import UsageError

reason_option = click.option(
    "--reason",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="File that states why; the ledger keeps its SHA-256.",
)
MAX_REASON_BYTES = 1 << 20


@click.command("guard")
@dir_option
@node_option
@json_option
def guard(*, directory: Path | None, url: str | None, as_json: bool) -> int:
    """Show whether a node may seal and order. Exit status 1 if it may not.

    unconfigured: no registry is known; configured: it gave no token yet; proved: it did; expired: the token ran out;
    deactivated: the guardians stopped the ledger.

    \b
    Examples:
      bpci registry guard
      bpci registry guard --node http://192.0.2.5:8545 --json
    """
    from bpci_node.network.client import NodeClient

    with NodeClient(find_node(directory, url).url) as client:
        found = client.status()["guard"]
    emit(found, as_json, describe_guard)
    return 0 if found["state"] == "proved" else 1


@click.command("token")
@dir_option
@socket_option
@json_option
def token(*, directory: Path | None, socket: Path | None, as_json: bool) -> int:
    """Let the node of this machine ask its registry for a new activation token, and show what it has then.

    A node asks by itself in time; this is for when it could not. Exit status 1 if it may not seal then.

    \b
    Examples:
      sudo bpci registry token
      bpci registry token --json
    """
    from bpci_node.network.owner_client import OwnerClient

    with OwnerClient(find_socket(directory, socket)) as client:
        found = client.renew_token()
    emit(found, as_json, _render)
    return 0 if found["guard"]["state"] == "proved" else 1


@click.command("deactivate")
@reason_option
@key_option
@guardian_option
@place_options
def deactivate(*, reason: Path, key_file: Path, guardians: tuple[Path, ...], **place: Any) -> None:
    """As the guardians, stop the ledger in an emergency: it refuses every command, and nodes seal nothing.

    \b
    Examples:
      bpci registry deactivate --reason why.txt --key g1.key --guardian g2.key
    """
    _order("registry.deactivate", reason, key_file, guardians, place)


@click.command("reactivate")
@reason_option
@key_option
@guardian_option
@place_options
def reactivate(*, reason: Path, key_file: Path, guardians: tuple[Path, ...], **place: Any) -> None:
    """As the guardians, let a deactivated ledger go on.

    \b
    Examples:
      bpci registry reactivate --reason mended.txt --key g1.key --guardian g2.key
    """
    _order("registry.reactivate", reason, key_file, guardians, place)


def _order(kind: str, reason: Path, key_file: Path, guardians: tuple[Path, ...], place: dict[str, Any]) -> None:
    from bpci_node.cli.files import read_file
    from bpci_node.primitives.hashing import sha256

    as_json, text = place.pop("as_json"), read_file(reason, MAX_REASON_BYTES)
    if len(text) > MAX_REASON_BYTES:
        raise UsageError(f"{reason} is longer than {MAX_REASON_BYTES} bytes", code="usage.file")
    with open_ledger(**place) as ledger:
        emit(send(ledger, load_signer(key_file), kind, {"reason": sha256(text)}, guardians), as_json, render_sent)


def _render(data: dict[str, Any]) -> str:
    return fields({"guard": describe_guard(data["guard"]), "token": data["token"] or "none"})
