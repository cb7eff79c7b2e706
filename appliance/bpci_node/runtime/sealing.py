"""Sealing at this node: select, prove, sign, store, remember, and only then show.

A bundle is in the database before the sign guard remembers it, and both before anyone sees it. Where the guard is
ahead of the database, the data was restored, and nothing is sealed: a second bundle of one sequence would contradict
the first.
"""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection

from bpci_node.auction.bundle import NO_PARENT
from bpci_node.auction.seal import seal_bundle
from bpci_node.auction.selection import select
from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import RefusedError
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store import journal
from bpci_node.store.journal import InJob, JournalBundle, Reader


def bundle_guard(directory: Path, target: str) -> FileSignGuard:
    """Return the sign guard of a target's bundles.

    Args:
        directory: where the node keeps its guards.
    """
    return FileSignGuard(directory / f"bundles-{target.replace(':', '-')}")


class Sealer:
    """Seals the bundles of one target."""

    def __init__(self, pool: TargetPool, *, signer: Signer, ledger_id: str, guard_directory: Path) -> None:
        self._pool, self._signer, self._ledger_id = pool, signer, ledger_id
        self._guard = bundle_guard(guard_directory, pool.target.id)
        self.shown = 0
        """Sequence of the last bundle that may be shown: the guard remembers it, or one after it."""

    def check_guard(self, reader: Reader) -> None:
        """Compare the guard with the last stored bundle, and let it catch up; before a sealing.

        Raises:
            RefusedError: the data was restored (``sign.rolled_back``), or a stored bundle is not the one that was
                signed (``sign.conflict``).
            StorageError: the guard can't be read or written (``storage.guard``).
        """
        last = journal.last_bundle(reader, self._pool.target.id) or (0, NO_PARENT)
        remembered = self._guard.last()
        # A new target begins with a guard that remembers nothing, so that one that is missing later shows.
        is_new = last[0] == 0 and remembered is None
        if not is_new and (remembered is None or remembered[0] > last[0]):
            raise RefusedError(
                "the bundles of this target end before the last one that was signed: the data was restored",
                code="sign.rolled_back",
                hint="Begin with a new state directory under a higher instance number; sealing now could contradict"
                " a bundle that others hold.",
            )
        self._guard.advance(*last)
        self.shown = last[0]

    def seal(
        self,
        connection: Connection,
        *,
        now_ms: int,
        gas_limit: int | None,
        base_fee_wei: int | None,
        certificate: bytes | None,
    ) -> JournalBundle:
        """Seal a bundle and write it; runs in the writer's thread, and :meth:`remember` follows the commit.

        Args:
            gas_limit: the target's own if ``None``.
            base_fee_wei: sorts the pool anew at this base fee, which then stays; ``None`` leaves it.
        Raises:
            RefusedError: nothing to seal (``bundle.empty``).
            FormatError: a base fee or gas limit out of range.
            StorageError: the database failed; :meth:`TargetPool.forget` follows.
        """
        self._pool.refresh(connection)
        if base_fee_wei is not None:
            self._pool.reprice(connection, base_fee_wei)
        pool = self._pool.pool
        gas = pool.target.gas_limit if gas_limit is None else gas_limit
        selected = select(pool.runnable(), gas)
        last = journal.last_bundle(InJob(connection), pool.target.id)
        sequence, parent = (1, NO_PARENT) if last is None else (last[0] + 1, last[1])
        sealed = seal_bundle(
            pool,
            selected,
            signer=self._signer,
            ledger_id=self._ledger_id,
            sequence=sequence,
            parent=parent,
            time_ms=now_ms,
            gas_limit=gas,
            certificate=certificate,
        )
        bundle = JournalBundle(pool.target.id, sequence, sealed.header.digest(), sealed.encode())
        self._pool.seal(connection, bundle, selected, now_ms)
        return bundle

    def remember(self, bundle: JournalBundle) -> None:
        """Let the guard remember a stored bundle; only then may it be shown.

        Raises:
            RefusedError: another bundle of this sequence was signed (``sign.conflict``).
            StorageError: the guard can't be written (``storage.guard``).
        """
        self._guard.advance(bundle.sequence, bundle.digest)
        self.shown = bundle.sequence
