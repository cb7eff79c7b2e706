import pytest

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.mldsa import KEY_BYTES, SIGNATURE_BYTES, MlDsaSigner, verify_ml_dsa

SIGNER = MlDsaSigner(bytes(range(32)))


def test_a_signature_holds_for_its_message_and_key_alone():
    signature = SIGNER.sign(b"message")
    assert (len(SIGNER.public_key), len(signature)) == (KEY_BYTES, SIGNATURE_BYTES)
    verify_ml_dsa(SIGNER.public_key, b"message", signature)
    other = MlDsaSigner(bytes(32)).public_key
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    for key, message, wrong in (
        (other, b"message", signature),
        (SIGNER.public_key, b"massage", signature),
        (SIGNER.public_key, b"message", changed),
        (SIGNER.public_key, b"message", signature[:-1]),
        (SIGNER.public_key[:-1], b"message", signature),
    ):
        with pytest.raises(ProofError) as caught:
            verify_ml_dsa(key, message, wrong)
        assert caught.value.code == "proof.signature"


def test_a_seed_makes_one_key_and_is_not_shown():
    assert MlDsaSigner(bytes(range(32))).public_key == SIGNER.public_key
    assert bytes(range(32)).hex() not in repr(SIGNER)
    with pytest.raises(FormatError):
        MlDsaSigner(bytes(31))
