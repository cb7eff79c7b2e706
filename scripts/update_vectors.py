"""Write ``docs/spec/vectors/update.json``: bundles, keys and successors, and what must be refused with which code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive, sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.update.bundle import MAGIC, MANIFEST_CONTEXT, Envelope
from bpci_node.update.manifest import Manifest, Wheel
from bpci_node.update.release_key import (
    SUCCESSOR_CONTEXT,
    HybridSignature,
    ReleaseKey,
    Successor,
    successor_bytes,
)

OUT = Path(__file__).resolve().parent.parent / "docs" / "spec" / "vectors" / "update.json"
WHEELS = {
    "dependency-1.0-py3-none-any.whl": b"not a real wheel",
    "bpci_community_os-0.2.0-py3-none-any.whl": b"nor this",
}
FIRST, SECOND, STRANGER = (bytes([number]) * 64 for number in (1, 2, 3))


def key_of(name: str, seed: bytes) -> ReleaseKey:
    """Return the public half of a seed of 64 bytes."""
    return ReleaseKey(name, LocalSigner(seed[:32]).public_key, MlDsaSigner(seed[32:]).public_key)


def sign(seed: bytes, context: str, data: bytes) -> HybridSignature:
    """Return both signatures."""
    digest = derive(context, data)
    return HybridSignature(LocalSigner(seed[:32]).sign(digest), MlDsaSigner(seed[32:]).sign(digest))


def manifest() -> Manifest:
    """Return the manifest of the vectors."""
    wheels = [Wheel(name, len(data), sha256(data)) for name, data in WHEELS.items()]
    return Manifest(
        version="0.2.0",
        sequence=7,
        issued_s=1_790_000_000,
        expires_s=1_800_000_000,
        python="3.11",
        platforms=("debian-12-x86_64",),
        minimum="0.1.0",
        formats=(2, 2),
        installed_bytes=1_000_000,
        notes="",
        dependencies=(wheels[0],),
        project=wheels[1],
    )


def main() -> None:
    """Write the file."""
    first, second, stranger = key_of("first", FIRST), key_of("second", SECOND), key_of("stranger", STRANGER)
    data = manifest().encode()
    follows = Successor(first.key_id, second, sign(FIRST, SUCCESSOR_CONTEXT, successor_bytes(first.key_id, second)))
    payload = b"".join(WHEELS.values())
    plain = Envelope(data, first.key_id, sign(FIRST, MANIFEST_CONTEXT, data))
    rotated = Envelope(data, second.key_id, sign(SECOND, MANIFEST_CONTEXT, data), (follows,))
    by_both = sign(STRANGER, MANIFEST_CONTEXT, data)
    other = replace(manifest(), sequence=8).encode()
    unsafe = data.replace(b"dependency-1.0", b"../../../etc/x")
    shown: dict[str, Envelope] = {"signed by the first key": plain, "signed by its successor": rotated}
    refused: dict[str, tuple[str, bytes]] = {
        "one signature alone is right (Ed25519)": (
            "update.signature",
            replace(plain, signature=replace(plain.signature, ml_dsa=by_both.ml_dsa)).encode() + payload,
        ),
        "one signature alone is right (ML-DSA-44)": (
            "update.signature",
            replace(plain, signature=replace(plain.signature, ed25519=by_both.ed25519)).encode() + payload,
        ),
        "another manifest under the signatures": (
            "update.signature",
            replace(plain, manifest=other).encode() + payload,
        ),
        "signed by a stranger": (
            "update.unknown_key",
            Envelope(data, stranger.key_id, by_both).encode() + payload,
        ),
        "a successor that its predecessor did not name": (
            "update.signature",
            replace(rotated, successors=(replace(follows, key=stranger),), key_id=stranger.key_id).encode() + payload,
        ),
        "signed by a key after it named its successor": (
            "update.retired_key",
            replace(plain, successors=(follows,)).encode() + payload,
        ),
        "a wheel's name that leads elsewhere": (
            "update.manifest",
            Envelope(unsafe, first.key_id, sign(FIRST, MANIFEST_CONTEXT, unsafe)).encode() + payload,
        ),
        "a byte too many": ("update.size", plain.encode() + payload + b"\x00"),
        "a byte too few": ("update.size", plain.encode() + payload[:-1]),
        "another wheel of the same length": ("update.wheel", plain.encode() + payload[:-1] + b"!"),
        "line ends changed on the way": ("update.magic", MAGIC.replace(b"\r\n", b"\n") + plain.encode()[len(MAGIC) :]),
        "an envelope that claims a gigabyte": ("update.envelope", MAGIC + (1 << 30).to_bytes(4) + payload),
    }
    vectors: dict[str, Any] = {
        "trusted": encode(first.as_map()).hex(),
        "trusted_id": first.key_id.hex(),
        "manifest": data.hex(),
        "manifest_digest": derive(MANIFEST_CONTEXT, data).hex(),
        "payload_sha256": sha256(payload).hex(),
        "accepted": {name: (item.encode() + payload).hex() for name, item in shown.items()},
        "refused": {name: {"code": code, "bundle": bundle.hex()} for name, (code, bundle) in refused.items()},
    }
    OUT.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
