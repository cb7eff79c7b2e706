"""Keeping the journal bounded: what left long ago is forgotten, and the file gives its room back.

Everything here is a small step inside a job of the writer, so that no entry waits long for its commit. What is left to
do is found in the tables themselves: after a crash the next step goes on.
"""

from __future__ import annotations

from sqlite3 import Connection

from bpci_node.store.journal_row import row_id, split_id

_LEAST_FREE_PAGES = 1024
"""Free pages that a file may keep: they are used again soon."""


def forget_entries(connection: Connection, before_ms: int, most: int) -> int:
    """Forget entries that left before ``before_ms`` (Unix milliseconds), at most ``most``; return how many."""
    ids = [
        row[0]
        for row in connection.execute(
            "SELECT id FROM gone WHERE left_ms < ? ORDER BY left_ms LIMIT ?", (before_ms, most)
        )
    ]
    connection.executemany("DELETE FROM gone WHERE id = ?", [(identifier,) for identifier in ids])
    connection.executemany("DELETE FROM cancellations WHERE id = ?", [(identifier,) for identifier in ids])
    last: dict[int, int] = {}
    for identifier in ids:
        number, arrival_seq = split_id(identifier)
        last[number] = max(arrival_seq, last.get(number, 0))
    connection.executemany(
        "UPDATE targets SET forgotten_seq = max(forgotten_seq, ?) WHERE number = ?",
        [(arrival_seq, number) for number, arrival_seq in sorted(last.items())],
    )
    return len(ids)


def forget_bundles(connection: Connection, keep: int, most: int) -> int:
    """Forget each target's bundles before its last ``keep``, at most ``most`` of them; return how many."""
    forgotten = 0
    for (number,) in connection.execute("SELECT number FROM targets ORDER BY number").fetchall():
        low, high = row_id(number, 0), row_id(number + 1, 0) - 1
        last = connection.execute("SELECT max(id) FROM bundles WHERE id BETWEEN ? AND ?", (low, high)).fetchone()[0]
        if last is None:
            continue
        ids = connection.execute(
            "SELECT id FROM bundles WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?", (low, last - keep, most - forgotten)
        ).fetchall()
        if ids:
            connection.executemany("DELETE FROM bundles WHERE id = ?", ids)
            connection.execute(
                "UPDATE targets SET forgotten_bundle = ? WHERE number = ?", (split_id(ids[-1][0])[1], number)
            )
            forgotten += len(ids)
    return forgotten


def shrink(connection: Connection, most: int) -> int:
    """Give at most ``most`` free pages back to the disk while a tenth of the file is free; return how many."""
    pages, free = _pragma(connection, "page_count"), _pragma(connection, "freelist_count")
    spare = max(0, min(free - max(_LEAST_FREE_PAGES, pages // 10), most))
    for _ in range(spare):
        # One at a time: of a larger number the driver lets SQLite do only the first step.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return free - _pragma(connection, "freelist_count")


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
