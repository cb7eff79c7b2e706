"""A small world for the ledger's tests: one registry, a few nodes, and the commands that they send."""

from dataclasses import dataclass, field, replace

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.challenge import issue_challenge
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import FLAGS, NodeRegistration
from bpci_node.chain.rotation import Rotation, prove_possession
from bpci_node.primitives.keys import LocalSigner, did_of

BIRTH_MS = 1_767_225_600_000


def signer_of(number):
    return LocalSigner(number.to_bytes(32, "big"))


@dataclass(frozen=True)
class World:
    registry: LocalSigner = field(default_factory=lambda: signer_of(1))
    node: LocalSigner = field(default_factory=lambda: signer_of(2))
    other: LocalSigner = field(default_factory=lambda: signer_of(3))

    @property
    def genesis(self):
        return Genesis(name="testnet", registry_key=self.registry.public_key, time_ms=BIRTH_MS)

    def signer(self, number):
        return signer_of(number)

    def account(self, signer=None):
        return account_id_of((signer or self.node).public_key)

    def machine(self):
        return Machine(self.genesis)

    def registration(self, signer=None, *, challenged=None, now_ms=BIRTH_MS, ledger_id=None, **changes):
        signer = signer or self.node
        challenge, challenge_sig = issue_challenge(
            self.registry,
            ledger_id=ledger_id or self.genesis.ledger_id,
            node_key=(challenged or signer).public_key,
            now_ms=now_ms,
            nonce16=bytes(16),
        )
        body = NodeRegistration(
            node_type="bpi-community",
            node_key=signer.public_key,
            flags=dict.fromkeys(FLAGS, False),
            capabilities=("auction.ethereum",),
            endpoints=("http://192.0.2.5:8545",),
            report_digest=bytes(32),
            challenge=challenge,
            challenge_sig=challenge_sig,
            instance=0,
        )
        return replace(body, **changes).as_body()

    def rotation(self, new=None, revoke=None, *, account=None, prover=None):
        account = account or self.account()
        proof = None
        if new is not None:
            proof = prove_possession(prover or new, ledger_id=self.genesis.ledger_id, account=account)
        return Rotation(
            revoke=None if revoke is None else did_of(revoke.public_key),
            public_key=None if new is None else new.public_key,
            proof=proof,
        ).as_body()

    def command(self, kind="registry.register_node", body=None, *, signer=None, **changes):
        signer = signer or self.node
        fields = {
            "ledger_id": self.genesis.ledger_id,
            "sender": self.account(signer),
            "nonce": 0,
            "expires_height": 100,
            "kind": kind,
            "body": self.registration(signer) if body is None else body,
        }
        return Command(**(fields | changes))

    def signed(self, *args, signer=None, **changes):
        signer = signer or self.node
        return sign_command(signer, self.command(*args, signer=signer, **changes)).encode()

    def run(self, machine, *commands, step_ms=1000):
        """Execute and commit one block, and return its results."""
        block = machine.finalize(machine.height + 1, machine.time_ms + step_ms, list(commands))
        machine.commit()
        return block.results

    def registered(self, *signers):
        machine = self.machine()
        for result in self.run(machine, *(self.signed(signer=signer) for signer in signers or (self.node,))):
            assert result.error is None
        return machine


@pytest.fixture(scope="session")
def world():
    return World()


@pytest.fixture
def refused(world):
    """Run one command on a machine, expect its code, and see that it left no trace."""

    def run(machine, signed, code):
        root, entries = machine.state.root, dict(machine.state.entries())
        with pytest.raises(Exception) as caught:
            machine.check(signed, machine.time_ms + 1000)
        assert caught.value.code == code
        (result,) = world.run(machine, signed)
        assert result.error.code == code
        assert result.events == ()
        assert machine.state.root == root
        assert dict(machine.state.entries()) == entries
        return result.error

    return run
