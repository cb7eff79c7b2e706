"""The node's databases before a version that changes their form: copied while the node is stopped, and put back whole.

The sign guards are never copied and never put back: what was signed stays signed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bpci_node.store import auction_schema, schema
from bpci_node.store.durable_file import sync_path

FORMATS = (schema.VERSION, auction_schema.VERSION)
"""Of the databases that this version writes: the node's, and its auction journal's."""
COPY_NAME = "databases"


def sizes(state_dir: Path) -> int:
    """Return how many bytes the databases take."""
    return sum(path.stat().st_size for path in _files(state_dir))


def copy_away(state_dir: Path, place: Path) -> None:
    """Copy the databases of a stopped node; durable on return. A copy that broke off is not there.

    Raises:
        OSError: no room, or the disk failed.
    """
    copy, partial = place / COPY_NAME, place / f"{COPY_NAME}.partial"
    for old in (partial, copy):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    for path in _files(state_dir):
        _copy(path, partial / path.name)
    sync_path(partial)
    partial.rename(copy)
    sync_path(place)


def put_back(state_dir: Path, place: Path) -> None:
    """Put the copied databases in the place of those of a stopped node; it may be repeated.

    Raises:
        OSError: no room, or the disk failed.
    """
    copy = place / COPY_NAME
    kept = {path.name for path in _files(copy)}
    for path in _files(copy):
        beside = state_dir / f".{path.name}.back"
        beside.unlink(missing_ok=True)
        _copy(path, beside)
    # A log that belongs to the other file must never be read with this one, so it goes before.
    for path in _files(state_dir):
        if path.name not in kept or path.name.endswith(("-wal", "-shm")):
            path.unlink()
    for name in sorted(kept):
        (state_dir / f".{name}.back").replace(state_dir / name)
    sync_path(state_dir)


def drop_copy(place: Path) -> None:
    """Take the copy away."""
    shutil.rmtree(place / COPY_NAME, ignore_errors=True)


def _files(directory: Path) -> list[Path]:
    endings = (".db", ".db-wal", ".db-shm")
    return sorted(path for path in directory.glob("[!.]*") if path.name.endswith(endings) and path.is_file())


def _copy(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    of = source.stat()
    os.chown(target, of.st_uid, of.st_gid)
    sync_path(target)
