"""``bpci registry admit``, ``invite``, ``suspend`` and ``resume``: how a community node gets in, and out for a time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.output import emit, say
from bpci_node.cli.sending import (
    guardian_option,
    key_option,
    load_signer,
    open_ledger,
    place_options,
    render_sent,
    send,
)
from bpci_node.cli.wallet_keys import KeySource

DAY_MS = 86_400_000
MAX_FILE_BYTES = 65_536
"""Longest file with an invitation."""
FLAGS = ("app_hosting", "validator", "community_operated")


@click.command("admit")
@key_option
@click.option(
    "--invitation", type=click.Path(path_type=Path, dir_okay=False), help="Instead of work. File of 'invite'."
)
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="Where it is reached; several times.")
@click.option("--capability", "capabilities", multiple=True, help="What it can do; several times.")
@click.option("--flag", "flags", multiple=True, type=click.Choice(FLAGS), help="What it is; several times.")
@click.option("--region", help="Where it stands.")
@click.option("--instance", type=click.IntRange(0), default=0, show_default=True, help="Instance of the identity.")
@place_options
def admit(
    *,
    key_file: KeySource,
    invitation: Path | None,
    endpoints: tuple[str, ...],
    capabilities: tuple[str, ...],
    flags: tuple[str, ...],
    region: str | None,
    instance: int,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Register a community node free of charge: by a proof of work, or with an invitation.

    \b
    Examples:
      bpci registry admit --key node.key --endpoint http://192.0.2.5:8545 --flag validator
      bpci registry admit --key node.key --invitation invitation.json
    """
    from bpci_node.chain.admission import Admission, Work, find_work, work_statement
    from bpci_node.chain.registration import FLAGS as ALL_FLAGS
    from bpci_node.cli.local import find_node
    from bpci_node.network.registry_client import RegistryClient

    signer, work = load_signer(key_file), None
    invited = (None, None) if invitation is None else _read_invitation(invitation)
    with open_ledger(directory, url, network) as ledger:
        if invitation is None:
            with closing(RegistryClient(find_node(directory, url).url)) as registry:
                terms = registry.admission()
            say(f"searching for a proof of work of {terms.bits} bits")
            statement = work_statement(
                ledger_id=ledger.ledger_id,
                node_key=signer.public_key,
                instance=instance,
                height=terms.height,
                root=terms.root,
            )
            work = Work(terms.height, find_work(statement, terms.bits))
        body = Admission(
            node_key=signer.public_key,
            flags={name: name in flags for name in ALL_FLAGS},
            capabilities=capabilities,
            endpoints=endpoints,
            region=region,
            report_digest=bytes(32),
            instance=instance,
            work=work,
            invitation=invited[0],
            invitation_sig=invited[1],
        )
        emit(send(ledger, signer, "registry.admit_node", body.as_body()), as_json, render_sent)


@click.command("invite")
@click.option(
    "--registry-key",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The registry's key: 32 bytes in a file of mode 0600.",
)
@click.option("--node-key", metavar="DID", help="Only this key may use it.  [default: whoever holds it]")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long it is good.")
@place_options
def invite(
    *,
    registry_key: Path,
    node_key: str | None,
    days: int,
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Write an invitation, good once, which lets a community node in without work.

    \b
    Examples:
      bpci registry invite --registry-key registry.key --json > invitation.json
      bpci registry invite --registry-key registry.key --node-key did:key:z6Mk... --days 1 --json
    """
    import os
    import time

    from bpci_node.chain.admission import Invitation
    from bpci_node.chain.admission import invite as sign_invitation
    from bpci_node.network.wire import json_view
    from bpci_node.primitives.keys import public_key_of

    signer, key = load_signer(registry_key), None if node_key is None else public_key_of(node_key)
    expires_ms = time.time_ns() // 1_000_000 + days * DAY_MS
    with open_ledger(directory, url, network) as ledger:
        data, signature = sign_invitation(signer, Invitation(ledger.ledger_id, os.urandom(16), key, expires_ms))
    found = json_view({"v": 1, "invitation": data, "signature": signature, "expires_ms": expires_ms})
    emit(found, as_json, lambda value: f"invitation {value['invitation']}\nsignature  {value['signature']}")


@click.command("suspend")
@click.argument("account")
@click.option("--cause", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File that states why.")
@click.option("--until-height", type=click.IntRange(1), required=True, help="The owner may resume it after this.")
@key_option
@guardian_option
@place_options
def suspend(
    *,
    account: str,
    cause: Path,
    until_height: int,
    key_file: KeySource,
    guardians: tuple[Path, ...],
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """Suspend a node, as the registry or with a quorum of guardians. The ledger keeps the digest of the cause.

    \b
    Examples:
      bpci registry suspend bpa1... --cause why.txt --until-height 5000 --key registry.key
    """
    from bpci_node.primitives.hashing import sha256

    body = {"node": account, "cause": sha256(cause.read_bytes()), "until_height": until_height}
    with open_ledger(directory, url, network) as ledger:
        found = send(ledger, load_signer(key_file), "registry.suspend_node", body, guardians)
    emit(found, as_json, render_sent)


@click.command("resume")
@click.argument("account")
@key_option
@guardian_option
@place_options
def resume(
    *,
    account: str,
    key_file: KeySource,
    guardians: tuple[Path, ...],
    directory: Path | None,
    url: str | None,
    network: Path | None,
    as_json: bool,
) -> None:
    """End the suspension of a node.

    \b
    Examples:
      bpci registry resume bpa1... --key registry.key
    """
    with open_ledger(directory, url, network) as ledger:
        found = send(ledger, load_signer(key_file), "registry.resume_node", {"node": account}, guardians)
    emit(found, as_json, render_sent)


def _read_invitation(path: Path) -> tuple[bytes, bytes]:
    """Return an invitation and its signature from the file that ``invite --json`` wrote."""
    from bpci_node.cli.files import read_file
    from bpci_node.errors import FormatError
    from bpci_node.network.wire import bytes_of
    from bpci_node.primitives.json_text import read_json

    try:
        value: Any = read_json(read_file(path, MAX_FILE_BYTES), max_bytes=MAX_FILE_BYTES)
        return bytes_of(value["invitation"], what="invitation"), bytes_of(value["signature"], what="signature")
    except (KeyError, TypeError, FormatError) as error:
        raise FormatError(f"{path} is no invitation", code="format.invitation") from error
