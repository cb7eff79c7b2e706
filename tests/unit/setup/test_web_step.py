from dataclasses import replace

import pytest

from bpci_node.access import accounts, actions
from bpci_node.access.roles import Role
from bpci_node.host import certificates
from bpci_node.setup.answers import Answers
from bpci_node.setup.journal import Journal
from bpci_node.setup.password import hash_password, verify_password
from bpci_node.setup.plan import plan_of
from bpci_node.setup.run import Run
from bpci_node.setup.web_step import FRONT, WEB
from tests.unit.setup.conftest import PASSWORD
from tests.unit.setup.simulated import ADDRESS, SimulatedMachine


@pytest.fixture
def run(machine: SimulatedMachine, answers: Answers) -> Run:
    front = machine.root / FRONT.lstrip("/")
    front.parent.mkdir(parents=True)
    front.touch()
    return Run(machine.system, plan_of(answers), Journal(machine.system, None))


def test_the_owner_may_sign_in_with_the_web_password(run: Run, machine: SimulatedMachine) -> None:
    assert not WEB.holds(run)
    WEB.do(run)
    assert WEB.holds(run)
    directory = machine.root / str(accounts.DIRECTORY).lstrip("/")
    found = accounts.load(directory).find("ada")
    assert found.role is Role.OWNER
    verify_password(PASSWORD, found.password_hash)
    assert actions.verify(directory).last == 1


def test_the_certificate_is_for_this_machine(run: Run, machine: SimulatedMachine) -> None:
    WEB.do(run)
    shown = certificates.show(machine.root / str(certificates.DIRECTORY).lstrip("/"))
    assert {"attic", "attic.local", ADDRESS} <= set(shown.names)
    assert run.journal.results["web_fingerprint"] == shown.fingerprint


def test_set_up_again_sets_the_password_and_keeps_other_accounts(run: Run, machine: SimulatedMachine) -> None:
    WEB.do(run)
    directory = machine.root / str(accounts.DIRECTORY).lstrip("/")
    hashed = accounts.load(directory).find("ada").password_hash
    accounts.change(directory, lambda found: found.with_new("eve", Role.VIEWER, hashed, now_ms=1))
    owner = replace(run.plan.answers.owner, web_password_hash=hash_password("another passphrase"))
    run.plan = replace(run.plan, answers=replace(run.plan.answers, owner=owner))
    assert not WEB.holds(run)
    WEB.do(run)
    found = accounts.load(directory)
    assert set(found.by_name) == {"ada", "eve"}
    assert found.find("ada").password_hash == owner.web_password_hash


def test_where_there_is_no_front_server_nothing_is_made(machine: SimulatedMachine, answers: Answers) -> None:
    run = Run(machine.system, plan_of(answers), Journal(machine.system, None))
    WEB.do(run)
    assert WEB.holds(run)
    assert not (machine.root / "var/lib/bpci/web").exists()
