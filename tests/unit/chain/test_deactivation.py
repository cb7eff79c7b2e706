"""The guardians stop a ledger, and let it go on: every way from one state to the other, and what is refused."""

import pytest

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.deactivation import GUARDIANS_OWN, REACTIVATE, find_deactivation
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.parameters import Allocation, AssetRule, Parameters

REASON = {"reason": bytes([4]) * 32}
QUORUM = {"approvals": (13,), "fee": 0}
PAY = {"asset": "BPI", "amount": 1}


@pytest.fixture
def stopped(economy):
    machine = economy.started()
    (event,) = economy.do(machine, "registry.deactivate", REASON, economy.signer(12), **QUORUM)
    assert (event.kind, event.fields) == ("registry.deactivated", REASON)
    return machine


def payment(economy, machine, **changes):
    return economy.make(machine, "asset.transfer", PAY | {"to": economy.account(economy.other)}, **changes)


def test_a_deactivated_ledger_refuses_everything_and_says_since_when(economy, stopped, refused):
    assert find_deactivation(stopped.state, stopped.height + 1).height == 2
    error = refused(stopped, payment(economy, stopped), "registry.deactivated")
    assert error.details == {"height": 2}
    again = economy.make(stopped, "registry.deactivate", REASON, economy.signer(12), **QUORUM)
    refused(stopped, again, "registry.deactivated")


def test_only_the_kinds_that_lead_back_are_let_through():
    assert {REACTIVATE} | GUARDIANS_OWN < set(KINDS)


def test_what_comes_in_the_same_block_after_it_is_refused_and_what_came_before_counts(economy):
    machine = economy.started()
    first = payment(economy, machine)
    stop = economy.make(machine, "registry.deactivate", REASON, economy.signer(12), **QUORUM)
    to = {"to": economy.account()}
    later = economy.make(machine, "asset.transfer", PAY | to, economy.other)
    codes = [result.error and result.error.code for result in economy.run(machine, first, stop, later)]
    assert codes == [None, None, "registry.deactivated"]


def test_it_goes_on_when_a_quorum_says_so(economy, stopped):
    (event,) = economy.do(stopped, "registry.reactivate", REASON, economy.signer(11), **QUORUM)
    assert event.kind == "registry.reactivated"
    assert find_deactivation(stopped.state, stopped.height + 1) is None
    assert economy.run(stopped, payment(economy, stopped))[0].error is None


def test_it_can_be_stopped_again(economy, stopped):
    economy.do(stopped, "registry.reactivate", REASON, economy.signer(12), **QUORUM)
    economy.do(stopped, "registry.deactivate", REASON, economy.signer(12), **QUORUM)
    assert find_deactivation(stopped.state, stopped.height + 1).height == 4


@pytest.mark.parametrize("kind", ["registry.deactivate", "registry.reactivate"])
@pytest.mark.parametrize("signers", [(12,), (2, 12), (1,), (2, 3, 12)])
def test_fewer_guardians_than_a_quorum_do_nothing(economy, stopped, refused, kind, signers):
    machine = stopped if kind == "registry.reactivate" else economy.started()
    sender, *approvals = signers
    signed = economy.make(machine, kind, REASON, economy.signer(sender), approvals=approvals, fee=0)
    refused(machine, signed, "access.quorum")


def test_an_active_ledger_is_not_reactivated(economy, refused):
    machine = economy.started()
    signed = economy.make(machine, "registry.reactivate", REASON, economy.signer(12), **QUORUM)
    refused(machine, signed, "registry.active")


def test_a_guardian_whose_key_was_stolen_replaces_it_meanwhile_and_nobody_else_does(economy, refused):
    guardian, fresh, stopped = economy.signer(12), economy.signer(90), economy.started()
    economy.do(stopped, "asset.transfer", PAY | {"to": economy.account(guardian), "amount": 10})
    economy.do(stopped, "registry.deactivate", REASON, guardian, **QUORUM)
    body = economy.rotation(fresh, guardian, account=economy.account(guardian))
    economy.do(stopped, "account.rotate_key", body, guardian)
    refused(stopped, economy.make(stopped, "account.rotate_key", economy.rotation(fresh)), "registry.deactivated")
    sender = {"sender": economy.account(guardian)}
    economy.do(stopped, "registry.reactivate", REASON, fresh, **(QUORUM | sender))


def test_a_deactivation_ends_with_the_guardians(economy):
    """Nobody could end it after that; so it ends by itself."""
    guardians = (economy.signer(12).public_key,)
    allocations = (Allocation(economy.account(), "BPI", 10, None),)
    values = {"guardians_last_height": 2}
    parameters = Parameters("testnet", (AssetRule("BPI", 8, 100),), allocations, guardians, 1, values)
    machine = Machine(Genesis("brief", economy.registry.public_key, 1, parameters))

    def make(kind, body, signer, nonce=0):
        fields = {"ledger_id": machine.ledger_id, "nonce": nonce}
        return economy.signed(kind, body, signer=signer, **fields)

    stop = make("registry.deactivate", REASON, economy.signer(12))
    pay = make("asset.transfer", PAY | {"to": economy.account(economy.other)}, economy.node)
    assert economy.run(machine, stop)[0].error is None
    assert economy.run(machine, pay)[0].error.code == "registry.deactivated"
    assert economy.run(machine, pay)[0].error is None


def test_the_state_root_carries_it(economy):
    stopped, active = economy.started(), economy.started()
    economy.do(stopped, "registry.deactivate", REASON, economy.signer(12), **QUORUM)
    economy.do(stopped, "registry.reactivate", REASON, economy.signer(12), **QUORUM)
    economy.run(active)
    with_it = dict(stopped.state.entries())
    economy.do(stopped, "registry.deactivate", REASON, economy.signer(12), **QUORUM)
    assert b"deactivation" not in with_it
    assert stopped.state.prove(b"deactivation").encode() != active.state.prove(b"deactivation").encode()
