import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from bpci_node.errors import FormatError
from bpci_node.primitives.derivation import (
    MAX_INSTANCE,
    derive_keys,
    eip2333_secret,
    named_key,
    new_phrase,
    normalise_phrase,
    seed_of,
    slip10_ed25519,
)

PHRASE = "abandon " * 23 + "art"
VECTORS = Path(__file__).parents[3] / "docs/spec/vectors"

STANDARDS = json.loads((Path(__file__).parent / "standards.json").read_text())


@pytest.mark.parametrize("case", STANDARDS["bip39"]["cases"])
def test_phrases_are_those_of_the_reference_vectors(case):
    assert new_phrase(bytes.fromhex(case["entropy"])) == case["phrase"]
    assert normalise_phrase(case["phrase"]) == case["phrase"]
    assert Mnemonic.to_seed(case["phrase"], "TREZOR").hex() == case["seed"]


@pytest.mark.parametrize("case", STANDARDS["slip10_ed25519"]["cases"])
def test_ed25519_keys_are_those_of_slip_0010(case):
    derived = slip10_ed25519(bytes.fromhex(case["seed"]), case["path"])
    assert derived.hex() == case["private"]
    public_key = Ed25519PrivateKey.from_private_bytes(derived).public_key()
    assert public_key.public_bytes_raw().hex() == case["public"]


@pytest.mark.parametrize("case", STANDARDS["eip2333"]["cases"])
def test_bls_secrets_are_those_of_eip_2333(case):
    seed = bytes.fromhex(case["seed"])
    assert eip2333_secret(seed, ()) == int(case["master"])
    assert eip2333_secret(seed, (case["index"],)) == int(case["child"])


def test_every_key_of_the_published_phrase_is_as_published():
    published = json.loads((VECTORS / "keys.json").read_text())
    assert published["phrase"] == PHRASE
    assert seed_of(PHRASE).hex() == published["bip39_seed"].removeprefix("0x")
    for case in published["instances"]:
        keys = derive_keys(PHRASE, case["instance"])
        for name in ("node", "registry", "owner", "ml_dsa_seed", "vrf_seed", "backup_key"):
            assert "0x" + getattr(keys, name).hex() == case[name]
        assert "0x" + keys.bls.to_bytes(32, "big").hex() == case["bls"]


def test_an_instance_changes_the_keys_that_could_contradict_and_keeps_the_others():
    first, second = derive_keys(PHRASE, 0), derive_keys(PHRASE, 1)
    assert (first.node, first.registry, first.owner) == (second.node, second.registry, second.owner)
    assert first.backup_key == second.backup_key
    assert first.bls != second.bls
    assert first.ml_dsa_seed != second.ml_dsa_seed
    assert first.vrf_seed != second.vrf_seed


def test_no_two_secrets_of_an_identity_are_equal():
    keys = derive_keys(PHRASE, 3)
    secrets = {keys.node, keys.registry, keys.owner, keys.ml_dsa_seed, keys.vrf_seed, keys.backup_key}
    assert len(secrets | {keys.bls.to_bytes(32, "big")}) == 7


def test_printing_the_keys_shows_none_of_them():
    assert repr(derive_keys(PHRASE)) == "NodeKeys()"


def test_named_keys_are_hkdf_of_rfc_5869():
    # HKDF-SHA-512 written out from the RFC: one block of output suffices for 32 bytes.
    import hmac

    seed, info = bytes(range(64)), b"a name"
    extracted = hmac.digest(bytes(64), seed, "sha512")
    assert named_key(seed, info) == hmac.digest(extracted, info + b"\x01", "sha512")[:32]


@pytest.mark.parametrize("instance", [-1, MAX_INSTANCE + 1])
def test_an_instance_out_of_range_is_refused(instance):
    with pytest.raises(FormatError) as caught:
        derive_keys(PHRASE, instance)
    assert caught.value.code == "format.instance"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_entropy_of_another_length_makes_no_phrase(length):
    with pytest.raises(FormatError) as caught:
        new_phrase(bytes(length))
    assert caught.value.code == "format.entropy"


@given(st.binary(min_size=32, max_size=32))
def test_a_phrase_is_read_however_it_is_spaced_and_written(entropy):
    phrase = new_phrase(entropy)
    shouted = "  " + phrase.upper().replace(" ", "\n\t ") + "\u00a0\n"
    assert normalise_phrase(shouted) == phrase


@pytest.mark.parametrize(
    ("phrase", "reason"),
    [
        ("", "count"),
        ("abandon " * 22 + "art", "count"),
        ("abandon " * 24 + "art", "count"),
        ("abandon " * 24, "checksum"),
        ("abandon " * 22 + "art abandon", "checksum"),
    ],
)
def test_a_wrong_phrase_is_refused_with_its_reason(phrase, reason):
    with pytest.raises(FormatError) as caught:
        seed_of(phrase)
    assert caught.value.code == "format.phrase"
    assert caught.value.details["reason"] == reason


def test_a_misread_word_is_named_by_position_and_never_repeated():
    words = PHRASE.split()
    words[6] = "abandoned"
    with pytest.raises(FormatError) as caught:
        seed_of(" ".join(words))
    assert caught.value.details == {"reason": "word", "position": 7}
    assert "word 7" in caught.value.message
    assert "abandoned" not in json.dumps(caught.value.as_problem())


@given(st.text())
def test_any_text_is_a_phrase_or_refused_as_one(text):
    with pytest.raises(FormatError) as caught:
        normalise_phrase(text)
    assert caught.value.code == "format.phrase"
