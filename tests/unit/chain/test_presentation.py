"""Presentations against the ledger: whoever is not who it says is refused, whatever its signatures say."""

from dataclasses import replace

import pytest

from bpci_node.chain.account import load_account
from bpci_node.chain.credential import credential_id
from bpci_node.chain.identity import next_index
from bpci_node.chain.presentation import credential_claims, verify_presentation
from bpci_node.errors import BpciError
from bpci_node.primitives import sdjwt
from bpci_node.primitives.keys import did_of

BANK, HOLDER = 70, 80
ASKED = sdjwt.Expectation("shop.example", "8f2c", 1_767_225_600)


class Case:
    """A bank, a holder, and a credential between them that the ledger knows."""

    def __init__(self, society, *, signer=None, recorded=True, **changes):
        self.society, self.machine = society, society.started()
        self.bank = society.bank(self.machine, BANK)
        self.holder = society.person(self.machine, HOLDER)
        bank = society.signer(BANK)
        society.do(
            self.machine, "identity.request_credential", {"issuer": self.bank, "level": "full"}, society.signer(HOLDER)
        )
        terms = {"level": "full", "index": next_index(self.machine.state, self.bank)}
        terms |= {"expires_ms": (self.machine.time_ms // 1000 + 100) * 1000}
        claims = credential_claims(
            ledger_id=society.genesis.ledger_id,
            issuer=self.bank,
            subject=self.holder,
            holder_key=society.signer(HOLDER).public_key,
            **terms,
        )
        hidden = [sdjwt.disclose(bytes(16), "birthdate", "1990-03-01"), sdjwt.disclose(bytes(16), "name", "Asha")]
        signer = signer or bank
        self.held = sdjwt.issue(signer, did_of(signer.public_key), claims | changes, hidden)
        self.name = credential_id(self.held.jwt)
        if recorded:
            body = {"credential": self.name, "subject": self.holder, **terms}
            society.do(self.machine, "identity.issue_credential", body, bank)

    def verify(self, signer=HOLDER, asked=ASKED, *, later_ms=0):
        shown = sdjwt.present(self.held, ["birthdate"], self.society.signer(signer), asked)
        return verify_presentation(
            self.machine.state,
            sdjwt.parse(shown.encode()),
            ASKED,
            ledger_id=self.society.genesis.ledger_id,
            time_ms=self.machine.time_ms + later_ms,
        )


def refused(case, code, **changes):
    with pytest.raises(BpciError) as caught:
        case.verify(**changes)
    assert caught.value.code == code


def test_a_holder_shows_one_claim_and_keeps_the_other(society):
    found = Case(society).verify()
    assert found.claims["birthdate"] == "1990-03-01"
    assert "name" not in found.claims
    assert found.credential.level == "full"


def test_a_thief_another_verifier_and_a_late_hour_are_refused(society):
    case = Case(society)
    refused(case, "proof.binding", signer=BANK)
    refused(case, "proof.binding", asked=replace(ASKED, audience="other.example"))
    refused(case, "proof.binding", asked=replace(ASKED, nonce="other"))
    refused(case, "proof.credential_expired", later_ms=200_000)


def test_a_credential_that_the_ledger_does_not_know_is_refused(society):
    refused(Case(society, recorded=False), "proof.credential")


def test_a_credential_of_another_signer_is_refused(society):
    refused(Case(society, signer=society.signer(99)), "proof.credential")
    refused(Case(society, signer=society.signer(HOLDER)), "proof.credential")


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "bpa1" + "a" * 32},
        {"level": "basic"},
        {"vct": "urn:bpci:kyc:2"},
        {"status": {"status_list": {"idx": 7, "uri": "x"}}},
        {"exp": 2_000_000_000},
        {"iss": "bpa1" + "a" * 32},
    ],
)
def test_a_credential_that_says_something_else_than_the_ledger_is_refused(society, claims):
    refused(Case(society, **claims), "proof.credential")


def test_a_revoked_credential_is_refused(society):
    case = Case(society)
    society.do(case.machine, "identity.revoke_credential", {"credential": case.name}, society.signer(BANK))
    refused(case, "proof.credential_revoked")


def test_a_credential_of_an_issuer_that_was_voided_is_refused(society):
    case = Case(society)
    end = {"account": case.bank, "effective_height": case.machine.height + 1, "void_height": 1, "cause": bytes(32)}
    society.do(case.machine, "authority.revoke", end, approvals=society.QUORUM)
    refused(case, "proof.credential_revoked")


def test_a_stolen_key_that_was_revoked_shows_nothing(society):
    case = Case(society)
    old, new = society.signer(HOLDER), society.signer(81)
    body = society.rotation(new, old, account=case.holder)
    society.do(case.machine, "account.rotate_key", body, old)
    assert len(load_account(case.machine.state, case.holder).keys) == 1
    refused(case, "proof.binding")


def test_a_key_that_the_issuer_replaced_later_still_speaks_for_what_it_signed(society):
    case = Case(society)
    body = society.rotation(society.signer(82), society.signer(BANK), account=case.bank)
    society.do(case.machine, "account.rotate_key", body, society.signer(BANK))
    assert case.verify().claims["birthdate"] == "1990-03-01"
