"""Keys that sign releases: a pair of Ed25519 and ML-DSA-44, of which both must hold, and how one follows another.

Which keys count is what the image or the owner has put in a directory, plus the successors that those keys have named
and this machine has learnt. A key that named a successor counts no longer. Private halves are never on a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpci_node.errors import AccessError, FormatError, ProofError, UsageError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import require_public_key, verify_signature
from bpci_node.primitives.mldsa import KEY_BYTES, SIGNATURE_BYTES, verify_ml_dsa
from bpci_node.primitives.names import NAME_FORM
from bpci_node.store.durable_file import replace_file

KEY_CONTEXT = "bpci 2026 release key v1"
SUCCESSOR_CONTEXT = "bpci 2026 release key successor v1"
MAX_FILE_BYTES = 8192
"""Longest file with a key or a successor."""
MAX_KEYS = 64
"""Files of one directory that are looked at."""
KEY_SUFFIX, SUCCESSOR_SUFFIX = ".release-key", ".successor"
ED25519_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """The public half of a key that signs releases."""

    name: str
    """For people, such as ``bpci-2026``."""
    ed25519: bytes
    """Public key, 32 bytes."""
    ml_dsa: bytes
    """ML-DSA-44 public key, 1,312 bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return what is encoded."""
        return {"v": 1, "name": self.name, "ed25519": self.ed25519, "ml_dsa": self.ml_dsa}

    @property
    def key_id(self) -> bytes:
        """What bundles call this key, 32 bytes."""
        return derive(KEY_CONTEXT, encode(self.as_map()))

    @classmethod
    def from_map(cls, value: Any) -> ReleaseKey:
        """Read a key.

        Raises:
            FormatError: not one (``update.key``, ``format.key``).
        """
        fields = Fields(value, ("v", "name", "ed25519", "ml_dsa"), what="a release key", code="update.key")
        fields.version()
        key = cls(
            fields.text("name", NAME_FORM, "a name"),
            fields.blob("ed25519", 32),
            fields.blob("ml_dsa", KEY_BYTES),
        )
        require_public_key(key.ed25519)
        return key


@dataclass(frozen=True, slots=True)
class HybridSignature:
    """Two signatures of one digest."""

    ed25519: bytes
    """64 bytes."""
    ml_dsa: bytes
    """2,420 bytes."""

    def as_map(self) -> dict[str, bytes]:
        """Return what is encoded."""
        return {"ed25519": self.ed25519, "ml_dsa": self.ml_dsa}

    @classmethod
    def from_map(cls, value: Any) -> HybridSignature:
        """Read a signature.

        Raises:
            FormatError: not one, or one half alone (``update.signature``).
        """
        fields = Fields(value, ("ed25519", "ml_dsa"), what="a release's signature", code="update.signature")
        return cls(fields.blob("ed25519", ED25519_SIGNATURE_BYTES), fields.blob("ml_dsa", SIGNATURE_BYTES))

    def verify(self, key: ReleaseKey, context: str, data: bytes) -> None:
        """Check that both halves are signatures of ``data`` under ``context`` by ``key``.

        Raises:
            ProofError: one of them is not (``proof.signature``).
        """
        digest = derive(context, data)
        verify_signature(key.ed25519, digest, self.ed25519)
        verify_ml_dsa(key.ml_dsa, digest, self.ml_dsa)


@dataclass(frozen=True, slots=True)
class Successor:
    """A key's statement that another one takes its place."""

    predecessor: bytes
    """Id of the key that signs, 32 bytes."""
    key: ReleaseKey
    """The one that follows."""
    signature: HybridSignature

    def signed_part(self) -> bytes:
        """Return the bytes that are signed."""
        return successor_bytes(self.predecessor, self.key)

    def as_map(self) -> dict[str, Any]:
        """Return what is encoded."""
        return {
            "v": 1,
            "predecessor": self.predecessor,
            "key": self.key.as_map(),
            "signature": self.signature.as_map(),
        }

    @classmethod
    def from_map(cls, value: Any) -> Successor:
        """Read a statement; its signature is not checked yet.

        Raises:
            FormatError: not one (``update.key``, ``update.signature``, ``format.key``).
        """
        names = ("v", "predecessor", "key", "signature")
        fields = Fields(value, names, what="a release key's successor", code="update.key")
        fields.version()
        return cls(
            fields.blob("predecessor", 32),
            ReleaseKey.from_map(fields.raw("key")),
            HybridSignature.from_map(fields.raw("signature")),
        )


def successor_bytes(predecessor: bytes, key: ReleaseKey) -> bytes:
    """Return what the key called ``predecessor`` (32 bytes) signs to name ``key`` its successor."""
    return encode({"v": 1, "predecessor": predecessor, "key": key.as_map()})


class KeyRing:
    """The release keys that a machine trusts."""

    def __init__(self, keys: Iterable[ReleaseKey], successors: Iterable[Successor] = ()) -> None:
        """Take keys, and the successors that they have named.

        A successor of a key that is not here is left aside: the image that brought its predecessor is gone.
        """
        self._keys = {key.key_id: key for key in keys}
        self._replaced: dict[bytes, bytes] = {}
        self._take_all(successors)

    def _take_all(self, successors: Iterable[Successor]) -> None:
        left = list(successors)
        while fitting := [item for item in left if item.predecessor in self._keys]:
            for item in fitting:
                self._take(item)
                left.remove(item)

    def _take(self, item: Successor) -> None:
        item.signature.verify(self._keys[item.predecessor], SUCCESSOR_CONTEXT, item.signed_part())
        followed = self._replaced.get(item.predecessor)
        if followed is not None and followed != item.key.key_id:
            raise ProofError(
                "a release key has named two successors",
                code="update.key_conflict",
                hint="Ask the publisher over another channel which one is theirs, before anything is installed.",
            )
        if item.key.key_id in self._replaced or item.key.key_id == item.predecessor:
            raise ProofError("a release key was named again after it was replaced", code="update.key_conflict")
        self._keys[item.key.key_id] = item.key
        self._replaced[item.predecessor] = item.key.key_id

    def extended(self, successors: Iterable[Successor]) -> KeyRing:
        """Return this ring with more successors; those of keys that are not here are left aside.

        Raises:
            ProofError: one does not hold (``proof.signature``), or contradicts what is known (``update.key_conflict``).
        """
        ring = KeyRing(())
        ring._keys, ring._replaced = dict(self._keys), dict(self._replaced)
        ring._take_all(successors)
        return ring

    @property
    def trusted(self) -> Mapping[bytes, ReleaseKey]:
        """The keys that count, by id."""
        return {key_id: key for key_id, key in self._keys.items() if key_id not in self._replaced}

    def key(self, key_id: bytes) -> ReleaseKey:
        """Return the key called ``key_id`` (32 bytes).

        Raises:
            AccessError: it is not trusted here (``update.unknown_key``), or no longer (``update.retired_key``).
        """
        if key_id in self._replaced:
            raise AccessError(
                "the release key was replaced by another one",
                code="update.retired_key",
                hint="Fetch the bundle again: the publisher signs with the new key.",
                key=key_id.hex(),
            )
        try:
            return self._keys[key_id]
        except KeyError:
            raise self._unknown(key_id) from None

    def _unknown(self, key_id: bytes) -> AccessError:
        known = "none is trusted here" if not self._keys else "it is none of those that are trusted here"
        return AccessError(
            f"the release is signed with the key {key_id.hex()[:16]}, and {known}",
            code="update.unknown_key",
            hint="See 'bpci update status'; put the publisher's key file into /etc/bpci/release-keys if you trust it.",
            key=key_id.hex(),
        )


def load_ring(directories: Iterable[Path], learnt: Path) -> KeyRing:
    """Return the keys of directories that root alone may write, and the successors this machine has learnt.

    Args:
        directories: of the image and of the owner; one that is missing holds none.
        learnt: where :func:`remember` writes.
    Raises:
        UsageError: a file can't be read, is too long or too many are there (``update.key_file``).
        FormatError: a file is no key (``update.key``).
        ProofError: a learnt successor does not hold.
    """
    keys = [ReleaseKey.from_map(item) for place in directories for item in _read_all(place, KEY_SUFFIX)]
    return KeyRing(keys, [Successor.from_map(item) for item in _read_all(learnt, SUCCESSOR_SUFFIX)])


def remember(learnt: Path, successors: Iterable[Successor]) -> None:
    """Keep successors for the next time; durable on return.

    Raises:
        OSError: the disk failed.
    """
    learnt.mkdir(mode=0o755, parents=True, exist_ok=True)
    for item in successors:
        replace_file(learnt / f"{item.predecessor.hex()[:32]}{SUCCESSOR_SUFFIX}", encode(item.as_map()), mode=0o644)


def _read_all(directory: Path, suffix: str) -> list[Any]:
    try:
        paths = sorted(path for path in directory.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(directory, str(error.strerror)) from error
    if len(paths) > MAX_KEYS:
        raise _unreadable(directory, f"it holds more than {MAX_KEYS} keys")
    found = []
    for path in paths:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise _unreadable(path, str(error.strerror)) from error
        try:
            found.append(decode(data, max_bytes=MAX_FILE_BYTES))
        except FormatError as error:
            raise FormatError(f"{path} is no release key", code="update.key") from error
    return found


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(f"cannot read release keys in {path}: {why}", code="update.key_file", hint="Run it as root.")
