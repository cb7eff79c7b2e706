"""Attacks on authority and on the registry: every command, sent by those who may not, and by those who listened."""

from dataclasses import replace

import pytest

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.command import decode_signed_command, sign_command
from bpci_node.chain.registration import load_node
from tests.unit.chain.test_every_kind import Story

QUORUM_KINDS = [name for name, kind in KINDS.items() if kind.takes_approvals]
REGISTRY_KINDS = [name for name in KINDS if name.startswith(("registry.", "validator.")) and name not in QUORUM_KINDS]
ATTACKER, VICTIM, SUSPENDED = 77, 50, 55


@pytest.fixture(scope="module")
def story(economy, society, guild, house):
    """The story of every kind, in which an attacker has money, a node and an identity of its own."""
    found = Story(economy, society, guild, house)
    machine = found.machine
    guild.validator(machine, ATTACKER)
    guild.staked(machine, SUSPENDED)
    return found


@pytest.fixture
def tried(story):
    """Run commands in the next block of the story, which stays where it is; returns codes and the block's writes."""
    machine = story.machine

    def run(*commands):
        block = machine.finalize(machine.height + 1, machine.time_ms + 1000, list(commands))
        return [result.error and result.error.code for result in block.results], block.writes

    return run


@pytest.mark.parametrize("kind", QUORUM_KINDS)
def test_authority_is_not_reached_with_one_guardian_and_a_crowd(story, tried, kind):
    for approvals in ((), (12,), tuple(range(200, 215)), (12, *range(200, 214))):
        assert tried(story.make(kind, approvals=approvals)) == (["access.quorum"], {})


@pytest.mark.parametrize("kind", QUORUM_KINDS)
def test_approvals_of_one_command_approve_no_other(story, tried, kind, economy):
    given = decode_signed_command(story.make(kind)).signatures[1:]
    later = decode_signed_command(story.make(kind, approvals=(), expires_height=9_999))
    stolen = replace(later, signatures=(*later.signatures, *given)).encode()
    assert tried(stolen) == (["proof.signature"], {})
    # Nor does the approved command itself, in somebody else's name.
    copied = replace(decode_signed_command(story.make(kind)).command, sender=economy.account(economy.signer(ATTACKER)))
    resigned = sign_command(economy.signer(ATTACKER), copied)
    assert tried(replace(resigned, signatures=(*resigned.signatures, *given)).encode())[0][0] in (
        *("proof.signature", "chain.nonce", "asset.balance"),
    )


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in QUORUM_KINDS])
def test_guardians_add_nothing_to_what_they_have_no_say_in(story, tried, kind):
    assert tried(story.make(kind, approvals=(11, 12, 13))) == (["chain.signatures"], {})


@pytest.mark.parametrize("kind", REGISTRY_KINDS)
def test_what_a_node_says_of_itself_is_worth_nothing_in_another_s_mouth(story, tried, kind, guild):
    """Each command is heard on the network, and sent again for the attacker's own account, or in its sender's name."""
    heard = decode_signed_command(story.make(kind))
    attacker = guild.signer(ATTACKER)
    own = guild.account(attacker)
    forged = sign_command(attacker, replace(heard.command, nonce=heard.command.nonce)).encode()
    assert tried(forged)[0][0] in ("chain.key", "chain.account")
    repeated = guild.make(story.machine, kind, heard.command.body, attacker, fee=heard.command.fee)
    codes, writes = tried(repeated)
    touched = {key for key in writes if heard.command.sender.encode() in key}
    if not kind.startswith("validator.report_"):
        assert touched == set(), codes
    assert load_node(story.machine.state, own).node_key == attacker.public_key


@pytest.mark.parametrize("kind", ["registry.admit_node", "registry.register_node", "registry.update_node"])
def test_nobody_registers_a_node_under_the_key_of_another(story, tried, kind, guild, economy):
    machine, attacker, victim = story.machine, guild.signer(300), guild.signer(VICTIM)
    if kind == "registry.admit_node":
        body = guild.admission(machine, victim)
    else:
        body = economy.registration(victim, challenged=victim, now_ms=machine.time_ms)
    command = guild.make(machine, kind, body, attacker, fee=0)
    assert tried(command) == (["registry.node_key"], {})


def test_a_node_that_was_taken_out_can_not_talk_itself_back_in(story, tried, guild, economy):
    """It may neither resume, retire, move, beat, update nor come back by work or invitation."""
    machine, signer = story.machine, guild.signer(SUSPENDED)
    account = guild.account(signer)
    again = guild.admission(machine, signer, instance=1)
    for kind, body, code in (
        ("registry.resume_node", {"node": account}, "access.quorum"),
        ("registry.retire_node", {}, "registry.suspended"),
        ("registry.move_node", {"region": "us-east"}, "registry.suspended"),
        ("registry.heartbeat", {"health": bytes(32), "instance": 0}, "registry.suspended"),
        ("registry.raise_instance", {"instance": 1}, "registry.suspended"),
        ("registry.update_node", economy.registration(signer, now_ms=machine.time_ms), "registry.suspended"),
        ("registry.register_node", economy.registration(signer, now_ms=machine.time_ms), "registry.suspended"),
        ("registry.admit_node", again, "registry.suspended"),
        ("registry.admit_node", again | guild.invitation(number=9), "registry.suspended"),
        ("validator.set_up", guild.set_up(SUSPENDED), "registry.suspended"),
    ):
        fee = 0 if KINDS[kind].is_free else 2
        assert tried(guild.make(machine, kind, body, signer, fee=fee)) == ([code], {}), kind
