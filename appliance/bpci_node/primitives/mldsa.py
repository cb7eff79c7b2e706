"""ML-DSA-44 (FIPS 204), the post-quantum half of a hybrid signature. Signing here is for clients and tests.

What is signed is always a digest that is domain-separated already (:func:`bpci_node.primitives.hashing.derive`), with
the empty context string of the standard.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from bpci_node.errors import FormatError, ProofError

KEY_BYTES = 1312
"""Length of a public key. Source: FIPS 204, table 2."""
SIGNATURE_BYTES = 2420
"""Length of a signature. Source: FIPS 204, table 2."""


class MlDsaSigner:
    """An ML-DSA-44 key in this process's memory; ``repr`` shows nothing of it."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Take a key.

        Args:
            seed: the 32 bytes of which FIPS 204 makes the key.
        Raises:
            FormatError: another length (``format.key``).
        """
        if len(seed) != 32:
            raise FormatError(f"an ML-DSA seed has 32 bytes, not {len(seed)}", code="format.key")
        self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return a signature of ``message``, 2,420 bytes; it differs from call to call."""
        return self._key.sign(message)


def verify_ml_dsa(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check that ``signature`` is that of ``message`` by ``public_key`` (1,312 bytes).

    Raises:
        ProofError: it is not (``proof.signature``).
    Source: FIPS 204, algorithm 3.
    """
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise ProofError("the ML-DSA-44 signature does not hold", code="proof.signature") from error
