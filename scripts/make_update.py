"""Make release keys, name their successors, and sign update bundles. Layout: docs/spec/update-bundle.md.

A private key is one file of 64 bytes, the seed of Ed25519 and that of ML-DSA-44, readable by its owner alone. It is
named by its path and never printed. Bundles are made from a wheelhouse (scripts/wheelhouse.sh).
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bpci_node.errors import BpciError, FormatError, UsageError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.hashing import derive, sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.update.bundle import MANIFEST_CONTEXT, Envelope, read_release, verify_payload, write_bundle
from bpci_node.update.databases import FORMATS
from bpci_node.update.manifest import Manifest, Wheel
from bpci_node.update.release_key import (
    KEY_SUFFIX,
    SUCCESSOR_CONTEXT,
    SUCCESSOR_SUFFIX,
    HybridSignature,
    KeyRing,
    ReleaseKey,
    Successor,
    successor_bytes,
)

DAY_SECONDS = 86_400
_VENV_BYTES = 64 << 20
"""What an environment takes before anything is installed into it."""
_PIN = re.compile(r"([A-Za-z0-9_.]+)==([^ ]+) --hash=sha256:([0-9a-f]{64})")


class ReleaseSigner:
    """Both private halves of a release key."""

    def __init__(self, name: str, seed: bytes) -> None:
        """Take a name and 64 bytes."""
        if len(seed) != 64:
            raise FormatError("a private release key has 64 bytes", code="format.key")
        self._ed25519, self._ml_dsa = LocalSigner(seed[:32]), MlDsaSigner(seed[32:])
        self.key = ReleaseKey(name, self._ed25519.public_key, self._ml_dsa.public_key)

    def sign(self, context: str, data: bytes) -> HybridSignature:
        """Return both signatures of ``data`` under ``context``."""
        digest = derive(context, data)
        return HybridSignature(self._ed25519.sign(digest), self._ml_dsa.sign(digest))

    def successor(self, key: ReleaseKey) -> Successor:
        """Return the statement that ``key`` takes this one's place."""
        statement = successor_bytes(self.key.key_id, key)
        return Successor(self.key.key_id, key, self.sign(SUCCESSOR_CONTEXT, statement))

    def envelope(self, manifest: Manifest, successors: Sequence[Successor] = ()) -> Envelope:
        """Return the signed envelope of a release."""
        data = manifest.encode()
        return Envelope(data, self.key.key_id, self.sign(MANIFEST_CONTEXT, data), tuple(successors))


def wheels_of(wheelhouse: Path, pins: str) -> tuple[Wheel, ...]:
    """Return the wheels that a list of pins of a wheelhouse names, in its order."""
    by_digest = {sha256(path.read_bytes()): path for path in sorted(wheelhouse.glob("*.whl"))}
    found = []
    for line in (wheelhouse / pins).read_text().splitlines():
        pin = _PIN.fullmatch(line)
        path = None if pin is None else by_digest.get(bytes.fromhex(pin[3]))
        if pin is None or path is None:
            raise UsageError(f"{wheelhouse / pins} names a wheel that is not there: {line}", code="update.file")
        found.append(Wheel(path.name, path.stat().st_size, bytes.fromhex(pin[3])))
    return tuple(found)


def describe(
    wheelhouse: Path, *, sequence: int, platforms: Sequence[str], python: str, minimum: str, days: int, notes: str
) -> Manifest:
    """Return the manifest of what lies in a wheelhouse, issued now."""
    dependencies, (project,) = wheels_of(wheelhouse, "requirements.txt"), wheels_of(wheelhouse, "project.txt")
    unfolded = 0
    for wheel in (*dependencies, project):
        with zipfile.ZipFile(wheelhouse / wheel.name) as archive:
            unfolded += sum(item.file_size for item in archive.infolist())
    now = int(time.time())
    return Manifest(
        version=project.name.split("-")[1],
        sequence=sequence,
        issued_s=now,
        expires_s=now + days * DAY_SECONDS,
        python=python,
        platforms=tuple(platforms),
        minimum=minimum,
        formats=FORMATS,
        # Compiled modules take about as much again as their sources.
        installed_bytes=2 * unfolded + _VENV_BYTES,
        notes=notes,
        dependencies=dependencies,
        project=project,
    )


def make(
    out: Path, wheelhouse: Path, signer: ReleaseSigner, manifest: Manifest, successors: Sequence[Successor]
) -> None:
    """Write a bundle beside ``out``, check it as a node would, and put it in its place."""
    partial = out.with_name(f".{out.name}.partial")
    write_bundle(partial, signer.envelope(manifest, successors), [wheelhouse / item.name for item in manifest.wheels])
    verify_payload(partial, read_release(partial, KeyRing([signer.key], successors)))
    partial.replace(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command."""
    parser = argparse.ArgumentParser(prog="scripts/make-update.sh", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("key", help="make a release key: NAME.secret and NAME.release-key")
    new.add_argument("name")
    new.add_argument("--out", type=Path, required=True, metavar="DIR")
    follow = commands.add_parser("successor", help="let one key name another one its successor")
    follow.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key that signs")
    follow.add_argument("--next", type=Path, required=True, metavar="FILE", help="public key that follows")
    follow.add_argument("--out", type=Path, required=True, metavar="FILE")
    sign = commands.add_parser("bundle", help="sign what lies in a wheelhouse")
    sign.add_argument("wheelhouse", type=Path)
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key that signs")
    sign.add_argument("--successor", type=Path, action="append", default=[], metavar="FILE", help="oldest first")
    sign.add_argument("--sequence", type=int, required=True, help="greater than that of every release before")
    sign.add_argument("--platform", action="append", required=True, help="such as debian-12-x86_64")
    sign.add_argument("--python", default="3.11")
    sign.add_argument("--minimum", default="0.1.0", help="oldest version that can be updated")
    sign.add_argument("--days", type=int, default=180, help="until it expires")
    sign.add_argument("--notes", type=Path, metavar="FILE", help="what people should know of it")
    sign.add_argument("--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        {"key": _key, "successor": _successor, "bundle": _bundle}[given.command](given)
    except BpciError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 3
    return 0


def _key(given: argparse.Namespace) -> None:
    given.out.mkdir(parents=True, exist_ok=True)
    seed = secrets.token_bytes(64)
    signer = ReleaseSigner(given.name, seed)
    ReleaseKey.from_map(signer.key.as_map())
    secret = given.out / f"{given.name}.secret"
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(seed)
    (given.out / f"{given.name}{KEY_SUFFIX}").write_bytes(encode(signer.key.as_map()))
    print(f"{signer.key.key_id.hex()}  {given.name}")


def _successor(given: argparse.Namespace) -> None:
    following = ReleaseKey.from_map(decode(given.next.read_bytes()))
    given.out.with_suffix(SUCCESSOR_SUFFIX).write_bytes(encode(_signer(given.key).successor(following).as_map()))


def _bundle(given: argparse.Namespace) -> None:
    signer = _signer(given.key)
    successors = [Successor.from_map(decode(path.read_bytes())) for path in given.successor]
    manifest = describe(
        given.wheelhouse,
        sequence=given.sequence,
        platforms=given.platform,
        python=given.python,
        minimum=given.minimum,
        days=given.days,
        notes="" if given.notes is None else given.notes.read_text(),
    )
    Manifest.decode(manifest.encode())
    make(given.out, given.wheelhouse, signer, manifest, successors)
    print(f"{sha256(given.out.read_bytes()).hex()}  {given.out}")


def _signer(path: Path) -> ReleaseSigner:
    if path.stat().st_mode & 0o077:
        raise UsageError(f"{path} may be read by others", code="update.key_file", hint="chmod 600")
    return ReleaseSigner(path.stem, path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
