import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import BpciError, FormatError, HostError, ProofError
from bpci_node.host.quote import Quote, quote_from_object, verify_certificate_chain, verify_quote
from bpci_node.host.tpm import make_quote, tpm_way
from bpci_node.primitives.hashing import sha256

DIGEST, PCRS = sha256(b"a report"), bytes(range(256))
SECRET = ec.derive_private_key(12345, ec.SECP256R1())
GOOD_ATTRIBUTES = 0x00050472
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def public(attributes: int = GOOD_ATTRIBUTES, curve: int = 3) -> bytes:
    numbers = SECRET.public_key().public_numbers()
    head = struct.pack(">HHI", 0x23, 0x0B, attributes) + sized(b"")
    head += struct.pack(">5H", 0x10, 0x18, 0x0B, curve, 0x10)
    return head + sized(numbers.x.to_bytes(32)) + sized(numbers.y.to_bytes(32))


def message(
    extra: bytes = DIGEST, *, magic: int = 0xFF544347, selected: bytes = b"\xff\0\0", pcrs: bytes = PCRS
) -> bytes:
    body = struct.pack(">IH", magic, 0x8018) + sized(b"\0\x0b" + bytes(32)) + sized(extra) + bytes(25)
    return body + struct.pack(">IHB", 1, 0x0B, len(selected)) + selected + sized(sha256(pcrs))


def signature(data: bytes, secret: ec.EllipticCurvePrivateKey = SECRET) -> bytes:
    r, s = decode_dss_signature(secret.sign(data, ec.ECDSA(hashes.SHA256())))
    return struct.pack(">HH", 0x18, 0x0B) + sized(r.to_bytes(32)) + sized(s.to_bytes(32))


def quote(data: bytes | None = None, key: bytes | None = None) -> Quote:
    data = message() if data is None else data
    return Quote(public() if key is None else key, data, signature(data), PCRS, None)


OTHER = ec.derive_private_key(999, ec.SECP256R1())
REFUSED: dict[str, Callable[[], Quote]] = {
    "for another digest": lambda: quote(message(bytes(32))),
    "not made by a TPM": lambda: quote(message(magic=0xFF544348)),
    "of other registers": lambda: quote(message(selected=b"\x7f\0\0")),
    "with other values": lambda: replace(quote(), pcrs=bytes(256)),
    "signed by another key": lambda: replace(quote(), signature=signature(message(), OTHER)),
    "a key without restriction": lambda: quote(key=public(GOOD_ATTRIBUTES & ~0x10000)),
    "a key that can leave": lambda: quote(key=public(GOOD_ATTRIBUTES & ~0x2)),
    "a key from outside": lambda: quote(key=public(GOOD_ATTRIBUTES & ~0x20)),
    "a key that decrypts": lambda: quote(key=public(GOOD_ATTRIBUTES | 0x20000)),
}


def test_a_quote_holds_for_what_it_was_made_for_and_survives_its_encoding() -> None:
    verify_quote(quote(), DIGEST)
    assert quote_from_object(quote().as_object()).message == message()


@pytest.mark.parametrize("name", REFUSED)
def test_a_quote_is_refused_that_vouches_for_nothing_here(name: str) -> None:
    with pytest.raises(ProofError) as caught:
        verify_quote(REFUSED[name](), DIGEST)
    assert caught.value.code == "proof.quote"


def test_structures_of_other_kinds_are_not_read() -> None:
    for wrong in (
        quote(key=public(curve=4)),
        quote(key=b"\0\x01" + public()[2:]),
        quote(key=public() + b"\0"),
        quote(message() + b"\0"),
        quote(message()[:-3]),
        replace(quote(), signature=b"\0\x14" + signature(message())[2:]),
        quote(key=public()[:-32] + bytes(32)),
    ):
        with pytest.raises(FormatError) as caught:
            verify_quote(wrong, DIGEST)
        assert caught.value.code == "format.quote"


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_refused_with_an_error_of_ours(key: bytes, data: bytes, signed: bytes) -> None:
    for wrong in (
        Quote(key, data, signed, PCRS, None),
        replace(quote(), message=data),
        replace(quote(), signature=signed),
    ):
        with pytest.raises(BpciError):
            verify_quote(wrong, DIGEST)


def test_a_quote_s_object_is_read_strictly() -> None:
    good = quote().as_object()
    for change in ({"v": 2}, {"more": 1}, {"key": b""}, {"pcrs": bytes(255)}, {"certificate": bytes(5000)}):
        with pytest.raises(FormatError) as caught:
            quote_from_object(good | change)
        assert caught.value.code == "format.quote"


def certificate(
    name: str,
    issuer: str,
    secret: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    is_maker: bool,
    days: int = 10,
) -> bytes:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(secret.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_maker, path_length=None), critical=True)
    )
    if not is_maker:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.1")])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.DER)


ROOT_KEY, MIDDLE_KEY = ec.derive_private_key(5, ec.SECP256R1()), ec.derive_private_key(6, ec.SECP256R1())
ROOT = certificate("root", "root", ROOT_KEY, ROOT_KEY, is_maker=True)
MIDDLE = certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, is_maker=True)
LEAF = certificate("a TPM", "middle", SECRET, MIDDLE_KEY, is_maker=False)


def test_a_trusted_maker_s_chain_holds_and_no_other() -> None:
    assert verify_certificate_chain(LEAF, [ROOT, MIDDLE], NOW) == "CN=a TPM"
    forged = certificate("a TPM", "middle", SECRET, OTHER, is_maker=False)
    by_a_leaf = certificate("another", "a TPM", OTHER, SECRET, is_maker=False)
    for leaf, trusted, now in (
        (LEAF, [ROOT], NOW),
        (LEAF, [MIDDLE], NOW),
        (LEAF, [], NOW),
        (forged, [ROOT, MIDDLE], NOW),
        (by_a_leaf, [ROOT, MIDDLE, LEAF], NOW),
        (LEAF, [ROOT, MIDDLE], NOW + timedelta(days=20)),
        (LEAF, [ROOT, MIDDLE], NOW - timedelta(days=2)),
        (MIDDLE, [ROOT, MIDDLE], NOW),
    ):
        with pytest.raises(ProofError) as caught:
            verify_certificate_chain(leaf, trusted, now)
        assert caught.value.code == "proof.quote"
    with pytest.raises(FormatError):
        verify_certificate_chain(b"none", [ROOT], NOW)


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[str]:
    """The way to a TPM in software, without a maker's certificate."""
    if shutil.which("swtpm") is None or shutil.which("tpm2_quote") is None:
        pytest.skip("swtpm and tpm2-tools are not installed")
    state = tmp_path / "tpm"
    state.mkdir()
    where = state / "sock"
    faces = ["--server", f"type=unixio,path={where}", "--ctrl", f"type=unixio,path={where}.ctrl"]
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", *faces, "--flags", "not-need-init,startup-clear"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        if where.exists():
            break
        assert process.poll() is None
        time.sleep(0.05)
    yield f"swtpm:path={where}"
    process.kill()
    process.wait(30)


def test_a_tpm_vouches_for_a_digest_with_the_same_key_each_time(tpm: str) -> None:
    first = make_quote(tpm, DIGEST)
    # The kernel does this for the device of a real TPM, when who used it closes it.
    environment = os.environ | {"TPM2TOOLS_TCTI": tpm}
    subprocess.run(["tpm2_flushcontext", "--transient-object"], env=environment, check=True, capture_output=True)
    second = make_quote(tpm, sha256(b"another"))
    verify_quote(first, DIGEST)
    verify_quote(second, sha256(b"another"))
    assert first.key == second.key
    assert first.certificate is None
    with pytest.raises(ProofError):
        verify_quote(first, sha256(b"another"))


def test_a_tpm_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError) as caught:
        make_quote(f"swtpm:path={tmp_path}/none", DIGEST)
    assert caught.value.code == "host.tpm"
    assert caught.value.hint
    monkeypatch.setenv("TPM2TOOLS_TCTI", "swtpm:path=/somewhere")
    assert tpm_way() == "swtpm:path=/somewhere"
