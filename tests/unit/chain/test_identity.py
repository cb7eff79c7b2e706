"""D-Adhaar: who may attest what to whom, what is left of it on the ledger, and every way around it."""

import hashlib
import json
from itertools import product

import pytest

from bpci_node.chain.credential import credential_id, kyc_level, load_credential, load_identity, why_not
from bpci_node.chain.credential_status import PAGE_BITS, is_revoked, status_entry, verify_status
from bpci_node.chain.forms import body_map
from bpci_node.chain.identity import Resolution, load_document, next_index, sign_resolution
from bpci_node.chain.reputation import load_change, load_reputation
from bpci_node.errors import ProofError
from bpci_node.primitives import sdjwt
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive

BANK = 70
WEB = "did:web:bank.example"


@pytest.fixture
def machine(society):
    machine = society.started()
    society.bank(machine, BANK)
    return machine


def level(society, machine, number):
    return kyc_level(machine.state, society.account(society.signer(number)), machine.time_ms)


def issue_body(society, machine, number, **changes):
    bank = society.account(society.signer(BANK))
    body = {
        "credential": bytes([number]) * 32,
        "subject": society.account(society.signer(number)),
        "level": "basic",
        "index": next_index(machine.state, bank),
        "expires_ms": machine.time_ms + 100_000,
    }
    return body | changes


def ask(society, machine, number, wanted="basic", issuer=BANK):
    body = {"issuer": society.account(society.signer(issuer)), "level": wanted}
    return society.do(machine, "identity.request_credential", body, society.signer(number))


def test_a_level_is_attested_on_request_and_ends_with_revocation(society, machine):
    account = society.person(machine, 80)
    assert level(society, machine, 80) == "none"
    credential = society.attest(machine, 80, BANK, "full")
    assert level(society, machine, 80) == "full"
    assert load_reputation(machine.state, account).score == 300
    (event, change) = society.do(
        machine, "identity.revoke_credential", {"credential": credential}, society.signer(BANK)
    )
    assert event.kind == "identity.credential_revoked"
    assert change.fields["cause"] == "credential.bank_full"
    assert level(society, machine, 80) == "none"
    assert load_reputation(machine.state, account).score == 0
    assert [load_change(machine.state, account, number)["points"] for number in (0, 1)] == [300, -300]


def test_a_level_ends_with_its_time(society, machine):
    society.person(machine, 80)
    credential = society.attest(machine, 80, BANK)
    expires_ms = load_credential(machine.state, credential).expires_ms
    account = society.account(society.signer(80))
    assert kyc_level(machine.state, account, expires_ms - 1) == "full"
    assert kyc_level(machine.state, account, expires_ms) == "none"


def test_a_new_credential_of_an_issuer_takes_the_place_of_its_last(society, machine):
    account = society.person(machine, 80)
    first = society.attest(machine, 80, BANK, "basic")
    second = society.attest(machine, 80, BANK, "full")
    assert load_identity(machine.state, account).credentials == (second,)
    assert load_reputation(machine.state, account).score == 300
    society.do(machine, "identity.revoke_credential", {"credential": first}, society.signer(BANK))
    assert load_reputation(machine.state, account).score == 300


def test_nobody_attests_without_being_asked_or_more_than_asked(society, machine, refused):
    society.person(machine, 80)
    bank = society.signer(BANK)

    def issue(**changes):
        return society.make(machine, "identity.issue_credential", issue_body(society, machine, 80, **changes), bank)

    refused(machine, issue(), "identity.not_requested")
    ask(society, machine, 80)
    refused(machine, issue(level="full"), "identity.not_requested")
    refused(machine, issue(index=1), "identity.index")
    refused(machine, issue(expires_ms=machine.time_ms), "identity.expiry")
    refused(machine, issue(subject=society.account(society.signer(81))), "identity.unknown")
    society.do(machine, "identity.issue_credential", issue_body(society, machine, 80), bank)
    refused(machine, issue(), "identity.not_requested")
    ask(society, machine, 80)
    refused(machine, issue(), "identity.credential_exists")


def test_an_identity_is_bypassed_by_nobody(society, machine, refused):
    account = society.person(machine, 80)
    society.person(machine, 81)
    society.funded(machine, 82)
    create = society.make(machine, "identity.create_dadhaar", {}, society.signer(80))
    refused(machine, create, "identity.exists")
    request = {"issuer": society.account(society.signer(BANK)), "level": "full"}
    nobody = society.make(machine, "identity.request_credential", request, society.signer(82))
    refused(machine, nobody, "identity.unknown")
    # Attesting oneself, asking one's friend, and a friend attesting unasked authority.
    for issuer, code in ((80, "identity.self"), (81, "authority.not_active")):
        body = {"issuer": society.account(society.signer(issuer)), "level": "basic"}
        refused(machine, society.make(machine, "identity.request_credential", body, society.signer(80)), code)
    body = issue_body(society, machine, 80, index=0)
    refused(
        machine, society.make(machine, "identity.issue_credential", body, society.signer(81)), "authority.not_active"
    )
    # Somebody else's credential can be revoked neither by a stranger nor twice.
    credential = society.attest(machine, 80, BANK)
    revoke = {"credential": credential}
    refused(
        machine, society.make(machine, "identity.revoke_credential", revoke, society.signer(81)), "identity.not_yours"
    )
    society.do(machine, "identity.revoke_credential", revoke, society.signer(80))
    refused(
        machine, society.make(machine, "identity.revoke_credential", revoke, society.signer(80)), "identity.revoked"
    )
    unknown = society.make(machine, "identity.revoke_credential", {"credential": bytes(32)}, society.signer(80))
    refused(machine, unknown, "identity.credential_unknown")
    assert load_identity(machine.state, account).credentials == ()


def test_a_bank_that_ended_attests_nothing_more_and_what_it_attested_stays(society, machine, refused):
    bank = society.account(society.signer(BANK))
    society.person(machine, 80)
    society.person(machine, 81)
    society.attest(machine, 80, BANK)
    ask(society, machine, 81)
    end = {"account": bank, "effective_height": machine.height + 1, "void_height": None, "cause": bytes(32)}
    society.do(machine, "authority.revoke", end, approvals=society.QUORUM)
    late = society.make(machine, "identity.issue_credential", issue_body(society, machine, 81), society.signer(BANK))
    refused(machine, late, "authority.not_active")
    assert level(society, machine, 80) == "full"


def test_revocation_for_cause_voids_what_was_issued_from_a_height_on(society, machine):
    bank = society.account(society.signer(BANK))
    for number in (80, 81):
        society.person(machine, number)
    early = society.attest(machine, 80, BANK)
    turned_height = machine.height + 1
    late = society.attest(machine, 81, BANK)
    end = {"account": bank, "effective_height": machine.height + 5, "void_height": turned_height, "cause": bytes(32)}
    society.do(machine, "authority.revoke", end, approvals=society.QUORUM)
    assert why_not(machine.state, load_credential(machine.state, early), machine.time_ms) is None
    assert why_not(machine.state, load_credential(machine.state, late), machine.time_ms) == "issuer"
    assert (level(society, machine, 80), level(society, machine, 81)) == ("full", "none")


def test_the_status_list_is_proved_by_a_block_s_root_and_must_be_fresh(society, machine):
    bank = society.account(society.signer(BANK))
    society.person(machine, 80)
    society.person(machine, 81)
    society.attest(machine, 80, BANK)
    revoked = society.attest(machine, 81, BANK)
    society.do(machine, "identity.revoke_credential", {"credential": revoked}, society.signer(81))
    page = machine.state.get(status_entry(bank, 0))
    fresh = {"root": machine.state.root, "issuer": bank, "height": machine.height, "max_age_blocks": 10}
    proof = machine.state.prove(status_entry(bank, 0))
    verify_status(page, proof, index=0, known_height=machine.height + 10, **fresh)
    for index, known_height, shown, code in (
        (1, machine.height, page, "proof.credential_revoked"),
        (0, machine.height + 11, page, "proof.status_age"),
        (1, machine.height, None, "proof.state"),
        (PAGE_BITS, machine.height, page, "proof.state"),
    ):
        with pytest.raises(ProofError) as caught:
            verify_status(shown, proof, index=index, known_height=known_height, **fresh)
        assert caught.value.code == code
    absent = machine.state.prove(status_entry(bank, PAGE_BITS))
    verify_status(None, absent, index=PAGE_BITS, known_height=machine.height, **fresh)


def test_a_page_holds_a_bit_for_each_credential():
    page = encode({"v": 1, "bits": b"\x01\x80" + bytes(254), "height": 1})
    assert [index for index in range(PAGE_BITS) if is_revoked(page, index)] == [0, 15]


FIRST, LAST = ("Asha", "Ravi", "Meera", "John"), ("Patel", "Iyer", "Smith")
YEARS = [f"{year}-0{month}-01" for year in range(1985, 1995) for month in range(1, 10)]


def hashes(value):
    data = value if type(value) is bytes else value.encode()
    yield data
    for name in ("sha256", "sha1", "md5", "sha3_256", "blake2b", "sha512"):
        digest = hashlib.new(name, data).digest()
        yield from (digest, digest.hex().encode(), sdjwt.encode_bytes(digest).encode())
    yield derive("bpci 2026 credential v1", data)


def guesses():
    """What an attacker tries who knows every name and day of birth: alone, together, as disclosures without salt."""
    for first, last, day in product(FIRST, LAST, YEARS):
        yield from (first, last, day, f"{first} {last}", f"{first} {last} {day}", f"{first}{last}{day}")
        for name, value in (("given_name", first), ("family_name", last), ("birthdate", day)):
            for salt in ("", "0"):
                text = json.dumps([salt, name, value], separators=(",", ":"))
                yield from (text, sdjwt.encode_bytes(text.encode()))


def test_a_dictionary_finds_nothing_in_the_exported_ledger_and_without_salts_nobody_can(society, machine):
    account = society.person(machine, 80)
    claims = {"given_name": "Asha", "family_name": "Patel", "birthdate": "1990-03-01"}
    salts = {name: derive("bpci 2026 test salt v1", name.encode())[:16] for name in claims}
    holder, bank = society.signer(80), society.signer(BANK)
    disclosures = [sdjwt.disclose(salts[name], name, value) for name, value in claims.items()]
    held = sdjwt.issue(bank, "did:key:bank", {"cnf": sdjwt.confirmation(holder.public_key), "exp": 1}, disclosures)
    # The thorough attacker has the credential's open part too, which a holder shows to every verifier.
    society.attest(machine, 80, BANK, credential=credential_id(held.jwt))
    exported = encode([[key, value] for key, value in machine.state.entries()]) + held.jwt.encode()
    exported += json.dumps(held.payload).encode()
    tried = 0
    for guess in set(guesses()):
        for digest in hashes(guess):
            assert digest not in exported
            tried += 1
    assert tried > 10_000
    # With the salt the very same search succeeds; the salt is all that stands between, so deleting it is erasure.
    digest = sdjwt.disclose(salts["birthdate"], "birthdate", "1990-03-01").digest
    assert digest.encode() in exported
    assert not any(sdjwt.disclose(bytes(16), "birthdate", day).digest.encode() in exported for day in YEARS)
    assert account.encode() in exported


def document(society, machine, number=71, resolver=BANK, **changes):
    account = society.account(society.signer(number))
    plain = {"did": WEB, "document": bytes(32), "public_key": society.signer(number).public_key}
    plain |= {"height": machine.height, "resolver": society.account(society.signer(resolver))}
    body = Resolution(**(plain | changes), resolver_key=b"", sig=b"")
    return body_map(sign_resolution(society.signer(resolver), society.genesis.ledger_id, account, body))


def test_a_document_enters_on_an_authority_s_word(society, machine):
    account = society.person(machine, 71)
    (event,) = society.do(machine, "identity.enter_document", document(society, machine), society.signer(71))
    assert event.fields["did"] == WEB
    found = load_document(machine.state, WEB)
    assert (found["account"], found["height"]) == (account, machine.height - 1)
    society.do(machine, "identity.enter_document", document(society, machine, resolver=12), society.signer(71))


def test_a_document_is_bound_to_its_key_its_resolver_and_its_time(society, machine, refused):
    society.person(machine, 71)
    society.person(machine, 72)

    def enter(signer=71, **changes):
        body = document(society, machine, signer, **changes)
        return society.make(machine, "identity.enter_document", body, society.signer(signer))

    other_key = society.signer(72).public_key
    refused(machine, enter(public_key=other_key), "identity.document_key")
    refused(machine, enter(height=machine.height + 1), "identity.document_height")
    refused(machine, enter(resolver=71), "identity.self")
    refused(machine, enter(resolver=72), "authority.not_active")
    body = document(society, machine)
    wrong = {"resolver_key": other_key}, {"sig": bytes(64)}, {"document": bytes([1]) * 32}
    for changes, code in zip(wrong, ("identity.resolver_key", "proof.signature", "proof.signature"), strict=True):
        signed = society.make(machine, "identity.enter_document", body | changes, society.signer(71))
        refused(machine, signed, code)
    # Another account cannot use what was signed for the first, nor take the name by as old a resolution.
    stolen = body | {"public_key": other_key}
    refused(machine, society.make(machine, "identity.enter_document", stolen, society.signer(72)), "proof.signature")
    height = machine.height
    society.do(machine, "identity.enter_document", document(society, machine), society.signer(71))
    refused(machine, enter(72, height=height), "identity.document_taken")


def test_an_identity_carries_few_credentials(society, machine, refused):
    society.person(machine, 80)
    for number in range(90, 98):
        society.bank(machine, number, f"Bank {chr(number + 7)}{chr(number + 15)}")
        society.attest(machine, 80, number)
    ask(society, machine, 80)
    body = issue_body(society, machine, 80)
    refused(
        machine, society.make(machine, "identity.issue_credential", body, society.signer(BANK)), "identity.credentials"
    )
