"""The accounts of one machine: names, roles and hashes of passwords, in one file that is replaced whole.

Invariants: no password is kept, only its crypt(5) hash; there is an owner as long as there is an account; the file
belongs to whoever the directory belongs to, so that root and the sign-in service may both replace it. Changes are made
one after the other, under a lock beside the file.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bpci_node.access.roles import Role
from bpci_node.errors import FormatError, NotFoundError, RefusedError, StorageError, UsageError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.json_text import read_json
from bpci_node.store.durable_file import replace_file

DIRECTORY = Path("/var/lib/bpci/web/access")
"""Where this machine keeps accounts and log."""
FILE = "accounts.json"
MAX_FILE_BYTES = 1 << 18
MAX_ACCOUNTS = 64
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
CODE = "access.file"
_FIELDS = ("name", "role", "password_hash", "changed_ms")
_ROLE = re.compile("|".join(Role))
_HASH = re.compile(r"\$(y|6)\$[!-~]{20,200}")


@dataclass(frozen=True, slots=True)
class Account:
    """One who may sign in."""

    name: str
    role: Role
    password_hash: str
    """crypt(5), yescrypt or SHA-512."""
    changed_ms: int
    """When role or password were last set, Unix milliseconds."""

    @property
    def mark(self) -> bytes:
        """Return what changes when role or password do: a session is good for one mark alone."""
        text = "\0".join((self.name, self.role.value, self.password_hash, str(self.changed_ms)))
        return derive("bpci 2026 access mark v1", text.encode())


@dataclass(frozen=True, slots=True)
class Accounts:
    """All of them, by name."""

    by_name: dict[str, Account]

    def find(self, name: str) -> Account:
        """Return one account.

        Raises:
            NotFoundError: there is none of this name (``access.unknown``).
        """
        if name not in self.by_name:
            raise NotFoundError("there is no account of this name", code="access.unknown", hint="See the list.")
        return self.by_name[name]

    def with_new(self, name: str, role: Role, password_hash: str, *, now_ms: int) -> Accounts:
        """Return these and one more.

        Raises:
            UsageError: not a name (``access.name``).
            RefusedError: the name is taken (``access.taken``), or there are too many (``access.full``).
        """
        if NAME.fullmatch(name) is None:
            raise UsageError(
                "an account's name has 1 to 32 lower-case letters, digits, - and _, and begins with a letter",
                code="access.name",
            )
        if name in self.by_name:
            raise RefusedError("there is an account of this name", code="access.taken", hint="Choose another name.")
        if len(self.by_name) >= MAX_ACCOUNTS:
            raise RefusedError(f"there are {MAX_ACCOUNTS} accounts, no more are kept", code="access.full")
        return Accounts(self.by_name | {name: Account(name, role, password_hash, now_ms)})

    def with_password(self, name: str, password_hash: str, *, now_ms: int) -> Accounts:
        """Return these, one with another password; its sessions end.

        Raises:
            NotFoundError: ``access.unknown``.
        """
        changed = replace(self.find(name), password_hash=password_hash, changed_ms=now_ms)
        return Accounts(self.by_name | {name: changed})

    def with_role(self, name: str, role: Role, *, now_ms: int) -> Accounts:
        """Return these, one with another role; its sessions end.

        Raises:
            NotFoundError: ``access.unknown``.
            RefusedError: no owner would be left (``access.last_owner``).
        """
        changed = replace(self.find(name), role=role, changed_ms=now_ms)
        return _owned(Accounts(self.by_name | {name: changed}))

    def without(self, name: str) -> Accounts:
        """Return these without one.

        Raises:
            NotFoundError: ``access.unknown``.
            RefusedError: no owner would be left (``access.last_owner``).
        """
        self.find(name)
        return _owned(Accounts({key: item for key, item in self.by_name.items() if key != name}))


def _owned(accounts: Accounts) -> Accounts:
    if not any(item.role is Role.OWNER for item in accounts.by_name.values()):
        raise RefusedError(
            "nobody would be left who may manage accounts",
            code="access.last_owner",
            hint="Make somebody else an owner first.",
        )
    return accounts


def load(directory: Path = DIRECTORY) -> Accounts:
    """Return the accounts that a directory holds; none if there is no file.

    Raises:
        FormatError: the file is not of this form (``access.file``).
        StorageError: it can't be read (``storage.read``).
    """
    path = directory / FILE
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return Accounts({})
    except OSError as error:
        raise _unreadable(path, error) from error
    fields = Fields(read_json(data, max_bytes=MAX_FILE_BYTES), ("v", "accounts"), what=str(path), code=CODE)
    fields.version()
    found = [_read(item) for item in fields.items("accounts", MAX_ACCOUNTS)]
    by_name = {item.name: item for item in found}
    if len(by_name) != len(found):
        raise FormatError(f"{path} names an account twice", code=CODE)
    return Accounts(by_name)


def _read(value: Any) -> Account:
    fields = Fields(value, _FIELDS, what="an account", code=CODE)
    return Account(
        fields.text("name", NAME, "an account's name"),
        Role(fields.text("role", _ROLE, "a role")),
        fields.text("password_hash", _HASH, "a hash of crypt(5)"),
        fields.integer("changed_ms"),
    )


def change(directory: Path, make: Callable[[Accounts], Accounts]) -> Accounts:
    """Replace the accounts by what ``make`` makes of them, durably, and return that.

    Raises:
        BpciError: what ``make`` raises, or as :func:`load`.
        StorageError: the directory can't be written to (``storage.write``).
    """
    try:
        with locked(directory / ".accounts.lock"):
            accounts = make(load(directory))
            rows = [
                {"name": item.name, "role": item.role.value, "password_hash": item.password_hash}
                | {"changed_ms": item.changed_ms}
                for _, item in sorted(accounts.by_name.items())
            ]
            path = directory / FILE
            replace_file(path, (json.dumps({"v": 1, "accounts": rows}, indent=1) + "\n").encode())
            give_to_owner(path)
            return accounts
    except PermissionError as error:
        raise _unreadable(directory, error) from error
    except OSError as error:
        raise StorageError(f"cannot write in {directory}: {error.strerror}", code="storage.write") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def give_to_owner(path: Path) -> None:
    """Let a file that root has made belong to whoever its directory belongs to."""
    if os.geteuid() == 0:
        directory = path.parent.stat()
        os.chown(path, directory.st_uid, directory.st_gid, follow_symlinks=False)


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot read {path}: {error.strerror}", code="storage.read", hint="Only root and the sign-in service may."
    )
