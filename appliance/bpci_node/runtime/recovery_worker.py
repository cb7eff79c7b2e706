"""A process that decodes raw entries and recovers their senders, and the form in which it is asked and answers.

It reads frames from the socket that is its standard input until that ends: 4 bytes of length, then a ``marshal`` value
(both ends are one program, and nothing else can write here). It holds no key, no file and no other socket.
"""

from __future__ import annotations

import marshal
import signal
import socket
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeAlias

from bpci_node import errors
from bpci_node.errors import BpciError
from bpci_node.primitives.ethereum import Transaction, decode_transaction

Decoded: TypeAlias = "Transaction | BpciError"
"""An entry with its sender proved, or why it is refused."""

_LENGTH_BYTES = 4
_PART_BYTES = 1 << 20
_values_of = attrgetter(*(item.name for item in fields(Transaction) if item.name != "raw"))


def decode(raw: bytes) -> Decoded:
    """Decode one raw entry and recover its sender."""
    try:
        return decode_transaction(raw)
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
    return [
        _error(values) if type(values[0]) is str else Transaction(raw, *values)
        for raw, values in zip(raws, marshal.loads(data), strict=True)  # noqa: S302 - written by our own process
    ]


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
    if isinstance(item, BpciError):
        return type(item).__name__, item.message, item.code, item.hint, item.details
    values: tuple[Any, ...] = _values_of(item)
    return values


def _error(values: tuple[Any, ...]) -> BpciError:
    name, message, code, hint, details = values
    kind: type[BpciError] = getattr(errors, name)
    return kind(message, code=code, hint=hint, **details)


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
