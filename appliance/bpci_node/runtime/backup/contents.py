"""What a backup holds: a consistent copy of the node's database, the owner's configuration, and a manifest of both.

Invariants: no key that is bound to a machine, and no guard of what was signed, is ever in it; the database is copied
within one reading transaction, so it is the one of a single moment while the node goes on; the manifest names every
other file with its digest. Format: ``docs/spec/backup.md``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpci_node import __version__
from bpci_node.chain.block import decode_signed_block
from bpci_node.errors import BpciError, FormatError, StorageError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.json_text import read_json
from bpci_node.store.database import FILE_NAME, open_reader, translated
from bpci_node.store.durable_file import replace_file

MANIFEST = "manifest.json"
DATABASE = FILE_NAME
CONFIGURATION = "etc/bpci"
"""Where the owner's configuration lies in a backup, as on the machine."""
CARRIED = (CONFIGURATION, "var/lib/bpci/web/access")
"""Directories that are taken along, as on the machine: the configuration, and who may sign in."""
LEAST_FREE_BYTES = 64 << 20
"""Room that making a backup leaves on the node's disk: blocks and entries matter more."""
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 4 << 20
"""Longest file of the configuration that is taken along."""
MAX_FILES = 2_000

_LEFT_OUT = ("keys", "ssh", "backup")
"""Below ``/etc/bpci``: keys sealed to this machine, its SSH host keys, and the way to its backups."""
_CODE = "backup.manifest"
_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,100}(/[A-Za-z0-9._@+-]{1,100}){0,8}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{0,300}")
_NAMES = ("v", "made_ms", "program", "node_key", "instance", "ledger", "files")


@dataclass(frozen=True, slots=True)
class LedgerMark:
    """How far the ledger in a backup has come."""

    id: str
    """Of the ledger; empty if the node knew none yet."""
    is_own: bool
    """Whether this node makes its blocks."""
    height: int
    """Of the last block, 0 before the first."""
    block: str
    """Digest of that block, hexadecimal; empty before the first."""
    state_root: str
    """Root of the state after it, hexadecimal; empty before the first."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    made_ms: int
    """Unix milliseconds."""
    program: str
    """Version of the program that made it."""
    node_key: str
    """Public key of the node, hexadecimal; empty if its database was never used."""
    instance: int
    """Instance of the identity that made it."""
    ledger: LedgerMark
    files: dict[str, str]
    """SHA-256 of every other file by its path, hexadecimal."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        mark = self.ledger
        return {
            "v": 1,
            "made_ms": self.made_ms,
            "program": self.program,
            "node_key": self.node_key,
            "instance": self.instance,
            "ledger": {
                "id": mark.id,
                "own": mark.is_own,
                "height": mark.height,
                "block": mark.block,
                "state_root": mark.state_root,
            },
            "files": dict(sorted(self.files.items())),
        }


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of what was restored into ``directory``.

    Raises:
        FormatError: there is none, or it is not of this form (``backup.manifest``).
    """
    try:
        with (directory / MANIFEST).open("rb") as file:
            value = read_json(file.read(MAX_MANIFEST_BYTES + 1), max_bytes=MAX_MANIFEST_BYTES)
    except OSError as error:
        raise FormatError(f"the snapshot holds no manifest: {error.strerror}", code=_CODE) from error
    fields = Fields(value, _NAMES, what="a backup's manifest", code=_CODE)
    fields.version()
    names = ("id", "own", "height", "block", "state_root")
    mark = Fields(value["ledger"], names, what="a backup's ledger", code=_CODE)
    files = value["files"]
    if not isinstance(files, dict) or len(files) > MAX_FILES or type(value["ledger"]["own"]) is not bool:
        raise fields.wrong("has no list of files, or no word on whose the ledger is")
    for name, digest in files.items():
        if not _NAME.fullmatch(name) or ".." in name.split("/") or not _HEX.fullmatch(str(digest)):
            raise fields.wrong("names a file in another form than PATH: SHA-256")
    return Manifest(
        made_ms=fields.integer("made_ms"),
        program=fields.text("program", _TEXT, "a version"),
        node_key=fields.text("node_key", re.compile(r"([0-9a-f]{64})?"), "a key"),
        instance=fields.integer("instance", 0, 2**31 - 1),
        ledger=LedgerMark(
            mark.text("id", _TEXT, "a ledger's id"),
            value["ledger"]["own"],
            mark.integer("height"),
            mark.text("block", re.compile(r"([0-9a-f]{64})?"), "a digest"),
            mark.text("state_root", re.compile(r"([0-9a-f]{64})?"), "a root"),
        ),
        files=dict(files),
    )


def collect(target: Path, *, state_dir: Path, root: Path, instance: int, is_own: bool, made_ms: int) -> Manifest:
    """Put everything that belongs into a backup below ``target``, an empty directory, and return its manifest.

    Args:
        state_dir: of the node, which may run.
        root: top of the machine's files.
        instance: as configured.
        is_own: whether this node makes its ledger's blocks.
        made_ms: Unix milliseconds.
    Raises:
        StorageError: no room for the copy (``backup.room``), no database (``backup.read``), or the database failed
            (the store's codes).
    """
    source = state_dir / FILE_NAME
    if not source.exists():
        raise StorageError(
            f"there is no database in {state_dir}", code="backup.read", hint="Start the node once before."
        )
    _require_room(source, target)
    copy_database(source, target / DATABASE)
    node_key, mark = describe(target / DATABASE, is_own=is_own)
    try:
        for path in (path for name in CARRIED for path in _carried(root / name)):
            place = target / path.relative_to(root)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                mode = path.stat().st_mode & 0o777
                shutil.copyfile(path, place, follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went since it was listed, as files do that are replaced while the machine works
            place.chmod(mode)
        files = {str(path.relative_to(target)): digest_of(path) for path in sorted(target.rglob("*")) if path.is_file()}
        manifest = Manifest(made_ms, __version__, node_key, instance, mark, files)
        replace_file(target / MANIFEST, (json.dumps(manifest.as_json(), indent=1) + "\n").encode())
    except OSError as error:
        raise StorageError(f"the backup can't be prepared: {error.strerror}", code="backup.read") from error
    return manifest


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, which may be in use, as it is at one moment.

    Raises:
        StorageError: it is damaged, or the disk is full or failed (the store's codes).
    """
    with translated(source):
        reader = open_reader(source)
        try:
            writer = sqlite3.connect(target, isolation_level=None)
            try:
                writer.execute("PRAGMA synchronous=OFF")
                # All pages in one step are read in one transaction; in several, each write of the node begins it anew.
                reader.backup(writer, pages=-1)
            finally:
                writer.close()
        finally:
            reader.close()
    target.chmod(0o600)


def describe(database: Path, *, is_own: bool) -> tuple[str, LedgerMark]:
    """Return the node's key in hexadecimal, and how far the ledger has come, of a database that nobody uses.

    Raises:
        StorageError: it is damaged (the store's codes).
    """
    with translated(database):
        reader = open_reader(database, is_alone=True)
        try:
            meta = dict(reader.execute("SELECT key, value FROM meta WHERE key IN ('node_key', 'ledger_id')"))
            row = reader.execute("SELECT block FROM blocks ORDER BY height DESC LIMIT 1").fetchone()
        finally:
            reader.close()
    node_key, ledger_id = meta.get("node_key", b"").hex(), meta.get("ledger_id", b"").decode(errors="replace")
    if row is None:
        return node_key, LedgerMark(ledger_id, is_own, 0, "", "")
    try:
        block = decode_signed_block(row[0]).block
    except BpciError as error:
        raise StorageError(f"the last block is damaged: {error.message}", code="storage.block") from error
    return node_key, LedgerMark(ledger_id, is_own, block.height, block.digest.hex(), block.state_root.hex())


def may_travel(name: str) -> bool:
    """Tell whether a backup may hold the file at ``name``, beside the database: its path on the machine."""
    for place in CARRIED:
        if name.startswith(f"{place}/"):
            return name.removeprefix(f"{place}/").partition("/")[0] not in _LEFT_OUT
    return False


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _carried(directory: Path) -> Iterator[Path]:
    """Yield the regular files of a directory that may travel."""
    count = 0
    for path in sorted(directory.rglob("*")) if directory.is_dir() else []:
        name = path.relative_to(directory)
        if name.parts[0] in _LEFT_OUT or path.is_symlink() or not path.is_file():
            continue
        if not _NAME.fullmatch(str(name)) or path.stat().st_size > MAX_FILE_BYTES or count >= MAX_FILES // 2 - 1:
            continue
        count += 1
        yield path


def _require_room(source: Path, target: Path) -> None:
    needed = source.stat().st_size + LEAST_FREE_BYTES
    log = source.with_name(source.name + "-wal")
    needed += log.stat().st_size if log.exists() else 0
    usage = os.statvfs(target)
    if usage.f_bavail * usage.f_frsize < needed:
        raise StorageError(
            f"a copy of the database needs {needed >> 20} MiB, and less is free in {target}",
            code="backup.room",
            hint="Make room on the data disk.",
        )
