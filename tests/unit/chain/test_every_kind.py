"""What holds for every kind of command, whatever it does."""

from dataclasses import replace

import pytest

from bpci_node.auction.outcome import Kind
from bpci_node.chain.catalog import KINDS
from bpci_node.chain.command import decode_signed_command, sign_command
from bpci_node.chain.dao import dao_id_of
from bpci_node.chain.forms import body_map, specs_of
from bpci_node.chain.identity import Resolution, next_index, sign_resolution
from bpci_node.chain.label import skeleton
from bpci_node.chain.machine import Machine
from bpci_node.chain.rotation import Strengthening, prove_companion
from bpci_node.chain.target_terms import ServiceLevel
from bpci_node.chain.wallets import WALLETS
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import did_of
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.wallet_address import WalletAddress

TARGET = "eip155:1"
BOND, GRANT = bytes([7]) * 32, bytes([8]) * 16
QUORUM = (12, 13)


class Story:
    """A ledger on which one command of every kind succeeds next, and these commands."""

    def __init__(self, economy, society, guild, house):
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
            ("asset.transfer", {"asset": "BPI", "to": WALLETS["faucet"], "amount": 100}, None),
        ]
        for kind, body, signer in prepared:
            economy.do(self.machine, kind, body, signer)
        self.bodies = auction_bodies(house, self.machine)
        while self.machine.height < 12:
            economy.run(self.machine, step_ms=5000)
        self.bodies |= node_bodies(guild, self.machine)
        self.bodies |= wallet_bodies(society, self.machine)
        self.bodies |= dao_bodies(society, self.machine)
        self.bodies |= identity_bodies(society, self.machine)
        companion, key_id = MlDsaSigner(bytes(32)), did_of(economy.node.public_key)
        proof = prove_companion(companion, ledger_id=economy.genesis.ledger_id, account=node, key_id=key_id)
        justification = {"kind": "history", "digest": bytes(32)}
        now_ms = self.machine.time_ms
        register = economy.registration(economy.registry, now_ms=now_ms)
        update = economy.registration(economy.node, now_ms=now_ms)
        self.bodies |= {
            "account.rotate_key": (economy.rotation(economy.signer(40)), None, ()),
            "account.strengthen_key": (body_map(Strengthening(key_id, companion.public_key, proof)), None, ()),
            "asset.burn": ({"asset": "GEN", "amount": 1}, None, ()),
            "asset.mint": ({"asset": "GEN", "to": node, "amount": 1, "justification": justification}, None, QUORUM),
            "asset.transfer": ({"asset": "GEN", "to": other, "amount": 1}, None, ()),
            "bond.forfeit": ({"bond_id": BOND, "reason": bytes(32)}, economy.other, ()),
            "bond.reclaim": ({"bond_id": bytes(32), "holder": other}, None, ()),
            "bond.release": ({"bond_id": BOND}, economy.other, ()),
            "bond.reserve": (bond | {"bond_id": bytes([9]) * 32, "last_height": 9_999}, economy.other, ()),
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

        reason = {"reason": bytes(32)}
        self.bodies |= {
            "faucet.grant": ({"to": other, "purpose": "wallet", "amount": 5}, economy.registry, ()),
            "faucet.set_operator": ({"operator": other}, None, QUORUM),
            "registry.deactivate": (reason, None, QUORUM),
            "registry.reactivate": (reason, None, QUORUM),
        }
        self.bodies = dict(sorted(self.bodies.items()))
        self.stopped = {
            "registry.reactivate": self.after("registry.deactivate", reason),
            "auction.resume": self.after("auction.halt", {"reasons": bytes(32)}),
        }

    def after(self, kind, body):
        """The same ledger, stopped."""
        found = Machine(
            self.economy.genesis,
            entries=self.machine.state.entries(),
            height=self.machine.height,
            time_ms=self.machine.time_ms,
            version=self.machine.version,
        )
        self.economy.do(found, kind, body, self.economy.signer(12), approvals=(13,), fee=0)
        return found

    def machine_for(self, signed):
        """The same ledger, stopped for what lets it go on."""
        kind = decode_signed_command(signed).command.kind
        return self.stopped.get(kind, self.machine)

    def make(self, kind, **changes):
        body, signer, approvals = self.bodies[kind]
        if kind in ("faucet.grant", "registry.register_node", "registry.admit_node"):
            changes = {"fee": 0} | changes
        return self.economy.make(
            self.machine, kind, changes.pop("body", body), signer, **({"approvals": approvals} | changes)
        )

    def height(self):
        return self.machine.height


def auction_bodies(house, machine):
    """Prepare auctions in which every command succeeds next, up to the end of the epoch's third quarter."""
    level = ServiceLevel("gold", 300, 30)
    house.open(machine, kind="enterprise", owner=house.account(house.other), sla=level)
    house.line(machine)
    miss = house.miss(machine, house.commit_set(machine))
    house.set_target(machine, kind="partner", owner=house.account())
    house.pass_to(machine, 4)
    house.draw(machine, 45, 46)
    house.pass_to(machine, 7)
    house.draw(machine, 45, 46, 47)
    house.pass_to(machine, 8)
    house.line(machine, epoch=8)
    outcomes = (house.outcome(1, Kind.WON, 80), house.outcome(2, Kind.UNREVEALED, 50))
    header, _ = house.settle(machine, *outcomes, epoch=8)
    refund = {"commit_id": outcomes[1].commit_id, "receipt": house.receipt(machine, header, outcomes[1].commit_id)}
    following = house.header(machine, [house.outcome(3)], epoch=8, number=1)
    (part,) = house.parts(machine, following, [house.outcome(3)])
    other = replace(following, time_us=following.time_us + 1)
    votes = {"first_votes": house.votes(machine, following).as_map()}
    votes |= {"second_votes": house.votes(machine, other, (0,)).as_map()}
    headers = {"first": following.encode(), "second": other.encode()} | votes
    sets = {name: house.commit_set(machine, epoch=8, mark=mark) for name, mark in (("first", 1), ("second", 2))}
    (receipt,) = house.commit_receipts(machine, [bytes(32)], epoch=8, number=2)
    omission = {"receipt": receipt.encode(), "commit_set": house.commit_set(machine, epoch=8, number=2, names=[])}
    cause = {"reasons": bytes(32)}
    item = {"owner": house.account(), "tier": 0, "count": 1}
    return {
        "auction.claim": ({"asset": "BPI"}, None, ()),
        "auction.draw": (house.ticket(machine, 48), house.signer(48), ()),
        "auction.halt": (cause, house.other, QUORUM),
        "auction.reclaim": ({"epoch": 3, "target": TARGET, "tier": 0}, None, ()),
        "auction.refund": (refund | {"reveals": None}, None, ()),
        "auction.report_headers": (headers, house.other, ()),
        "auction.report_miss": (miss, house.other, ()),
        "auction.report_omission": (omission | {"commit_id": None, "path": []}, house.other, ()),
        "auction.report_sets": (sets, house.other, ()),
        "auction.settle": (part, house.other, ()),
        "auction.reserve": ({"epoch": 8, "target": TARGET, "items": [item]}, house.coordinator(machine, 8), ()),
        "auction.resume": (cause, house.other, QUORUM),
        "auction.set_target": ({"target": TARGET, "terms": house.terms(gas_limit=10**7).as_map()}, house.other, QUORUM),
    }


def node_bodies(guild, machine):
    """Prepare nodes, miners and validators of which every command succeeds next."""
    signer, account = guild.signer, lambda number: guild.account(guild.signer(number))
    for number in (50, 51, 52, 53):
        guild.validator(machine, number)
    guild.staked(machine, 54)
    guild.admitted(machine, 54, 55, 56)
    for number in (57, 58, 59):
        guild.staked(machine, number)
    order = {"node": account(55), "cause": bytes(32), "until_height": 10_000}
    guild.do(machine, "registry.suspend_node", order, approvals=QUORUM)
    guild.do(machine, "validator.jail", {"validator": account(53), "cause": bytes(32)}, approvals=QUORUM)
    guild.do(machine, "registry.register_miner", guild.miner(57), signer(57))
    guild.do(machine, "registry.register_miner", guild.miner(58), signer(58))
    admission = guild.admission(machine, signer(60)) | guild.invitation()
    blocks = {"first": guild.block(51), "second": guild.block(51, mark=1)}
    bundles = {"first": guild.bundle(51), "second": guild.bundle(51, mark=1)}
    return {
        "registry.admit_node": (admission, signer(60), ()),
        "registry.heartbeat": ({"health": bytes(32), "instance": 0}, signer(50), ()),
        "registry.move_node": ({"region": "us-east"}, signer(50), ()),
        "registry.raise_instance": ({"instance": 1}, signer(50), ()),
        "registry.declare_capacity": (
            {
                "mx_verkle_buckets": 900,
                "auction_windows_per_sec": 9,
                "download_bps": 94_000_000,
                "upload_bps": None,
                "report_digest": None,
            },
            signer(58),
            (),
        ),
        "registry.register_miner": (guild.miner(59), signer(59), ()),
        "registry.resume_node": ({"node": account(55)}, None, QUORUM),
        "registry.retire_miner": ({}, signer(57), ()),
        "registry.suspend_node": (order | {"node": account(56)}, None, QUORUM),
        "registry.update_miner": ({"hash_power": 6, "pool": None}, signer(58), ()),
        "validator.exit": ({}, signer(50), ()),
        "validator.jail": ({"validator": account(50), "cause": bytes(32)}, None, QUORUM),
        "validator.report_blocks": (blocks, None, ()),
        "validator.report_bundles": (bundles, None, ()),
        "validator.set_commission": ({"commission_bps": 700}, signer(52), ()),
        "validator.set_up": (guild.set_up(54), signer(54), ()),
        "validator.unjail": ({}, signer(53), ()),
    }


def identity_bodies(society, machine):
    """Prepare a society in which every command about identities and authorities succeeds next."""
    bank, signer = society.bank(machine, 70), society.signer
    for number in range(71, 76):
        society.citizen(machine, number)
    community = society.vouched(machine, 76, range(71, 76), "Old Town")
    society.do(machine, "authority.grant", {"account": community})
    society.request(machine, 76, "hybrid", "Old Town", approvals=["sec"], sponsor=bank)
    candidate = society.vouched(machine, 77, (71,), "New Town")
    other = society.person(machine, 78)
    society.request(machine, 78, "bank", "Second Bank")
    society.person(machine, 79)
    society.do(machine, "identity.request_credential", {"issuer": bank, "level": "full"}, signer(79))
    society.funded(machine, 80)
    society.do(machine, "stake.deposit", {"amount": 500}, society.other)
    change = {"kind": "governance.set_parameter", "body": {"name": "fee_min", "value": 2}}
    proposal = {"reasons": bytes(32), "actions": [change]}
    society.do(machine, "governance.propose", proposal, society.other)
    society.do(machine, "governance.vote", {"proposal": 1, "choice": "yes"}, society.other)
    for _ in range(10):
        society.run(machine)
    society.do(machine, "stake.deposit", {"amount": 500}, signer(72))
    society.do(machine, "governance.propose", proposal, signer(72))
    credential = society.attest(machine, 75, 70)
    issue = {"credential": bytes([3]) * 32, "subject": society.account(signer(79)), "level": "basic"}
    issue |= {"index": next_index(machine.state, bank), "expires_ms": machine.time_ms + 100_000}
    end = {"account": bank, "effective_height": machine.height + 1, "void_height": 1, "cause": bytes(32)}
    resolution = Resolution("did:web:town.example", bytes(32), signer(71).public_key, machine.height, bank, b"", b"")
    resolution = sign_resolution(signer(70), society.genesis.ledger_id, society.account(signer(71)), resolution)
    request = {"type": "community", "name": "Third Town", "approvals": [], "sponsor": None}
    return {
        "authority.grant": ({"account": other}, None, QUORUM),
        "authority.request": (request, signer(79), ()),
        "authority.revoke": (end, None, QUORUM),
        "authority.upgrade": ({"account": community}, signer(70), QUORUM),
        "authority.vouch": ({"account": candidate}, signer(72), ()),
        "authority.withdraw_vouch": ({"account": candidate}, signer(71), ()),
        "governance.delegate": ({"to": bank}, None, ()),
        "governance.execute": ({"proposal": 1}, signer(80), ()),
        "governance.propose": (proposal, None, ()),
        "governance.veto": ({"proposal": 2}, None, QUORUM),
        "governance.vote": ({"proposal": 2, "choice": "no"}, None, ()),
        "identity.create_dadhaar": ({}, signer(80), ()),
        "identity.enter_document": (body_map(resolution), signer(71), ()),
        "identity.issue_credential": (issue, signer(70), ()),
        "identity.request_credential": ({"issuer": bank, "level": "basic"}, signer(71), ()),
        "identity.revoke_credential": ({"credential": credential}, signer(75), ()),
    }


def dao_bodies(society, machine):
    """Prepare DAOs in which every command succeeds next."""
    signer, other = society.signer(90), society.account(society.other)
    society.funded(machine, 90, 91)
    rules = {"admission": "invitation", "quorum_bps": 5000, "threshold_bps": 5000, "voting_blocks": 2}
    creation = {"type": "community", "charter": bytes(32), "power": "equal", "rules": rules}
    first, second, third = (
        dao_id_of(society.genesis.ledger_id, skeleton(f"{name} Circle")) for name in ("First", "Second", "Third")
    )
    allowance = {"asset": "BPI", "amount": 50, "blocks": 10**6}
    rights = {"account": society.account(signer), "power": 1, "rights": {"invite": True, "propose": True}}
    empower = {"kind": "dao.set_rights", "body": rights | {"allowance": allowance}}

    def do(what, dao, signer, **body):
        society.do(machine, f"dao.{what}", {"dao": dao} | body, signer)

    def decide(dao, *actions):
        do("propose", dao, signer, reasons=bytes(32), actions=list(actions))
        do("vote", dao, signer, proposal=1, choice="yes")
        society.run(machine)
        society.run(machine)

    for name in ("First Circle", "Second Circle"):
        society.do(machine, "dao.create", creation | {"name": name}, signer)
    for dao in (first, second):
        society.do(machine, "asset.transfer", {"asset": "BPI", "to": dao, "amount": 50}, society.other)
    decide(first, empower, {"kind": "dao.set_rules", "body": {"rules": rules | {"voting_blocks": 1000}}})
    do("execute", first, signer, proposal=1)
    decide(second, {"kind": "dao.dissolve", "body": {}})
    do("execute", second, signer, proposal=1)
    society.do(machine, "asset.transfer", {"asset": "BPI", "to": second, "amount": 50}, society.other)
    do("invite", first, signer, account=other, power=1)
    do("accept", first, society.other)
    do("invite", first, signer, account=society.account(society.signer(91)), power=1)
    society.do(machine, "dao.create", creation | {"name": "Third Circle"}, signer)
    decide(third, empower)
    change = {"dao": first, "reasons": bytes(32), "actions": [empower]}
    society.do(machine, "dao.propose", change, society.other)
    spending = {"asset": "BPI", "to": other, "amount": 1, "reason": bytes(32)}
    return {
        "dao.accept": ({"dao": first}, society.signer(91), ()),
        "dao.create": (creation | {"name": "Fourth Circle"}, None, ()),
        "dao.delegate": ({"dao": first, "to": other}, signer, ()),
        "dao.divide": ({"dao": second}, None, ()),
        "dao.execute": ({"dao": third, "proposal": 1}, None, ()),
        "dao.invite": ({"dao": first, "account": society.account(), "power": 1}, signer, ()),
        "dao.leave": ({"dao": first}, society.other, ()),
        "dao.propose": (change, signer, ()),
        "dao.spend": ({"dao": first} | spending, signer, ()),
        "dao.vote": ({"dao": first, "proposal": 2, "choice": "no"}, signer, ()),
    }


def wallet_bodies(society, machine):
    """Prepare registered wallets of which every command succeeds next."""

    def body(signer, url, place):
        return {"address": str(WalletAddress("testnet", society.account(signer), url, place)), "role": "owner"}

    society.do(machine, "wallet.register", body(society.other, "other.example", "a.example"), society.other)
    return {
        "wallet.register": (body(None, "node.example", "a.example"), None, ()),
        "wallet.retire": ({"url": "other.example"}, society.other, ()),
        "wallet.update": (body(society.other, "other.example", "b.example"), society.other, ()),
    }


@pytest.fixture(scope="module")
def story(economy, society, guild, house):
    return Story(economy, society, guild, house)


@pytest.fixture
def unmoved(story):
    """Run one command alone in the next block, and say what became of it; the ledger stays where it is."""

    def run(*commands):
        machine = story.machine_for(commands[0])
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
    again = "registry.deactivated" if kind == "registry.deactivate" else "chain.nonce"
    assert unmoved(signed, signed) == [None, again]


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_brings_about_the_events_that_the_reference_names(story, kind):
    signed = story.make(kind)
    machine = story.machine_for(signed)
    block = machine.finalize(machine.height + 1, machine.time_ms + 1000, [signed])
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
