import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls import G2ProofOfPossession as oracle  # noqa: N813 - a scheme of that library, used as a module is
from py_ecc.optimized_bls12_381 import field_modulus

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.bls import (
    BlsSigner,
    aggregate,
    verify_aggregate,
    verify_bls,
    verify_possession,
)
from bpci_node.primitives.kzg import ORDER

MESSAGE = b"a message"


@pytest.mark.parametrize("secret", [1, 2**200 + 7, ORDER - 1])
def test_keys_signatures_and_proofs_are_those_of_the_oracle(secret):
    signer = BlsSigner(secret)
    assert signer.public_key == oracle.SkToPk(secret)
    assert signer.sign(MESSAGE) == oracle.Sign(secret, MESSAGE)
    assert signer.prove_possession() == oracle.PopProve(secret)


def test_the_oracle_takes_our_aggregate():
    signers = [BlsSigner(number) for number in (3, 4, 5)]
    keys = [signer.public_key for signer in signers]
    together = aggregate([signer.sign(MESSAGE) for signer in signers])
    verify_aggregate(keys, MESSAGE, together)
    assert oracle.FastAggregateVerify(keys, MESSAGE, together)
    with pytest.raises(ProofError):
        verify_aggregate(keys[:2], MESSAGE, together)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, ORDER - 1), st.binary(max_size=40), st.binary(max_size=40))
def test_a_signature_holds_for_its_message_and_key_alone(secret, message, other):
    signer = BlsSigner(secret)
    signature = signer.sign(message)
    verify_bls(signer.public_key, message, signature)
    if other != message:
        with pytest.raises(ProofError):
            verify_bls(signer.public_key, other, signature)
    with pytest.raises(ProofError):
        verify_bls(BlsSigner(secret % (ORDER - 1) + 1).public_key, message, signature)


def test_a_proof_of_possession_is_no_signature_of_the_key_and_the_reverse():
    signer = BlsSigner(9)
    verify_possession(signer.public_key, signer.prove_possession())
    with pytest.raises(ProofError):
        verify_bls(signer.public_key, signer.public_key, signer.prove_possession())
    with pytest.raises(ProofError):
        verify_possession(signer.public_key, signer.sign(signer.public_key))


INFINITY_G1, INFINITY_G2 = bytes([0xC0]) + bytes(47), bytes([0xC0]) + bytes(95)


def outside_subgroup():
    """The encoding of a point of the curve whose order is not the group's: x = 4 is one, by the curve's equation."""
    for x in range(1, 100):
        y_squared = (x**3 + 4) % field_modulus
        if pow(y_squared, (field_modulus - 1) // 2, field_modulus) == 1:
            data = bytearray(x.to_bytes(48))
            data[0] |= 0x80
            return bytes(data)
    raise AssertionError


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(48),
        bytes(47),
        INFINITY_G1,
        bytes([0xC0]) + bytes(46) + b"\x01",
        BlsSigner(2).public_key + b"\x00",
        bytes([0x80]) + b"\xff" * 47,
        outside_subgroup(),
    ],
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(FormatError) as caught:
        verify_bls(key, MESSAGE, BlsSigner(1).sign(MESSAGE))
    assert caught.value.code == "format.bls_key"


def test_a_key_whose_x_is_not_reduced_is_refused():
    key = BlsSigner(2).public_key
    x = int.from_bytes(bytes([key[0] & 0x1F]) + key[1:], "big") + field_modulus
    if x < 1 << 381:
        data = bytearray(x.to_bytes(48))
        data[0] |= key[0] & 0xE0
        with pytest.raises(FormatError):
            verify_possession(bytes(data), BlsSigner(2).prove_possession())


@pytest.mark.parametrize("signature", [b"", bytes(96), INFINITY_G2, BlsSigner(2).sign(MESSAGE)[:-1], b"\xff" * 96])
def test_what_is_no_signature_is_refused(signature):
    with pytest.raises(ProofError) as caught:
        verify_bls(BlsSigner(2).public_key, MESSAGE, signature)
    assert caught.value.code == "proof.bls"


def test_keys_that_cancel_each_other_sign_nothing():
    with pytest.raises(ProofError):
        verify_aggregate(
            [BlsSigner(5).public_key, BlsSigner(ORDER - 5).public_key], MESSAGE, BlsSigner(1).sign(MESSAGE)
        )
    for call in (lambda: aggregate([]), lambda: verify_aggregate([], MESSAGE, BlsSigner(1).sign(MESSAGE))):
        with pytest.raises(ProofError):
            call()


@pytest.mark.parametrize("secret", [0, -1, ORDER, ORDER + 1])
def test_a_secret_outside_the_group_is_refused(secret):
    with pytest.raises(FormatError):
        BlsSigner(secret)


def test_a_signer_shows_nothing_of_its_secret():
    assert "1234567" not in repr(BlsSigner(1234567))


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=48, max_size=48), st.binary(min_size=96, max_size=96))
def test_random_bytes_raise_our_errors_alone(key, signature):
    with pytest.raises((FormatError, ProofError)):
        verify_bls(key, MESSAGE, signature)
