"""A TPM's word for a digest: its structures read, and held against what they must say. Pure, and without a TPM.

A quote shows that a key which no TPM would let sign anything made-up (restricted, made inside, not to be moved) signed
the digest together with the state of the boot (PCR 0 to 7). That the key is in a *real* TPM, only the maker's
certificate and an activation could show; a certificate alone says that the maker made such a TPM.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import sha256

VERSION = 1
PCRS = tuple(range(8))
"""What is quoted: firmware, its settings, boot loader, Secure Boot (TCG PC Client Platform Firmware Profile, 3.3.4)."""
MAX_PART = 4096
_HASH_BYTES = 32

_GENERATED, _ATTEST_QUOTE = 0xFF544347, 0x8018
_ECC, _SHA256, _NULL, _ECDSA, _P256 = 0x0023, 0x000B, 0x0010, 0x0018, 0x0003
# TPM 2.0 Library, part 2, 8.3: fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign; and not decrypt.
_MUST, _MUST_NOT = 0x00000002 | 0x00000010 | 0x00000020 | 0x00010000 | 0x00040000, 0x00020000
_EK_USAGE = x509.ObjectIdentifier("2.23.133.8.1")
_MOST_ISSUERS = 6


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote as a report carries it."""

    key: bytes
    """The attestation key, ``TPMT_PUBLIC``."""
    message: bytes
    """What it signed, ``TPMS_ATTEST``."""
    signature: bytes
    """``TPMT_SIGNATURE``."""
    pcrs: bytes
    """SHA-256 registers 0 to 7 one after the other, 256 bytes."""
    certificate: bytes | None
    """The maker's certificate of the TPM's endorsement key, X.509 DER, where there is one."""

    def as_object(self) -> dict[str, Any]:
        """Return the form that is signed."""
        return {
            "v": VERSION,
            "key": self.key,
            "message": self.message,
            "signature": self.signature,
            "pcrs": self.pcrs,
            "certificate": self.certificate,
        }


def quote_from_object(value: Any) -> Quote:
    """Return the quote that :meth:`Quote.as_object` gave as ``value``.

    Raises:
        FormatError: it is none (``format.quote``).
    """
    names = ("v", "key", "message", "signature", "pcrs", "certificate")
    fields = Fields(value, names, what="a quote", code="format.quote")
    fields.version(VERSION)
    return Quote(
        fields.blob_up_to("key", MAX_PART),
        fields.blob_up_to("message", MAX_PART),
        fields.blob_up_to("signature", MAX_PART),
        fields.blob("pcrs", _HASH_BYTES * len(PCRS)),
        None if fields.is_null("certificate") else fields.blob_up_to("certificate", MAX_PART),
    )


def verify_quote(quote: Quote, expected: bytes) -> None:
    """Check that a quote vouches for ``expected``, and for the registers beside it.

    Args:
        expected: 32 bytes that the TPM was given to sign with.
    Raises:
        FormatError: a structure is not one, or of a kind that is not read (``format.quote``).
        ProofError: it does not vouch for that (``proof.quote``).
    """
    key = _public_key(quote.key)
    said = _attested(quote.message)
    if said.extra != expected:
        raise _refused("it was made for something else")
    if said.pcr_digest != sha256(quote.pcrs):
        raise _refused("the registers beside it are not those that were quoted")
    try:
        key.verify(_signature(quote.signature), quote.message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise _refused("its signature does not hold") from None


def verify_certificate_chain(certificate: bytes, trusted: Sequence[bytes], now: datetime | None = None) -> str:
    """Check that a maker whose certificate is trusted vouches for an endorsement key; return the TPM's name.

    Args:
        certificate: of the endorsement key, X.509 DER.
        trusted: certificates of makers, roots and what lies between, DER.
        now: time of the check.
    Raises:
        FormatError: a certificate is none (``format.quote``).
        ProofError: nobody who is trusted vouches for it (``proof.quote``).
    """
    now = now or datetime.now(UTC)
    leaf, known = _certificate(certificate), [_certificate(item) for item in trusted]
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        raise _refused("its certificate is not one of an endorsement key") from None
    if _EK_USAGE not in usage:
        raise _refused("its certificate is not one of an endorsement key")
    current = leaf
    for _ in range(_MOST_ISSUERS):
        if not current.not_valid_before_utc <= now <= current.not_valid_after_utc:
            raise _refused("a certificate has expired or does not count yet")
        issuer = next((item for item in known if _issued(current, item)), None)
        if issuer is None:
            raise _refused("nobody who is trusted vouches for its endorsement key")
        if issuer == current or issuer.subject == issuer.issuer:
            return leaf.subject.rfc4514_string()
        current = issuer
    raise _refused("its chain of certificates is too long")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True


def _certificate(data: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise _wrong("a certificate is not X.509 in DER") from error


@dataclass(frozen=True, slots=True)
class _Attested:
    extra: bytes
    pcr_digest: bytes


class _Reader:
    """Reads a TPM's structures: numbers with the high byte first, byte strings with their length before them."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise _wrong("a structure ends too early")
        self._at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def sized(self, prefix: int = 2) -> bytes:
        return self.take(self.number(prefix))

    def end(self) -> None:
        if self._at != len(self._data):
            raise _wrong("a structure goes on after its end")


def _attested(message: bytes) -> _Attested:
    """Read ``TPMS_ATTEST``. Source: TPM 2.0 Library, part 2, 10.12.12."""
    reader = _Reader(message)
    if reader.number(4) != _GENERATED or reader.number(2) != _ATTEST_QUOTE:
        raise _refused("it is no quote that a TPM made")
    reader.sized()  # qualified name of the key
    extra = reader.sized()
    reader.take(17 + 8)  # clock and firmware's version
    selections = reader.number(4)
    chosen = (reader.number(2), reader.sized(1)) if selections == 1 else None
    wanted = sum(1 << number for number in PCRS).to_bytes(3, "little")
    if chosen != (_SHA256, wanted):
        raise _refused("it does not quote the SHA-256 registers 0 to 7")
    digest = reader.sized()
    reader.end()
    return _Attested(extra, digest)


def _public_key(public: bytes) -> ec.EllipticCurvePublicKey:
    """Read ``TPMT_PUBLIC`` of an attestation key. Source: TPM 2.0 Library, part 2, 12.2.4."""
    reader = _Reader(public)
    kind, name_hash, attributes = reader.number(2), reader.number(2), reader.number(4)
    if (kind, name_hash) != (_ECC, _SHA256):
        raise _wrong("the attestation key is not of elliptic curves with SHA-256 names")
    if attributes & _MUST != _MUST or attributes & _MUST_NOT:
        raise _refused("its key could sign what no TPM made")
    reader.sized()  # policy
    if struct.unpack(">5H", reader.take(10)) != (_NULL, _ECDSA, _SHA256, _P256, _NULL):
        raise _wrong("the attestation key is not for ECDSA on P-256 with SHA-256")
    x, y = reader.sized(), reader.sized()
    reader.end()
    try:
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()
    except ValueError as error:
        raise _wrong("the attestation key is not a point of P-256") from error


def _signature(data: bytes) -> bytes:
    """Read ``TPMT_SIGNATURE`` and return it in DER. Source: TPM 2.0 Library, part 2, 11.3.4."""
    reader = _Reader(data)
    if (reader.number(2), reader.number(2)) != (_ECDSA, _SHA256):
        raise _wrong("the signature is not ECDSA with SHA-256")
    r, s = reader.sized(), reader.sized()
    reader.end()
    return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))


def _wrong(reason: str) -> FormatError:
    return FormatError(f"this is not a quote: {reason}", code="format.quote")


def _refused(reason: str) -> ProofError:
    return ProofError(f"the TPM's quote does not hold: {reason}", code="proof.quote")
