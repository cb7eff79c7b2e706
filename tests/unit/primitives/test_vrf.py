import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.vrf import VrfSigner, output_of, require_vrf_key, verify_vrf
from tests.unit.primitives import vrf_oracle as oracle

# RFC 9381, appendix B.3, examples 16 to 18: seed, key, input, proof, output.
EXAMPLES = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97"
            "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805"
        ),
        (
            "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff66b71dda49d2de59d03450451af02679"
            "8e8f81cd2e333de5cdf4f3e140fdd8ae"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465"
            "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02"
        ),
        (
            "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb5e33821bc613efb94db5e5b54c70a848"
            "a0bef4553a41befc57663b56373a5031"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0"
            "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e"
        ),
        (
            "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c452118fec1219202a0edcf038bb6373241"
            "578be7217ba85a2687f7a0310b2df19f"
        ),
    ),
]
SEED = bytes(range(32))
SIGNER = VrfSigner(SEED)


@pytest.mark.parametrize("example", EXAMPLES, ids=["16", "17", "18"])
def test_the_examples_of_the_standard(example):
    seed, key, alpha, proof, output = (bytes.fromhex(item) for item in example)
    signer = VrfSigner(seed)
    assert signer.public_key == key
    assert signer.prove(alpha) == proof
    assert verify_vrf(key, alpha, proof) == output_of(proof) == output
    assert oracle.prove(seed, alpha) == proof
    assert oracle.verify(key, alpha, proof) == output


@settings(max_examples=12, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), alpha=st.binary(max_size=80))
def test_it_agrees_with_arithmetic_on_integers(seed, alpha):
    signer = VrfSigner(seed)
    proof = signer.prove(alpha)
    assert signer.public_key == oracle.public_key(seed)
    assert proof == oracle.prove(seed, alpha)
    assert verify_vrf(signer.public_key, alpha, proof) == oracle.verify(signer.public_key, alpha, proof)


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 80 * 8 - 1))
def test_no_bit_of_a_proof_can_be_changed(position):
    proof = bytearray(SIGNER.prove(b"epoch 7"))
    proof[position // 8] ^= 1 << position % 8
    with pytest.raises(ProofError) as caught:
        verify_vrf(SIGNER.public_key, b"epoch 7", bytes(proof))
    assert caught.value.code == "proof.vrf"


def test_a_proof_is_of_one_key_and_one_input():
    proof = SIGNER.prove(b"epoch 7")
    for key, alpha in ((VrfSigner(bytes(32)).public_key, b"epoch 7"), (SIGNER.public_key, b"epoch 8")):
        with pytest.raises(ProofError):
            verify_vrf(key, alpha, proof)


@pytest.mark.parametrize("length", [0, 79, 81])
def test_a_proof_of_another_length_is_refused(length):
    with pytest.raises(ProofError):
        verify_vrf(SIGNER.public_key, b"", bytes(length))


def torsion():
    """A point of order eight."""
    for y in range(2, 100):
        x = oracle.x_of(y, 0)
        if x is not None:
            point = oracle.times(oracle.Q, (x, y))
            if oracle.times(4, point) != oracle.IDENTITY:
                return point
    raise AssertionError


def test_a_key_or_point_outside_the_subgroup_is_refused():
    mixed = oracle.encode(oracle.add(oracle.decode(SIGNER.public_key), torsion()))
    with pytest.raises(FormatError) as caught:
        require_vrf_key(mixed)
    assert caught.value.code == "format.key"
    proof = SIGNER.prove(b"")
    gamma = oracle.encode(oracle.add(oracle.decode(proof[:32]), torsion()))
    assert oracle.output(gamma + proof[32:]) == output_of(proof)  # which is why it must not pass
    with pytest.raises(ProofError):
        verify_vrf(SIGNER.public_key, b"", gamma + proof[32:])


@pytest.mark.parametrize(
    "key",
    [
        (1).to_bytes(32, "little"),
        (0).to_bytes(32, "little"),
        (oracle.P - 1).to_bytes(32, "little"),
        (oracle.P + 3).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),
        b"\xff" * 32,
        bytes(31),
        b"",
    ],
    ids=["identity", "order-4", "order-2", "not-reduced", "not-on-the-curve", "ones", "short", "empty"],
)
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(FormatError) as caught:
        verify_vrf(key, b"", SIGNER.prove(b""))
    assert caught.value.code == "format.key"


@pytest.mark.parametrize("add", [0, 1], ids=["plus-order", "zero"])
def test_the_scalar_of_a_proof_has_one_form(add):
    proof = SIGNER.prove(b"")
    scalar = int.from_bytes(proof[48:], "little")
    other = 0 if add else scalar + oracle.Q
    with pytest.raises(ProofError):
        verify_vrf(SIGNER.public_key, b"", proof[:48] + other.to_bytes(32, "little"))


def test_a_seed_has_32_bytes_and_is_not_shown():
    with pytest.raises(FormatError):
        VrfSigner(bytes(31))
    assert "VrfSigner object" in repr(SIGNER)
    assert SEED.hex() not in repr(SIGNER)
