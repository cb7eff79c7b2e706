"""Ledger archives: a ledger in one file, as its blocks or as a snapshot, to be carried where no network leads.

A file is a magic line and a sequence of records, each four bytes of length, big-endian, and canonical CBOR. It ends
with a record that counts the others, so that what was cut off is noticed. Nothing in it is believed on the way in:
blocks are executed again, a snapshot leads to the root of a signed block. One record is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from bpci_node.chain.genesis import Genesis, decode_genesis
from bpci_node.consensus.snapshot import MAX_CHUNK_BYTES, Manifest, decode_manifest
from bpci_node.errors import FormatError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields

MAGIC = b"BPCI ledger archive v1\n"
MAX_RECORD_BYTES = 32 << 20
"""Longest record: a block of 1,024 commands fits, whatever the commands are."""

_FORMAT = "format.archive"


@dataclass(frozen=True, slots=True)
class ArchiveBlock:
    """One block of an archive."""

    block: bytes
    """The signed block, encoded."""
    commands: tuple[bytes, ...]
    """Its signed commands, encoded."""


@dataclass(frozen=True, slots=True)
class ArchiveChunk:
    """One chunk of an archive's snapshot."""

    data: bytes
    """The encoded chunk."""


Item = Genesis | Manifest | ArchiveBlock | ArchiveChunk


def write_archive(file: IO[bytes], items: Iterable[Item]) -> int:
    """Write an archive of ``items``, the genesis first; return how many there were.

    Raises:
        OSError: the file can't be written.
    """
    file.write(MAGIC)
    count = 0
    for item in items:
        _write(file, _record(item))
        count += 1
    _write(file, {"end": count})
    return count


def read_archive(file: IO[bytes]) -> Iterator[Item]:
    """Yield what an archive holds: the genesis, then blocks, or a manifest and its chunks; not verified.

    Raises:
        FormatError: not an archive, or cut off (``format.archive``, or a code of the codec).
        OSError: the file can't be read.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise _wrong("it does not begin as one")
    count = 0
    while True:
        record = _read(file)
        if "end" in record:
            end = Fields(record, ("end",), what="an archive's end", code=_FORMAT).integer("end")
            if end != count or file.read(1):
                raise _wrong("its end counts other records than it has")
            return
        item = _item(record)
        if isinstance(item, Genesis) != (count == 0):
            raise _wrong("it begins with the genesis, and has one alone")
        count += 1
        yield item


def _record(item: Item) -> dict[str, Any]:
    if isinstance(item, Genesis):
        return {"genesis": item.encode()}
    if isinstance(item, Manifest):
        return {"manifest": item.encode()}
    if isinstance(item, ArchiveChunk):
        return {"chunk": item.data}
    return {"block": item.block, "commands": list(item.commands)}


def _item(record: dict[str, Any]) -> Item:
    if "block" in record:
        fields = Fields(record, ("block", "commands"), what="an archive's block", code=_FORMAT)
        commands = fields.items("commands", MAX_RECORD_BYTES)
        if not all(type(item) is bytes for item in commands):
            raise _wrong("a command of it is no bytes")
        return ArchiveBlock(fields.blob_up_to("block", MAX_RECORD_BYTES), tuple(commands))
    for name in ("genesis", "manifest", "chunk"):
        if name in record:
            fields = Fields(record, (name,), what="an archive's record", code=_FORMAT)
            if name == "chunk":
                return ArchiveChunk(fields.blob_up_to(name, MAX_CHUNK_BYTES))
            data = fields.blob_up_to(name, MAX_RECORD_BYTES)
            return decode_genesis(data) if name == "genesis" else decode_manifest(data)
    raise _wrong("it holds a record that is not known here")


def _write(file: IO[bytes], record: dict[str, Any]) -> None:
    data = encode(record)
    file.write(len(data).to_bytes(4))
    file.write(data)


def _read(file: IO[bytes]) -> dict[str, Any]:
    size = int.from_bytes(file.read(4))
    if not 1 <= size <= MAX_RECORD_BYTES:
        raise _wrong(f"it is cut off, or has a record longer than {MAX_RECORD_BYTES} bytes")
    data = file.read(size)
    if len(data) != size:
        raise _wrong("it is cut off")
    record = decode(data, max_bytes=size)
    if type(record) is not dict:
        raise _wrong("a record of it is no map")
    return record


def _wrong(reason: str) -> FormatError:
    return FormatError(
        f"this is not a ledger archive: {reason}", code=_FORMAT, hint="Make it again with 'bpci network export'."
    )
