"""The sign guard as one small file: height and digest of the last block that was signed and let go.

It stands outside of what backups contain. A disk restored from a backup then has a guard that is ahead of its data,
or none, and the sequencer refuses to sign a second block for a height that others may already have seen.
"""

from __future__ import annotations

from pathlib import Path

from bpci_node.errors import FormatError, RefusedError, StorageError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.store.durable_file import replace_file


class FileSignGuard:
    """A sign guard in one file, replaced as a whole and synced before :meth:`advance` returns."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        """Use the file at ``path``, which need not exist yet; its directory must."""
        self._path = path

    def last(self) -> tuple[int, bytes] | None:
        """Return height and digest of the last block that was signed, ``None`` if there is no file.

        Raises:
            StorageError: the file can't be read, or holds something else (``storage.guard``).
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"the sign guard {self._path} can't be read: {error}", code="storage.guard") from error
        try:
            fields = Fields(decode(data), ("v", "height", "digest"), what="a sign guard", code="storage.guard")
            fields.version()
            return fields.integer("height"), fields.blob("digest", 32)
        except FormatError as error:
            raise StorageError(
                f"{self._path} is not a sign guard",
                code="storage.guard",
                hint="Don't delete it: it keeps this machine from signing two blocks of one height.",
            ) from error

    def advance(self, height: int, digest: bytes) -> None:
        """Remember a block.

        Raises:
            RefusedError: another block of this height, or a later one, was remembered (``sign.conflict``).
            StorageError: the file can't be read or written (``storage.guard``).
        """
        last = self.last()
        if last is not None and (height < last[0] or (height == last[0] and digest != last[1])):
            raise RefusedError(f"a block of height {last[0]} was signed already", code="sign.conflict", height=last[0])
        if last != (height, digest):
            try:
                replace_file(self._path, encode({"v": 1, "height": height, "digest": digest}))
            except OSError as error:
                raise StorageError(
                    f"the sign guard {self._path} can't be written: {error}", code="storage.guard"
                ) from error
