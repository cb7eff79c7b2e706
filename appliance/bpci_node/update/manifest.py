"""What a release says of itself: version, order, lifetime, machines it is for, and its wheels by digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bpci_node.errors import FormatError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields

PRODUCT = "bpci-community-os"
MAX_MANIFEST_BYTES = 128 * 1024
MAX_WHEELS = 256
MAX_WHEEL_BYTES = 256 << 20
"""Longest wheel."""
MAX_PAYLOAD_BYTES = 1 << 30
"""All wheels together."""
MAX_INSTALLED_BYTES = 4 << 30
MAX_LIFETIME_SECONDS = 400 * 86_400
"""From issue to expiry: a machine that is kept from the publisher notices within about a year."""

VERSION_FORM = re.compile(r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}")
_PYTHON_FORM = re.compile(r"3\.(?:1[1-9]|[2-9][0-9])")
_PLATFORM_FORM = re.compile(r"[a-z]{2,16}-[0-9]{1,3}(?:\.[0-9]{1,2})?-(?:x86_64|aarch64)")
_WHEEL_FORM = re.compile(
    r"[A-Za-z0-9_.]{1,80}-[A-Za-z0-9_.!+]{1,40}(?:-[0-9][A-Za-z0-9_.]{0,20})?(?:-[A-Za-z0-9_.]{1,100}){3}\.whl"
)
_NOTES_FORM = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f]{0,4000}")


def version_key(version: str) -> tuple[int, ...]:
    """Return what orders versions of three numbers."""
    return tuple(int(part) for part in version.split("."))


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of a release."""

    name: str
    """File name; it has no directory and begins with no dot."""
    size_bytes: int
    sha256: bytes
    """Digest of the file, 32 bytes."""

    @property
    def pin(self) -> str:
        """The line by which pip takes this file and no other."""
        project, version = self.name.split("-")[:2]
        return f"{project}=={version} --hash=sha256:{self.sha256.hex()}\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A release."""

    version: str
    """Three numbers, such as ``0.2.0``."""
    sequence: int
    """Position among all releases, from 1; a machine never goes back."""
    issued_s: int
    """Unix seconds."""
    expires_s: int
    """Unix seconds; not installed after it."""
    python: str
    """Of the interpreter it is for, such as ``3.11``."""
    platforms: tuple[str, ...]
    """Distribution, release and processor, such as ``debian-12-x86_64``."""
    minimum: str
    """Oldest version that can be updated to this one."""
    formats: tuple[int, int]
    """Versions of the node's database and of its auction journal."""
    installed_bytes: int
    """Room that the installation takes."""
    notes: str
    """For people, at most 4,000 characters."""
    dependencies: tuple[Wheel, ...]
    """In the order of their pins."""
    project: Wheel
    """The node itself."""

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """All wheels, in the order of the bundle."""
        return (*self.dependencies, self.project)

    @property
    def payload_bytes(self) -> int:
        """Bytes of all wheels."""
        return sum(wheel.size_bytes for wheel in self.wheels)

    def encode(self) -> bytes:
        """Return the canonical encoding, which is what is signed."""
        return encode(
            {
                "v": 1,
                "product": PRODUCT,
                "version": self.version,
                "sequence": self.sequence,
                "issued_s": self.issued_s,
                "expires_s": self.expires_s,
                "python": self.python,
                "platforms": list(self.platforms),
                "minimum": self.minimum,
                "formats": list(self.formats),
                "installed_bytes": self.installed_bytes,
                "notes": self.notes,
                "dependencies": [_wheel_map(wheel) for wheel in self.dependencies],
                "project": _wheel_map(self.project),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read a manifest strictly.

        Raises:
            FormatError: not one (``update.manifest``, ``format.*``).
        """
        fields = Fields(decode(data, max_bytes=MAX_MANIFEST_BYTES), _NAMES, what="a manifest", code="update.manifest")
        fields.version()
        if fields.raw("product") != PRODUCT:
            raise fields.wrong("is of another product")
        formats = fields.items("formats", 2)
        if len(formats) != 2 or not all(type(item) is int and 0 < item < 10_000 for item in formats):
            raise fields.wrong("needs two small numbers in 'formats'")
        manifest = cls(
            version=fields.text("version", VERSION_FORM, "three numbers"),
            sequence=fields.integer("sequence", 1, 2**53),
            issued_s=fields.integer("issued_s", 0, 2**40),
            expires_s=fields.integer("expires_s", 0, 2**40),
            python=fields.text("python", _PYTHON_FORM, "a version of Python"),
            platforms=fields.texts("platforms", _PLATFORM_FORM, "a platform", 16),
            minimum=fields.text("minimum", VERSION_FORM, "three numbers"),
            formats=(formats[0], formats[1]),
            installed_bytes=fields.integer("installed_bytes", 1, MAX_INSTALLED_BYTES),
            notes=fields.text("notes", _NOTES_FORM, "printable text"),
            dependencies=tuple(_read_wheel(item) for item in fields.items("dependencies", MAX_WHEELS)),
            project=_read_wheel(fields.raw("project")),
        )
        names = [wheel.name for wheel in manifest.wheels]
        if len(set(names)) != len(names):
            raise fields.wrong("names a wheel twice")
        if manifest.payload_bytes > MAX_PAYLOAD_BYTES:
            raise fields.wrong(f"has wheels of more than {MAX_PAYLOAD_BYTES} bytes")
        if not manifest.platforms:
            raise fields.wrong("is for no platform")
        if not manifest.issued_s < manifest.expires_s <= manifest.issued_s + MAX_LIFETIME_SECONDS:
            raise fields.wrong("does not expire within 400 days after its issue")
        return manifest


_NAMES = (
    "v", "product", "version", "sequence", "issued_s", "expires_s", "python", "platforms", "minimum", "formats",
    "installed_bytes", "notes", "dependencies", "project",
)  # fmt: skip


def _wheel_map(wheel: Wheel) -> dict[str, Any]:
    return {"name": wheel.name, "size": wheel.size_bytes, "sha256": wheel.sha256}


def _read_wheel(value: Any) -> Wheel:
    fields = Fields(value, ("name", "size", "sha256"), what="a wheel of a manifest", code="update.manifest")
    name = fields.text("name", _WHEEL_FORM, "the name of a wheel")
    if name.startswith(".") or ".." in name:
        raise FormatError("a wheel of a manifest has a name that leads elsewhere", code="update.manifest")
    return Wheel(name, fields.integer("size", 1, MAX_WHEEL_BYTES), fields.blob("sha256", 32))
