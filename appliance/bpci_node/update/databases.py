"""The node's databases before a version that changes their form: copied while the node is stopped, and put back whole.

The sign guards are never copied and never put back: what was signed stays signed. No node gets in meanwhile, and
without a whole copy nothing is removed. Putting back takes no room where the copy lies on the same disk, so that it
does not fail when that is full.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bpci_node.errors import StorageError
from bpci_node.store import auction_schema, schema
from bpci_node.store.durable_file import sync_path
from bpci_node.store.state_directory import held

FORMATS = (schema.VERSION, auction_schema.VERSION)
"""Of the databases that this version writes: the node's, and its auction journal's."""
COPY_NAME = "databases"
_PARTIAL_NAME = f"{COPY_NAME}.partial"


def sizes(state_dir: Path) -> int:
    """Return how many bytes the databases take."""
    return sum(path.stat().st_size for path in _files(state_dir))


def copy_away(state_dir: Path, place: Path) -> None:
    """Copy the databases of a stopped node; durable on return. A copy that broke off is not there.

    Raises:
        StorageError: a node uses them (``storage.locked``).
        OSError: no room, or the disk failed.
    """
    copy, partial = place / COPY_NAME, place / _PARTIAL_NAME
    for old in (partial, copy):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    if state_dir.is_dir():
        with held(state_dir):
            for path in _files(state_dir):
                _copy(path, partial / path.name)
    sync_path(partial)
    partial.rename(copy)
    sync_path(place)


def is_kept(place: Path) -> bool:
    """Tell whether a whole copy is there."""
    return (place / COPY_NAME).is_dir()


def put_back(state_dir: Path, place: Path) -> None:
    """Put the copied databases in the place of those of a stopped node; it may be repeated until one has run on them.

    Raises:
        StorageError: there is no copy, and everything stays as it is (``update.no_copy``); a node uses the databases
            (``storage.locked``).
        OSError: no room on another disk, or the disk failed.
    """
    copy = place / COPY_NAME
    if not is_kept(place):
        raise StorageError(
            "the databases that were kept before the update are gone; those that are here stay",
            code="update.no_copy",
            hint="Update to a newer version instead.",
        )
    files = _files(copy)
    if not files:
        return  # the node had never run
    with held(state_dir):
        for path in files:
            beside = _beside(state_dir, path.name)
            beside.unlink(missing_ok=True)
            _link_or_copy(path, beside)
        # A log that belongs to the other file must never be read with this one, so it goes before.
        kept = {path.name for path in files}
        for path in _files(state_dir):
            if path.name not in kept or path.name.endswith(("-wal", "-shm")):
                path.unlink()
        for name in sorted(kept):
            beside = _beside(state_dir, name)
            beside.replace(state_dir / name)
            beside.unlink(missing_ok=True)  # two names of one file are left as they are by a renaming: rename(2)
        sync_path(state_dir)


def drop_copy(place: Path) -> None:
    """Take the copy away, and one that broke off; half a copy has another name, and is none."""
    if is_kept(place):
        shutil.rmtree(place / _PARTIAL_NAME, ignore_errors=True)
        (place / COPY_NAME).rename(place / _PARTIAL_NAME)
    shutil.rmtree(place / _PARTIAL_NAME, ignore_errors=True)


def _beside(state_dir: Path, name: str) -> Path:
    return state_dir / f".{name}.back"


def _files(directory: Path) -> list[Path]:
    endings = (".db", ".db-wal", ".db-shm")
    return sorted(path for path in directory.glob("[!.]*") if path.name.endswith(endings) and path.is_file())


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        _copy(source, target)  # on another disk, or one that knows no second names


def _copy(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    of = source.stat()
    os.chown(target, of.st_uid, of.st_gid)
    sync_path(target)
