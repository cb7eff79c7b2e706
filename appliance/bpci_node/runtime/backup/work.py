"""Making, listing, proving and thinning out backups of the node on this machine.

Invariants: one such work at a time (``flock``); what was interrupted leaves nothing but a scratch directory, which the
next one removes; every outcome is remembered, the failed ones too.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bpci_node.errors import BpciError, NotFoundError, ProofError, StorageError
from bpci_node.host.restic import Restic, Snapshot
from bpci_node.runtime.backup import config, contents, state
from bpci_node.runtime.backup.lock import DIRECTORY, alone
from bpci_node.runtime.backup.verify import Proof, verify_backup
from bpci_node.runtime.config import NodeConfig

LATEST = "latest"

Say = Callable[[str], None]


class Backups:
    """The backups of one machine, or of the part of one below ``root``."""

    def __init__(self, settings: config.BackupConfig, key: bytes, *, root: Path = Path("/"), say: Say) -> None:
        """Name the repository; nothing is asked yet.

        Args:
            key: the backup key of the owner's phrase, 32 bytes.
            say: told what is being done, a few words at a time.
        Raises:
            BpciError: restic is missing, or the credentials can't be read.
        """
        self._settings, self._root, self._say = settings, root, say
        self._directory = root / DIRECTORY.lstrip("/")
        self.restic = Restic(config.place_of(settings, root), key, cache=self._directory / "cache")

    def save(self, node: NodeConfig) -> dict[str, Any]:
        """Make a backup and thin out the older ones; return what is remembered of it.

        None goes while the last drill has found one that does not hold.

        Args:
            node: configuration of the node, which may run; its directories lie below the root.
        Raises:
            BpciError: what stood in the way; it is remembered, too.
        """
        with self._work("backup") as scratch:
            self._say("asking for the repository")
            self.restic.probe()
            self._say("copying the database")
            now_ms = time.time_ns() // 1_000_000
            manifest = contents.collect(
                scratch,
                state_dir=self._below(node.state_dir),
                root=self._root,
                instance=node.node.instance,
                is_own=node.ledger.network_file is None,
                made_ms=now_ms,
            )
            saved = self.restic.save(
                scratch, host=socket.gethostname(), progress=lambda done: self._say(f"saving: {done:.0%}")
            )
            found = {
                "time_ms": now_ms,
                "snapshot": saved.snapshot,
                "height": manifest.ledger.height,
                "state_root": manifest.ledger.state_root,
                "added_bytes": saved.added_bytes,
                "total_bytes": saved.total_bytes,
            }
            self._remember(lambda memory: setattr(memory, "backup", found), done="backup")
        if state.load(self._root).is_damaged:
            # The last one that holds may be among the oldest.
            self._say("every backup stays, because the last drill found one that does not hold")
        elif not self._settings.append_only:
            self.thin_out()
        return found

    def thin_out(self) -> None:
        """Let go of snapshots that need not stay.

        Raises:
            StorageError: the repository lets nothing be removed (``backup.append_only``).
            BpciError: what stood in the way; it is remembered.
        """
        if self._settings.append_only:
            raise StorageError(
                "append_only is set: this repository lets nothing be removed from here",
                code="backup.append_only",
                hint="Thin out on the server's own side.",
            )
        with self._work("prune"):
            self._say("letting go of older snapshots")
            self.restic.thin_out(self._settings.retention)
            self._remember(lambda _memory: None, done="prune")

    def drill(self, *, snapshot: str = LATEST, check_data: bool = True) -> dict[str, Any]:
        """Restore a snapshot into a scratch place, prove it, remove it; return what is remembered of it.

        Args:
            check_data: whether a share of the repository's data is read again as well.
        Raises:
            BpciError: it does not hold, or could not be told; it is remembered.
        """
        with self._work("drill") as scratch:
            chosen, proof = self._fetch(snapshot, scratch)
            if check_data:
                self._say(f"reading {self._settings.check_percent} % of the repository again")
                self.restic.check(self._settings.check_percent)
            found = {
                "time_ms": time.time_ns() // 1_000_000,
                "snapshot": chosen.id,
                "made_ms": proof.manifest.made_ms,
                "height": proof.height,
                "state_root": proof.state_root,
                "blocks": proof.blocks,
                "bundles": proof.bundles,
            }
            self._remember(lambda memory: setattr(memory, "drill", found), done="drill")
        return found

    @contextmanager
    def fetched(self, snapshot: str) -> Iterator[tuple[Path, Snapshot, Proof]]:
        """Restore and prove a snapshot; it lies in a scratch place until the block ends.

        Args:
            snapshot: see :meth:`choose`.
        Raises:
            BpciError: there is none, or it does not hold.
        """
        with self._scratch("restore") as scratch:
            chosen, proof = self._fetch(snapshot, scratch)
            yield scratch, chosen, proof

    def choose(self, wanted: str) -> Snapshot:
        """Return the snapshot that ``wanted`` means.

        Args:
            wanted: ``latest``; at least 8 digits of an id; or a time (ISO 8601, UTC unless it says otherwise): the
                newest one that is not later.
        Raises:
            NotFoundError: none, or several (``backup.snapshot``).
        """
        return choose(self.restic.snapshots(), wanted)

    def _fetch(self, wanted: str, scratch: Path) -> tuple[Snapshot, Proof]:
        self._say("asking for the repository")
        self.restic.probe()
        chosen = self.choose(wanted)
        needed = self.restic.size_of(chosen.id) + contents.LEAST_FREE_BYTES
        usage = os.statvfs(scratch)
        if usage.f_bavail * usage.f_frsize < needed:
            raise StorageError(
                f"restoring {chosen.id[:8]} needs {needed >> 20} MiB, and less is free in {self._directory}",
                code="backup.room",
                hint="Make room on the data disk.",
            )
        self._say(f"restoring {chosen.id[:8]}")
        self.restic.fetch(chosen.id, scratch)
        return chosen, verify_backup(scratch, say=self._say)

    def _remember(self, note: Callable[[state.Memory], None], *, done: str) -> None:
        memory = state.load(self._root)
        note(memory)
        memory.failures.pop(done, None)
        state.save(self._root, memory)

    @contextmanager
    def _work(self, kind: str) -> Iterator[Path]:
        """Do work whose failure is remembered, in a scratch place."""
        try:
            with self._scratch(kind) as scratch:
                yield scratch
        except BpciError as error:
            if error.code != "backup.busy":
                memory = state.load(self._root)
                memory.failed(kind, error, time.time_ns() // 1_000_000)
                with suppress(StorageError):
                    state.save(self._root, memory)
            raise

    @contextmanager
    def _scratch(self, kind: str) -> Iterator[Path]:
        """Hold the lock, and an empty directory that goes afterwards."""
        try:
            with alone(self._directory):
                (self._directory / "cache").mkdir(mode=0o700, exist_ok=True)
                for old in self._directory.glob("scratch-*"):
                    shutil.rmtree(old, ignore_errors=True)
                scratch = self._directory / f"scratch-{kind}"
                scratch.mkdir(mode=0o700)
                try:
                    yield scratch
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise StorageError(
                f"cannot work in {self._directory}: {error.strerror}",
                code="backup.room" if error.errno == 28 else "storage.write",
                hint="Is the disk full, or failing?",
            ) from error

    def _below(self, path: Path) -> Path:
        return self._root / str(path).lstrip("/")


def choose(snapshots: list[Snapshot], wanted: str) -> Snapshot:
    """Return the one of ``snapshots``, oldest first, that ``wanted`` means (as :meth:`Backups.choose`).

    Raises:
        NotFoundError: none, or several (``backup.snapshot``).
    """
    hint = "'bpci backup list' shows them."
    if not snapshots:
        raise NotFoundError("the repository holds no backup", code="backup.snapshot", hint="sudo bpci backup now")
    if wanted == LATEST:
        return snapshots[-1]
    if len(wanted) >= 8 and all(digit in "0123456789abcdef" for digit in wanted):
        found = [item for item in snapshots if item.id.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        raise NotFoundError(
            f"{'several backups begin' if found else 'no backup begins'} with {wanted}",
            code="backup.snapshot",
            hint=hint,
        )
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError:
        raise NotFoundError(
            f"{wanted} is neither the beginning of an id nor a time such as 2026-05-04T12:00",
            code="backup.snapshot",
            hint=hint,
        ) from None
    until_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    earlier = [item for item in snapshots if item.time_ms <= until_ms]
    if not earlier:
        raise NotFoundError(f"no backup is from {wanted} or before", code="backup.snapshot", hint=hint)
    return earlier[-1]


def require_same_owner(proof: Proof, node_key: bytes) -> None:
    """Check that a backup is of this identity.

    Raises:
        ProofError: it is another's (``backup.identity``).
    """
    if proof.manifest.node_key not in ("", node_key.hex()):
        raise ProofError("the backup is of another node", code="backup.identity")
