"""What holds for every kind of command, whatever it does."""

from dataclasses import replace

import pytest

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.command import decode_signed_command, sign_command
from bpci_node.chain.forms import body_map, specs_of
from bpci_node.chain.rotation import Strengthening, prove_companion
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import did_of
from bpci_node.primitives.mldsa import MlDsaSigner

BOND, GRANT = bytes([7]) * 32, bytes([8]) * 16
QUORUM = (12, 13)


class Story:
    """A ledger on which one command of every kind succeeds next, and these commands."""

    def __init__(self, economy):
        self.economy, self.machine = economy, economy.started()
        node, other = economy.account(economy.node), economy.account(economy.other)
        escrow = {"holder": other, "asset": "BPI"}
        schedule = {"start_ms": 0, "cliff_ms": 0, "end_ms": 1}
        grant = {"grant_id": GRANT, "to": node, "asset": "BPI", "amount": 5, "schedule": schedule}
        bond = {"owner": node, "asset": "BPI", "amount": 5, "purpose": "test", "last_height": 12}
        prepared = [
            ("registry.register_node", economy.registration(), None),
            ("stake.deposit", {"amount": 100}, None),
            ("stake.withdraw", {"amount": 10}, None),
            ("vesting.grant", grant | {"to": other}, None),
            ("vesting.grant", grant, economy.other),
            ("escrow.deposit", escrow | {"amount": 100}, None),
            ("escrow.announce", escrow | {"amount": 1}, None),
            ("bond.reserve", bond | {"bond_id": BOND}, economy.other),
            ("bond.reserve", bond | {"bond_id": bytes(32)}, economy.other),
        ]
        for kind, body, signer in prepared:
            economy.do(self.machine, kind, body, signer)
        while self.machine.height < 12:
            economy.run(self.machine, step_ms=5000)
        companion, key_id = MlDsaSigner(bytes(32)), did_of(economy.node.public_key)
        proof = prove_companion(companion, ledger_id=economy.genesis.ledger_id, account=node, key_id=key_id)
        justification = {"kind": "history", "digest": bytes(32)}
        now_ms = self.machine.time_ms
        register = economy.registration(economy.registry, now_ms=now_ms)
        update = economy.registration(economy.node, now_ms=now_ms)
        self.bodies = {
            "account.rotate_key": (economy.rotation(economy.signer(40)), None, ()),
            "account.strengthen_key": (body_map(Strengthening(key_id, companion.public_key, proof)), None, ()),
            "asset.burn": ({"asset": "GEN", "amount": 1}, None, ()),
            "asset.mint": ({"asset": "GEN", "to": node, "amount": 1, "justification": justification}, None, QUORUM),
            "asset.transfer": ({"asset": "GEN", "to": other, "amount": 1}, None, ()),
            "bond.forfeit": ({"bond_id": BOND, "reason": bytes(32)}, economy.other, ()),
            "bond.reclaim": ({"bond_id": bytes(32), "holder": other}, None, ()),
            "bond.release": ({"bond_id": BOND}, economy.other, ()),
            "bond.reserve": (bond | {"bond_id": bytes([9]) * 32, "last_height": 99}, economy.other, ()),
            "escrow.announce": (escrow | {"amount": 2}, None, ()),
            "escrow.deposit": (escrow | {"amount": 2}, None, ()),
            "escrow.withdraw": (escrow, None, ()),
            "registry.register_node": (register, economy.registry, ()),
            "registry.retire_node": ({}, None, ()),
            "registry.update_node": (update, None, ()),
            "stake.claim": ({}, None, ()),
            "stake.deposit": ({"amount": 1}, None, ()),
            "stake.withdraw": ({"amount": 1}, None, ()),
            "vesting.claim": ({"grant_id": GRANT}, None, ()),
            "vesting.grant": (grant | {"grant_id": bytes(16)}, None, ()),
            "wallet.distribute": (
                {"wallet": "treasury", "asset": "BPI", "amount": 3, "policy": "roundtable-20"},
                None,
                QUORUM,
            ),
            "wallet.spend": (
                {"wallet": "treasury", "asset": "BPI", "to": node, "amount": 1, "reason": bytes(32)},
                None,
                QUORUM,
            ),
        }

    def make(self, kind, **changes):
        body, signer, approvals = self.bodies[kind]
        if kind == "registry.register_node":
            changes = {"fee": 0} | changes
        return self.economy.make(
            self.machine, kind, changes.pop("body", body), signer, **({"approvals": approvals} | changes)
        )

    def height(self):
        return self.machine.height


@pytest.fixture(scope="module")
def story(economy):
    return Story(economy)


@pytest.fixture
def unmoved(story):
    """Run one command alone in the next block, and say what became of it; the ledger stays where it is."""
    machine = story.machine

    def run(*commands):
        before = machine.state.root
        block = machine.finalize(machine.height + 1, machine.time_ms + 1000, list(commands))
        failed = all(result.error for result in block.results)
        assert (block.state_root == before) == failed
        return [result.error and result.error.code for result in block.results]

    return run


def test_the_story_tells_of_every_kind(story):
    assert list(story.bodies) == list(KINDS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_succeeds_once(story, unmoved, kind):
    signed = story.make(kind)
    assert unmoved(signed) == [None]
    assert unmoved(signed, signed) == [None, "chain.nonce"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_brings_about_the_events_that_the_reference_names(story, kind):
    machine = story.machine
    block = machine.finalize(machine.height + 1, machine.time_ms + 1000, [story.make(kind)])
    events = {event.kind for event in block.results[0].events}
    assert events
    assert events <= set(KINDS[kind].events)


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_does_not_count_on_another_ledger_later_or_out_of_turn(story, unmoved, kind, world):
    assert unmoved(story.make(kind, ledger_id=world.genesis.ledger_id)) == ["chain.ledger"]
    assert unmoved(story.make(kind, expires_height=story.height())) == ["chain.expired"]
    nonce = decode_signed_command(story.make(kind)).command.nonce
    assert unmoved(story.make(kind, nonce=nonce + 1)) == ["chain.nonce"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_does_not_count_with_another_signature(story, unmoved, kind, economy):
    signed = decode_signed_command(story.make(kind))
    stranger = sign_command(economy.signer(77), signed.command)
    assert unmoved(stranger.encode()) in (["chain.key"], ["chain.account"])
    forged = replace(stranger.signatures[0], key_id=signed.signatures[0].key_id)
    assert unmoved(replace(signed, signatures=(forged, *signed.signatures[1:])).encode()) == ["proof.signature"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_its_body_is_read_strictly(story, unmoved, kind):
    body = story.bodies[kind][0]
    for wrong in (body | {"extra": 1}, *({**body, name: {"no": "such"}} for name in body)):
        assert unmoved(story.make(kind, body=wrong)) == ["format.body"]
    for name in body:
        assert unmoved(story.make(kind, body={key: body[key] for key in body if key != name})) == ["format.body"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_its_body_comes_back_as_it_was(story, kind):
    body = story.bodies[kind][0]
    assert body_map(KINDS[kind].read(body)) == body
    assert list(specs_of(KINDS[kind].body)) == list(body_map(KINDS[kind].read(body)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].takes_approvals])
def test_a_forged_approval_is_refused(story, unmoved, kind):
    outer = decode(story.make(kind))
    outer["signatures"][1]["sig"] = bytes(64)
    assert unmoved(encode(outer)) == ["proof.signature"]
