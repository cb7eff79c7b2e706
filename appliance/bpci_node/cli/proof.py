"""``bpci proof``: check proofs of a ledger from files, with no access to any node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.files import read_file
from bpci_node.cli.output import emit, fields, json_option
from bpci_node.cli.trust import load_network, network_option

if TYPE_CHECKING:
    from bpci_node.chain.block import Block
    from bpci_node.chain.ledger_proof import CommandProof, StateEntryProof


@click.group("proof")
def command() -> None:
    """Check what a ledger holds: an entry of its state, a command in a block."""


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@network_option
@json_option
def verify(*, file: Path, network: Path | None, as_json: bool) -> None:
    """Check FILE against a network that you trust; "-" reads standard input. No node is asked.

    The explorer of every node gives such files out: for an entry of the ledger's state, for its absence, and for a
    command in a block. Exit status: 0 it holds, 1 it is refused, 2 the call was wrong, 3 nobody said whom to trust.

    \b
    Examples:
      bpci proof verify command-12-0.proof --network network.json
      bpci proof verify state-account-bpa1u74fhz7s2k5qx5htad56bigilp3fjisp.proof --network network.json --json
    """
    from bpci_node.chain.ledger_proof import MAX_FILE_BYTES, StateEntryProof, decode_ledger_proof
    from bpci_node.errors import UnreachableError

    data = read_file(file, MAX_FILE_BYTES)
    known = load_network(network)
    if known is None:
        raise UnreachableError(
            "nobody said whom to trust", code="proof.no_trust", hint="Give --network FILE, from somebody you trust."
        )
    ledger_id, registry_key = known
    proof = decode_ledger_proof(data)
    if isinstance(proof, StateEntryProof):
        block = proof.verify(registry_key=registry_key).block
        found = _entry_view(proof)
    else:
        signed, _ = proof.verify(registry_key=registry_key, ledger_id=ledger_id)
        block, found = signed.block, _command_view(proof)
    emit({"v": 1, "verified": True, "ledger_id": ledger_id} | found | _block_view(block), as_json, _render)


def _entry_view(proof: StateEntryProof) -> dict[str, Any]:
    from bpci_node.errors import BpciError
    from bpci_node.network.wire import json_view
    from bpci_node.primitives.codec import decode

    decoded = None
    try:
        decoded = None if not proof.value else json_view(decode(proof.value))
    except BpciError:
        decoded = None
    key = proof.key.decode("ascii") if proof.key.isascii() and proof.key.decode("ascii").isprintable() else None
    return {
        "what": "state",
        "key": "0x" + proof.key.hex(),
        "key_text": key,
        "present": proof.value is not None,
        "value": None if proof.value is None else "0x" + proof.value.hex(),
        "decoded": decoded,
    }


def _command_view(proof: CommandProof) -> dict[str, Any]:
    from bpci_node.chain.command import decode_signed_command
    from bpci_node.network.wire import json_view

    signed = decode_signed_command(proof.command)
    return {
        "what": "command",
        "command_id": "0x" + signed.digest.hex(),
        "position": proof.position,
        "count": proof.count,
        "command": json_view(signed.command.as_map()),
        "keys": [item.key_id for item in signed.signatures],
    }


def _block_view(block: Block) -> dict[str, Any]:
    shown = {"height": block.height, "time_ms": block.time_ms, "digest": "0x" + block.digest.hex()}
    return {"block": shown | {"state_root": "0x" + block.state_root.hex()}}


def _render(view: dict[str, Any]) -> str:
    block = view["block"]
    about = {"verdict": "holds, for the trusted network", "ledger": view["ledger_id"]}
    about["block"] = f"{block['height']}, {block['digest']}"
    if view["what"] == "command":
        inner = view["command"]
        about |= {
            "command": f"{inner['kind']}, position {view['position']} of {view['count']}",
            "sender": inner["sender"],
            "digest": view["command_id"],
        }
    else:
        about["key"] = view["key_text"] or view["key"]
        about["value"] = (view["value"] or "empty") if view["present"] else "nothing stands there"
    return fields(about)
