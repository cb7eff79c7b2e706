import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives import base58
from bpci_node.primitives.keys import (
    _SMALL_ORDER_Y,
    LocalSigner,
    did_of,
    public_key_of,
    require_public_key,
    sign_object,
    verify_object,
    verify_signature,
)

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
seeds = st.binary(min_size=32, max_size=32)


def test_signing_follows_rfc_8032():
    # RFC 8032, section 7.1, test 2.
    signer = LocalSigner(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert signer.public_key.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert signer.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_a_key_has_the_name_that_the_did_key_method_gives_it():
    # The did:key Method v0.7, section 3.1.1, and W3C's Ed25519 test vectors.
    did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    key = bytes.fromhex("2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6")
    assert did_of(key) == did
    assert public_key_of(did) == key


@given(seeds)
def test_names_and_keys_belong_together_one_to_one(seed):
    key = LocalSigner(seed).public_key
    assert did_of(key).startswith("did:key:z6Mk")
    assert len(did_of(key)) == 56
    assert public_key_of(did_of(key)) == key


@pytest.mark.parametrize(
    "did",
    [
        "",
        "did:key:",
        "did:key:z",
        "did:key:z6Mk",
        "did:web:example.org",
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2do0",
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doKK",
        "did:key:z16MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
        "DID:KEY:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        " did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        "did:key:z" + "6" * 1_000_000,
    ],
)
def test_what_is_not_the_name_of_an_ed25519_key_is_refused(did):
    with pytest.raises(FormatError) as caught:
        public_key_of(did)
    assert caught.value.code == "format.did"


@given(st.text())
def test_any_text_is_a_name_or_refused_as_one(text):
    with pytest.raises(FormatError):
        public_key_of("did:key:z" + text)


@given(seeds, st.dictionaries(st.text(max_size=4), st.integers(0, 9)))
def test_a_signature_holds_for_its_object_context_and_key_only(seed, obj):
    signer, other = LocalSigner(seed), LocalSigner(bytes(byte ^ 1 for byte in seed))
    signature = sign_object(signer, "bpci 2026 test v1", obj)
    verify_object(signer.public_key, "bpci 2026 test v1", obj, signature)
    for key, context, said, sig in (
        (other.public_key, "bpci 2026 test v1", obj, signature),
        (signer.public_key, "bpci 2026 test v2", obj, signature),
        (signer.public_key, "bpci 2026 test v1", {**obj, "more": 1}, signature),
        (signer.public_key, "bpci 2026 test v1", obj, signature[:-1]),
        (signer.public_key, "bpci 2026 test v1", obj, signature[:-1] + bytes([signature[-1] ^ 1])),
        (signer.public_key[:-1], "bpci 2026 test v1", obj, signature),
    ):
        with pytest.raises(ProofError) as caught:
            verify_object(key, context, said, sig)
        assert caught.value.code == "proof.signature"


def test_a_signature_with_its_scalar_raised_by_the_group_order_is_refused():
    signer = LocalSigner(bytes(32))
    signature = signer.sign(b"once")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(ProofError):
        verify_signature(signer.public_key, b"once", signature[:32] + scalar.to_bytes(32, "little"))


def test_the_small_order_points_are_those_that_eight_sends_to_the_neutral_element():
    def double(point):
        x, y, z = point
        b, c, d = (x + y) ** 2 % P, x * x % P, y * y % P
        f = (-c + d) % P
        j = (f - 2 * z * z) % P
        return (b - c - d) * j % P, f * (-c - d) % P, f * j % P

    for y in _SMALL_ORDER_Y:
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        if x * x % P != square:
            x = x * pow(2, (P - 1) // 4, P) % P
        assert x * x % P == square
        x8, y8, z8 = double(double(double((x, y, 1))))
        assert x8 == 0
        assert y8 == z8


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", [*sorted(_SMALL_ORDER_Y), P, P + 1, P + 18])
def test_keys_of_small_order_and_second_spellings_are_refused(y, sign):
    key = (y | sign).to_bytes(32, "little")
    with pytest.raises(FormatError) as caught:
        require_public_key(key)
    assert caught.value.code == "format.key"
    with pytest.raises(ProofError):
        verify_signature(key, b"anything", bytes(64))
    with pytest.raises(FormatError):
        public_key_of("did:key:z" + base58.encode(b"\xed\x01" + key))


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), bytes(64)])
def test_a_seed_of_another_length_makes_no_signer(seed):
    with pytest.raises(FormatError) as caught:
        LocalSigner(seed)
    assert caught.value.code == "format.key"


def test_a_signer_shows_its_name_and_not_its_secret():
    seed = bytes(range(32))
    signer = LocalSigner(seed)
    assert repr(signer) == f"LocalSigner({did_of(signer.public_key)})"
    assert seed.hex() not in repr(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer)


@given(st.binary(max_size=60))
def test_base58_reads_what_it_writes(data):
    assert base58.decode(base58.encode(data)) == data


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        # draft-msporny-base58-03, section 5.
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
    ],
)
def test_base58_follows_its_test_vectors(raw, text):
    assert base58.encode(raw) == text
    assert base58.decode(text) == raw


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "é", " ", "1" * 129])
def test_what_is_not_base58_is_refused(text):
    with pytest.raises(FormatError) as caught:
        base58.decode(text)
    assert caught.value.code == "format.base58"
