"""A small world for the ledger's tests: one registry, a few nodes, and the commands that they send."""

from dataclasses import dataclass, field, replace

import pytest

from bpci_node.chain.account import account_id_of, load_account
from bpci_node.chain.challenge import issue_challenge
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.parameters import Allocation, AssetRule, Parameters, Schedule
from bpci_node.chain.registration import FLAGS, NodeRegistration
from bpci_node.chain.rotation import Rotation, prove_possession
from bpci_node.chain.wallets import WALLETS
from bpci_node.primitives.codec import decode
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


FEE = 2
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Economy(World):
    """A ledger of version 2: four assets, two holders with BPI, three guardians of whom two decide."""

    @property
    def genesis(self):
        guardians = tuple(sorted(signer_of(number).public_key for number in (11, 12, 13)))
        assets = tuple(AssetRule(name, 8, 10**12) for name in ("BPI", "FLX", "GEN", "NEX"))
        schedule = Schedule(BIRTH_MS, BIRTH_MS + 1000, BIRTH_MS + 10_000)
        allocations = (
            Allocation(self.account(self.node), "BPI", 1_000_000, None),
            Allocation(self.account(self.other), "BPI", 1_000_000, None),
            Allocation(self.account(self.node), "GEN", 500, None),
            Allocation(self.account(self.other), "NEX", 900, schedule),
            Allocation(WALLETS["treasury"], "BPI", 10_001, None),
        )
        values = {"fee_min": FEE, "unbonding_ms": 5000, "escrow_notice_ms": 3000}
        parameters = Parameters("testnet", assets, allocations, guardians, 2, values)
        return Genesis("economy", self.registry.public_key, BIRTH_MS, parameters)

    def started(self):
        machine = self.machine()
        self.run(machine)
        return machine

    def make(self, machine, kind, body, signer=None, *, approvals=(), **changes):
        """A command with the sender's next nonce and the least fee, as it is sent."""
        signer = signer or self.node
        account = load_account(machine.state, changes.get("sender", self.account(signer)))
        defaults = {"nonce": 0 if account is None else account.nonce, "fee": FEE}
        command = self.command(kind, body, signer=signer, **(defaults | changes))
        return sign_command(signer, command, approvals=[signer_of(number) for number in approvals]).encode()

    def do(self, machine, kind, body, signer=None, *, step_ms=1000, **changes):
        """Execute it in a block of its own, expect success, and return its events."""
        (result,) = self.run(machine, self.make(machine, kind, body, signer, **changes), step_ms=step_ms)
        assert result.error is None, result.error
        return result.events


@pytest.fixture(scope="session")
def economy():
    return Economy()


def _holdings(entries):
    """All that is held of each asset, wherever it is."""
    sums = {}
    for key, value in entries:
        area, _, rest = key.partition(b"/")
        record = decode(value)
        if area == b"balance":
            held = {rest.rpartition(b"/")[2].decode(): record["amount"]}
        elif area == b"vesting":
            held = {record["asset"]: record["amount"] - record["claimed"]}
        elif area == b"stake":
            held = {"BPI": record["bonded"] + sum(item["amount"] for item in record["unbonding"])}
        elif area == b"escrow":
            held = {rest.rpartition(b"/")[2].decode(): record["amount"]}
        elif area == b"bond" and record["status"] == "reserved":
            held = {record["asset"]: record["amount"]}
        else:
            continue
        for asset, amount in held.items():
            assert amount > 0
            sums[asset] = sums.get(asset, 0) + amount
    return sums


@pytest.fixture(scope="session")
def holdings():
    return _holdings


@pytest.fixture(scope="session")
def conserved():
    """Check that what is held of each asset is what genesis, minting and burning say."""

    def check(machine):
        held = _holdings(machine.state.entries())
        for _, value in machine.state.entries(b"asset/"):
            asset = decode(value)
            supply = asset["genesis"] + asset["minted"] - asset["burned"]
            assert held.get(asset["id"], 0) == supply <= asset["cap"]

    return check
