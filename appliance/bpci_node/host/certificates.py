"""This machine's own certificate authority, and the certificate that its web face shows.

The authority is made once, on the machine, and its key never leaves it. It may speak for this machine's own names alone
(RFC 5280, name constraints), so whoever trusts it in a browser trusts it for no other site; addresses it may name all,
because they change. The certificate of the web face names every address that the machine has, its host name and its
name on the local network, lives 90 days, and is made anew when less than a third is left or when a name changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bpci_node.errors import FormatError, StorageError
from bpci_node.store.durable_file import replace_file

DIRECTORY = Path("/var/lib/bpci/web/tls")
AUTHORITY, AUTHORITY_KEY, FINGERPRINT = "ca.pem", "ca.key", "ca.fingerprint"
CERTIFICATE, KEY, NAMES = "web.pem", "web.key", "web.names"
"""Files of the directory; ``web.names`` holds what the certificate names, for a shell that compares."""
CERTIFICATE_DAYS, LEAST_DAYS = 90, 30
_BEGINNING, _NO_END = datetime(2020, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The authority's dates (RFC 5280, 4.1.2.5, for what has no end): it is trusted by its fingerprint, and a clock that is
years off for a day must not make another one, or one that is of no use later."""
_SKEW = timedelta(hours=1)
"""How far the clock of who looks may be behind."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is in a directory, for people."""

    fingerprint: str
    """SHA-256 of the authority's certificate, pairs of hexadecimal digits."""
    names: tuple[str, ...]
    """Names and addresses of the web face's certificate."""
    expires_ms: int
    """When that expires, Unix milliseconds."""
    authority_expires_ms: int
    """When the authority does."""


def names_of(hostname: str, addresses: list[str]) -> tuple[str, ...]:
    """Return everything that a browser may call this machine: its names, then its addresses, loopback included."""
    own = dict.fromkeys((hostname, f"{hostname}.local", "localhost"))
    found = sorted({str(ip_address(item)) for item in [*addresses, "127.0.0.1", "::1"]})
    return (*own, *found)


def renew(directory: Path, hostname: str, addresses: list[str], *, now: datetime, force: bool = False) -> bool:
    """Make what is missing or due; tell whether the web face's certificate is a new one.

    Args:
        hostname: without domain; another one than before makes another authority, which may speak for it.
        force: make a new certificate anyhow.
    Raises:
        FormatError: what is there can't be read (``tls.file``).
        StorageError: the directory can't be written to (``storage.write``).
    """
    wanted = names_of(hostname, addresses)
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        has_authority = _holds(directory / AUTHORITY, directory / AUTHORITY_KEY, hostname)
        if not has_authority:
            _make_authority(directory, hostname)
        if has_authority and not force and _is_current(directory, wanted, now):
            return False
        _make_certificate(directory, wanted, now)
    except OSError as error:
        raise StorageError(f"cannot write in {directory}: {error.strerror}", code="storage.write") from error
    return True


def show(directory: Path) -> Shown:
    """Return what there is.

    Raises:
        FormatError: nothing, or nothing that can be read (``tls.file``).
    """
    authority, found = _load(directory / AUTHORITY), _load(directory / CERTIFICATE)
    return Shown(_fingerprint(authority), _names(found), _milliseconds(found), _milliseconds(authority))


def _milliseconds(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp()) * 1000


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise FormatError(
            f"{path} is no key", code="tls.file", hint="Restore it, or remove it for a new one."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FormatError(f"{path} is not the key of this machine's authority", code="tls.file")
    return key


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path} is no certificate", code="tls.file", hint="Run 'sudo bpci access certificate --renew'."
        ) from error


def _holds(certificate: Path, key: Path, hostname: str) -> bool:
    """Tell whether there is an authority that may speak for this host name."""
    if not certificate.exists() or not key.exists():
        return False
    found = _load(certificate)
    if _load_key(key).public_key() != found.public_key():
        return False  # the power went between the two
    allowed = found.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    return any(item.value == hostname for item in allowed)


def _is_current(directory: Path, wanted: tuple[str, ...], now: datetime) -> bool:
    if not all((directory / name).exists() for name in (CERTIFICATE, KEY, NAMES)):
        return False
    authority = _load(directory / AUTHORITY)
    try:
        found = _load(directory / CERTIFICATE)
    except FormatError:
        return False  # a disk that lost a page of it; the authority, which people trust, is not replaced for that
    is_fresh = timedelta(days=LEAST_DAYS) < found.not_valid_after_utc - now <= timedelta(days=CERTIFICATE_DAYS)
    return is_fresh and _names(found) == wanted and found.issuer == authority.subject


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        *value.get_values_for_type(x509.DNSName),
        *(str(item) for item in value.get_values_for_type(x509.IPAddress)),
    )


def _make_authority(directory: Path, hostname: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"BPCI machine {hostname} {serial % 0x1000000:06x}")
    own = [x509.DNSName(item) for item in dict.fromkeys((hostname, f"{hostname}.local", "localhost"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_BEGINNING)
        .not_valid_after(_NO_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=own, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(directory / AUTHORITY_KEY, key)
    replace_file(directory / AUTHORITY, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    replace_file(directory / FINGERPRINT, (_fingerprint(certificate) + "\n").encode(), mode=0o644)


def _make_certificate(directory: Path, wanted: tuple[str, ...], now: datetime) -> None:
    authority = _load(directory / AUTHORITY)
    authority_key = _load_key(directory / AUTHORITY_KEY)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(wanted[0]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(item) for item in wanted]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    # A power cut between the two leaves a pair that does not match; the names come last, and their absence is "due".
    (directory / NAMES).unlink(missing_ok=True)
    _write_key(directory / KEY, key)
    replace_file(directory / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    addresses = "".join(f"{item}\n" for item in wanted)
    replace_file(directory / NAMES, addresses.encode(), mode=0o644)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace_file(path, key.private_bytes(*form), mode=0o600)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)
