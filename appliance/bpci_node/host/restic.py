"""Driving ``restic``: an encrypted repository of snapshots, on a disk or behind a server.

Invariants: the key and the credentials reach the program in its environment, never in arguments, and no message shows
them; what the program says is translated into the product's errors; a question whether the repository is there ends
after :data:`ANSWER_SECONDS`, however long the program itself would go on trying.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from bpci_node.errors import FormatError, NotFoundError, StorageError, UnreachableError
from bpci_node.host.restic_errors import restic_error
from bpci_node.primitives.json_text import read_json

ANSWER_SECONDS = 60.0
"""How long a repository may take to show that it is there."""
TAG = "bpci-node"
"""Tag of the snapshots that the product makes; others in one repository are left alone."""

_MAX_LINE = 1 << 20
_MAX_LIST = 64 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is, and what opens the way to it."""

    repository: str = field(repr=False)
    """In restic's words; may hold a password, so it is shown to nobody."""
    shown: str
    """The same for people and logs, without secrets."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials of the server, as restic reads them."""
    options: tuple[str, ...] = ()
    """Further arguments, no secret among them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One backup."""

    id: str
    """64 hexadecimal digits."""
    time_ms: int
    """When it was made, Unix milliseconds."""
    host: str
    """Name of the machine that made it."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup has come to."""

    snapshot: str
    """Its id."""
    added_bytes: int
    """Bytes that are new in the repository, before compression."""
    total_bytes: int
    """Bytes that the snapshot holds."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Which snapshots stay."""

    last: int
    daily: int
    weekly: int
    monthly: int


class Restic:
    """One repository."""

    def __init__(self, place: Place, key: bytes, *, cache: Path, program: str = "restic") -> None:
        """Name the repository; nothing is asked yet.

        Args:
            key: encrypts it, 32 bytes.
            cache: directory for what restic keeps to be quicker.
        Raises:
            NotFoundError: restic is not installed (``backup.program``).
        """
        found = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin")
        if found is None:
            raise NotFoundError(
                f"{program} is not installed", code="backup.program", hint=f"sudo apt install {program}"
            )
        self._place, self._program = place, found
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(cache),
            "LC_ALL": "C.UTF-8",
            "RESTIC_CACHE_DIR": str(cache),
            **place.environment,
            "RESTIC_REPOSITORY": place.repository,
            "RESTIC_PASSWORD": key.hex(),
        }

    @property
    def shown(self) -> str:
        """Where it is, without secrets."""
        return self._place.shown

    def probe(self) -> None:
        """Check that the repository is there and that the key opens it.

        Raises:
            NotFoundError: there is none (``backup.absent``).
            ProofError: the key is not its key (``backup.key``), or it is damaged (``backup.damaged``).
            UnreachableError: its disk or server does not answer (``unreachable.backup``).
        """
        self._run("cat", "config", "--no-lock", seconds=ANSWER_SECONDS)

    def create(self) -> None:
        """Make the repository.

        Raises:
            StorageError: there is one already (``backup.exists``), or no room (``backup.room``).
            UnreachableError: its disk or server does not answer (``unreachable.backup``).
        """
        self._run("init", seconds=ANSWER_SECONDS)

    def save(self, directory: Path, *, host: str, progress: Callable[[float], None]) -> Saved:
        """Make a snapshot of what ``directory`` holds.

        Args:
            progress: told how much is done, 0 to 1.
        Raises:
            LimitError: somebody else works on the repository (``backup.locked``).
            StorageError: no room there (``backup.room``), or a file can't be read (``backup.read``).
            BpciError: as :meth:`probe`.
        """
        summary: dict[str, Any] = {}

        def on_line(line: bytes) -> None:
            message = _message(line)
            if message.get("message_type") == "status":
                done = message.get("percent_done")
                progress(float(done) if isinstance(done, int | float) else 0.0)
            elif message.get("message_type") == "summary":
                summary.update(message)

        self._unlock()
        self._run("backup", "--json", "--host", host, "--tag", TAG, ".", cwd=directory, on_line=on_line)
        try:
            return Saved(
                self._whole_id(str(summary["snapshot_id"])),
                int(summary["data_added"]),
                int(summary["total_bytes_processed"]),
            )
        except (KeyError, ValueError) as error:
            raise FormatError("restic said nothing of the snapshot that it made", code="backup.program") from error

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots of the product, oldest first.

        Raises:
            BpciError: as :meth:`probe`.
        """
        data = self._run("snapshots", "--json", "--no-lock", "--tag", TAG)
        try:
            found = [
                Snapshot(str(item["id"]), _milliseconds(str(item["time"])), str(item["hostname"]))
                for item in read_json(data.strip() or b"[]", max_bytes=_MAX_LIST) or []
            ]
        except (FormatError, KeyError, TypeError, ValueError) as error:
            raise FormatError("restic's list of snapshots can't be read", code="backup.program") from error
        return sorted(found, key=lambda item: item.time_ms)

    def size_of(self, snapshot: str) -> int:
        """Return how many bytes a snapshot has when it is restored.

        Raises:
            NotFoundError: no such snapshot (``backup.snapshot``).
            BpciError: as :meth:`probe`.
        """
        data = self._run("stats", "--mode", "restore-size", "--json", "--no-lock", snapshot)
        try:
            return int(read_json(data, max_bytes=_MAX_LINE)["total_size"])
        except (FormatError, KeyError, TypeError, ValueError) as error:
            raise FormatError("restic said nothing of the size of a snapshot", code="backup.program") from error

    def fetch(self, snapshot: str, target: Path) -> None:
        """Write what a snapshot holds below ``target``.

        Raises:
            NotFoundError: no such snapshot (``backup.snapshot``).
            StorageError: no room here (``backup.room``).
            BpciError: as :meth:`probe`.
        """
        self._run("restore", snapshot, "--no-lock", "--target", str(target))

    def check(self, percent: int) -> None:
        """Check the repository's structure, and read this share of its data again, chosen at random.

        Raises:
            ProofError: it is damaged (``backup.damaged``).
            BpciError: as :meth:`probe`.
        """
        self._unlock()
        self._run("check", f"--read-data-subset={percent}%")

    def thin_out(self, retention: Retention) -> None:
        """Let go of the snapshots that need not stay, and of the data that none needs any more.

        Raises:
            LimitError: somebody else works on the repository (``backup.locked``).
            BpciError: as :meth:`probe`; ``backup.append_only`` if the server lets nothing be removed.
        """
        self._unlock()
        kept = {
            "--keep-last": retention.last,
            "--keep-daily": retention.daily,
            "--keep-weekly": retention.weekly,
            "--keep-monthly": retention.monthly,
        }
        words = [word for name, number in kept.items() for word in (name, str(number)) if number]
        self._run("forget", "--prune", "--tag", TAG, "--group-by", "tags", *words)

    def _whole_id(self, short: str) -> str:
        for item in self.snapshots():
            if item.id.startswith(short):
                return item.id
        raise FormatError("restic does not list the snapshot that it made", code="backup.program")

    def _unlock(self) -> None:
        """Take away the locks that this machine left behind, and old ones; those that others hold stay.

        One process of a machine at a time works on repositories, so its own locks are of processes that are gone.
        restic tells that by their numbers, to which it sends a hangup: after a restart a number may be another
        process's, which would end, and the lock would stay.

        Raises:
            LimitError: that can't be avoided, since others hold locks, too (``backup.locked``).
        """
        locks = [self._lock(name) for name in self._run("list", "locks", "--no-lock", seconds=ANSWER_SECONDS).split()]
        are_own = [lock.get("hostname") == socket.gethostname() for lock in locks]
        if not any(_is_there(lock.get("pid")) for lock, is_own in zip(locks, are_own, strict=True) if is_own):
            if locks:
                self._run("unlock", seconds=ANSWER_SECONDS)
        elif all(are_own):
            self._run("unlock", "--remove-all", seconds=ANSWER_SECONDS)
        else:
            raise restic_error("repository is already locked", self.shown, 1)

    def _lock(self, name: bytes) -> dict[str, Any]:
        """Return what a lock says of its holder; nothing if that one has let go meanwhile."""
        try:
            data = self._run("cat", "lock", name.decode("ascii", "replace"), "--no-lock", seconds=ANSWER_SECONDS)
            found = read_json(data, max_bytes=_MAX_LINE)
        except (FormatError, NotFoundError, StorageError):
            return {}
        return found if isinstance(found, dict) else {}

    def _run(
        self,
        *arguments: str,
        cwd: Path | None = None,
        on_line: Callable[[bytes], None] | None = None,
        seconds: float | None = None,
    ) -> bytes:
        """Run restic; return its standard output, or pass it on line by line."""
        argv = [self._program, "--quiet", *self._place.options, *arguments]
        if on_line is not None:
            argv.remove("--quiet")
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                raise StorageError(f"restic can't be started: {error.strerror}", code="backup.program") from error
            output = b""
            try:
                with process:
                    output = _listen(process, on_line, seconds)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise UnreachableError(
                    f"the backup's place {self.shown} gave no answer in {seconds or 0:.0f} s",
                    code="unreachable.backup",
                    hint="Is the disk attached, or the server up?",
                ) from None
            except BaseException:
                _kill(process)
                raise
            if process.returncode:
                errors.seek(max(errors.seek(0, os.SEEK_END) - 64 * 1024, 0))
                self._fail(errors.read().decode(errors="replace"), process.returncode)
        return output

    def _fail(self, said: str, status: int) -> NoReturn:
        for secret in (self._environment["RESTIC_PASSWORD"], *self._place.environment.values()):
            said = said.replace(secret, "***")
        said = said.replace(self._place.repository, self.shown)
        raise restic_error(said, self.shown, status)


def _listen(process: subprocess.Popen[bytes], on_line: Callable[[bytes], None] | None, seconds: float | None) -> bytes:
    if on_line is None:
        return process.communicate(timeout=seconds)[0]
    stream = process.stdout
    while stream is not None and (line := stream.readline(_MAX_LINE)):
        on_line(line)
    process.wait()
    return b""


def _is_there(pid: object) -> bool:
    """Tell whether a process has this number and could be sent a signal from here."""
    if not isinstance(pid, int) or pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End restic and what it has started, such as ssh."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


def _message(line: bytes) -> dict[str, Any]:
    try:
        found = read_json(line, max_bytes=_MAX_LINE, allow_fractions=True)
    except FormatError:
        return {}
    return found if isinstance(found, dict) else {}


def _milliseconds(text: str) -> int:
    """Return the Unix milliseconds of restic's time, which has nanoseconds and a zone."""
    head, _, tail = text.partition(".")
    digits = tail.rstrip("Z").split("+")[0].split("-")[0]
    zone = "+00:00" if text.endswith("Z") else text[-6:]
    moment = datetime.fromisoformat((head if tail else text.rstrip("Z")[:19]) + zone)
    return int(moment.timestamp()) * 1000 + int((digits or "0").ljust(3, "0")[:3])
