"""SD-JWTs: the RFC's own example, what a holder may show, and every way to cheat that the RFC names."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives import sdjwt
from bpci_node.primitives.keys import LocalSigner

ISSUER, HOLDER, THIEF = (LocalSigner(bytes([number]) * 32) for number in (1, 2, 3))
NOW = sdjwt.Expectation("https://verifier.example", "n-0S6_WzA2Mj", 1_767_225_600)
CLAIMS = {
    "cnf": sdjwt.confirmation(HOLDER.public_key),
    "exp": NOW.time_s + 1000,
    "iss": "did:web:bank.example",
    "vct": "urn:bpci:kyc:1",
}


def credential(**changes):
    salted = [("given_name", "Asha"), ("family_name", "Möbius"), ("birthdate", "1990-01-01")]
    disclosures = [sdjwt.disclose(bytes([at]) * 16, *claim) for at, claim in enumerate(salted)]
    return sdjwt.issue(ISSUER, "did:web:bank.example#1", CLAIMS | changes, disclosures)


def checked(text):
    found = sdjwt.parse(text)
    sdjwt.verify_issuer(found, ISSUER.public_key)
    sdjwt.verify_binding(found, NOW)


def presented(*names, signer=HOLDER, expectation=NOW):
    return sdjwt.present(credential(), names, signer, expectation)


def test_the_disclosure_of_the_rfc_has_its_digest():
    # RFC 9901, sections 4.2.1 and 4.2.3.
    encoded = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert json.loads(sdjwt.decode_bytes(encoded)) == ["_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"]
    assert sdjwt.Disclosure("family_name", "Möbius", encoded).digest == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def test_a_presentation_shows_what_the_holder_chose_and_no_more():
    text = presented("birthdate").encode()
    found = sdjwt.parse(text)
    sdjwt.verify_issuer(found, ISSUER.public_key)
    sdjwt.verify_times(found, NOW.time_s)
    sdjwt.verify_binding(found, NOW)
    assert sdjwt.shown_claims(found) == CLAIMS | {"birthdate": "1990-01-01"}
    assert "Asha" not in json.dumps(found.payload)
    assert found.encode() == text


def test_a_credential_comes_back_as_it_was_written():
    assert sdjwt.parse(credential().encode()) == credential()


@pytest.mark.parametrize(
    "expectation",
    [
        replace(NOW, audience="https://other.example"),
        replace(NOW, nonce="another"),
        replace(NOW, time_s=NOW.time_s + 301),
        replace(NOW, time_s=NOW.time_s - 61),
    ],
)
def test_a_presentation_counts_for_one_verifier_and_a_short_time(expectation):
    with pytest.raises(ProofError) as caught:
        sdjwt.verify_binding(presented("birthdate"), expectation)
    assert caught.value.code == "proof.binding"


def test_a_stolen_credential_can_not_be_presented():
    for stolen in (credential(), presented("birthdate", signer=THIEF)):
        with pytest.raises(ProofError) as caught:
            sdjwt.verify_binding(stolen, NOW)
        assert caught.value.code == "proof.binding"


def test_the_binding_covers_what_is_shown():
    whole, part = presented("birthdate", "given_name"), presented("birthdate")
    with pytest.raises(ProofError):
        sdjwt.verify_binding(replace(part, binding=whole.binding), NOW)


def test_another_issuer_does_not_count():
    with pytest.raises(ProofError) as caught:
        sdjwt.verify_issuer(credential(), THIEF.public_key)
    assert caught.value.code == "proof.credential"


def test_an_expired_credential_does_not_count():
    for claims, time_s in (({}, CLAIMS["exp"]), ({"nbf": NOW.time_s + 1}, NOW.time_s)):
        with pytest.raises(ProofError) as caught:
            sdjwt.verify_times(credential(**claims), time_s)
        assert caught.value.code == "proof.credential_expired"


def test_no_algorithm_but_ours_is_believed():
    jwt = credential()
    for header in ({"alg": "none"}, {"typ": "jwt"}):
        with pytest.raises(ProofError):
            sdjwt.verify_issuer(replace(jwt, header=jwt.header | header), ISSUER.public_key)


def test_a_disclosure_that_the_issuer_did_not_commit_to_is_refused():
    forged = sdjwt.disclose(bytes(16), "birthdate", "1980-01-01")
    with pytest.raises(FormatError) as caught:
        sdjwt.parse(f"{credential().jwt}~{forged.encoded}~")
    assert caught.value.code == "format.sdjwt"


def test_short_salts_open_claims_and_claims_shown_twice_are_refused():
    for salt, name in ((bytes(15), "birthdate"), (bytes(16), "exp"), (bytes(16), "_sd"), (bytes(16), "...")):
        with pytest.raises(FormatError):
            sdjwt.disclose(salt, name, "x")
    shown = credential()
    with pytest.raises(FormatError):
        sdjwt.parse(f"{shown.jwt}~{shown.disclosures[0].encoded}~{shown.disclosures[0].encoded}~")
    with pytest.raises(FormatError):
        sdjwt.issue(ISSUER, "k", CLAIMS | {"address": {"_sd": []}}, [])
    with pytest.raises(FormatError):
        sdjwt.present(shown, ["shoe_size"], HOLDER, NOW)


@given(st.text(max_size=80) | st.text("abcXYZ012.~-_=", max_size=200))
def test_hostile_text_meets_our_errors_alone(text):
    with pytest.raises(BpciError):
        sdjwt.parse(text)


@given(st.data())
def test_a_changed_character_never_verifies(data):
    text = presented("birthdate").encode()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("aB3_~."))
    if text[at] == other:
        return
    with pytest.raises(BpciError):
        checked(text[:at] + other + text[at + 1 :])
