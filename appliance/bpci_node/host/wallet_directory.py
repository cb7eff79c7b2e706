"""The wallets of one person on this machine: files that only their owner reads, written whole or not at all."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from bpci_node.errors import AccessError, NotFoundError, RefusedError, StorageError, UsageError
from bpci_node.host.wallet_file import MAX_FILE_BYTES, WalletHeader, read_header
from bpci_node.store.durable_file import sync_path

NAME_FORM = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""Name of a wallet on this machine."""
_SUFFIX = ".wallet"


def default_wallets() -> Path:
    """Return where wallets lie by default. Source: XDG Base Directory Specification 0.8."""
    base = os.environ.get("XDG_DATA_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return home / "bpci" / "wallets"


class WalletDirectory:
    """Reads and writes wallet files by name."""

    def __init__(self, path: Path) -> None:
        """Use the wallets in ``path``, which need not exist yet."""
        self._path = path

    def names(self) -> list[str]:
        """Return the names of the wallets, in their order.

        Raises:
            StorageError: the directory can't be read (``keystore.read``).
        """
        try:
            found = [entry.name.removesuffix(_SUFFIX) for entry in self._path.glob(f"*{_SUFFIX}")]
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}", code="keystore.read") from error
        return sorted(name for name in found if NAME_FORM.fullmatch(name))

    def header(self, name: str) -> WalletHeader:
        """Return what a wallet says of itself without its passphrase.

        Raises:
            BpciError: as :meth:`read` and :func:`bpci_node.host.wallet_file.read_header`.
        """
        return read_header(self.read(name))

    def read(self, name: str) -> bytes:
        """Return a wallet's file.

        Raises:
            NotFoundError: there is none (``keystore.unknown``).
            AccessError: others may read it, or it is no plain file (``keystore.mode``).
            StorageError: it can't be read (``keystore.read``).
            UsageError: no name of a wallet (``keystore.name``).
        """
        path = self._file(name)
        try:
            with open(path, "rb", opener=_no_link) as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no wallet {name} in {self._path}",
                code="keystore.unknown",
                hint="'bpci wallet list' shows which there are.",
            ) from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}", code="keystore.read") from error
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise AccessError(f"others may read {path}", code="keystore.mode", hint=f"chmod 0600 {path}")
        return data

    def write(self, name: str, data: bytes, *, replace: bool = False) -> Path:
        """Write a wallet's file whole or not at all, and return where it is.

        Args:
            replace: whether an earlier one may go.
        Raises:
            RefusedError: there is one, and it is not to be replaced (``keystore.exists``).
            StorageError: it can't be written (``keystore.write``).
            UsageError: no name of a wallet (``keystore.name``).
        """
        path = self._file(name)
        part = path.with_name(f".{name}.{os.getpid()}.part")
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with open(part, "xb", opener=_private) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self._put(part, path, replace=replace)
            finally:
                with suppress(OSError):
                    part.unlink()
            sync_path(self._path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", code="keystore.write") from error
        return path

    @staticmethod
    def _put(part: Path, path: Path, *, replace: bool) -> None:
        if replace:
            part.replace(path)
            return
        try:
            # A link, unlike a renaming, does not take the place of a file that is there.
            path.hardlink_to(part)
        except FileExistsError as error:
            raise RefusedError(
                f"there is a wallet {path.stem} already", code="keystore.exists", hint="Choose another name."
            ) from error

    def _file(self, name: str) -> Path:
        if NAME_FORM.fullmatch(name) is None:
            raise UsageError(
                "a wallet's name is 1 to 32 lower-case letters, digits and inner hyphens", code="keystore.name"
            )
        return self._path / f"{name}{_SUFFIX}"


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
