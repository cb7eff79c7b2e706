"""Putting a proved backup in the place of a node's state, so that what it signs contradicts nothing signed before.

A backup is always older than what its machine has signed. So of the database only the ledger goes on: blocks, state
and what the node knows of its network. The journal of entries begins anew, its numbers far behind every one that the
earlier instance may have given; bundles begin anew under a higher instance number, and the node seals none before the
ledger has that instance. Guards of what this machine signed about blocks and windows stay.

Invariants: the new state lies beside the old one, whole and synced, before anything moves; the two change places in one
step, so that there is no moment without guards; the old one is moved aside, never deleted; a restore that was killed is
begun again and ends the same. No node gets in meanwhile.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import RefusedError, StorageError
from bpci_node.runtime.backup.contents import CARRIED, CONFIGURATION, DATABASE, Manifest
from bpci_node.store.database import full_error, translated
from bpci_node.store.durable_file import replace_file, sync_path
from bpci_node.store.journal_row import SEQ_BITS, terms_check
from bpci_node.store.losses import gap_hash
from bpci_node.store.state_directory import exchange, held

MARGIN = 1 << 40
"""Arrival numbers that are left out: three years of 10,000 a second may have come after the backup."""

_OF_THE_INSTANCE = ("certificate", "activation_token", "probe")
"""Keys of ``meta`` that say something of the machine and instance that made the backup."""
_JOURNAL = ("waiting", "gone", "cancellations", "bundles", "sealed_nonces", "epochs", "losses", "lost_bundles")
_OF_SET_UP = tuple(f"{CONFIGURATION}/{name}" for name in ("settings.toml", "node.toml", "network.json", "backup.toml"))
_BOUND = ("arrivals-", "bundles-")
"""Beginnings of names of guards that belong to a journal, and stay with the old one."""
_UNFINISHED = "unfinished"
"""Stands in a new state until it is whole: what has it is of no use to anybody."""


def require_restorable(manifest: Manifest, state_dir: Path, *, takes_over: bool) -> None:
    """Check that going on from this backup can't make this machine sign a second block of one height.

    Args:
        state_dir: of the node, with the guards that this machine has.
        takes_over: whether the owner said that nobody holds later blocks of a ledger that this node itself makes.
    Raises:
        RefusedError: this machine remembers later blocks (``sign.rolled_back``), or the owner has not said so
            (``backup.ledger``).
    """
    if not manifest.ledger.is_own:
        return
    remembered = FileSignGuard(state_dir / "guard" / "blocks").last()
    if remembered is not None and remembered[0] > manifest.ledger.height:
        raise RefusedError(
            f"this machine has signed block {remembered[0]} of its ledger, and the backup ends at block"
            f" {manifest.ledger.height}: going on from it would sign other blocks of the same heights",
            code="sign.rolled_back",
            hint="Choose a later snapshot, or repair the database with 'bpci node repair'.",
            height=manifest.ledger.height,
        )
    if (remembered is None or remembered[0] < manifest.ledger.height) and not takes_over:
        raise RefusedError(
            f"the backup's ledger was made by its own machine up to block {manifest.ledger.height}; if anybody holds"
            " later blocks, going on from here would contradict them",
            code="backup.ledger",
            hint="If that machine is gone and nobody has later blocks, say so (take_over_ledger).",
            height=manifest.ledger.height,
        )


def require_stopped(state_dir: Path) -> None:
    """Check that no node uses a state directory: it would go on writing into what is moved aside.

    Raises:
        StorageError: one does (``storage.locked``).
    """
    if state_dir.is_dir():
        with held(state_dir):
            pass


def put_in_place(tree: Path, manifest: Manifest, state_dir: Path, *, now_ms: int) -> Path | None:
    """Put a proved backup in the place of a state directory; return where the old one is now, if there was one.

    Args:
        tree: what was restored and proved.
        state_dir: of the node, which does not run; it need not exist.
        now_ms: Unix milliseconds.
    Raises:
        StorageError: a node runs (``storage.locked``), or the disk is full or failed.
    """
    new = state_dir.with_name(state_dir.name + ".restored")
    old = state_dir.with_name(f"{state_dir.name}-before-{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%S.%fZ}")
    with ExitStack() as kept_out:
        has_old = state_dir.is_dir() and any(state_dir.iterdir())
        if has_old:
            kept_out.enter_context(held(state_dir))
        try:
            _clear(new, old)
            state_dir.parent.mkdir(parents=True, exist_ok=True)
            try:
                _build(tree, manifest, state_dir, new)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            _change_places(new, state_dir, old if has_old else None)
        except OSError as error:
            raise full_error(new) from error
    return old if has_old else None


def _clear(new: Path, old: Path) -> None:
    """Take away what a restore that was cut off has left: what it made, never what was there before it."""
    if new.is_dir() and not (new / _UNFINISHED).exists():
        new.rename(old.with_name(f"{old.name}-left"))
    shutil.rmtree(new, ignore_errors=True)


def _build(tree: Path, manifest: Manifest, state_dir: Path, new: Path) -> None:
    new.mkdir(mode=0o700)
    (new / _UNFINISHED).touch(mode=0o600)
    (new / "guard").mkdir(mode=0o700)
    shutil.copyfile(tree / DATABASE, new / DATABASE)
    (new / DATABASE).chmod(0o600)
    _begin_anew(new / DATABASE)
    _keep_guards(state_dir, new, manifest)
    _give(state_dir if state_dir.is_dir() else state_dir.parent, new, *new.rglob("*"))
    for path in (*new.rglob("*"), new):
        sync_path(path)
    (new / _UNFINISHED).unlink()
    sync_path(new)


def _change_places(new: Path, state_dir: Path, old: Path | None) -> None:
    if old is None:
        new.rename(state_dir)  # an empty directory gives way
    elif exchange(new, state_dir):
        sync_path(state_dir.parent)
        new.rename(old)
    else:
        state_dir.rename(old)
        new.rename(state_dir)
    sync_path(state_dir.parent)


def _begin_anew(database: Path) -> None:
    """Empty the journal of entries, and let its numbers go on where the earlier instance never was."""
    with translated(database):
        connection = sqlite3.connect(database, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            targets = connection.execute("SELECT number, name, arrival_seq, running_hash FROM targets").fetchall()
            for table in _JOURNAL:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            for number, name, arrival_seq, running_hash in targets:
                end = arrival_seq + MARGIN
                if end >= 1 << SEQ_BITS:
                    raise StorageError(f"no arrival numbers are left for {name}", code="backup.numbers")
                after = gap_hash(running_hash, name, arrival_seq + 1, end)
                connection.execute(
                    "UPDATE targets SET terms = x'', base_fee = 0, terms_check = ?, arrival_seq = ?, running_hash = ?,"
                    " waiting = 0, forgotten_seq = ?, forgotten_bundle = 0, guarded = 0 WHERE number = ?",
                    (terms_check(number, name, b"", 0), end, after, end, number),
                )
            connection.executemany("DELETE FROM meta WHERE key = ?", [(key,) for key in _OF_THE_INSTANCE])
            connection.execute("COMMIT")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _keep_guards(state_dir: Path, new: Path, manifest: Manifest) -> None:
    """Take over the guards of what this machine has signed outside of its journal."""
    guards = state_dir / "guard"
    for path in sorted(guards.iterdir()) if guards.is_dir() else []:
        if path.is_file() and not path.name.startswith(_BOUND):
            shutil.copyfile(path, new / "guard" / path.name)
            (new / "guard" / path.name).chmod(0o600)
    mark = manifest.ledger
    if mark.is_own and mark.height:
        guard = FileSignGuard(new / "guard" / "blocks")
        if guard.last() is None:
            guard.advance(mark.height, bytes.fromhex(mark.block))


def _give(like: Path, *paths: Path) -> None:
    """Let new files belong to whom ``like`` belongs, where root restores."""
    owner = like.stat()
    for path in paths:
        if (path.stat().st_uid, path.stat().st_gid) != (owner.st_uid, owner.st_gid):
            os.chown(path, owner.st_uid, owner.st_gid)


def put_carried(tree: Path, root: Path) -> list[str]:
    """Put the owner's further configuration, and who may sign in, back where this machine has none.

    What set-up writes itself is left as this machine has it.

    Args:
        tree: what was restored and proved.
        root: top of the machine's files.
    Returns:
        the names of the files that were put.
    Raises:
        StorageError: the disk is full or failed (``storage.full``).
    """
    put = []
    try:
        for path in (path for name in CARRIED for path in sorted((tree / name).rglob("*"))):
            name = str(path.relative_to(tree))
            place = root / name
            if not path.is_file() or name in _OF_SET_UP or place.exists() or place.is_symlink():
                continue
            made = [parent for parent in (place, *place.parents) if not parent.exists()]
            place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            replace_file(place, path.read_bytes(), mode=path.stat().st_mode & 0o777)
            _give(made[-1].parent, *made)
            put.append(name)
    except OSError as error:
        raise full_error(root) from error
    return put
