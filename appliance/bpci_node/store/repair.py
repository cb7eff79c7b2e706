"""Checking a node's database, and making a sound one of a damaged one.

Invariants: nothing that is damaged is changed before a copy of it is synced beside it; from then until the end a mark
keeps the node from starting, and a repair that was killed begins again from the copy; the sign guards are read and
never written. The node must not run.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bpci_node.errors import NotFoundError, StorageError
from bpci_node.store import schema, wal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.database import (
    APPLICATION_ID,
    FILE_NAME,
    REPAIR_MARK,
    DirectoryLock,
    full_error,
    open_reader,
    translated,
)
from bpci_node.store.durable_file import sync_path
from bpci_node.store.journal_row import row_id
from bpci_node.store.losses import TargetLosses, settle
from bpci_node.store.pages import PageFile, blocks_of, open_pages
from bpci_node.store.salvage import Findings, index_rows, read_all

_NEW_NAME = FILE_NAME + ".new"
_FILES = (FILE_NAME, FILE_NAME + "-wal")
_MOST_TXIDS = 1_000


@dataclass(frozen=True, slots=True)
class Report:
    """What a check or a repair found."""

    findings: Findings
    targets: tuple[TargetLosses, ...]
    txids: Mapping[tuple[str, int], bytes]
    """What is known of the txids of lost entries, by target and arrival number; some are only the first 8 bytes."""
    copy: Path | None
    """Where the damaged files are now, ``None`` when nothing was changed."""

    @property
    def is_sound(self) -> bool:
        """Whether there was nothing to repair."""
        return self.findings.is_sound and not any(
            target.is_end_lost or target.arrivals or target.bundles or target.waiting for target in self.targets
        )

    def as_map(self) -> dict[str, Any]:
        """Return this report for people and programs."""
        findings = self.findings
        return {
            "v": 1,
            "sound": self.is_sound,
            "copy": None if self.copy is None else str(self.copy),
            "kept": dict(sorted(findings.kept.items())),
            "kept_without_tree": findings.orphans,
            "unreadable_pages": sorted(findings.unreadable_pages),
            "damaged": sorted(findings.broken | set(findings.bad_rows)),
            "bad_rows": dict(sorted(findings.bad_rows.items())),
            "first_page_lost": findings.is_first_page_lost,
            "targets": {
                target.name: {
                    "lost_arrivals": [list(span) for span in target.arrivals],
                    "lost_earlier": [list(span) for span in target.earlier],
                    "lost_waiting": target.waiting,
                    "lost_txids": {
                        str(seq): txid for (name, seq), txid in sorted(self.txids.items()) if name == target.name
                    },
                    "lost_bundles": target.bundles,
                    "last_bundle": target.last_bundle,
                    "end_lost": target.is_end_lost,
                    "next_arrival": target.next_seq,
                }
                for target in self.targets
            },
        }


def check(directory: Path, target_names: tuple[str, ...]) -> Report:
    """Look at every page and every row, and change nothing.

    Args:
        directory: the node's state directory.
        target_names: ids of the targets as configured.
    Raises:
        NotFoundError: there is no database (``storage.absent``).
        StorageError: a node runs (``storage.locked``), the database is of another version or application, or the disk
            failed.
    """
    lock = _take(directory)
    try:
        source = _marked_copy(directory) or directory
        return _build(directory, source, target_names, 0)
    finally:
        (directory / _NEW_NAME).unlink(missing_ok=True)
        lock.release()


def repair(directory: Path, target_names: tuple[str, ...], now_ms: int) -> Report:
    """Put a sound database in the place of a damaged one; a sound one is left alone.

    Args:
        directory: see :func:`check`; so is ``target_names``.
        now_ms: Unix milliseconds.
    Raises:
        NotFoundError: there is no database (``storage.absent``).
        StorageError: as :func:`check`, or there is no room for the copy (``storage.full``).
    """
    lock = _take(directory)
    try:
        copy = _marked_copy(directory)
        report = _build(directory, copy or directory, target_names, now_ms)
        if copy is None:
            if report.is_sound:
                (directory / _NEW_NAME).unlink()
                return report
            copy = _put_aside(directory, now_ms)
        _swap(directory)
        return Report(report.findings, report.targets, report.txids, copy)
    except BaseException:
        (directory / _NEW_NAME).unlink(missing_ok=True)
        raise
    finally:
        lock.release()


def _take(directory: Path) -> DirectoryLock:
    if not any((directory / name).exists() for name in (FILE_NAME, REPAIR_MARK)):
        raise NotFoundError(f"there is no database in {directory}", code="storage.absent")
    return DirectoryLock(directory)


def _marked_copy(directory: Path) -> Path | None:
    """Return the copy from which an interrupted repair goes on, ``None`` if there was none."""
    try:
        mark = json.loads((directory / REPAIR_MARK).read_bytes())
    except FileNotFoundError:
        return None
    copy = directory / str(mark["copy"])
    if not (copy / FILE_NAME).exists():
        raise NotFoundError(
            f"the copy that an interrupted repair made is not in {copy}",
            code="storage.absent",
            hint="Put it back; the files in its place may be half of what they were.",
        )
    return copy


def _build(directory: Path, source: Path, target_names: tuple[str, ...], now_ms: int) -> Report:
    """Write a sound database beside the damaged one, and report what it holds and lacks."""
    new, path = directory / _NEW_NAME, source / FILE_NAME
    new.unlink(missing_ok=True)
    guards = {
        name: ArrivalGuard(directory / "guard" / f"arrivals-{name.replace(':', '-')}").last() for name in target_names
    }
    with translated(new), open_pages(path) as pages:
        sink = sqlite3.connect(new, isolation_level=None)
        try:
            for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
                sink.execute(f"PRAGMA {pragma}").fetchall()
            sink.execute("BEGIN IMMEDIATE")
            schema.create(sink)
            findings = read_all(pages, sink, target_names)
            targets = settle(sink, findings, guards, is_log_damaged=bool(pages.wal.damaged), now_ms=now_ms)
            txids = _lost_txids(pages, findings, targets)
            sink.execute(f"PRAGMA application_id={APPLICATION_ID}")
            sink.execute(f"PRAGMA user_version={schema.VERSION}")
            sink.execute("COMMIT")
        finally:
            sink.close()
    if findings.is_sound and source == directory:
        _check_by_sqlite(path, findings)
    return Report(findings, tuple(targets), txids, None)


def _check_by_sqlite(path: Path, findings: Findings) -> None:
    """Let SQLite compare indexes with their tables, which reading rows does not."""
    try:
        reader = open_reader(path, is_alone=not wal.scan(path).last)
        try:
            with translated(path):
                answers = [row[0] for row in reader.execute("PRAGMA integrity_check(10)")]
        finally:
            reader.close()
    except StorageError as error:
        answers = [error.message]
    if answers != ["ok"]:
        findings.broken.add("indexes")


def _lost_txids(pages: PageFile, findings: Findings, targets: list[TargetLosses]) -> dict[tuple[str, int], bytes]:
    """Ask the indexes for the txids of lost entries."""
    numbers = {name: number for number, name in findings.names.items()}
    wanted = {
        row_id(numbers[target.name], seq): (target.name, seq)
        for target in targets
        for first, last in target.arrivals
        for seq in range(first, min(last, first + _MOST_TXIDS) + 1)
    }
    found: dict[tuple[str, int], bytes] = {}
    if wanted:
        for index in ("gone_txid", "sqlite_autoindex_waiting_1"):
            for key, identifier in index_rows(pages, index):
                if identifier in wanted and type(key) is bytes:
                    found[wanted[identifier]] = key
    return found


def _put_aside(directory: Path, now_ms: int) -> Path:
    """Copy the damaged files, synced, and leave the mark that says where they are."""
    name = f"damaged-{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%S.%fZ}"
    for old in directory.glob("damaged-*.partial"):
        shutil.rmtree(old)
    partial = directory / f"{name}.partial"
    partial.mkdir(mode=0o700)
    try:
        for file in _FILES:
            if (directory / file).exists():
                with (partial / file).open("wb") as target:
                    target.writelines(blocks_of(directory / file))
                sync_path(partial / file)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise full_error(directory / FILE_NAME) from error
    _give_to_owner(directory, partial, *partial.iterdir())
    sync_path(partial)
    partial.rename(directory / name)
    beside = directory / f"{REPAIR_MARK}.partial"
    beside.write_text(json.dumps({"v": 1, "copy": name}) + "\n")
    sync_path(beside)
    sync_path(directory)
    beside.replace(directory / REPAIR_MARK)
    sync_path(directory)
    return directory / name


def _swap(directory: Path) -> None:
    """Put the new database in the place of the old one; the mark goes last."""
    new = directory / _NEW_NAME
    new.chmod(0o600)
    _give_to_owner(directory, new)
    sync_path(new)
    # The log of the old database first: beside the new one it would be taken for the new one's.
    for name in (FILE_NAME + "-wal", FILE_NAME + "-shm"):
        (directory / name).unlink(missing_ok=True)
    sync_path(directory)
    new.replace(directory / FILE_NAME)
    sync_path(directory)
    (directory / REPAIR_MARK).unlink(missing_ok=True)
    sync_path(directory)


def _give_to_owner(directory: Path, *paths: Path) -> None:
    """Let files belong to whom the state directory belongs, where root repairs a node that runs as somebody else."""
    owner = directory.stat()
    for path in paths:
        if (path.stat().st_uid, path.stat().st_gid) != (owner.st_uid, owner.st_gid):
            os.chown(path, owner.st_uid, owner.st_gid)
