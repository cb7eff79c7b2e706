"""Governance: weights as of the start, a vote in the guardians' place, and every way to have what was not voted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.governance import find_proposal, has_passed
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.weight import load_total, weight_at

FEE_FIVE = {"kind": "governance.set_parameter", "body": {"name": "fee_min", "value": 5}}


@pytest.fixture
def machine(society):
    """Three voters: node (600), other (300), 71 (100)."""
    machine = society.started()
    society.funded(machine, 71, 72)
    for signer, amount in ((society.node, 600), (society.other, 300), (society.signer(71), 100)):
        society.do(machine, "stake.deposit", {"amount": amount}, signer)
    return machine


def propose(society, machine, *actions, signer=None):
    body = {"reasons": bytes(32), "actions": list(actions) or [FEE_FIVE]}
    (event,) = society.do(machine, "governance.propose", body, signer)
    return event.fields["proposal"]


def vote(society, machine, number, choice="yes", signer=None):
    return society.do(machine, "governance.vote", {"proposal": number, "choice": choice}, signer)


def make(society, machine, what, number, signer=None, **changes):
    body = {"proposal": number} | ({"choice": "yes"} if what == "vote" else {})
    return society.make(machine, f"governance.{what}", body, signer, **changes)


def wait(society, machine, number, name="veto_until"):
    while machine.height < find_proposal(machine.state, number)[name]:
        society.run(machine)


def test_a_passed_proposal_changes_a_parameter_after_its_veto_period(society, machine, refused):
    number = propose(society, machine)
    vote(society, machine, number)
    refused(machine, make(society, machine, "execute", number), "governance.early")
    wait(society, machine, number)
    events = society.do(machine, "governance.execute", {"proposal": number}, society.signer(72))
    assert [event.kind for event in events] == ["governance.executed", "governance.parameter_set"]
    assert load_parameter(machine.state, "fee_min") == 5
    refused(machine, make(society, machine, "execute", number, fee=5), "governance.closed")


def test_weights_are_those_of_the_start(society, machine, refused):
    # In the same block as the proposal, or after it, stake buys no vote; withdrawing takes none away.
    number = propose(society, machine)
    society.do(machine, "stake.deposit", {"amount": 900}, society.signer(72))
    refused(machine, make(society, machine, "vote", number, society.signer(72)), "governance.weight")
    society.do(machine, "stake.deposit", {"amount": 700}, society.signer(71))
    (event,) = vote(society, machine, number, "no", society.signer(71))
    assert event.fields["weight"] == 100
    assert find_proposal(machine.state, number)["total"] == 1000
    assert load_total(machine.state) == 2600


def test_stake_of_the_proposal_s_own_block_does_not_count(society, machine):
    deposit = society.make(machine, "stake.deposit", {"amount": 900}, society.signer(72))
    body = {"reasons": bytes(32), "actions": [FEE_FIVE]}
    results = society.run(machine, deposit, society.make(machine, "governance.propose", body))
    assert [result.error for result in results] == [None, None]
    record = find_proposal(machine.state, 1)
    assert record["total"] == 1000
    assert weight_at(machine.state, society.account(society.signer(72)), record["start_height"]) == 0


def test_nobody_votes_twice_or_late(society, machine, refused):
    number = propose(society, machine)
    vote(society, machine, number)
    refused(machine, make(society, machine, "vote", number), "governance.voted")
    wait(society, machine, number, "vote_until")
    refused(machine, make(society, machine, "vote", number, society.other), "governance.closed")
    refused(machine, make(society, machine, "vote", 99), "governance.unknown")


@pytest.mark.parametrize(("node", "other"), [("no", "yes"), (None, None), ("abstain", "no")])
def test_a_proposal_without_quorum_or_majority_does_nothing(society, machine, refused, node, other):
    number = propose(society, machine)
    for signer, choice in ((society.node, node), (society.other, other)):
        if choice is not None:
            vote(society, machine, number, choice, signer)
    wait(society, machine, number)
    refused(machine, make(society, machine, "execute", number), "governance.not_passed")


def test_the_guardians_may_veto_and_only_they(society, machine, refused):
    number = propose(society, machine)
    vote(society, machine, number)
    refused(machine, make(society, machine, "veto", number), "access.quorum")
    society.do(machine, "governance.veto", {"proposal": number}, approvals=society.QUORUM)
    wait(society, machine, number)
    refused(machine, make(society, machine, "execute", number), "governance.closed")


def test_a_proposer_that_withdrew_has_nothing_executed(society, machine, refused):
    number = propose(society, machine)
    vote(society, machine, number)
    society.do(machine, "stake.withdraw", {"amount": 600})
    wait(society, machine, number)
    refused(machine, make(society, machine, "execute", number), "governance.weight")


def test_a_proposer_has_weight_and_one_open_proposal(society, machine, refused):
    body = {"reasons": bytes(32), "actions": [FEE_FIVE]}
    stranger = society.make(machine, "governance.propose", body, society.signer(72))
    refused(machine, stranger, "governance.weight")
    propose(society, machine)
    refused(machine, society.make(machine, "governance.propose", body), "governance.open")


@pytest.mark.parametrize(
    "action",
    [
        {"kind": "asset.transfer", "body": {}},
        {"kind": "governance.execute", "body": {"proposal": 1}},
        {"kind": "governance.set_parameter", "body": {"name": "fee_min", "value": 10**16}},
        {"kind": "governance.set_parameter", "body": {"name": "gravity", "value": 1}},
        {"kind": "governance.set_parameter", "body": {"name": "fee_min"}},
        {"kind": 7, "body": {}},
        {},
    ],
)
def test_what_no_proposal_may_carry_is_refused_by_its_form(society, machine, refused, action):
    body = {"reasons": bytes(32), "actions": [action]}
    refused(machine, society.make(machine, "governance.propose", body), "format.body")


def test_actions_apply_all_or_none(society, machine, refused):
    to = society.account(society.signer(72))
    spend = {"kind": "wallet.spend", "body": {"wallet": "treasury", "asset": "BPI", "to": to, "amount": 1}}
    spend["body"]["reason"] = bytes(32)
    too_much = {"kind": "wallet.spend", "body": spend["body"] | {"amount": 10**12}}
    number = propose(society, machine, FEE_FIVE, spend, too_much)
    vote(society, machine, number)
    wait(society, machine, number)
    refused(machine, make(society, machine, "execute", number), "asset.balance")
    assert load_parameter(machine.state, "fee_min") == 2


def test_a_vote_spends_from_the_treasury_without_the_guardians(society, machine, conserved):
    body = {"wallet": "treasury", "asset": "BPI", "to": society.account(society.signer(72)), "amount": 7}
    number = propose(society, machine, {"kind": "wallet.spend", "body": body | {"reason": bytes(32)}})
    vote(society, machine, number)
    wait(society, machine, number)
    events = society.do(machine, "governance.execute", {"proposal": number}, society.other)
    assert events[-1].kind == "wallet.spent"
    conserved(machine)


def test_after_their_last_height_the_guardians_decide_nothing(society, machine, refused):
    change = {"name": "guardians_last_height", "value": 1}
    number = propose(society, machine, {"kind": "governance.set_parameter", "body": change})
    vote(society, machine, number)
    wait(society, machine, number)
    society.do(machine, "governance.execute", {"proposal": number})
    body = {"wallet": "treasury", "asset": "BPI", "to": society.account(), "amount": 1, "reason": bytes(32)}
    spend = society.make(machine, "wallet.spend", body, approvals=(11, 12, 13))
    refused(machine, spend, "access.quorum")
    # A guardian's standing as a voucher ends with it.
    candidate = society.person(machine, 90)
    society.request(machine, 90, "community", "New Town")
    society.funded(machine, 12)
    vouch = society.make(machine, "authority.vouch", {"account": candidate}, society.signer(12))
    refused(machine, vouch, "authority.standing")


def test_a_delegate_votes_with_the_weight_of_others_who_may_take_it_back(society, machine, refused):
    delegate = society.account(society.signer(71))
    society.do(machine, "governance.delegate", {"to": delegate}, society.other)
    number = propose(society, machine)
    # Too late for this proposal.
    society.do(machine, "governance.delegate", {"to": delegate}, society.node)
    (event,) = vote(society, machine, number, "yes", society.signer(71))
    assert event.fields["weight"] == 400
    refused(machine, make(society, machine, "vote", number, society.signer(71)), "governance.voted")
    vote(society, machine, number, "no", society.other)
    assert find_proposal(machine.state, number)["votes"] == {"yes": 100, "no": 300, "abstain": 0}
    refused(machine, make(society, machine, "vote", number, society.other), "governance.voted")


def test_delegations_are_looked_at(society, machine, refused):
    def delegate(to, signer=None):
        return society.make(machine, "governance.delegate", {"to": to}, signer)

    refused(machine, delegate(society.account()), "governance.self")
    refused(machine, delegate(None), "governance.delegated")
    other = society.account(society.other)
    society.do(machine, "governance.delegate", {"to": other})
    refused(machine, delegate(other), "governance.delegated")
    society.do(machine, "governance.delegate", {"to": None})


amounts = st.integers(0, 1000)


polls = st.fixed_dictionaries({"yes": amounts, "no": amounts, "abstain": amounts})


@given(polls, st.integers(0, 3000), st.integers(500, 10_000), st.integers(5000, 9999))
def test_what_passes_has_a_majority_and_a_turnout(votes, silent, quorum, threshold):
    turnout = sum(votes.values())
    record = {"votes": votes, "total": turnout + silent, "quorum_bps": quorum, "threshold_bps": threshold}
    if has_passed(record):
        assert votes["yes"] > votes["no"]
        assert turnout * 10_000 >= quorum * (turnout + silent)


steps_of_voters = st.tuples(st.sampled_from(["vote", "delegate"]), st.sampled_from([2, 3, 71]), st.integers(0, 3))


@settings(max_examples=20, deadline=None)
@given(st.lists(steps_of_voters, max_size=8))
def test_votes_never_exceed_the_weight_that_there_was(society, steps):
    machine = society.started()
    society.funded(machine, 71)
    for number in (2, 3, 71):
        society.do(machine, "stake.deposit", {"amount": 100}, society.signer(number))
    others = [society.account(society.signer(number)) for number in (2, 3, 71)] + [None]
    society.run(machine, society.make(machine, "governance.delegate", {"to": others[0]}, society.signer(3)))
    proposal = propose(society, machine)
    for what, number, choice in steps:
        name = ("yes", "no", "abstain", "yes")[choice]
        body = {"to": others[choice]} if what == "delegate" else {"proposal": proposal, "choice": name}
        society.run(machine, society.make(machine, f"governance.{what}", body, society.signer(number)))
        record = find_proposal(machine.state, proposal)
        assert sum(record["votes"].values()) <= record["total"] == 300
        assert all(weight >= 0 for weight in record["votes"].values())
