"""Proving a restored backup with the code that the node itself starts with: files, database, ledger, bundles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bpci_node.auction.verify import verify_bundle
from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import commands_root, decode_signed_block, verify_block
from bpci_node.chain.genesis import decode_genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import load_node
from bpci_node.consensus.opening import open_machine
from bpci_node.errors import BpciError, NotFoundError, ProofError
from bpci_node.primitives.keys import did_of
from bpci_node.runtime.backup.contents import (
    DATABASE,
    MANIFEST,
    Manifest,
    describe,
    digest_of,
    may_travel,
    read_manifest,
)
from bpci_node.store import repair
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.journal import find_bundle, last_bundle
from bpci_node.store.store import Store

PROVED_BUNDLES = 20
"""Newest bundles of each target that are verified."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proved of a backup."""

    manifest: Manifest
    height: int
    """Of the last block, whose state root the stored state leads to."""
    state_root: str
    """Hexadecimal; empty before the first block."""
    blocks: int
    """Blocks whose signature and parent were checked."""
    bundles: int
    """Bundles that were verified."""
    rows: int
    """Rows of the database that were read."""
    instance: int
    """Greatest number of an instance of this node that the manifest or the ledger in the backup knows."""


def verify_backup(directory: Path, *, say: Callable[[str], None]) -> Proof:
    """Check everything that a restored snapshot holds; its files are not changed, but for the database's own log.

    Args:
        directory: what was restored, in use by nobody else.
        say: told what is being looked at.
    Raises:
        FormatError: no manifest of the known form (``backup.manifest``).
        ProofError: files or contents are not what the manifest says (``backup.content``), the database is damaged
            (``backup.database``), or a bundle does not hold.
        StorageError: the ledger does not lead where its last block says (``storage.state_root``, ``storage.block``).
    """
    manifest = read_manifest(directory)
    say("comparing files with the manifest")
    _compare_files(directory, manifest)
    node_key, mark = describe(directory / DATABASE, is_own=manifest.ledger.is_own)
    if (node_key, mark) != (manifest.node_key, manifest.ledger):
        raise ProofError("the database is not the one that the manifest describes", code="backup.content")
    say("reading every page and row of the database")
    names = _targets(directory)
    try:
        report = repair.check(directory, names)
    except NotFoundError as error:
        raise ProofError("the snapshot holds no database", code="backup.content") from error
    if not report.is_sound:
        damaged = ", ".join(sorted(report.findings.broken | set(report.findings.bad_rows))) or "its order"
        raise ProofError(
            f"the database in the backup is damaged: {damaged}",
            code="backup.database",
            hint="Run 'bpci node repair --check' on this machine: its database may be damaged, too.",
        )
    say("computing the ledger's state root, and following its blocks back")
    store = Store(directory)
    try:
        blocks, machine = _verify_ledger(store)
        bundles = _verify_bundles(store, names, bytes.fromhex(node_key), say)
    finally:
        store.close()
        (directory / "lock").unlink(missing_ok=True)
    if machine is not None and machine.height != mark.height:
        raise ProofError("the ledger ends elsewhere than the manifest says", code="backup.content")
    record = None
    if machine is not None and node_key:
        record = load_node(machine.state, account_id_of(bytes.fromhex(node_key)))
    return Proof(
        manifest,
        mark.height,
        mark.state_root,
        blocks,
        bundles,
        sum(report.findings.kept.values()),
        max(manifest.instance, 0 if record is None else record.instance),
    )


def _compare_files(directory: Path, manifest: Manifest) -> None:
    there = set()
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ProofError(f"{name} in the backup is neither a file nor a directory", code="backup.content")
        if path.is_file() and name != MANIFEST:
            there.add(name)
    odd = sorted(there ^ set(manifest.files))
    allowed = all(name == DATABASE or may_travel(name) for name in manifest.files)
    if odd or not allowed:
        raise ProofError(
            f"the backup's files are not those of its manifest: {', '.join(odd[:5]) or 'a name outside'}",
            code="backup.content",
        )
    for name, digest in manifest.files.items():
        if digest_of(directory / name) != digest:
            raise ProofError(f"{name} in the backup is not what was saved", code="backup.content")


def _targets(directory: Path) -> tuple[str, ...]:
    store = Store(directory)
    try:
        return tuple(row[0] for row in store.query("SELECT name FROM targets ORDER BY name"))
    finally:
        store.close()


def _verify_ledger(store: Store) -> tuple[int, Machine | None]:
    """Check the state against the last block, and every block against the one after it."""
    genesis_data, blocks = store.meta("genesis"), SqliteBlockStore(store)
    if not genesis_data:
        if blocks.last_block() is not None:
            raise ProofError("the backup holds blocks, and no genesis that they began with", code="backup.ledger")
        return 0, None
    if blocks.restoring() is not None:
        return 0, None
    genesis = decode_genesis(genesis_data)
    machine, last = open_machine(genesis, blocks)
    if last is None:
        return 0, machine
    return _follow_back(blocks, last.block.height, last.block.digest, genesis.hash), machine


def _follow_back(blocks: SqliteBlockStore, height: int, digest: bytes, genesis_hash: bytes) -> int:
    first = blocks.first_height()
    for number in range(height, first - 1, -1):
        data = blocks.block(number)
        if data is None:
            raise ProofError(f"block {number} is missing in the backup", code="backup.ledger")
        signed = decode_signed_block(data)
        verify_block(signed)
        # The block from which a restored or shortened ledger goes on may have come without its commands.
        has_commands = number > first or number == 1
        if signed.block.digest != digest or (
            has_commands and commands_root(blocks.commands(number)) != signed.block.commands_root
        ):
            raise ProofError(f"block {number} in the backup is not the one that follows", code="backup.ledger")
        digest = signed.block.parent
    if first == 1 and digest != genesis_hash:
        raise ProofError("the ledger in the backup began with another genesis", code="backup.ledger")
    return height - first + 1


def _verify_bundles(store: Store, names: tuple[str, ...], node_key: bytes, say: Callable[[str], None]) -> int:
    count = 0
    for name in names:
        last = last_bundle(store, name)
        if last is None:
            continue
        say(f"verifying the newest bundles of {name}")
        for sequence in range(max(1, last[0] - PROVED_BUNDLES + 1), last[0] + 1):
            try:
                data = find_bundle(store, name, sequence)
            except NotFoundError:
                continue  # the node itself says that it keeps it no more, or lost it in an earlier repair
            if data is None:
                raise ProofError(f"bundle {sequence} of {name} is missing in the backup", code="backup.bundle")
            try:
                verify_bundle(data, signer=did_of(node_key))
            except BpciError as error:
                raise ProofError(
                    f"bundle {sequence} of {name} in the backup does not hold: {error.message}", code="backup.bundle"
                ) from error
            count += 1
    return count
