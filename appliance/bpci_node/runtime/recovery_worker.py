"""A process that decodes raw entries and recovers their senders, and the form in which it is asked and answers.

It reads frames from the socket that is its standard input until that ends: 4 bytes of length, then a ``marshal`` value
(both ends are one program, and nothing else can write here). It holds no key, no file and no other socket.
"""

from __future__ import annotations

import marshal
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeAlias

from bpci_node import errors
from bpci_node.errors import BpciError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import Signed, decode_entry
from bpci_node.mempool.native import NativeEntry
from bpci_node.primitives.ethereum import Transaction

Decoded: TypeAlias = Signed | BpciError
"""An entry with its sender proved, or why it is refused."""

_LENGTH_BYTES = 4
_PART_BYTES = 1 << 20
_TRANSACTION, _NATIVE, _ERROR = range(3)


def _getter(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the fields of a decoded entry but its raw bytes, in the order of its constructor."""
    return attrgetter(*(item.name for item in fields(kind) if item.name != "raw"))


_transaction_values, _native_values = _getter(Transaction), _getter(NativeEntry)
_KIND = [item.name for item in fields(NativeEntry) if item.name != "raw"].index("kind")


def decode(raw: bytes) -> Decoded:
    """Decode one raw entry and recover its sender."""
    try:
        return decode_entry(raw)
    except BpciError as error:
        return error


def pack(items: Sequence[Decoded]) -> bytes:
    """Return decoded entries as bytes, without what the asker has: the raw bytes."""
    return marshal.dumps([_values(item) for item in items])


def unpack(data: bytes, raws: Sequence[bytes]) -> list[Decoded]:
    """Return what :func:`pack` was given.

    Args:
        raws: the raw bytes of the same entries, in the same order.
    """
    found = marshal.loads(data)  # noqa: S302 - written by our own process
    return [_restore(raw, *values) for raw, values in zip(raws, found, strict=True)]


def send_frame(channel: socket.socket, data: bytes) -> None:
    """Write one frame."""
    channel.sendall(len(data).to_bytes(_LENGTH_BYTES, "big") + data)


def receive_frame(channel: socket.socket) -> bytes | None:
    """Read one frame, ``None`` at the end."""
    head = _receive(channel, _LENGTH_BYTES)
    return None if head is None else _receive(channel, int.from_bytes(head, "big"))


def _receive(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = channel.recv_into(view[done : done + _PART_BYTES])
        if not count:
            return None
        done += count
    return bytes(data)


def _values(item: Decoded) -> tuple[Any, ...]:
    if isinstance(item, Transaction):
        return _TRANSACTION, *_transaction_values(item)
    if isinstance(item, NativeEntry):
        values = list(_native_values(item))
        values[_KIND] = int(item.kind)
        return _NATIVE, *values
    return _ERROR, type(item).__name__, item.message, item.code, item.hint, item.details


def _restore(raw: bytes, form: int, *values: Any) -> Decoded:
    if form == _TRANSACTION:
        return Transaction(raw, *values)
    if form == _NATIVE:
        members = list(values)
        members[_KIND] = EntryType(values[_KIND])
        return NativeEntry(raw, *members)
    name, message, code, hint, details = values
    family: type[BpciError] = getattr(errors, name)
    return family(message, code=code, hint=hint, **details)


def main() -> None:
    """Answer until the asker closes its end."""
    # A stop of the service reaches every process of it at once; the node still finishes what it has begun, and then
    # closes its end of the socket.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as channel:
        while (request := receive_frame(channel)) is not None:
            raws = marshal.loads(request)  # noqa: S302 - written by our own process
            send_frame(channel, pack([decode(raw) for raw in raws]))


if __name__ == "__main__":
    main()
