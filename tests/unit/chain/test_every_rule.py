"""Each rule that the reference names for a kind of command is broken by some test, and refused by its code.

The rules that no other test of this directory breaks are broken here. The last test of the run holds every kind's rules
against what was refused meanwhile, so a kind that comes without tests of its rules is named.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.chain.authority import Term, load_authority, store_authority
from bpci_node.chain.authority_terms import MAX_TERMS
from bpci_node.chain.catalog import KINDS
from bpci_node.chain.delegation import MAX_DELEGATORS
from bpci_node.chain.governance import find_proposal
from bpci_node.chain.machine import Machine
from bpci_node.chain.state import Overlay
from bpci_node.chain.validators import ACTIVE_ENTRY, MAX_ACTIVE
from bpci_node.primitives.codec import encode
from bpci_node.primitives.record import save_record

QUORUM = (12, 13)
DUTIES = ("registry.heartbeat", "registry.move_node", "registry.raise_instance", "validator.set_up", "validator.unjail")


def altered(machine, change):
    """A ledger whose state is this one's but for what ``change`` writes: what would take thousands of commands."""
    overlay = Overlay(machine.state)
    change(overlay)
    entries = machine.state.with_writes(overlay.writes).entries()
    return Machine(machine.genesis, entries=entries, height=machine.height, time_ms=machine.time_ms)


def duty(guild, kind):
    return {
        "registry.heartbeat": {"health": bytes(32), "instance": 0},
        "registry.move_node": {"region": "us-east"},
        "registry.raise_instance": {"instance": 1},
        "validator.set_up": guild.set_up(50),
        "validator.unjail": {},
    }[kind]


@pytest.mark.parametrize("kind", DUTIES)
def test_only_the_key_of_an_active_node_does_its_duties(guild, refused, kind):
    machine, signer, spare = guild.started(), guild.signer(50), guild.signer(90)
    account = guild.account(signer)
    guild.staked(machine, 50)
    refused(machine, guild.make(machine, kind, duty(guild, kind), signer), "registry.unknown")
    guild.admitted(machine, 50)
    guild.do(machine, "account.rotate_key", guild.rotation(spare, account=account), signer)
    by_spare = guild.make(machine, kind, duty(guild, kind), spare, sender=account)
    refused(machine, by_spare, "registry.node_key")
    order = {"node": account, "cause": bytes(32), "until_height": 10_000}
    guild.do(machine, "registry.suspend_node", order, approvals=QUORUM)
    refused(machine, guild.make(machine, kind, duty(guild, kind), signer), "registry.suspended")
    guild.do(machine, "registry.resume_node", {"node": account}, approvals=QUORUM)
    guild.do(machine, "registry.retire_node", {}, signer)
    refused(machine, guild.make(machine, kind, duty(guild, kind), signer), "registry.retired")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"signer": "other"}, "registry.node_key"),
        ({"now_ms": -(10**9)}, "registry.challenge_expired"),
        ({"challenged": "other"}, "registry.challenge"),
    ],
)
def test_an_update_answers_a_fresh_challenge_for_its_own_key(economy, refused, change, code):
    machine = economy.started()
    economy.do(machine, "registry.register_node", economy.registration(now_ms=machine.time_ms), fee=0)
    change = {"now_ms": machine.time_ms} | {
        name: economy.other if value == "other" else machine.time_ms + value for name, value in change.items()
    }
    body = economy.registration(change.pop("signer", economy.node), **change)
    refused(machine, economy.make(machine, "registry.update_node", body), code)


def test_a_validator_that_left_is_not_jailed_and_what_it_never_signed_is_no_evidence(guild, refused):
    machine = guild.started()
    account = guild.validator(machine, 51)
    garbage = {"first": encode({}), "second": encode([])}
    refused(machine, guild.make(machine, "validator.report_blocks", garbage), "format.block")
    contradiction = {"first": guild.bundle(52), "second": guild.bundle(52, mark=1)}
    refused(machine, guild.make(machine, "validator.report_bundles", contradiction), "validator.unknown")
    guild.do(machine, "validator.exit", {}, guild.signer(51))
    order = {"validator": account, "cause": bytes(32)}
    refused(machine, guild.make(machine, "validator.jail", order, approvals=QUORUM), "validator.exited")


def test_no_validator_comes_back_into_a_full_set(guild, refused):
    machine = guild.started()
    account = guild.validator(machine, 51)
    guild.do(machine, "validator.jail", {"validator": account, "cause": bytes(32)}, approvals=QUORUM)
    for _ in range(4):
        guild.run(machine)
    others = sorted(guild.account(guild.signer(number)) for number in range(1000, 1000 + MAX_ACTIVE))
    full = altered(machine, lambda state: state.put(ACTIVE_ENTRY, save_record({"v": 1, "accounts": others})))
    refused(full, guild.make(full, "validator.unjail", {}, guild.signer(51)), "validator.full")
    guild.do(machine, "validator.unjail", {}, guild.signer(51))


def test_only_assets_of_the_ledger_are_distributed(economy, refused):
    machine = economy.started()
    body = {"wallet": "treasury", "asset": "XYZ", "amount": 3, "policy": "roundtable-20"}
    refused(machine, economy.make(machine, "wallet.distribute", body, approvals=QUORUM), "asset.unknown")


def test_proposals_that_nobody_made_are_neither_executed_nor_vetoed(economy, refused):
    machine = economy.started()
    for what, approvals in (("execute", ()), ("veto", QUORUM)):
        unknown = economy.make(machine, f"governance.{what}", {"proposal": 9}, approvals=approvals)
        refused(machine, unknown, "governance.unknown")


def test_a_veto_comes_in_time(economy, refused):
    machine = economy.started()
    economy.do(machine, "stake.deposit", {"amount": 100})
    action = {"kind": "governance.set_parameter", "body": {"name": "fee_min", "value": 3}}
    economy.do(machine, "governance.propose", {"reasons": bytes(32), "actions": [action]})
    while machine.height < find_proposal(machine.state, 1)["veto_until"]:
        economy.run(machine)
    late = economy.make(machine, "governance.veto", {"proposal": 1}, approvals=QUORUM)
    refused(machine, late, "governance.closed")


def test_an_account_votes_for_a_bounded_number_of_others(society, refused):
    machine = society.started()
    numbers = range(100, 101 + MAX_DELEGATORS)
    society.funded(machine, *numbers)
    body = {"to": society.account()}
    for number in numbers[:-1]:
        society.do(machine, "governance.delegate", body, society.signer(number))
    one_more = society.make(machine, "governance.delegate", body, society.signer(numbers[-1]))
    refused(machine, one_more, "governance.delegators")


@pytest.mark.parametrize("what", ["grant", "vouch", "withdraw_vouch"])
def test_nobody_becomes_an_authority_without_asking(society, refused, what):
    machine = society.started()
    stranger = society.make(machine, f"authority.{what}", {"account": society.account()}, approvals=())
    refused(machine, stranger, "authority.not_requested")


def test_a_bank_that_resigned_many_times_is_granted_no_more(society, refused):
    machine = society.started()
    account, signer = society.person(machine, 70), society.signer(70)
    grant = {"account": account}
    for _ in range(MAX_TERMS):
        society.request(machine, 70, "bank", "First Bank")
        society.do(machine, "authority.grant", grant, approvals=QUORUM)
        end = {"account": account, "effective_height": machine.height + 1, "void_height": None, "cause": bytes(32)}
        society.do(machine, "authority.revoke", end, signer)
    society.request(machine, 70, "bank", "First Bank")
    refused(machine, society.make(machine, "authority.grant", grant, approvals=QUORUM), "authority.terms")


@pytest.fixture(scope="module")
def upgradable(society):
    """A ledger on which a community (76) asked to become a hybrid under a new name, sponsored by a bank (70)."""
    machine = society.founded()
    community = society.vouched(machine, 76, range(71, 76), "Old Town")
    society.do(machine, "authority.grant", {"account": community})
    sponsor = society.account(society.signer(70))
    society.request(machine, 76, "hybrid", "Grand Bank", approvals=["sec"], sponsor=sponsor)
    return machine


def upgrade(society, machine):
    body = {"account": society.account(society.signer(76))}
    return society.make(machine, "authority.upgrade", body, society.signer(70), approvals=QUORUM)


def test_an_authority_has_a_bounded_number_of_terms(society, upgradable, refused):
    def lengthen(state):
        found = load_authority(state, society.account(society.signer(76)))
        past = (Term("community", 1, 1, None),) * (MAX_TERMS - 1)
        store_authority(state, replace(found, terms=(*past, *found.terms)))

    machine = altered(upgradable, lengthen)
    refused(machine, upgrade(society, machine), "authority.terms")


def test_an_upgrade_takes_no_name_that_another_took_meanwhile(society, upgradable, refused):
    machine = altered(upgradable, lambda _state: None)
    society.bank(machine, 78, "Grand Bank")
    refused(machine, upgrade(society, machine), "authority.name_taken")


@pytest.mark.parametrize("kind", list(KINDS))
def test_last_each_rule_of_the_kind_was_broken(kind, refusals_seen, request):
    """Moved to the end of the run by ``conftest.py``; it judges whole runs of the directory alone."""
    own = Path(__file__).parent
    run = {item.path for item in request.session.items}
    is_partial = request.config.option.keyword or request.config.option.lf
    if is_partial or not set(own.glob("test_*.py")) <= run:
        pytest.skip("not every test of the directory runs")
    untested = [code for code, _ in KINDS[kind].rules if (kind, code) not in refusals_seen]
    assert untested == []
