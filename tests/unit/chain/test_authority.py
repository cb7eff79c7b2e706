"""Authorities: how they come about and end, what a voucher risks, and that nobody gets there by a crowd of accounts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.authority import Authority, Term, end_terms, load_authority
from bpci_node.chain.credential import kyc_level
from bpci_node.chain.reputation import POINTS, load_change, load_reputation
from bpci_node.chain.voucher import MAX_VOUCHES, VOUCHERS_NEEDED, load_pending

BANK = 70
CITIZENS = range(71, 76)


@pytest.fixture
def machine(society):
    return society.founded()


def score(society, machine, number):
    return load_reputation(machine.state, society.account(society.signer(number))).score


def act(society, machine, kind, account, signer=None, **changes):
    signer = None if signer is None else society.signer(signer)
    return society.make(machine, f"authority.{kind}", {"account": account}, signer, **changes)


def end(society, machine, account, signer=None, *, after=1, void=None, **changes):
    height = machine.height + after
    body = {"account": account, "effective_height": height, "void_height": void, "cause": bytes(32)}
    signer = None if signer is None else society.signer(signer)
    return society.make(machine, "authority.revoke", body, signer, **changes)


def done(society, machine, signed):
    (result,) = society.run(machine, signed)
    assert result.error is None, result.error
    return result.events


@pytest.fixture
def town(society, machine):
    """A community authority (76) with the five citizens as its vouchers."""
    account = society.vouched(machine, 76, CITIZENS, "Old Town")
    done(society, machine, act(society, machine, "grant", account))
    return account


def test_five_vouchers_of_standing_make_a_community_authority(society, machine, refused):
    account = society.vouched(machine, 76, CITIZENS[:-1], "Old Town")
    refused(machine, act(society, machine, "grant", account), "authority.vouchers")
    done(society, machine, act(society, machine, "vouch", account, CITIZENS[-1]))
    (granted, change) = done(society, machine, act(society, machine, "grant", account, 76))
    assert granted.fields["type"] == "community"
    assert change.fields["cause"] == "authority.granted"
    assert load_authority(machine.state, account).term_at(machine.height).type == "community"
    assert load_pending(machine.state, account) is None


def test_a_voucher_is_looked_at_again_when_it_counts(society, machine, refused):
    account = society.vouched(machine, 76, CITIZENS, "Old Town")
    lost = society.attest(machine, 75, BANK)
    society.do(machine, "identity.revoke_credential", {"credential": lost}, society.signer(BANK))
    refused(machine, act(society, machine, "grant", account), "authority.vouchers")
    # Time takes standing too: the credentials of all vouchers last a day.
    society.attest(machine, 75, BANK)
    society.run(machine, step_ms=2 * 86_400_000)
    refused(machine, act(society, machine, "grant", account), "authority.vouchers")


def test_a_crowd_of_new_accounts_gets_nowhere(society, refused):
    machine = society.started()
    crowd = range(100, 100 + VOUCHERS_NEEDED + 1)
    for number in crowd:
        society.person(machine, number)
        society.request(machine, number, "community", f"Ring {chr(number)}{chr(number + 5)}")
    for number in crowd:
        account = society.account(society.signer(number))
        for other in crowd:
            code = "authority.self" if other == number else "authority.standing"
            refused(machine, act(society, machine, "vouch", account, other), code)
        refused(machine, act(society, machine, "grant", account, number), "authority.vouchers")


def test_a_community_authority_can_not_breed_vouchers(society, machine, town, refused):
    candidate = society.person(machine, 110)
    society.request(machine, 110, "community", "Daughter Town")
    for number in range(100, 100 + VOUCHERS_NEEDED):
        society.person(machine, number)
        society.attest(machine, number, 76, "basic")
        assert score(society, machine, number) == 50
        refused(machine, act(society, machine, "vouch", candidate, number), "authority.standing")
    # And without KYC of its own it has no vouch to give either, whatever its reputation.
    refused(machine, act(society, machine, "vouch", candidate, 76), "authority.standing")


def test_a_bank_needs_the_guardians_and_a_community_never_attests_what_banks_do(society, machine, town, refused):
    account = society.person(machine, 80)
    society.request(machine, 80, "bank", "Second Bank")
    for approvals in ((), (12,), (71, 72, 73)):
        refused(machine, act(society, machine, "grant", account, 80, approvals=approvals), "access.quorum")
    body = {"issuer": town, "level": "full"}
    asked = society.make(machine, "identity.request_credential", body, society.signer(80))
    refused(machine, asked, "authority.not_active")
    done(society, machine, act(society, machine, "grant", account, 80, approvals=(11, 13)))
    assert load_authority(machine.state, account).approvals == ("sec",)


def test_a_hybrid_needs_its_sponsor_the_guardians_and_its_vouchers(society, machine, town, refused):
    bank = society.account(society.signer(BANK))
    quorum = {"approvals": society.QUORUM}
    refused(machine, act(society, machine, "upgrade", town, BANK, **quorum), "authority.not_requested")
    society.request(machine, 76, "hybrid", "Old Town", approvals=["sec"], sponsor=bank)
    refused(machine, act(society, machine, "grant", town, BANK, **quorum), "authority.upgrade")
    refused(machine, act(society, machine, "upgrade", town, 76, **quorum), "authority.sponsor")
    refused(machine, act(society, machine, "upgrade", town, BANK), "access.quorum")
    lost = society.attest(machine, 75, BANK)
    society.do(machine, "identity.revoke_credential", {"credential": lost}, society.signer(BANK))
    refused(machine, act(society, machine, "upgrade", town, BANK, **quorum), "authority.vouchers")
    society.attest(machine, 75, BANK)
    done(society, machine, act(society, machine, "upgrade", town, BANK, **quorum))
    found = load_authority(machine.state, town)
    assert [term.type for term in found.terms] == ["community", "hybrid"]
    assert found.term_at(machine.height - 1).type == "community"
    assert found.term_at(machine.height).type == "hybrid"
    society.person(machine, 81)
    society.attest(machine, 81, 76, "full")


def test_an_upgrade_by_a_bank_that_ended_does_not_count(society, machine, town, refused):
    bank = society.account(society.signer(BANK))
    society.request(machine, 76, "hybrid", "Old Town", approvals=["sec"], sponsor=bank)
    done(society, machine, end(society, machine, bank, BANK))
    upgrade = act(society, machine, "upgrade", town, BANK, approvals=society.QUORUM)
    refused(machine, upgrade, "authority.not_active")


def test_an_upgrade_of_one_that_ended_does_not_count(society, machine, town, refused):
    bank = society.account(society.signer(BANK))
    society.request(machine, 76, "hybrid", "Old Town", approvals=["sec"], sponsor=bank)
    done(society, machine, end(society, machine, town, 76, after=100))
    upgrade = act(society, machine, "upgrade", town, BANK, approvals=society.QUORUM)
    refused(machine, upgrade, "authority.not_community")


def test_a_voucher_suffers_with_what_it_vouched_for(society, machine, town, refused):
    assert [score(society, machine, number) for number in CITIZENS] == [300] * 5
    events = done(society, machine, end(society, machine, town, void=1, approvals=society.QUORUM))
    assert sum(event.kind == "reputation.changed" for event in events) == 1 + len(CITIZENS)
    assert [score(society, machine, number) for number in CITIZENS] == [150] * 5
    last = load_change(machine.state, society.account(society.signer(71)), 1)
    assert (last["cause"], last["about"]) == ("voucher.revoked_for_cause", town)
    other = society.person(machine, 90)
    society.request(machine, 90, "community", "New Town")
    refused(machine, act(society, machine, "vouch", other, 71), "authority.standing")
    again = {"type": "community", "name": "Old Town", "approvals": [], "sponsor": None}
    refused(machine, society.make(machine, "authority.request", again, society.signer(76)), "authority.barred")
    # Voiding more later does not punish them twice.
    done(society, machine, end(society, machine, town, void=1, approvals=society.QUORUM))
    assert score(society, machine, 71) == 150


def test_a_debt_of_reputation_is_not_shaken_off(society, machine, town):
    done(society, machine, end(society, machine, town, void=1, approvals=society.QUORUM))
    lost = society.attest(machine, 71, BANK)
    society.do(machine, "identity.revoke_credential", {"credential": lost}, society.signer(71))
    assert score(society, machine, 71) == 0
    society.attest(machine, 71, BANK)
    assert score(society, machine, 71) == 150


def test_revocation_has_a_height_and_no_stranger_decides_it(society, machine, town, refused):
    refused(machine, end(society, machine, town, 71), "access.quorum")
    refused(machine, end(society, machine, town, 76, void=1), "access.quorum")
    refused(machine, end(society, machine, town, 76, after=0), "authority.height")
    void = machine.height + 2
    refused(machine, end(society, machine, town, void=void, approvals=society.QUORUM), "authority.height")
    stranger = society.account(society.signer(71))
    refused(machine, end(society, machine, stranger, approvals=society.QUORUM), "authority.unknown")
    done(society, machine, end(society, machine, town, 76, after=5))
    found = load_authority(machine.state, town)
    ends = machine.height + 4
    assert [found.term_at(height) is not None for height in (ends - 1, ends)] == [True, False]
    refused(machine, end(society, machine, town, 76, after=10), "authority.ended")
    done(society, machine, end(society, machine, town, 76, after=1))
    refused(machine, end(society, machine, town, 76), "authority.ended")
    assert score(society, machine, 71) == 300


def test_who_resigned_may_come_back_and_answers_for_the_past(society, machine, town):
    done(society, machine, end(society, machine, town, 76))
    society.request(machine, 76, "community", "Old Town")
    for number in CITIZENS:
        done(society, machine, act(society, machine, "vouch", town, number))
    done(society, machine, act(society, machine, "grant", town))
    assert len(load_authority(machine.state, town).terms) == 2
    assert score(society, machine, 76) == 100
    done(society, machine, end(society, machine, town, void=1, approvals=society.QUORUM))
    found = load_authority(machine.state, town)
    assert all(found.term_at(height) is None for height in range(1, machine.height + 2))


def test_vouches_are_few_and_can_be_withdrawn_before_they_count(society, machine, refused):
    towns = []
    for number in range(200, 200 + MAX_VOUCHES + 1):
        towns.append(society.person(machine, number))
        society.request(machine, number, "community", f"Town {chr(number - 103)}{chr(number - 98)}x")
    for account in towns[:-1]:
        done(society, machine, act(society, machine, "vouch", account, 71))
    refused(machine, act(society, machine, "vouch", towns[0], 71), "authority.vouched")
    refused(machine, act(society, machine, "vouch", towns[-1], 71), "authority.vouches")
    refused(machine, act(society, machine, "withdraw_vouch", towns[-1], 71), "authority.not_vouched")
    done(society, machine, act(society, machine, "withdraw_vouch", towns[0], 71))
    done(society, machine, act(society, machine, "vouch", towns[-1], 71))
    # Asking anew frees those who vouched for the old request.
    society.request(machine, 201, "community", "Quite Another")
    done(society, machine, act(society, machine, "vouch", towns[0], 71))


def test_a_name_that_looks_like_an_authority_s_is_refused(society, machine, refused):
    society.person(machine, 80)

    def request(name, **changes):
        body = {"type": "bank", "name": name, "approvals": ["sec"], "sponsor": None} | changes
        return society.make(machine, "authority.request", body, society.signer(80))

    refused(machine, request("F1RST-BANK"), "authority.name_taken")
    refused(machine, request("First B\u0430nk"), "format.name")
    refused(machine, request("Other Bank", approvals=[]), "format.body")
    refused(machine, request("Other Bank", sponsor=society.account(society.signer(BANK))), "format.body")
    refused(machine, request("Other Bank", type="hybrid"), "format.body")
    bank = society.account(society.signer(BANK))
    refused(machine, request("Other Bank", type="hybrid", sponsor=bank), "authority.not_community")
    # Two may ask for one name; the first that is granted has it.
    second = society.person(machine, 81)
    society.request(machine, 80, "bank", "Other Bank")
    society.request(machine, 81, "bank", "OTHER BANK")
    first = society.account(society.signer(80))
    done(society, machine, act(society, machine, "grant", first, approvals=society.QUORUM))
    late = act(society, machine, "grant", second, approvals=society.QUORUM)
    refused(machine, late, "authority.name_taken")
    active = society.make(
        machine,
        "authority.request",
        {"type": "bank", "name": "Third Bank", "approvals": ["sec"], "sponsor": None},
        society.signer(80),
    )
    refused(machine, active, "authority.active")


def test_who_has_no_dadhaar_asks_for_nothing(society, machine, refused):
    society.funded(machine, 99)
    body = {"type": "community", "name": "Nobody", "approvals": [], "sponsor": None}
    refused(machine, society.make(machine, "authority.request", body, society.signer(99)), "identity.unknown")


terms = st.builds(
    Term,
    st.sampled_from(["community", "bank"]),
    st.integers(1, 20),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 40),
)


@given(terms, st.none() | st.integers(1, 40), st.none() | st.integers(1, 40), st.integers(1, 60))
def test_ending_a_term_never_gives_power_and_leaves_the_past_before_both_heights(term, until, void, height):
    before = Authority("a", "n", (), (), None, (term,))
    after = end_terms(before, until, void)
    if term.until_height is None or until is None or until <= term.until_height:
        assert after.term_at(height) is None or before.term_at(height) is not None
    if height < min(until or height + 1, void or height + 1) and before.term_at(height) is not None:
        assert after.term_at(height) is not None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["full", "basic", "revoke"]), max_size=6))
def test_reputation_is_the_sum_of_its_recorded_causes(society, steps):
    machine = society.started()
    society.bank(machine, BANK)
    account = society.person(machine, 80)
    credential = None
    for step in steps:
        if step in ("full", "basic"):
            credential = society.attest(machine, 80, BANK, step)
        elif step == "revoke" and credential is not None:
            society.do(machine, "identity.revoke_credential", {"credential": credential}, society.signer(BANK))
            credential = None
    found = load_reputation(machine.state, account)
    changes = [load_change(machine.state, account, number) for number in range(found.changes)]
    assert found.points == sum(change["points"] for change in changes)
    assert all(abs(change["points"]) == POINTS[change["cause"]] for change in changes)
    assert (found.score > 0) == (kyc_level(machine.state, account, machine.time_ms) != "none")
