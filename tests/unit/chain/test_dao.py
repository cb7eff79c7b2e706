"""DAOs: who is a member, who decides, and what may leave a treasury."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain import dao_members, delegation
from bpci_node.chain.assets import balance
from bpci_node.chain.ballot import find_proposal
from bpci_node.chain.dao import (
    MAX_MEMBERS,
    dao_id_of,
    find_dao,
    list_daos,
    list_dpans,
    load_dpan,
    members_of,
    roll_of,
    store_member,
    total_power,
)
from bpci_node.chain.dao_members import INVITATION_BLOCKS, MAX_INVITATIONS, invitation_of
from bpci_node.chain.label import skeleton
from bpci_node.chain.past import MAX_PAST, newest, note, value_at
from bpci_node.chain.state import Overlay, State
from bpci_node.primitives.amounts import apportion

RULES = {"admission": "invitation", "quorum_bps": 5000, "threshold_bps": 5000, "voting_blocks": 8}
NAME = "River Keepers"


def creation(**changes):
    rules = RULES | {name: changes.pop(name) for name in list(changes) if name in RULES}
    return {"type": "community", "name": NAME, "charter": bytes(32), "power": "weighted", "rules": rules} | changes


@pytest.fixture
def dao(economy):
    return dao_id_of(economy.genesis.ledger_id, skeleton(NAME))


@pytest.fixture
def machine(economy, dao):
    """A DAO of node (power 1), other (1) and 21 (1), whose treasury holds 1,000 BPI and 100 GEN."""
    machine = economy.started()
    for number in (21, 22, 23):
        give(economy, machine, economy.account(economy.signer(number)), 1000)
    economy.do(machine, "dao.create", creation())
    join(economy, machine, dao, economy.other)
    join(economy, machine, dao, economy.signer(21))
    give(economy, machine, dao, 1000)
    give(economy, machine, dao, 100, "GEN")
    return machine


def give(economy, machine, to, amount, asset="BPI"):
    economy.do(machine, "asset.transfer", {"asset": asset, "to": to, "amount": amount})


def join(economy, machine, dao, signer, power=1):
    body = {"dao": dao, "account": economy.account(signer), "power": power}
    economy.do(machine, "dao.invite", body)
    return economy.do(machine, "dao.accept", {"dao": dao}, signer)


def action(kind, **body):
    return {"kind": kind, "body": body}


def propose(economy, machine, dao, *actions, signer=None):
    body = {"dao": dao, "reasons": bytes(32), "actions": list(actions)}
    (event,) = economy.do(machine, "dao.propose", body, signer)
    return event.fields["proposal"]


def vote(economy, machine, dao, number, choice="yes", signer=None):  # noqa: PLR0917 - reads as a sentence
    return economy.do(machine, "dao.vote", {"dao": dao, "proposal": number, "choice": choice}, signer)


def decide(economy, machine, dao, *actions, signers=None):
    """Propose, let node and other agree, wait, and execute by a stranger."""
    number = propose(economy, machine, dao, *actions)
    for signer in signers or (economy.node, economy.other):
        vote(economy, machine, dao, number, "yes", signer)
    wait(economy, machine, dao, number)
    return economy.do(machine, "dao.execute", {"dao": dao, "proposal": number}, economy.signer(23))


def wait(economy, machine, dao, number):
    while machine.height < find_proposal(machine.state, roll_of(dao), number)["vote_until"]:
        economy.run(machine)


def make(economy, machine, what, signer=None, **body):
    return economy.make(machine, f"dao.{what}", body, signer)


def test_a_founder_has_every_right_and_a_new_member_few(economy, machine, dao):
    record = find_dao(machine.state, dao)
    assert (record.founder, record.name, record.status) == (economy.account(), NAME, "active")
    assert load_dpan(machine.state, dao, economy.account()).rights == {"invite": True, "propose": True}
    joined = load_dpan(machine.state, dao, economy.account(economy.other))
    assert (joined.power, joined.rights, joined.allowance) == (1, {"invite": False, "propose": True}, None)
    assert len(members_of(machine.state, dao)) == 3
    assert [found.dao for found in list_dpans(machine.state, economy.account())] == [dao]
    assert list_daos(machine.state) == [record]
    assert list_daos(machine.state, after=dao) == []


@pytest.mark.parametrize("name", [NAME, "river keepers", "Rlver Keepers", "RiverKeepers"])
def test_no_two_daos_have_names_that_look_alike(economy, machine, refused, name):
    refused(machine, economy.make(machine, "dao.create", creation(name=name), economy.other), "dao.name")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "Rіver"}, "format.name"),  # noqa: RUF001 - Cyrillic, which is the point
        ({"type": "cult"}, "format.body"),
        ({"power": "bought"}, "format.body"),
        ({"threshold_bps": 4999}, "format.body"),
        ({"quorum_bps": 0}, "format.body"),
        ({"voting_blocks": 1}, "format.body"),
        ({"rules": RULES | {"veto": 1}}, "format.body"),
    ],
)
def test_what_makes_no_dao_is_refused_by_its_form(economy, machine, refused, changes, code):
    refused(machine, economy.make(machine, "dao.create", creation(**({"name": "Other"} | changes))), code)


def test_nobody_joins_unasked_or_twice(economy, machine, dao, refused):
    signer = economy.signer(22)
    refused(machine, make(economy, machine, "accept", signer, dao=dao), "dao.not_invited")
    join(economy, machine, dao, signer)
    refused(machine, make(economy, machine, "accept", signer, dao=dao), "dao.not_invited")
    again = {"dao": dao, "account": economy.account(signer), "power": 1}
    refused(machine, make(economy, machine, "invite", **again), "dao.is_member")


def test_only_who_may_invites_and_with_no_more_than_its_power(economy, machine, dao, refused):
    body = {"dao": dao, "account": economy.account(economy.signer(22)), "power": 1}
    refused(machine, make(economy, machine, "invite", economy.other, **body), "dao.right")
    refused(machine, make(economy, machine, "invite", economy.signer(23), **body), "dao.member")
    refused(machine, make(economy, machine, "invite", **(body | {"power": 2})), "dao.power")
    refused(machine, make(economy, machine, "invite", **(body | {"dao": economy.account()})), "dao.unknown")


def test_where_all_are_equal_nobody_has_more_power(economy, refused):
    machine = economy.started()
    economy.do(machine, "dao.create", creation(power="equal"))
    dao = dao_id_of(economy.genesis.ledger_id, skeleton(NAME))
    body = {"account": economy.account(economy.other), "power": 2}
    number = propose(economy, machine, dao, action("dao.admit", **body))
    vote(economy, machine, dao, number)
    wait(economy, machine, dao, number)
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "dao.power")


def test_an_invitation_ends_and_is_only_as_good_as_who_gave_it(economy, machine, dao, refused):
    other, last = economy.account(economy.other), economy.signer(22)
    rights = {"rights": {"invite": True, "propose": True}, "allowance": None, "power": 1}
    decide(economy, machine, dao, action("dao.set_rights", account=other, **rights))
    body = {"dao": dao, "account": economy.account(last), "power": 1}
    economy.do(machine, "dao.invite", body, economy.other)
    found = invitation_of(machine.state, dao, economy.account(last), machine.height)
    assert found == {"by": other, "power": 1, "last_height": machine.height + INVITATION_BLOCKS}
    assert invitation_of(machine.state, dao, economy.account(last), machine.height + INVITATION_BLOCKS + 1) is None
    decide(economy, machine, dao, action("dao.expel", account=other))
    refused(machine, make(economy, machine, "accept", last, dao=dao), "dao.not_invited")


def test_where_members_are_admitted_by_vote_nobody_invites_alone(economy, machine, dao, refused):
    rules = RULES | {"admission": "vote"}
    waiting = {"dao": dao, "account": economy.account(economy.signer(22)), "power": 1}
    economy.do(machine, "dao.invite", waiting)
    decide(economy, machine, dao, action("dao.set_rules", rules=rules))
    assert find_dao(machine.state, dao).rules.admission == "vote"
    refused(machine, make(economy, machine, "invite", **waiting), "dao.admission")
    # What a member gave before counts no more; what the vote gives does, with the power that it says.
    refused(machine, make(economy, machine, "accept", economy.signer(22), dao=dao), "dao.not_invited")
    decide(economy, machine, dao, action("dao.admit", account=waiting["account"], power=7))
    (event,) = economy.do(machine, "dao.accept", {"dao": dao}, economy.signer(22))
    assert (event.fields["by"], event.fields["power"]) == (dao, 7)


def test_members_and_invitations_are_bounded(economy, machine, dao, refused, monkeypatch):
    monkeypatch.setattr(dao_members, "MAX_INVITATIONS", 1)
    monkeypatch.setattr(dao_members, "MAX_MEMBERS", 3)
    assert (MAX_INVITATIONS, MAX_MEMBERS) == (32, 100)
    body = {"dao": dao, "account": economy.account(economy.signer(22)), "power": 1}
    economy.do(machine, "dao.invite", body)
    economy.do(machine, "dao.invite", body)
    third = body | {"account": economy.account(economy.signer(23))}
    refused(machine, make(economy, machine, "invite", **third), "dao.invitations")
    refused(machine, make(economy, machine, "accept", economy.signer(22), dao=dao), "dao.members")


def test_who_leaves_keeps_a_d_pan_and_no_power(economy, machine, dao, refused):
    economy.do(machine, "dao.leave", {"dao": dao}, economy.other)
    left = load_dpan(machine.state, dao, economy.account(economy.other))
    assert (left.status, left.power, left.rights) == ("left", 0, {"invite": False, "propose": False})
    refused(machine, make(economy, machine, "leave", economy.other, dao=dao), "dao.member")
    economy.do(machine, "dao.leave", {"dao": dao}, economy.signer(21))
    refused(machine, make(economy, machine, "leave", dao=dao), "dao.last_member")
    join(economy, machine, dao, economy.other)
    assert load_dpan(machine.state, dao, economy.account(economy.other)).status == "active"
    assert total_power(machine.state, dao, machine.height) == 2


def test_a_vote_spends_and_nothing_else_does(economy, machine, dao, refused, conserved):
    to, before = economy.account(economy.signer(23)), machine.height
    pay = action("asset.transfer", asset="GEN", to=to, amount=40)
    events = decide(economy, machine, dao, pay)
    assert [event.kind for event in events] == ["dao.executed", "asset.transferred"]
    assert events[1].fields["from"] == dao
    assert (balance(machine.state, to, "GEN"), balance(machine.state, dao, "GEN")) == (40, 60)
    assert machine.height > before
    # Nobody sends as the DAO: no key makes its account.
    forged = economy.make(machine, "asset.transfer", pay["body"], sender=dao)
    refused(machine, forged, "chain.account")
    conserved(machine)


@pytest.mark.parametrize(
    "choices", [("no", "yes", "no"), (None, None, None), ("yes", None, None), ("yes", "no", "abstain")]
)
def test_without_quorum_or_majority_nothing_is_done(economy, machine, dao, refused, choices):
    number = propose(economy, machine, dao, action("dao.dissolve"))
    for signer, choice in zip((economy.node, economy.other, economy.signer(21)), choices, strict=True):
        if choice is not None:
            vote(economy, machine, dao, number, choice, signer)
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "governance.early")
    wait(economy, machine, dao, number)
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "governance.not_passed")
    assert find_dao(machine.state, dao).status == "active"


def test_a_proposal_is_executed_once_and_all_or_none(economy, machine, dao, refused):
    to = economy.account(economy.signer(23))
    number = propose(
        economy,
        machine,
        dao,
        action("asset.transfer", asset="GEN", to=to, amount=1),
        action("asset.transfer", asset="GEN", to=to, amount=100),
    )
    for signer in (economy.node, economy.other):
        vote(economy, machine, dao, number, "yes", signer)
    wait(economy, machine, dao, number)
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "asset.balance")
    assert balance(machine.state, dao, "GEN") == 100
    give(economy, machine, dao, 1, "GEN")
    economy.do(machine, "dao.execute", {"dao": dao, "proposal": number})
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "governance.closed")


def test_who_joins_after_a_proposal_has_no_vote_in_it_and_who_left_neither(economy, machine, dao, refused):
    number = propose(economy, machine, dao, action("dao.dissolve"))
    join(economy, machine, dao, economy.signer(22))
    late = {"dao": dao, "proposal": number, "choice": "yes"}
    refused(machine, make(economy, machine, "vote", economy.signer(22), **late), "governance.weight")
    economy.do(machine, "dao.leave", {"dao": dao}, economy.other)
    refused(machine, make(economy, machine, "vote", economy.other, **late), "dao.member")
    refused(machine, make(economy, machine, "vote", **(late | {"proposal": 9})), "governance.unknown")
    vote(economy, machine, dao, number)
    refused(machine, make(economy, machine, "vote", **late), "governance.voted")
    wait(economy, machine, dao, number)
    refused(machine, make(economy, machine, "vote", economy.signer(21), **late), "governance.closed")


def test_a_proposer_has_the_right_at_the_start_and_at_the_end(economy, machine, dao, refused):
    other = economy.account(economy.other)
    number = propose(economy, machine, dao, action("dao.dissolve"), signer=economy.other)
    again = {"dao": dao, "reasons": bytes(32), "actions": [action("dao.dissolve")]}
    refused(machine, make(economy, machine, "propose", economy.other, **again), "governance.open")
    refused(machine, make(economy, machine, "propose", economy.signer(22), **again), "dao.member")
    for signer in (economy.node, economy.other):
        vote(economy, machine, dao, number, "yes", signer)
    none = {"account": other, "power": 1, "rights": {"invite": False, "propose": False}, "allowance": None}
    decide(economy, machine, dao, action("dao.set_rights", **none))
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "dao.right")
    refused(machine, make(economy, machine, "propose", economy.other, **again), "dao.right")
    decide(economy, machine, dao, action("dao.expel", account=other))
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=number), "dao.member")
    refused(machine, make(economy, machine, "propose", **(again | {"dao": other})), "dao.unknown")


def test_a_delegate_votes_for_a_member_who_may_take_it_back(economy, machine, dao, refused):
    signer, other = economy.signer(21), economy.account(economy.other)
    economy.do(machine, "dao.delegate", {"dao": dao, "to": other}, signer)
    refused(machine, make(economy, machine, "delegate", signer, dao=dao, to=other), "governance.delegated")
    refused(machine, make(economy, machine, "delegate", economy.other, dao=dao, to=other), "governance.self")
    stranger = economy.account(economy.signer(22))
    refused(machine, make(economy, machine, "delegate", signer, dao=dao, to=stranger), "dao.member")
    refused(machine, make(economy, machine, "delegate", economy.signer(22), dao=dao, to=other), "dao.member")
    economy.run(machine)
    number = propose(economy, machine, dao, action("dao.dissolve"))
    (event,) = vote(economy, machine, dao, number, "yes", economy.other)
    assert event.fields["weight"] == 2
    vote(economy, machine, dao, number, "no", signer)
    assert find_proposal(machine.state, roll_of(dao), number)["votes"] == {"yes": 1, "no": 1, "abstain": 0}


def test_a_delegation_of_the_network_says_nothing_in_a_dao(economy, machine, dao):
    economy.do(machine, "governance.delegate", {"to": economy.account(economy.other)}, economy.signer(21))
    number = propose(economy, machine, dao, action("dao.dissolve"))
    (event,) = vote(economy, machine, dao, number, "yes", economy.other)
    assert event.fields["weight"] == 1


def test_a_dao_stands_in_no_guardian_s_place(economy, machine, dao, refused):
    spend = {"wallet": "treasury", "asset": "BPI", "to": dao, "amount": 1, "reason": bytes(32)}
    for wrong in (action("wallet.spend", **spend), action("governance.set_parameter", name="fee_min", value=0)):
        body = {"dao": dao, "reasons": bytes(32), "actions": [wrong]}
        refused(machine, make(economy, machine, "propose", **body), "format.body")


def test_an_allowance_ends_at_its_amount_and_begins_anew(economy, machine, dao, refused, conserved):
    allowance = {"asset": "BPI", "amount": 100, "blocks": 1000}
    rights = {"rights": {"invite": False, "propose": True}, "allowance": allowance, "power": 1}
    spend = {"dao": dao, "asset": "BPI", "to": economy.account(economy.signer(23)), "amount": 60, "reason": bytes(32)}
    refused(machine, make(economy, machine, "spend", economy.other, **spend), "dao.allowance")
    decide(economy, machine, dao, action("dao.set_rights", account=economy.account(economy.other), **rights))
    economy.do(machine, "dao.spend", spend, economy.other)
    error = refused(machine, make(economy, machine, "spend", economy.other, **spend), "dao.allowance")
    assert error.details["left"] == "40"
    refused(machine, make(economy, machine, "spend", economy.other, **(spend | {"asset": "GEN"})), "dao.allowance")
    refused(machine, make(economy, machine, "spend", economy.other, **(spend | {"asset": "XXX"})), "asset.unknown")
    refused(machine, make(economy, machine, "spend", economy.other, **(spend | {"to": dao})), "asset.self")
    refused(machine, make(economy, machine, "spend", economy.signer(22), **spend), "dao.member")
    # The next window, two blocks long this time; the treasury has 940 left.
    rights["allowance"] = {"asset": "BPI", "amount": 2000, "blocks": 2}
    decide(economy, machine, dao, action("dao.set_rights", account=economy.account(economy.other), **rights))
    too_much = make(economy, machine, "spend", economy.other, **(spend | {"amount": 941}))
    refused(machine, too_much, "asset.balance")
    economy.do(machine, "dao.spend", spend | {"amount": 940}, economy.other)
    assert balance(machine.state, dao, "BPI") == 0
    conserved(machine)


def test_a_dissolved_dao_divides_all_it_has_and_what_comes_later(economy, machine, dao, refused, conserved):
    powers = {"rights": {"invite": False, "propose": True}, "allowance": None}
    other = economy.account(economy.other)
    decide(economy, machine, dao, action("dao.set_rights", account=other, power=5, **powers))
    before = {name: balance(machine.state, name, "GEN") for name in members_of(machine.state, dao)}
    refused(machine, make(economy, machine, "divide", dao=dao), "dao.active")
    events = decide(economy, machine, dao, action("dao.dissolve"))
    assert [event.kind for event in events] == ["dao.executed", "dao.dissolved", "dao.divided", "dao.divided"]
    shares = apportion(100, dict.fromkeys(before, 1) | {other: 5})
    for name, held in before.items():
        assert balance(machine.state, name, "GEN") - held == shares[name]
    assert balance(machine.state, dao, "BPI") == balance(machine.state, dao, "GEN") == 0
    conserved(machine)
    for what, body in (
        ("leave", {}),
        ("accept", {}),
        ("delegate", {"to": other}),
        ("vote", {"proposal": 1, "choice": "yes"}),
        ("execute", {"proposal": 1}),
        ("propose", {"reasons": bytes(32), "actions": [action("dao.dissolve")]}),
        ("invite", {"account": other, "power": 1}),
        ("spend", {"asset": "BPI", "to": other, "amount": 1, "reason": bytes(32)}),
    ):
        refused(machine, make(economy, machine, what, dao=dao, **body), "dao.dissolved")
    refused(machine, make(economy, machine, "divide", dao=dao), "dao.nothing")
    give(economy, machine, dao, 10)
    economy.do(machine, "dao.divide", {"dao": dao}, economy.signer(23))
    assert balance(machine.state, dao, "BPI") == 0
    conserved(machine)
    refused(machine, economy.make(machine, "dao.create", creation()), "dao.name")


def test_what_vests_for_a_treasury_is_taken_by_a_vote(economy, machine, dao):
    schedule = {"start_ms": 0, "cliff_ms": 0, "end_ms": 1}
    grant = {"grant_id": bytes(16), "to": dao, "asset": "BPI", "amount": 7, "schedule": schedule}
    economy.do(machine, "vesting.grant", grant)
    decide(economy, machine, dao, action("vesting.claim", grant_id=bytes(16)))
    assert balance(machine.state, dao, "BPI") == 1007


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("accept", {}),
        ("delegate", {"to": None}),
        ("divide", {}),
        ("execute", {"proposal": 1}),
        ("leave", {}),
        ("spend", {"asset": "BPI", "to": "bpa1" + "a" * 32, "amount": 1, "reason": bytes(32)}),
        ("vote", {"proposal": 1, "choice": "yes"}),
    ],
)
def test_nothing_is_done_in_a_dao_that_is_none(economy, machine, refused, what, body):
    refused(machine, make(economy, machine, what, dao=economy.account(), **body), "dao.unknown")


def test_a_proposal_that_is_none_is_not_executed(economy, machine, dao, refused):
    refused(machine, make(economy, machine, "execute", dao=dao, proposal=9), "governance.unknown")


def test_a_member_votes_for_a_bounded_number_of_others(economy, machine, dao, refused, monkeypatch):
    assert delegation.MAX_DELEGATORS == 64
    monkeypatch.setattr(delegation, "MAX_DELEGATORS", 1)
    node = economy.account()
    economy.do(machine, "dao.delegate", {"dao": dao, "to": node}, economy.other)
    one_more = make(economy, machine, "delegate", economy.signer(21), dao=dao, to=node)
    refused(machine, one_more, "governance.delegators")


def test_events_are_found_by_the_dao_and_by_its_member(economy, dao):
    machine = economy.started()
    (created,) = economy.do(machine, "dao.create", creation())
    (joined,) = join(economy, machine, dao, economy.other)
    assert (created.fields["dao"], created.fields["founder"]) == (dao, economy.account())
    assert (joined.fields["dao"], joined.fields["account"]) == (dao, economy.account(economy.other))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), max_size=80))
def test_the_past_of_a_number_is_what_it_was(changes):
    state, truth = Overlay(State.of()), {}
    for height, value in sorted(changes, key=lambda item: item[0]):
        note(state, b"n", height, value)
        truth[height] = value
    heights = sorted(truth)
    changed = [at for number, at in enumerate(heights) if truth[at] != (truth[heights[number - 1]] if number else 0)]
    known_from = changed[-MAX_PAST] if len(changed) >= MAX_PAST else 0
    for height in range(known_from, 62):
        assert value_at(state, b"n", height) == next((truth[at] for at in reversed(heights) if at <= height), 0)
    assert newest(state, b"n") == (truth[heights[-1]] if heights else 0)


who = st.sampled_from([2, 3, 21, 22])
steps = st.tuples(
    st.sampled_from(["invite", "accept", "leave", "propose", "vote", "execute", "spend", "divide", "delegate", "give"]),
    who,
    who,
    st.sampled_from(["transfer", "admit", "expel", "dissolve", "rights", "claim"]),
    st.sampled_from([1, 2, 50, 400]),
)


def command(economy, machine, dao, step):
    what, sender, subject, inner, amount = step
    signer, account = economy.signer(sender), economy.account(economy.signer(subject))
    allowance = {"asset": "BPI", "amount": amount, "blocks": 4}
    actions = {
        "transfer": action("asset.transfer", asset="BPI", to=account, amount=amount),
        "admit": action("dao.admit", account=account, power=amount),
        "expel": action("dao.expel", account=account),
        "dissolve": action("dao.dissolve"),
        "rights": action(
            "dao.set_rights",
            account=account,
            power=amount,
            rights={"invite": True, "propose": True},
            allowance=allowance,
        ),
        "claim": action("vesting.claim", grant_id=bytes(16)),
    }
    counted = machine.state.get(roll_of(dao).entry("proposal-count"))
    newest_proposal = 1 if counted is None else int.from_bytes(counted[-1:]) & 0x1F
    kind, body = {
        "invite": ("dao.invite", {"account": account, "power": 1}),
        "accept": ("dao.accept", {}),
        "leave": ("dao.leave", {}),
        "propose": ("dao.propose", {"reasons": bytes(32), "actions": [actions[inner]]}),
        "vote": ("dao.vote", {"proposal": newest_proposal, "choice": "yes"}),
        "execute": ("dao.execute", {"proposal": newest_proposal}),
        "spend": ("dao.spend", {"asset": "BPI", "to": account, "amount": amount, "reason": bytes(32)}),
        "divide": ("dao.divide", {}),
        "delegate": ("dao.delegate", {"to": account}),
        "give": ("asset.transfer", {"asset": "BPI", "to": dao, "amount": amount}),
    }[what]
    return economy.make(machine, kind, body if what == "give" else body | {"dao": dao}, signer)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=30))
def test_nothing_is_lost_or_made_and_powers_sum_up_by_any_sequence(economy, conserved, steps):
    machine, dao = economy.started(), dao_id_of(economy.genesis.ledger_id, skeleton(NAME))
    for number in (21, 22):
        give(economy, machine, economy.account(economy.signer(number)), 1000)
    economy.do(machine, "dao.create", creation(quorum_bps=1, voting_blocks=2))
    for step in steps:
        economy.run(machine, command(economy, machine, dao, step))
        members = [load_dpan(machine.state, dao, name) for name in members_of(machine.state, dao)]
        assert members
        assert all(member.status == "active" and member.power > 0 for member in members)
        assert total_power(machine.state, dao, machine.height) == sum(member.power for member in members)
    conserved(machine)


def test_a_member_is_written_as_it_is_read(economy, machine, dao):
    state = Overlay(machine.state)
    found = load_dpan(machine.state, dao, economy.account())
    changed = replace(found, power=9, spent=(4, 5))
    store_member(state, machine.height + 1, changed)
    assert load_dpan(state, dao, economy.account()) == changed
    assert total_power(state, dao, machine.height + 1) == 11
    assert total_power(state, dao, machine.height) == 3
