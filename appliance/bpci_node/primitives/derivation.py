"""From the owner's 24 words to every key: BIP-39, then SLIP-0010, EIP-2333 and HKDF with named contexts.

All paths are hardened: no public key, and no other private key, leads to a derived one. Nothing here draws randomness;
entropy comes in as an argument. Paths, contexts and vectors: ``docs/spec/keys.md``.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256, sha512

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from mnemonic import Mnemonic

from bpci_node.errors import FormatError

PHRASE_WORDS = 24
"""Words of a phrase: 256 bits of entropy and 8 bits of checksum."""

PURPOSE = 0x42504349
"""First level of our paths: ASCII ``BPCI`` as an integer, out of reach of registered BIP-43 purposes."""

MAX_INSTANCE = 2**31 - 1
"""Highest instance number of an identity."""

_ROLE_NODE, _ROLE_REGISTRY, _ROLE_OWNER = 0, 1, 2
_HARDENED = 1 << 31
_BLS_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001  # r of BLS12-381
_BLS_PURPOSE = 12381  # EIP-2334


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Every secret of one identity. ``repr`` shows none of them."""

    node: bytes = field(repr=False)
    """Ed25519 seed of the node, 32 bytes: its identity on the ledger. The same for every instance."""
    registry: bytes = field(repr=False)
    """Ed25519 seed of a ledger that this owner sequences, 32 bytes. The same for every instance."""
    owner: bytes = field(repr=False)
    """Ed25519 seed of the owner, 32 bytes. The same for every instance."""
    bls: int = field(repr=False)
    """BLS12-381 secret, 1 <= bls < r. Another one for each instance."""
    ml_dsa_seed: bytes = field(repr=False)
    """Seed (xi) of an ML-DSA-44 key, 32 bytes. Another one for each instance."""
    vrf_seed: bytes = field(repr=False)
    """Ed25519 seed for the VRF, 32 bytes. Another one for each instance."""
    backup_key: bytes = field(repr=False)
    """Key that encrypts backups, 32 bytes. The same for every instance, or no instance could read an earlier backup."""


def new_phrase(entropy: bytes) -> str:
    """Return the 24 English words of ``entropy`` (32 random bytes).

    Raises:
        FormatError: the entropy is not 32 bytes (``format.entropy``).
    Source: BIP-39.
    """
    if len(entropy) != 32:
        raise FormatError(f"a phrase is made of 32 random bytes, not {len(entropy)}", code="format.entropy")
    return str(_mnemonic().to_mnemonic(entropy))


def normalise_phrase(phrase: str) -> str:
    """Return ``phrase`` as it is written in the word list: NFKD, lower case, single spaces.

    Raises:
        FormatError: not 24 words, a word outside the English list, or a wrong checksum (``format.phrase``). The
            message names the position of a word, never the word.
    """
    words = unicodedata.normalize("NFKD", phrase).lower().split()
    for position, word in enumerate(words[:PHRASE_WORDS], start=1):
        if word not in _words():
            raise FormatError(
                f"word {position} of the recovery phrase is not in the BIP-39 English word list",
                code="format.phrase",
                hint="Compare that word with your paper, letter by letter.",
                reason="word",
                position=position,
            )
    if len(words) != PHRASE_WORDS:
        raise FormatError(
            f"a recovery phrase has {PHRASE_WORDS} words; this one has {len(words)}",
            code="format.phrase",
            hint="Enter all 24 words in their order, separated by spaces.",
            reason="count",
            count=len(words),
        )
    text = " ".join(words)
    if not _mnemonic().check(text):
        raise FormatError(
            "the words of the recovery phrase don't fit together: its checksum is wrong",
            code="format.phrase",
            hint="Every word is in the list, so look for two swapped words, or one read as another.",
            reason="checksum",
        )
    return text


def entropy_of(phrase: str) -> bytes:
    """Return the 32 bytes that :func:`new_phrase` makes ``phrase`` of.

    Raises:
        FormatError: as :func:`normalise_phrase`.
    Source: BIP-39.
    """
    return bytes(_mnemonic().to_entropy(normalise_phrase(phrase)))


def seed_of(phrase: str) -> bytes:
    """Return the 64-byte BIP-39 seed of ``phrase``, with the empty passphrase.

    Raises:
        FormatError: as :func:`normalise_phrase`.
    Source: BIP-39.
    """
    return bytes(Mnemonic.to_seed(normalise_phrase(phrase), passphrase=""))


def derive_keys(phrase: str, instance: int = 0) -> NodeKeys:
    """Return every key of the identity that ``phrase`` stands for.

    Args:
        instance: 0 <= instance <= 2**31 - 1; a re-created identity raises it, and gets fresh keys where an older
            clone's signature could contradict its own (BLS, ML-DSA, VRF).
    Raises:
        FormatError: as :func:`normalise_phrase`, or the instance is out of range (``format.instance``).
    """
    if not 0 <= instance <= MAX_INSTANCE:
        raise FormatError(f"an instance number lies between 0 and {MAX_INSTANCE}", code="format.instance")
    seed = seed_of(phrase)
    suffix = instance.to_bytes(4, "big")
    return NodeKeys(
        node=slip10_ed25519(seed, (PURPOSE, _ROLE_NODE, 0)),
        registry=slip10_ed25519(seed, (PURPOSE, _ROLE_REGISTRY, 0)),
        owner=slip10_ed25519(seed, (PURPOSE, _ROLE_OWNER, 0)),
        bls=eip2333_secret(seed, (_BLS_PURPOSE, PURPOSE, instance, 0)),
        ml_dsa_seed=named_key(seed, b"bpci 2026 ml-dsa-44 seed v1" + suffix),
        vrf_seed=named_key(seed, b"bpci 2026 vrf seed v1" + suffix),
        backup_key=named_key(seed, b"bpci 2026 backup key v1"),
    )


def slip10_ed25519(seed: bytes, path: Sequence[int]) -> bytes:
    """Return the 32-byte Ed25519 seed at ``path`` (every index hardened, 0 <= index < 2**31).

    Source: SLIP-0010, master key generation and private parent key to private child key for ed25519.
    """
    digest = hmac.digest(b"ed25519 seed", seed, sha512)
    for index in path:
        data = b"\x00" + digest[:32] + (index | _HARDENED).to_bytes(4, "big")
        digest = hmac.digest(digest[32:], data, sha512)
    return digest[:32]


def eip2333_secret(seed: bytes, path: Sequence[int]) -> int:
    """Return the BLS12-381 secret at ``path`` (0 <= index < 2**32; this tree knows hardened steps only).

    Args:
        seed: at least 32 bytes.
    Source: EIP-2333, ``derive_master_SK`` and ``derive_child_SK``.
    """
    secret = _hkdf_mod_r(seed)
    for index in path:
        secret = _hkdf_mod_r(_lamport_public_key(secret, index))
    return secret


def named_key(seed: bytes, info: bytes) -> bytes:
    """Return the 32-byte HKDF-SHA-512 output of ``seed`` under ``info``, with no salt. Source: RFC 5869."""
    return HKDF(algorithm=hashes.SHA512(), length=32, salt=None, info=info).derive(seed)


def _hkdf_mod_r(key_material: bytes) -> int:
    salt, secret = b"BLS-SIG-KEYGEN-SALT-", 0
    while secret == 0:
        salt = sha256(salt).digest()
        kdf = HKDF(algorithm=hashes.SHA256(), length=48, salt=salt, info=(48).to_bytes(2, "big"))
        secret = int.from_bytes(kdf.derive(key_material + b"\x00"), "big") % _BLS_ORDER
    return secret


def _lamport_public_key(parent: int, index: int) -> bytes:
    salt = index.to_bytes(4, "big")
    key_material = parent.to_bytes(32, "big")
    flipped = bytes(byte ^ 0xFF for byte in key_material)
    chunks: list[bytes] = []
    for material in (key_material, flipped):
        secrets = HKDF(algorithm=hashes.SHA256(), length=255 * 32, salt=salt, info=b"").derive(material)
        chunks += [sha256(secrets[start : start + 32]).digest() for start in range(0, len(secrets), 32)]
    return sha256(b"".join(chunks)).digest()


@cache
def _mnemonic() -> Mnemonic:
    return Mnemonic("english")


@cache
def _words() -> frozenset[str]:
    return frozenset(_mnemonic().wordlist)
