"""Every row that can be read from a damaged database, copied into a new one.

First what the trees lead to, then leaves that no tree leads to any more. A row of the journal is taken if its own check
holds, any other if its values fit the columns of exactly one table. Pages that are free are left alone: they hold rows
of the past; where it can't be told which are free, no leaf is taken that no tree leads to. Where the first page is
destroyed, tables are looked for where a new database has them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from bpci_node.errors import StorageError
from bpci_node.store import schema
from bpci_node.store.database import APPLICATION_ID
from bpci_node.store.journal_row import (
    SEQ_BITS,
    check_waiting,
    epoch_check,
    nonce_check,
    read_entry,
    split_id,
    terms_check,
)
from bpci_node.store.pages import (
    INTERIOR_INDEX,
    INTERIOR_TABLE,
    LEAF_INDEX,
    LEAF_TABLE,
    Found,
    PageFile,
    Row,
)

_TYPES = {"INTEGER": int, "BLOB": bytes, "TEXT": str}
_BATCH = 1_000
_MOST_PAGES = LEAF_INDEX << 24
"""Below it, no overflow page can pass for a leaf, whatever somebody wrote into an entry: it begins with the number of
the page that follows, and a leaf with a byte that such a number does not reach."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or an index as the schema has it."""

    name: str
    root: int
    """Root page in a new database."""
    types: tuple[type, ...]
    """Of its columns; empty for an index."""
    has_rowid: bool
    """Whether the first column is the rowid and no value of its own."""


@dataclass(slots=True)
class Findings:
    """What was read, and what was not."""

    kept: dict[str, int] = field(default_factory=dict)
    """Rows by table."""
    orphans: int = 0
    """Of them, rows in leaves that no tree leads to."""
    unreadable_pages: set[int] = field(default_factory=set)
    """Pages that make no sense or are missing."""
    bad_rows: dict[str, int] = field(default_factory=dict)
    """Rows that could not be read or whose check failed, by table."""
    broken: set[str] = field(default_factory=set)
    """Tables and indexes in whose trees something could not be read."""
    is_first_page_lost: bool = False
    """Whether the first page does not say where the tables are."""
    names: dict[int, str] = field(default_factory=dict)
    """Ids of targets by their numbers, those found out by the checks of rows included."""

    @property
    def is_sound(self) -> bool:
        """Whether everything could be read."""
        return not (self.unreadable_pages or self.bad_rows or self.broken or self.is_first_page_lost)


def read_all(source: PageFile, sink: sqlite3.Connection, target_names: Sequence[str]) -> Findings:
    """Copy every row of ``source`` that can be read into the empty tables of ``sink``.

    Args:
        target_names: ids of targets as configured, for rows whose target has lost its own row.
    Raises:
        StorageError: a database of another version or application (``storage.version``, ``storage.newer``,
            ``storage.foreign``), or ``sink`` can't be written.
    """
    findings = Findings()
    _require_ours(source, findings)
    reader = _Reader(source, sink, findings, target_names)
    tables = layout()
    roots = _roots(source, tables, findings)
    used: set[int] = set()
    # Targets first: their names are part of what the checks of rows cover.
    for table in sorted(tables, key=lambda table: table.name != "targets"):
        found = Found()
        rows = source.walk(roots[table.name], found)
        if table.types:
            reader.take(table, rows)
        else:
            for _ in rows:
                pass
        used |= found.pages
        reader.note(table.name, found)
    free = source.free_pages()
    if free is None:
        findings.broken.add("free pages")
    elif source.count < _MOST_PAGES:
        skipped = used | free | set(source.map_pages())
        for number in range(2, source.count + 1):
            if number not in skipped and not source.is_missing(number):
                reader.take_orphans(number, [table for table in tables if table.types])
    findings.names = reader.names
    findings.unreadable_pages |= set(source.wal.damaged)
    if source.wal.is_broken:
        findings.broken.add("write-ahead log")
    findings.unreadable_pages |= {number for number in range(1, source.count + 1) if source.is_missing(number)}
    return findings


def layout() -> list[Table]:
    """Return the tables and indexes of the schema, with their root pages in a new database."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        schema.create(connection)
        found = []
        for name, kind, root, sql in connection.execute(
            "SELECT name, type, rootpage, sql FROM sqlite_schema ORDER BY rootpage"
        ).fetchall():
            columns = connection.execute(f"PRAGMA table_info({name})").fetchall() if kind == "table" else []
            types = tuple(_TYPES[column[2]] for column in columns)
            found.append(Table(name, root, types, kind == "table" and "WITHOUT ROWID" not in sql))
        return found
    finally:
        connection.close()


def index_rows(source: PageFile, name: str) -> Iterator[tuple[Any, int]]:
    """Yield the first column and the rowid of every entry of an index that can be read."""
    tables = layout()
    root = _roots(source, tables, Findings())[name]
    for row in source.walk(root, Found()):
        if len(row.values) == 2 and type(row.values[1]) is int:
            yield row.values[0], row.values[1]


class _Reader:
    """Judges rows and writes the good ones."""

    def __init__(
        self, source: PageFile, sink: sqlite3.Connection, findings: Findings, target_names: Sequence[str]
    ) -> None:
        self._source, self._sink, self._findings = source, sink, findings
        self._configured = target_names
        self.names: dict[int, str] = {}
        """Ids of targets by their numbers."""

    def take(self, table: Table, rows: Iterable[Row]) -> int:
        """Write the rows that are this table's; return how many are new."""
        batch: list[tuple[Any, ...]] = []
        new = 0
        for row in rows:
            values = self._values(table, row)
            if values is None:
                bad = self._findings.bad_rows
                bad[table.name] = bad.get(table.name, 0) + 1
                continue
            batch.append(values)
            if len(batch) >= _BATCH:
                new += self._write(table, batch)
        return new + self._write(table, batch)

    def take_orphans(self, number: int, tables: Sequence[Table]) -> None:
        """Write the rows of a leaf to which no tree leads, where they fit one table alone."""
        if self._source.kind(number) not in (LEAF_TABLE, LEAF_INDEX):
            return
        is_table = self._source.kind(number) == LEAF_TABLE
        for row in self._source.rows(number, Found()):
            fitting = [(table, self._values(table, row)) for table in tables if table.has_rowid == is_table]
            good = [(table, values) for table, values in fitting if values is not None]
            if len(good) == 1 and good[0][1] is not None:
                self._findings.orphans += self._write(good[0][0], [good[0][1]])

    def note(self, name: str, found: Found) -> None:
        """Note what could not be read of a tree."""
        findings = self._findings
        findings.unreadable_pages |= found.unreadable - {0}
        if found.unreadable or found.bad_cells:
            findings.broken.add(name)
        if found.bad_cells:
            findings.bad_rows[name] = findings.bad_rows.get(name, 0) + found.bad_cells

    def _write(self, table: Table, batch: list[tuple[Any, ...]]) -> int:
        places = ", ".join("?" * len(table.types))
        before = self._sink.total_changes
        # What a tree led to came first and stays: an orphan of the same key is older.
        self._sink.executemany(f"INSERT OR IGNORE INTO {table.name} VALUES ({places})", batch)  # noqa: S608 - our own names
        new = self._sink.total_changes - before
        self._findings.kept[table.name] = self._findings.kept.get(table.name, 0) + new
        batch.clear()
        return new

    def _values(self, table: Table, row: Row) -> tuple[Any, ...] | None:
        """Return a row's columns, ``None`` if it is none of this table's or damaged."""
        values: tuple[Any, ...] = row.values
        if table.has_rowid:
            if not values or values[0] is not None:
                return None
            values = (row.rowid, *values[1:])
        if tuple(map(type, values)) != table.types or not self._holds(table.name, values):
            return None
        return values

    def _holds(self, name: str, values: tuple[Any, ...]) -> bool:
        """Tell whether a row's own check holds, as far as its table has one."""
        if name == "targets":
            number, target, terms, base_fee, check, arrival_seq, running_hash, *_ = values
            holds = number > 0 and check == terms_check(number, target, terms, base_fee)
            if not holds or not 0 <= arrival_seq < 1 << SEQ_BITS or len(running_hash) != 32:
                return False
            self.names.setdefault(number, target)
            return True
        if name == "sealed_nonces":
            return bool(values[2].isdecimal() and values[3] == nonce_check(*values[:3]))
        if name == "epochs":
            return bool(values[3] == epoch_check(*values[:3]))
        if name == "blocks":
            return bool(0 < values[0] < 1 << SEQ_BITS)
        if name == "bundles":
            return bool(values[0] >= 1 << SEQ_BITS and crc32(values[3]) == values[2])
        if name in ("cancellations", "losses", "lost_bundles"):
            return bool(values[0] >= 1 << SEQ_BITS)
        if name in ("waiting", "gone"):
            return self._name_of(name, values) is not None
        return True

    def _name_of(self, table: str, values: tuple[Any, ...]) -> str | None:
        """Return the target under whose name the row's check holds."""
        number = split_id(values[0])[0]
        known = self.names.get(number)
        for name in (known,) if known is not None else self._configured:
            try:
                if table == "waiting":
                    check_waiting(name, values)
                else:
                    read_entry(name, values)
            except (StorageError, OverflowError, ValueError):
                continue
            self.names[number] = name
            return name
        return None


def _require_ours(source: PageFile, findings: Findings) -> None:
    head = source.page(1)
    if not head.startswith(b"SQLite format 3\0"):
        findings.is_first_page_lost = True
        return
    version, application = int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big")
    if application not in (APPLICATION_ID, 0):
        raise StorageError("the file is a database of another application", code="storage.foreign")
    if version > schema.VERSION:
        raise StorageError(
            f"the database has version {version}, this program reads up to {schema.VERSION}",
            code="storage.newer",
            hint="Run the newer version of bpci that wrote it.",
        )
    if 0 < version < schema.VERSION:
        raise StorageError(
            f"the database has version {version}, and only version {schema.VERSION} can be repaired",
            code="storage.version",
            hint="Restore it from a backup.",
        )


def _roots(source: PageFile, tables: Sequence[Table], findings: Findings) -> dict[str, int]:
    """Return the root page of each table and index: as the first page says, or else where a new database has it."""
    stated: dict[str, int] = {}
    for row in source.walk(1, Found()):
        if len(row.values) == 5 and type(row.values[1]) is str and type(row.values[3]) is int:
            stated[row.values[1]] = row.values[3]
    roots = {}
    for table in tables:
        root = stated.get(table.name)
        if root is None:
            findings.is_first_page_lost = True
            fits = (LEAF_TABLE, INTERIOR_TABLE) if table.has_rowid else (LEAF_INDEX, INTERIOR_INDEX)
            root = table.root if source.kind(table.root) in fits else 0
        roots[table.name] = root
    return roots
