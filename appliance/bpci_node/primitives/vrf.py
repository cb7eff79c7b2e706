"""A verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI, on libsodium's operations of the group.

Whoever has the key makes one output for an input, and a proof that it is that one; nobody can tell it beforehand, and
no key has two. Stricter than the standard asks: keys and the point of a proof lie in the subgroup of prime order (every
honest one does), encodings are canonical, and the scalars of a proof are not zero. So a proof can't be rewritten.
Source: RFC 9381, sections 5.1 to 5.4 and 5.5 (suite 0x03).
"""

from __future__ import annotations

from hashlib import sha512

from nacl import bindings
from nacl.exceptions import CryptoError

from bpci_node.errors import FormatError, ProofError

PROOF_BYTES = 80
"""Length of a proof: a point, 32 bytes; the challenge, 16; a scalar, 32."""
OUTPUT_BYTES = 64
"""Length of an output."""

_SUITE = b"\x03"
_ENCODE, _CHALLENGE, _OUTPUT, _BACK = b"\x01", b"\x02", b"\x03", b"\x00"
_CHALLENGE_BYTES = 16
_FIELD = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032, section 5.1
_IDENTITY = (1).to_bytes(32, "little")


class VrfSigner:
    """A key of the function in this process's memory; ``repr`` shows nothing of it."""

    __slots__ = ("_prefix", "_scalar", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Take a key.

        Args:
            seed: the Ed25519 private key of RFC 8032, 32 bytes.
        Raises:
            FormatError: another length (``format.key``).
        """
        if len(seed) != 32:
            raise FormatError(f"a VRF seed has 32 bytes, not {len(seed)}", code="format.key")
        digest = sha512(seed).digest()
        clamped = bytes([digest[0] & 248, *digest[1:31], digest[31] & 127 | 64])
        self._scalar = bindings.crypto_core_ed25519_scalar_reduce(clamped + bytes(32))
        self._prefix = digest[32:]
        self.public_key: bytes = bindings.crypto_scalarmult_ed25519_base_noclamp(self._scalar)

    def prove(self, alpha: bytes) -> bytes:
        """Return the proof of this key's output for ``alpha``, 80 bytes, always the same.

        Source: RFC 9381, sections 5.1 and 5.4.2.2.
        """
        point = _encode_to_curve(self.public_key, alpha)
        gamma = bindings.crypto_scalarmult_ed25519_noclamp(self._scalar, point)
        nonce = bindings.crypto_core_ed25519_scalar_reduce(sha512(self._prefix + point).digest())
        first = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
        second = bindings.crypto_scalarmult_ed25519_noclamp(nonce, point)
        challenge = _challenge(self.public_key, point, gamma, first, second)
        product = bindings.crypto_core_ed25519_scalar_mul(challenge + bytes(16), self._scalar)
        return bytes(gamma + challenge + bindings.crypto_core_ed25519_scalar_add(nonce, product))


def verify_vrf(public_key: bytes, alpha: bytes, proof: bytes) -> bytes:
    """Return the output of ``public_key`` for ``alpha``, 64 bytes, if ``proof`` proves it.

    Args:
        public_key: 32 bytes.
        proof: 80 bytes.
    Raises:
        FormatError: no usable key: not canonical, or outside the subgroup of prime order (``format.key``).
        ProofError: it proves nothing of the kind (``proof.vrf``).
    Source: RFC 9381, section 5.3.
    """
    require_vrf_key(public_key)
    if len(proof) != PROOF_BYTES:
        raise ProofError(f"a proof of the VRF has {PROOF_BYTES} bytes", code="proof.vrf")
    gamma, challenge, scalar = proof[:32], proof[32:48], proof[48:]
    is_usable = bindings.crypto_core_ed25519_is_valid_point(gamma)
    if not is_usable or not 0 < int.from_bytes(scalar, "little") < _ORDER or not any(challenge):
        raise ProofError("the proof of the VRF is not in its form", code="proof.vrf")
    point, wide = _encode_to_curve(public_key, alpha), challenge + bytes(16)
    # Neither factor is zero, so libsodium, which refuses to return the identity, has no cause to refuse.
    first = bindings.crypto_core_ed25519_sub(
        bindings.crypto_scalarmult_ed25519_base_noclamp(scalar),
        bindings.crypto_scalarmult_ed25519_noclamp(wide, public_key),
    )
    second = bindings.crypto_core_ed25519_sub(
        bindings.crypto_scalarmult_ed25519_noclamp(scalar, point),
        bindings.crypto_scalarmult_ed25519_noclamp(wide, gamma),
    )
    if _challenge(public_key, point, gamma, first, second) != challenge:
        raise ProofError("the proof of the VRF does not hold", code="proof.vrf")
    return output_of(proof)


def output_of(proof: bytes) -> bytes:
    """Return the output, 64 bytes, of a proof that was made here or verified.

    Source: RFC 9381, section 5.2.
    """
    return sha512(_SUITE + _OUTPUT + _times_eight(proof[:32]) + _BACK).digest()


def require_vrf_key(public_key: bytes) -> None:
    """Check that ``public_key`` is the canonical encoding of a point of the subgroup of prime order, not the identity.

    Raises:
        FormatError: it is not (``format.key``).
    Source: RFC 9381, section 5.4.5, which asks for less.
    """
    if len(public_key) != 32 or not bindings.crypto_core_ed25519_is_valid_point(public_key):
        raise FormatError("not a usable key of the VRF", code="format.key")


def _encode_to_curve(public_key: bytes, alpha: bytes) -> bytes:
    """Return the point that stands for ``alpha``. Source: RFC 9381, section 5.4.1.1, try and increment."""
    for counter in range(256):
        hashed = sha512(_SUITE + _ENCODE + public_key + alpha + bytes([counter]) + _BACK).digest()[:32]
        if not _is_canonical(hashed):
            continue
        try:
            point = _times_eight(hashed)
        except CryptoError:  # no point has this y
            continue
        if point != _IDENTITY:
            return point
    # Half of all strings name a point: 256 failures in a row are as likely as a guessed key.
    raise ProofError("no point stands for this input", code="proof.vrf")


def _is_canonical(encoded: bytes) -> bool:
    """Say whether y is reduced, and x = 0 is not called odd (RFC 8032, section 5.1.3); libsodium does not mind."""
    number = int.from_bytes(encoded, "little")
    y, is_odd = number & ((1 << 255) - 1), number >> 255
    return y < _FIELD and not (is_odd and y in (1, _FIELD - 1))


def _times_eight(point: bytes) -> bytes:
    for _ in range(3):
        point = bindings.crypto_core_ed25519_add(point, point)
    return point


def _challenge(*points: bytes) -> bytes:
    """Return the challenge, 16 bytes. Source: RFC 9381, section 5.4.3."""
    return sha512(_SUITE + _CHALLENGE + b"".join(points) + _BACK).digest()[:_CHALLENGE_BYTES]
