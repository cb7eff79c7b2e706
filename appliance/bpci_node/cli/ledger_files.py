"""The parts of ``bpci network`` that make and take files of the ledger: genesis, archive, snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bpci_node.cli.files import writing
from bpci_node.cli.local import dir_option, find_node, find_socket, node_option, socket_option
from bpci_node.cli.node_config import config_option
from bpci_node.cli.output import Progress, emit, fields, json_option, say
from bpci_node.errors import ProofError, UsageError

if TYPE_CHECKING:
    from bpci_node.chain.parameters import Allocation
    from bpci_node.consensus.archive import Item
    from bpci_node.network.file import NetworkFile
    from bpci_node.network.ledger_client import LedgerClient
    from bpci_node.runtime.config import NodeConfig


@click.command("genesis")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File that is written.")
@click.option("--name", required=True, help="Name of the network: a-z, 0-9 and -.")
@click.option("--registry-key", metavar="DID", required=True, help="Key that signs blocks (did:key:z6Mk...).")
@click.option("--network", type=click.Choice(["mainnet", "testnet", "devnet"]), default="devnet", show_default=True)
@click.option("--guardian", "guardians", metavar="DID", multiple=True, help="Instead of the registry key alone.")
@click.option("--threshold", type=int, help="Guardians that make a quorum; more than half of them by default.")
@click.option(
    "--allocate", "allocations", metavar="ACCOUNT:ASSET:AMOUNT", multiple=True, help="Instead of the defaults."
)
@click.option("--set", "values", metavar="NAME=VALUE", multiple=True, help="A governed parameter.")
@click.option("--time-ms", type=int, help="Birth of the ledger, Unix milliseconds; now by default.")
@json_option
def genesis(
    *,
    out: Path,
    name: str,
    registry_key: str,
    network: str,
    guardians: tuple[str, ...],
    threshold: int | None,
    allocations: tuple[str, ...],
    values: tuple[str, ...],
    time_ms: int | None,
    as_json: bool,
) -> None:
    """Write the genesis with which a network begins; a node takes it as ledger.genesis_file.

    Amounts are in the smallest unit. The assets are BPI, FLX, GEN and NEX.

    \b
    Example:
      bpci network genesis --out genesis.cbor --name testnet --network testnet \\
        --registry-key did:key:z6Mk... --set fee_min=1000
    """
    from dataclasses import replace

    from bpci_node.chain.defaults import default_parameters
    from bpci_node.chain.genesis import Genesis
    from bpci_node.primitives.keys import public_key_of

    key = public_key_of(registry_key)
    keys = tuple(sorted(public_key_of(item) for item in guardians)) or (key,)
    parameters = default_parameters(key)
    made = Genesis(
        name,
        key,
        time.time_ns() // 1_000_000 if time_ms is None else time_ms,
        replace(
            parameters,
            network=network,
            guardians=keys,
            threshold=len(keys) // 2 + 1 if threshold is None else threshold,
            allocations=tuple(map(_allocation, allocations)) or parameters.allocations,
            values=dict(map(_value, values)),
        ),
    )
    with writing(out), out.open("xb") as file:
        file.write(made.encode())
    emit({"file": str(out), "ledger_id": made.ledger_id, "genesis_hash": "0x" + made.hash.hex()}, as_json, fields)


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@dir_option
@node_option
@click.option(
    "--snapshot", "from_snapshot", is_flag=True, help="The latest snapshot and what follows, not every block."
)
@json_option
def export_ledger(*, file: Path, directory: Path | None, url: str | None, from_snapshot: bool, as_json: bool) -> None:
    """Write a node's ledger to a file: its genesis and every block, or its latest snapshot and the blocks after it.

    The file is not verified here; 'bpci network import' does that.

    \b
    Examples:
      bpci network export ledger.bpci
      bpci network export ledger.bpci --snapshot --node http://192.0.2.5:8545
    """
    from bpci_node.consensus.archive import write_archive
    from bpci_node.network.client import NodeClient

    partial = file.with_name(file.name + ".partial")
    progress = Progress()
    try:
        with NodeClient(find_node(directory, url).url, timeout_seconds=60.0) as client, partial.open("wb") as stream:
            count = write_archive(stream, _watched(_items(client.ledger, from_snapshot=from_snapshot), progress))
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", code="usage.file") from error
    finally:
        progress.finish()
        partial.unlink(missing_ok=True)
    found = {"file": str(file), "records": count, "bytes": file.stat().st_size}
    emit(found, as_json, lambda data: f"wrote {data['records']} records, {data['bytes']} bytes, to {data['file']}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@json_option
def import_ledger(*, file: Path, config: Path, as_json: bool) -> None:
    """Take a ledger from a file into the state of a node of this network, which must not run. All of it is verified.

    Exit status 1 if the file does not hold; what held until there stays.

    \b
    Example:
      sudo -u bpci bpci network import ledger.bpci --config /etc/bpci/node.toml
    """
    from bpci_node.runtime.archive import import_archive

    loaded, network = _joined(config)
    progress = Progress()
    try:
        height, root = import_archive(
            file, loaded.state_dir, network, progress=lambda number: progress.update(f"{number} records")
        )
    finally:
        progress.finish()
    found = {"ledger_id": network.ledger_id, "height": height, "state_root": "0x" + root.hex()}
    emit(found, as_json, lambda data: f"the ledger holds up to block {data['height']}, root {data['state_root']}")


@click.command("snapshot")
@dir_option
@socket_option
@json_option
def snapshot(*, directory: Path | None, socket: Path | None, as_json: bool) -> None:
    """Let the node of this machine write a snapshot of its ledger now.

    \b
    Example:
      sudo bpci network snapshot
    """
    from bpci_node.network.client import NodeClient

    with NodeClient(find_socket(directory, socket), timeout_seconds=600.0) as client:
        emit(client.ledger.make_snapshot(), as_json, fields)


@click.command("resume")
@config_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def resume(*, config: Path, yes: bool) -> int:
    """Let a node follow its ledger again after a difference stopped it. The node must not run.

    Exit status 1 if nothing had stopped it.

    \b
    Example:
      sudo -u bpci bpci network resume
    """
    from bpci_node.runtime.archive import resume as resume_following

    loaded, _ = _joined(config)
    if not yes:
        click.confirm("Was it found out why the ledger did not hold?", abort=True, err=True)
    had_stopped = resume_following(loaded.state_dir)
    say("the node goes on at its next start" if had_stopped else "nothing had stopped this node")
    return 0 if had_stopped else 1


def _joined(config: Path) -> tuple[NodeConfig, NetworkFile]:
    from bpci_node.network import file
    from bpci_node.runtime.config import load

    loaded = load(config)
    if loaded.ledger.network_file is None:
        raise UsageError(
            "this node keeps its ledger itself", code="usage.ledger", hint="Only a node in mode 'network' follows one."
        )
    return loaded, file.load(loaded.ledger.network_file)


def _items(client: LedgerClient, *, from_snapshot: bool) -> Iterator[Item]:
    from bpci_node.chain.genesis import decode_genesis
    from bpci_node.consensus.archive import ArchiveBlock, ArchiveChunk
    from bpci_node.consensus.snapshot import decode_manifest
    from bpci_node.runtime.lookups import MAX_BLOCKS

    yield decode_genesis(client.genesis())
    height = 0
    if from_snapshot:
        heights = [int(item["height"]) for item in client.snapshots()]
        if not heights:
            raise ProofError(
                "the node has no snapshot", code="proof.snapshot", hint="'bpci network snapshot' makes one."
            )
        height = max(heights)
        manifest = decode_manifest(client.manifest(height))
        yield manifest
        for number, chunk in enumerate(manifest.chunks):
            yield ArchiveChunk(client.chunk(height, number, chunk.size_bytes))
    while True:
        page = client.blocks(height + 1, MAX_BLOCKS)
        if page.first > height + 1:
            raise ProofError(
                f"the node keeps blocks from {page.first} on only",
                code="proof.snapshot",
                hint="Export with --snapshot.",
            )
        if not page.blocks:
            return
        for block, commands in page.blocks:
            yield ArchiveBlock(block, commands)
        height += len(page.blocks)


def _watched(items: Iterator[Item], progress: Progress) -> Iterator[Item]:
    for number, item in enumerate(items):
        progress.update(f"{number} records")
        yield item


def _allocation(text: str) -> Allocation:
    from bpci_node.chain.parameters import Allocation

    parts = text.split(":")
    if len(parts) != 3 or not parts[2].isdecimal():
        raise UsageError(f"--allocate {text}: write it like bpa1...:BPI:1000", code="usage.call")
    return Allocation(parts[0], parts[1], int(parts[2]), None)


def _value(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not value.isdecimal():
        raise UsageError(f"--set {text}: write it like fee_min=1000", code="usage.call")
    return name, int(value)
