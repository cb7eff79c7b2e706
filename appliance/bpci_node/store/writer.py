"""Group commit: one thread owns the writing connection, and all jobs that wait share one transaction and one fsync.

Invariants: a job's result becomes visible only after the commit that holds it; when a commit fails, every job of
the group is undone in memory, last first, and fails with the same error; jobs run in the order in which they came.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from bpci_node.errors import StorageError, UnreachableError
from bpci_node.store.database import is_lost, storage_error

T = TypeVar("T")

MAX_GROUP = 256
"""Jobs that share one transaction at most."""


@dataclass(slots=True)
class WriterStatistics:
    """What happened so far; read without a lock, each value by itself is consistent."""

    commits: int = 0
    jobs: int = 0
    commit_seconds: float = 0.0
    """Time spent in commits, fsync included."""
    last_group: int = 0
    """Jobs of the last commit."""
    failures: int = 0
    on_commit: Callable[[int, float], None] | None = field(default=None, repr=False)
    """Called after each commit with the number of jobs and the seconds it took."""


@dataclass(slots=True)
class _Job:
    write: Callable[[sqlite3.Connection], Any]
    undo: Callable[[], None] | None
    future: Future[Any]
    result: Any = None


class Writer:
    """The thread that writes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._beat = time.monotonic()
        self._busy = False
        self.statistics = WriterStatistics()
        self.after_commit: list[Callable[[], None]] = []
        """Called in the writer's thread after each commit, before anybody learns of its results."""
        self.error: StorageError | None = None
        """Why the last write failed; ``None`` when it succeeded."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Callable[[sqlite3.Connection], T], *, undo: Callable[[], None] | None = None) -> Future[T]:
        """Queue a job and return the future of its result, set after the commit.

        Args:
            write: runs in the writer's thread inside a transaction; an exception undoes this job alone.
            undo: takes back what ``write`` changed in memory; called when the commit, or ``write`` itself, fails.
        """
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(stopping_error())
            return future
        self._queue.put(_Job(write, undo, future))
        return future

    @property
    def waiting(self) -> int:
        """Jobs that wait for the next transaction."""
        return self._queue.qsize()

    def is_alive(self, patience_seconds: float) -> bool:
        """Tell whether the thread runs, and has not been inside one group for longer than ``patience_seconds``."""
        stuck = self._busy and time.monotonic() - self._beat > patience_seconds
        return self._thread.is_alive() and not stuck

    def close(self) -> None:
        """Finish what is queued, commit it, and close the connection."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            first = self._queue.get()
            self._beat, self._busy = time.monotonic(), True
            group: list[_Job] = []
            if first is None:
                stopping = True
            else:
                group.append(first)
                stopping = self._drain(group)
            if group:
                self._commit(group)
            self._busy = False
        self._connection.close()

    def _drain(self, group: list[_Job]) -> bool:
        """Add what else waits to ``group``; tell whether the end was among it."""
        while len(group) < MAX_GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                return False
            if job is None:
                return True
            group.append(job)
        return False

    def _commit(self, group: list[_Job]) -> None:
        written: list[_Job] = []
        try:
            if self.error is not None and is_lost(self.error):
                raise self.error
            self._connection.execute("BEGIN IMMEDIATE")
            before = self._connection.total_changes
            for job in group:
                if job.future.set_running_or_notify_cancel():
                    self._write(job, written)
            changes = self._connection.total_changes - before
            started = time.perf_counter()
            self._connection.execute("COMMIT")
            self._note_commit(len(written), time.perf_counter() - started, changes)
        except (sqlite3.Error, StorageError) as error:
            failure = storage_error(error, self._path) if isinstance(error, sqlite3.Error) else error
            self._abort(group, written, failure)
            return
        for call in self.after_commit:
            try:
                call()
            except StorageError as error:
                self.error = error
        for job in written:
            job.future.set_result(job.result)

    def _write(self, job: _Job, written: list[_Job]) -> None:
        """Run one job in a savepoint and add it to ``written``.

        An exception of its own fails it alone, one that ends the transaction fails the group.
        """
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = job.write(self._connection)
        except Exception as error:
            if job.undo is not None:
                job.undo()
            if not self._connection.in_transaction:
                # SQLite has rolled everything back by itself, as it does on a full disk.
                raise self._as_storage_error(error) from error
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            job.future.set_exception(self._as_storage_error(error) if isinstance(error, sqlite3.Error) else error)
            return
        self._connection.execute("RELEASE job")
        written.append(job)

    def _as_storage_error(self, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        if isinstance(error, sqlite3.Error):
            failure = storage_error(error, self._path)
            self.error = failure
            return failure
        return StorageError(f"a transaction was lost: {error}", code="storage.io")

    def _note_commit(self, jobs: int, seconds: float, changes: int) -> None:
        if changes:  # a transaction that wrote nothing says nothing about the disk
            self.error = None
        statistics = self.statistics
        statistics.commits += 1
        statistics.jobs += jobs
        statistics.commit_seconds += seconds
        statistics.last_group = jobs
        if statistics.on_commit is not None:
            statistics.on_commit(jobs, seconds)

    def _abort(self, group: list[_Job], written: list[_Job], failure: StorageError) -> None:
        self.error = failure
        self.statistics.failures += 1
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                self.error = storage_error(error, self._path)
        for job in reversed(written):
            if job.undo is not None:
                job.undo()
        for job in group:
            if not job.future.done():
                job.future.set_exception(failure)


def stopping_error() -> UnreachableError:
    """Return the error for what comes while the node stops."""
    return UnreachableError("the node is stopping", code="unreachable.stopping", hint="Try again when it is back.")
