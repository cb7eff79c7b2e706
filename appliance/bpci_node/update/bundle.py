"""Update bundles: one file with a signed manifest and the wheels it names. Layout: ``docs/spec/update-bundle.md``.

Nothing is unpacked before everything holds: the envelope is bounded and read strictly, both signatures are checked,
then size and digest of every wheel while it is copied. The file is no archive, so that no name in it leads anywhere
and nothing in it unfolds.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bpci_node.errors import FormatError, ProofError, UsageError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.store.durable_file import replace_file, sync_path
from bpci_node.update.manifest import MAX_MANIFEST_BYTES, Manifest
from bpci_node.update.release_key import HybridSignature, KeyRing, Successor

MAGIC = b"BPCI-UPDATE\x00\x00\x01\r\n"
"""16 bytes; the last two show a transfer that changed line ends."""
HEAD_BYTES = len(MAGIC) + 4
MAX_ENVELOPE_BYTES = 256 * 1024
MAX_SUCCESSORS = 8
MANIFEST_CONTEXT = "bpci 2026 update manifest v1"
_PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything of a bundle but its wheels."""

    manifest: bytes
    """Encoded."""
    key_id: bytes
    """Of the key that signed, 32 bytes."""
    signature: HybridSignature
    successors: tuple[Successor, ...] = ()
    """How that key came to count, the oldest first."""

    def encode(self) -> bytes:
        """Return magic, length and canonical encoding: what stands before the wheels."""
        body = encode(
            {
                "v": 1,
                "manifest": self.manifest,
                "key": self.key_id,
                "signature": self.signature.as_map(),
                "successors": [item.as_map() for item in self.successors],
            }
        )
        return MAGIC + struct.pack(">I", len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> Envelope:
        """Read what follows magic and length; no signature is checked yet.

        Raises:
            FormatError: not an envelope (``update.envelope``, ``update.signature``, ``format.*``).
        """
        names = ("v", "manifest", "key", "signature", "successors")
        value = decode(body, max_bytes=MAX_ENVELOPE_BYTES)
        fields = Fields(value, names, what="an update's envelope", code="update.envelope")
        fields.version()
        return cls(
            fields.blob_up_to("manifest", MAX_MANIFEST_BYTES),
            fields.blob("key", 32),
            HybridSignature.from_map(fields.raw("signature")),
            tuple(Successor.from_map(item) for item in fields.items("successors", MAX_SUCCESSORS)),
        )


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest whose signatures hold."""

    manifest: Manifest
    digest: bytes
    """Of the manifest, 32 bytes: what history calls the release."""
    key_name: str
    """Who signed."""
    successors: tuple[Successor, ...]
    """To be remembered once the release has proved itself."""
    payload_at: int
    """Where the first wheel begins."""

    @property
    def total_bytes(self) -> int:
        """Length of the whole file."""
        return self.payload_at + self.manifest.payload_bytes


def envelope_length(head: bytes) -> int:
    """Return the length of the envelope that follows the first :data:`HEAD_BYTES` bytes of a bundle.

    Raises:
        FormatError: not the beginning of a bundle (``update.magic``), or too long (``update.envelope``).
    """
    if len(head) < HEAD_BYTES or not head.startswith(MAGIC):
        raise FormatError("this is no update bundle", code="update.magic", hint="Was it fetched whole, and as binary?")
    (length,) = struct.unpack(">I", head[len(MAGIC) : HEAD_BYTES])
    if not 0 < length <= MAX_ENVELOPE_BYTES:
        raise FormatError(f"the envelope of an update has at most {MAX_ENVELOPE_BYTES} bytes", code="update.envelope")
    return int(length)


def verify_envelope(body: bytes, ring: KeyRing) -> Release:
    """Check the signatures of an envelope, and read its manifest.

    Raises:
        FormatError: not an envelope, or not a manifest.
        AccessError: the key is not trusted (``update.unknown_key``, ``update.retired_key``).
        ProofError: a signature does not hold (``update.signature``), or keys contradict one another.
    """
    envelope = Envelope.decode(body)
    try:
        key = ring.extended(envelope.successors).key(envelope.key_id)
        envelope.signature.verify(key, MANIFEST_CONTEXT, envelope.manifest)
    except ProofError as error:
        if error.code != "proof.signature":
            raise
        raise ProofError(
            "the signatures of this update do not hold",
            code="update.signature",
            hint="Do not install it. Fetch it again, from the publisher.",
        ) from error
    manifest = Manifest.decode(envelope.manifest)
    digest = derive(MANIFEST_CONTEXT, envelope.manifest)
    return Release(manifest, digest, key.name, envelope.successors, HEAD_BYTES + len(body))


def read_release(path: Path, ring: KeyRing) -> Release:
    """Read and check the beginning of the bundle at ``path``, and its length.

    Raises:
        UsageError: it can't be read (``update.file``).
        FormatError: not a bundle, or longer or shorter than its manifest says (``update.size``).
        AccessError, ProofError: as :func:`verify_envelope`.
    """
    with _opened(path) as file:
        release = verify_envelope(file.read(envelope_length(file.read(HEAD_BYTES))), ring)
        found = file.seek(0, 2)
    if found != release.total_bytes:
        raise FormatError(
            f"the bundle has {found} bytes, and its manifest says {release.total_bytes}", code="update.size"
        )
    return release


def verify_payload(path: Path, release: Release) -> None:
    """Check every wheel of a bundle against the manifest, without writing anything.

    Raises:
        UsageError: it can't be read (``update.file``).
        ProofError: a wheel is another one (``update.wheel``).
    """
    with _opened(path) as file:
        file.seek(release.payload_at)
        for wheel in release.manifest.wheels:
            _copy(file, None, wheel.size_bytes, wheel.sha256, wheel.name)


def unpack(path: Path, release: Release, directory: Path) -> None:
    """Write the wheels and their pins into the new ``directory``, as ``scripts/wheelhouse.sh`` does; durable on return.

    Raises:
        UsageError: the bundle can't be read (``update.file``).
        ProofError: a wheel is not the manifest's (``update.wheel``), or unfolds to more than it says (``update.room``).
        OSError: the disk is full or failing.
    """
    manifest, unfolded = release.manifest, 0
    directory.mkdir(mode=0o700)
    with _opened(path) as file:
        file.seek(release.payload_at)
        for wheel in manifest.wheels:
            target = directory / wheel.name
            with target.open("xb") as out:
                _copy(file, out, wheel.size_bytes, wheel.sha256, wheel.name)
            unfolded += _unfolded_bytes(target)
    if unfolded > manifest.installed_bytes:
        raise ProofError(
            f"the wheels unfold to {unfolded} bytes, and the manifest says {manifest.installed_bytes}",
            code="update.room",
        )
    replace_file(directory / "requirements.txt", "".join(wheel.pin for wheel in manifest.dependencies).encode())
    replace_file(directory / "project.txt", manifest.project.pin.encode())
    sync_path(directory)


def write_bundle(path: Path, envelope: Envelope, wheels: list[Path]) -> None:
    """Write a bundle: the envelope, then the wheels in the order of its manifest.

    Raises:
        OSError: the disk failed, or a wheel can't be read.
    """
    with path.open("wb") as out:
        out.write(envelope.encode())
        for wheel in wheels:
            with wheel.open("rb") as file:
                while part := file.read(_PART_BYTES):
                    out.write(part)


def _copy(source: IO[bytes], out: IO[bytes] | None, size: int, expected: bytes, name: str) -> None:
    digest, left = hashlib.sha256(), size
    while left:
        part = source.read(min(left, _PART_BYTES))
        if not part:
            raise ProofError("the bundle ends within a wheel", code="update.wheel")
        digest.update(part)
        if out is not None:
            out.write(part)
        left -= len(part)
    if digest.digest() != expected:
        raise ProofError(
            f"the wheel {name} in the bundle is not the one that was signed",
            code="update.wheel",
            hint="The file was damaged or changed: fetch it again.",
        )


def _unfolded_bytes(wheel: Path) -> int:
    try:
        with zipfile.ZipFile(wheel) as archive:
            items = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ProofError(f"{wheel.name} is no wheel", code="update.wheel") from error
    for item in items:
        parts = item.filename.split("/")
        if item.filename.startswith("/") or ".." in parts or "\\" in item.filename:
            raise ProofError(f"{wheel.name} holds a name that leads elsewhere", code="update.wheel")
    return sum(item.file_size for item in items)


def _opened(path: Path) -> IO[Any]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="update.file") from error
