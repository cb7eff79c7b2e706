"""A small world for the ledger's tests: one registry, a few nodes, and the commands that they send."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import currently_in_test_context

from bpci_node.auction.batch_signature import BatchSignature
from bpci_node.auction.bundle import SIGNATURE_CONTEXT, BucketOpening, Bundle, BundleEntry, BundleHeader
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_receipt import Arrival, issue_commit_receipts, next_running_hash, order_start
from bpci_node.auction.commit_set import CommitSet, draft_set, prove_omission, sign_set
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.outcome import Kind as Outcomes
from bpci_node.auction.outcome import Outcome, outcomes_root
from bpci_node.auction.reveal_receipt import RevealReceipt, bits_of, issue_reveal_receipts, sign_list
from bpci_node.auction.window import WindowId
from bpci_node.chain.account import account_id_of, load_account
from bpci_node.chain.admission import Admission, Invitation, Work, find_work, invite, work_statement
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.challenge import issue_challenge
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.draft import Draft
from bpci_node.chain.draw import committee_of, seed_of, ticket_input
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.identity import next_index
from bpci_node.chain.machine import Machine
from bpci_node.chain.miners import MinerRegistration, prove_miner
from bpci_node.chain.parameters import Allocation, AssetRule, Parameters, Schedule
from bpci_node.chain.registration import FLAGS, NodeRegistration
from bpci_node.chain.rotation import Rotation, prove_possession
from bpci_node.chain.settlement import load_settled
from bpci_node.chain.settling import LedgerSettlement
from bpci_node.chain.target_terms import TargetTerms, Tier
from bpci_node.chain.targets import terms_of
from bpci_node.chain.validators import prove_keys
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import BpciError
from bpci_node.primitives.bls import BlsSigner, aggregate
from bpci_node.primitives.codec import decode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import LocalSigner, did_of, sign_object
from bpci_node.primitives.kzg import INFINITY
from bpci_node.primitives.merkle import EMPTY_ROOT
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.vrf import VrfSigner

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
EPOCH_MS = 10_000_000
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
        values = {"fee_min": FEE, "unbonding_ms": 5000, "escrow_notice_ms": 3000, "validator_min_stake": 50}
        values |= {"governance_voting_blocks": 6, "governance_veto_blocks": 3}
        values |= {"admission_bits": 4, "admission_window": 1000, "admissions_per_window": 20, "jail_blocks": 3}
        values |= {"auction_epoch_ms": EPOCH_MS, "auction_committee_size": 3}
        values |= {"heartbeat_interval": 2, "heartbeat_patience": 5, "commission_period": 3}
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
        defaults = {"nonce": 0 if account is None else account.nonce, "fee": FEE, "expires_height": 10_000}
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


class Society(Economy):
    """The same ledger, and how banks, attested people and community authorities come about on it."""

    QUORUM = (12, 13)

    def funded(self, machine, *numbers):
        for number in numbers:
            body = {"asset": "BPI", "to": self.account(signer_of(number)), "amount": 1000}
            self.do(machine, "asset.transfer", body, self.other)

    def person(self, machine, number):
        """An account with a D-Adhaar that nobody attested."""
        self.funded(machine, number)
        self.do(machine, "identity.create_dadhaar", {}, signer_of(number))
        return self.account(signer_of(number))

    def request(self, machine, number, type_, name, **changes):
        body = {"type": type_, "name": name, "approvals": [] if type_ == "community" else ["sec"], "sponsor": None}
        return self.do(machine, "authority.request", body | changes, signer_of(number))

    def bank(self, machine, number, name="First Bank"):
        account = self.person(machine, number)
        self.request(machine, number, "bank", name)
        self.do(machine, "authority.grant", {"account": account}, approvals=self.QUORUM)
        return account

    def attest(self, machine, number, issuer, level="full", *, index=None, credential=None):
        """Let an issuer attest a level to an account that asks for it; returns the credential's id."""
        subject, asked = self.account(signer_of(number)), self.account(signer_of(issuer))
        self.do(machine, "identity.request_credential", {"issuer": asked, "level": level}, signer_of(number))
        index = next_index(machine.state, asked) if index is None else index
        credential = credential or derive("bpci 2026 test v1", f"{issuer} {number} {index}".encode())
        body = {"credential": credential, "subject": subject, "level": level, "index": index}
        body["expires_ms"] = machine.time_ms + DAY_MS
        self.do(machine, "identity.issue_credential", body, signer_of(issuer))
        return credential

    def citizen(self, machine, number, bank=70):
        account = self.person(machine, number)
        self.attest(machine, number, bank)
        return account

    def vouched(self, machine, number, vouchers, name):
        """A candidate with a request and these vouchers."""
        account = self.person(machine, number)
        self.request(machine, number, "community", name)
        for voucher in vouchers:
            self.do(machine, "authority.vouch", {"account": account}, signer_of(voucher))
        return account

    def founded(self):
        """A ledger with a bank (70) and five citizens (71 to 75)."""
        machine = self.started()
        self.bank(machine, 70)
        for number in range(71, 76):
            self.citizen(machine, number)
        return machine


@pytest.fixture(scope="session")
def society():
    return Society()


class Guild(Economy):
    """The same ledger, and how nodes are admitted, validators set up, and contradictions signed."""

    def keys(self, number):
        seed = number.to_bytes(32, "big")
        return BlsSigner(number), LocalSigner(seed), MlDsaSigner(seed)

    def admission(self, machine, signer, *, height=None, root=None, bits=4, **changes):
        height = machine.height if height is None else height
        root = machine.state.root if root is None else root
        fields = {"ledger_id": self.genesis.ledger_id, "node_key": signer.public_key, "instance": 0}
        nonce = find_work(work_statement(**fields, height=height, root=root), bits)
        body = Admission(
            node_key=signer.public_key,
            flags=dict.fromkeys(FLAGS, False) | {"validator": True, "community_operated": True},
            capabilities=("storage",),
            endpoints=("http://192.0.2.7:8545",),
            region="eu-central",
            report_digest=bytes(32),
            instance=0,
            work=Work(height, nonce),
            invitation=None,
            invitation_sig=None,
        )
        return replace(body, **changes).as_body()

    def invitation(self, *, signer=None, number=1, **changes):
        fields = {"ledger_id": self.genesis.ledger_id, "invitation_id": number.to_bytes(16), "node_key": None}
        found = Invitation(**(fields | {"expires_ms": BIRTH_MS + DAY_MS} | changes))
        data, signature = invite(signer or self.registry, found)
        return {"work": None, "invitation": data, "invitation_sig": signature}

    def admitted(self, machine, *numbers, **changes):
        for number in numbers:
            signer = signer_of(number)
            self.do(machine, "registry.admit_node", self.admission(machine, signer, **changes), signer, fee=0)

    def staked(self, machine, number, amount=100):
        body = {"asset": "BPI", "to": self.account(signer_of(number)), "amount": amount + 100}
        self.do(machine, "asset.transfer", body, self.other)
        self.do(machine, "stake.deposit", {"amount": amount}, signer_of(number))

    def set_up(self, number, *, keys=None, account=None, commission_bps=500):
        account = account or self.account(signer_of(number))
        ledger_id = self.genesis.ledger_id
        proved = prove_keys(
            *(keys or self.keys(number)), ledger_id=ledger_id, account=account, commission_bps=commission_bps
        )
        return proved.as_body()

    def validator(self, machine, number, amount=100):
        self.admitted(machine, number)
        self.staked(machine, number, amount)
        self.do(machine, "validator.set_up", self.set_up(number), signer_of(number))
        return self.account(signer_of(number))

    def block(self, number, *, height=7, parent=bytes(32), mark=0):
        signer = signer_of(number)
        fields = (height, BIRTH_MS + mark, parent, bytes(32), bytes(32), signer.public_key)
        return sign_block(signer, Block(*fields)).encode()

    def miner(self, number, *, key=None, account=None, hash_power=5, pool="north"):
        key, account = key or signer_of(number + 1000), account or self.account(signer_of(number))
        proof = prove_miner(key, ledger_id=self.genesis.ledger_id, account=account)
        return MinerRegistration(key.public_key, proof, hash_power, pool).as_body()

    def bundle(self, number, *, mark=0, **changes):
        """A bundle that its signer signed; nothing in it was ever for sale."""
        signer = signer_of(number)
        header = {"ledger_id": self.genesis.ledger_id, "target": "eip155:1", "sequence": 3, "parent": bytes(32)}
        header |= {"time_ms": BIRTH_MS + mark, "base_fee": 1, "fee_bin_wei": 1, "region": 0, "qlock_ms": 100}
        header |= {"gas_limit": 10**6, "gas_used": 21_000, "count": 1, "entries_root": bytes(32)}
        header |= {"mesh_root": bytes(32), "bucket_count": 1, "pool_count": 1}
        entry = BundleEntry(raw=b"x", arrival_seq=1, ts=1, qos=0, opaque=b"")
        opening = BucketOpening(index=0, key=bytes(4), count=1, merkle_root=bytes(32), positions=(0,))
        bundle = Bundle(
            header=BundleHeader(**(header | changes)),
            entries=(entry,),
            buckets=(opening,),
            bucket_proofs=((),),
            mesh_proof=(),
            certificate=None,
            signer=signer.public_key,
            signature=b"",
        )
        return replace(bundle, signature=sign_object(signer, SIGNATURE_CONTEXT, bundle.signed_map())).encode()


@pytest.fixture(scope="session")
def guild():
    return Guild()


TARGET = "eip155:1"
VALIDATORS = (45, 46, 47, 48)


class House(Guild):
    """The same ledger, and how a chain is auctioned on it: terms, committees, lines."""

    def terms(self, **changes):
        fields = {"target": TARGET, "kind": "community", "owner": None, "base_fee_wei": 10, "fee_bin_wei": 5}
        fields |= {"region": 0, "gas_limit": 10**6, "classes": (100,), "reveal_ms": 200, "seal_ms": 500}
        fields |= {"asset": "BPI", "wei_per_unit": 1, "forced_gas_bps": 1000, "policy": "auction-25"}
        fields |= {"sla": None, "tiers": (Tier(0, 100, 80), Tier(1, 1000, 1000))}
        return TargetTerms(**(fields | changes))

    def set_target(self, machine, terms=None, **changes):
        terms = terms or self.terms(**changes)
        body = {"target": terms.target, "terms": terms.as_map()}
        self.do(machine, "auction.set_target", body, approvals=(12, 13))

    def epoch(self, machine):
        return load_epochs(machine.state).number_at(machine.time_ms - BIRTH_MS)

    def pass_to(self, machine, epoch, *, part=0):
        """Let time pass up to an epoch, or so many thousandths of it, and then one block."""
        until = BIRTH_MS + load_epochs(machine.state).begins_ms(epoch) + part * EPOCH_MS // 1000
        self.do(machine, "asset.burn", {"asset": "BPI", "amount": 1}, step_ms=max(until - machine.time_ms, 1))

    def ticket(self, machine, number, *, epoch=None, seed=None, ledger_id=None):
        epoch = self.epoch(machine) + 1 if epoch is None else epoch
        seed = seed_of(machine.state, self.genesis, epoch - 1) if seed is None else seed
        alpha = ticket_input(ledger_id or self.genesis.ledger_id, epoch, seed)
        return {"epoch": epoch, "proof": VrfSigner(number.to_bytes(32)).prove(alpha)}

    def draw(self, machine, *numbers):
        for number in numbers:
            self.do(machine, "auction.draw", self.ticket(machine, number), signer_of(number), fee=0)

    def opened(self, *, numbers=VALIDATORS, **changes):
        """A ledger at the beginning of epoch 3, with a target and a committee, and bonds enough in two escrows."""
        machine = self.started()
        self.open(machine, numbers, **changes)
        return machine

    def open(self, machine, numbers=VALIDATORS, **changes):
        self.set_target(machine, **changes)
        for number in numbers:
            self.validator(machine, number, amount=100 + number)
        self.pass_to(machine, 2)
        self.draw(machine, *numbers)
        body = {"holder": WALLETS["auction"], "asset": "BPI", "amount": 200_000}
        self.do(machine, "escrow.deposit", body)
        self.do(machine, "escrow.deposit", body, self.other)
        self.pass_to(machine, 3)

    def coordinator(self, machine, epoch=3):
        """The signer that coordinates an epoch."""
        account = committee_of(machine.state, epoch).coordinator.account
        return next(signer_of(number) for number in range(30, 70) if self.account(signer_of(number)) == account)

    def line(self, machine, count=5, *, owner=None, tier=0, epoch=3, signer=None):
        item = {"owner": self.account(owner or self.node), "tier": tier, "count": count}
        body = {"epoch": epoch, "target": TARGET, "items": [item]}
        self.do(machine, "auction.reserve", body, signer or self.coordinator(machine, epoch), fee=0)

    def outcome(self, number, kind=Outcomes.LOST, amount=0, *, owner=None, tier=0):
        return Outcome(bytes([number]) * 32, self.account(owner or self.node), tier, kind, amount)

    def header(self, machine, outcomes, *, epoch=3, number=0, carried=0, **changes):
        """The next header of the target: window ``number`` of an epoch, with nothing in it but outcomes."""
        settled, terms = load_settled(machine.state, TARGET), terms_of(machine.state, TARGET, epoch)
        window = load_epochs(machine.state).begins_ms(epoch) // 100 + number
        fields = {"ledger_id": self.genesis.ledger_id, "target": TARGET, "epoch": epoch, "qlock_ms": 100}
        fields |= {"index": window, "sequence": 1 if settled is None else settled.sequence + 1}
        fields |= {"parent": bytes(32) if settled is None else settled.digest, "terms": terms.digest()}
        fields |= {"time_us": (window + 1) * 100_000 + 250_000, "commits": len(outcomes) - carried, "reveals": 0}
        fields |= {"commit_set": bytes([9]) * 32 if len(outcomes) > carried else None}
        fields |= {"outcomes_root": outcomes_root(outcomes), "lists_root": bytes(32), "forced_root": EMPTY_ROOT}
        fields |= {"entries_root": EMPTY_ROOT, "count": 0, "gas_used": 0, "verkle_root": INFINITY}
        fields |= {"merkle_mesh_root": EMPTY_ROOT, "candidates": 0, "buckets": 0, "next_committee": None}
        return AuctionHeader(**(fields | changes))

    def votes(self, machine, header, seats=None):
        """The votes of these seats for a header, of all of them if none are named."""
        committee = committee_of(machine.state, header.epoch)
        seats = range(len(committee.seats)) if seats is None else seats
        bitmap = sum(1 << seat for seat in seats).to_bytes((len(committee.seats) + 7) // 8, "little")
        return Certificate(bitmap, aggregate([self.voter(committee, seat).sign(header.digest()) for seat in seats]))

    def number_of(self, committee, seat):
        key = committee.seats[seat].node_key
        return next(number for number in range(30, 70) if signer_of(number).public_key == key)

    def voter(self, committee, seat):
        return BlsSigner(self.number_of(committee, seat))

    def parts(self, machine, header, outcomes, *, seats=None):
        """The bodies that settle a window."""
        found = LedgerSettlement(header.ledger_id).commands(header, self.votes(machine, header, seats), outcomes)
        return [body for _, body in found]

    def settle(self, machine, *outcomes, **changes):
        header, events = self.header(machine, outcomes, **changes), []
        for body in self.parts(machine, header, outcomes):
            events += self.do(machine, "auction.settle", body, fee=0)
        return header, events

    def receipt(self, machine, header, commit_id, *, seat=1, signer=None, **changes):
        """A notary's receipt of a reveal, 50 ms into the reveal phase."""
        committee = committee_of(machine.state, header.epoch)
        fields = {"ledger_id": header.ledger_id, "epoch": header.epoch, "window": header.window}
        fields |= {"set_digest": header.commit_set, "commit_id": commit_id, "seat": seat}
        fields |= {"received_us": header.window.opens_us + 150_000, "signed": BatchSignature(0, 1, b"", b"")}
        signer = signer or signer_of(self.number_of(committee, seat))
        return issue_reveal_receipts(signer, [RevealReceipt(**(fields | changes))])[0].encode()

    def reveals(self, machine, header, positions, *, seat=1):
        """A notary's list of reveals."""
        signer = signer_of(self.number_of(committee_of(machine.state, header.epoch), seat))
        fields = {"ledger_id": header.ledger_id, "epoch": header.epoch, "window": header.window, "seat": seat}
        bits = bits_of(positions, header.commits)
        return sign_list(signer, **fields, set_digest=header.commit_set, revealed=bits).encode()

    def commit_set(self, machine, *, epoch=3, number=0, mark=0, signer=None, names=None, ledger_id=None):
        """A set of commits that the coordinator signed."""
        signer = signer or self.coordinator(machine, epoch)
        window = WindowId(TARGET, 100, load_epochs(machine.state).begins_ms(epoch) // 100 + number)
        draft = draft_set(
            ledger_id or self.genesis.ledger_id,
            epoch,
            window,
            [bytes([mark]) * 32] if names is None else names,
            closed_us=window.opens_us + 100_000,
            coordinator=signer.public_key,
        )
        return sign_set(signer, draft).encode()

    def miss(self, machine, commit_set, seats=None):
        """What is reported of a window whose set the committee certified."""
        found = CommitSet.decode(commit_set)
        return {"commit_set": commit_set, "certificate": self.votes(machine, found, seats).as_map()}

    def commit_receipts(self, machine, names, *, epoch=3, number=0, signer=None, ledger_id=None):
        """Receipts of commits of these names, in this order, and the position that each has."""
        signer, ledger_id = signer or self.coordinator(machine, epoch), ledger_id or self.genesis.ledger_id
        window = WindowId(TARGET, 100, load_epochs(machine.state).begins_ms(epoch) // 100 + number)
        commit = Commit(window, bytes(32), self.account(), 0, bytes(64))
        running, arrivals = order_start(ledger_id, epoch, window), []
        for seq, name in enumerate(names, window.first_seq):
            following = next_running_hash(running, name, seq)
            arrivals.append(Arrival(commit, name, seq, running, following))
            running = following
        return issue_commit_receipts(signer, ledger_id, epoch, arrivals)

    def omission(self, machine, receipt, names, **changes):
        """The evidence that a set of these names has another commit than the receipt says."""
        found = prove_omission(receipt, names)
        body = {"receipt": receipt.encode(), "commit_set": self.commit_set(machine, names=names)}
        return body | {"commit_id": found.commit_id, "path": list(found.path)} | changes


@pytest.fixture(scope="session")
def house():
    return House()


def _holdings(entries):
    """All that is held of each asset, wherever it is."""
    sums = {}
    for key, value in entries:
        area, _, rest = key.partition(b"/")
        record = decode(value) if value else None
        if area == b"balance":
            held = {rest.rpartition(b"/")[2].decode(): record["amount"]}
        elif area == b"vesting":
            held = {record["asset"]: record["amount"] - record["claimed"]}
        elif area == b"stake":
            held = {"BPI": record["bonded"] + sum(item["amount"] for item in record["unbonding"])}
        elif area == b"escrow":
            held = {rest.rpartition(b"/")[2].decode(): record["amount"]}
        elif area == b"auction-line":
            held = {record["asset"]: record["bond"] * record["open"]}
        elif area == b"auction-due":
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


@pytest.fixture(scope="session", autouse=True)
def refusals_seen():
    """Kinds and codes of the commands that were refused in this run, chance finds of hypothesis left out."""
    seen, run = set(), Draft.run

    def noting(draft, signed):
        try:
            return run(draft, signed)
        except BpciError as error:
            if not currently_in_test_context():
                seen.add((signed.command.kind, error.code))
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft, "run", noting)
        yield seen


def pytest_collection_modifyitems(items):
    """Judge at the end what the whole run has refused."""
    items.sort(key=lambda item: item.name.startswith("test_last_each_rule"))
