"""Passwords of the owner: how good one must be, and the hash that is kept of it.

Invariant: a password goes in, a crypt(5) hash comes out, and the password itself is kept nowhere. Hashing is left to
the system's libcrypt, which also checks it at every sign-in (PAM): one implementation, one set of parameters.
"""

from __future__ import annotations

import ctypes
import hmac
import os
import re
import threading
from functools import cache

from bpci_node.errors import AccessError, HostError, UsageError

MIN_LENGTH = 10
"""Shortest password, characters."""

HASH_FORM = (
    r"\$y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"
    r"|\$6\$(rounds=[0-9]{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
)
"""yescrypt or SHA-512 in the form of crypt(5): what Debian and Ubuntu check, and nothing weaker."""

_TURN = threading.Lock()
"""Held around each call: crypt(3) answers in one place for all threads, so one would get another's hash."""


def check_password(password: str) -> None:
    """Check that ``password`` may guard a machine.

    Raises:
        UsageError: too short, too uniform, or with control characters (``usage.password``); never shows the password.
    """
    if len(password) < MIN_LENGTH:
        raise _weak(f"it has fewer than {MIN_LENGTH} characters")
    if len(set(password)) < MIN_LENGTH // 2:
        raise _weak("it repeats too few different characters")
    if not password.isprintable():
        raise _weak("it contains a control character")
    if len(password.encode()) > 256:
        raise _weak("it is longer than 256 bytes")


def login_hash(shadow: str, name: str) -> str | None:
    """Return the hash of an account's login password, ``None`` if it has none that we check.

    Args:
        shadow: the text of /etc/shadow (shadow(5)).
    """
    for line in shadow.splitlines():
        account, hashed = [*line.split(":"), ""][:2]
        if account == name and re.fullmatch(HASH_FORM, hashed):
            return hashed
    return None


def strength(password: str) -> str:
    """Return one word on ``password`` for the person who types it: too short, weak, fair or strong."""
    try:
        check_password(password)
    except UsageError:
        return "too short" if len(password) < MIN_LENGTH else "weak"
    kinds = sum(bool(re.search(kind, password)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]"))
    return "strong" if len(password) >= 16 or (len(password) >= 12 and kinds >= 3) else "fair"


def hash_password(password: str) -> str:
    """Return the yescrypt hash of ``password`` with a fresh salt.

    Raises:
        UsageError: as :func:`check_password`.
        HostError: the system's libcrypt is missing or refuses (``host.crypt``).
    """
    check_password(password)
    library = _libcrypt()
    salt = os.urandom(16)
    with _TURN:
        setting = library.crypt_gensalt(b"$y$", 0, salt, len(salt))
        hashed = library.crypt(password.encode(), setting) if setting else None
    text = (hashed or b"").decode("ascii", "replace")
    if not re.fullmatch(HASH_FORM, text):
        raise HostError("the system's libcrypt makes no yescrypt hash", code="host.crypt", hint="Install libcrypt1.")
    return text


def verify_password(password: str, hashed: str) -> None:
    """Check ``password`` against the hash that :func:`hash_password` made, in time that depends on the hash alone.

    Raises:
        AccessError: another password (``access.sign_in``).
        HostError: as :func:`hash_password`.
    """
    library = _libcrypt()
    with _TURN:
        found = library.crypt(password.encode(), hashed.encode()) or b""
    if not hmac.compare_digest(found, hashed.encode()):
        raise AccessError("name or password is wrong", code="access.sign_in", hint="Try again, or ask the owner.")


@cache
def _libcrypt() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError as error:
        raise HostError("libcrypt.so.1 is missing", code="host.crypt", hint="Install libcrypt1.") from error
    library.crypt_gensalt.restype = ctypes.c_char_p
    library.crypt_gensalt.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    return library


def _weak(reason: str) -> UsageError:
    return UsageError(
        f"this password can't be used: {reason}",
        code="usage.password",
        hint=f"Use at least {MIN_LENGTH} characters; four random words make a good one.",
    )
