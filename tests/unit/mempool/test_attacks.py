"""What it costs to push 1,000 honest entries out of a full pool, attack by attack; docs/spec/mempool.md publishes it.

Costs are what the attacker pays for certain on the chain: of its entries, the gas that each uses at least, at the fee
rate at which it waits; of what it sends elsewhere, that. The unit is a plain transfer at the honest entries' fee.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from coincurve import PrivateKey

from bpci_node.errors import BpciError, RefusedError
from bpci_node.mempool.cancellation import Cancellation, typed_digest
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import DYNAMIC_FEE, Transaction
from bpci_node.primitives.hashing import keccak256

HONEST, FEE, TRANSFER = 1_000, 1_000, 21_000
RAW_BYTES = 112
"""Of a plain transfer."""
LEDGER_ID = "devnet:" + "ab" * 32
PER_SENDER = PoolLimits().per_sender
WEALTH = 10**15
"""Enough for anything that is tried here, wei."""


class Attack:
    """A full pool of honest entries, a chain, and an attacker who owns as many accounts as it likes."""

    def __init__(self) -> None:
        self.pool = Pool(
            TargetConfig("eip155:1", base_fee_wei=0, fee_bin_wei=10),
            PoolLimits(entries=HONEST, raw_bytes=HONEST * RAW_BYTES),
            ledger_id=LEDGER_ID,
            is_checked=True,
        )
        self.chain: dict[bytes, SenderState] = {}
        self.spent_elsewhere = self._arrival = 0
        self.honest: set[bytes] = set()
        for number in range(HONEST):
            sender = self.account(b"honest", number)
            assert self.send(sender, 0, FEE)
        self.honest = {entry.leaf.txid for entry in self.pool}

    def account(self, kind: bytes, number: int, balance: int = WEALTH) -> bytes:
        address = keccak256(kind + b"%d" % number)[12:]
        self.chain[address] = SenderState(0, balance)
        return address

    def send(self, sender: bytes, nonce: int, fee: int, *, data_bytes: int = 0, gas: int = TRANSFER) -> bool:
        """Send an entry to the node; tell whether it was taken in."""
        name = keccak256(b"%b %d %d %d" % (sender, nonce, fee, data_bytes))
        raw = name.ljust(RAW_BYTES + data_bytes, b"\x01")
        tx = Transaction(
            raw=raw,
            txid=name,
            tx_type=DYNAMIC_FEE,
            chain_id=1,
            sender=sender,
            nonce=nonce,
            gas=gas,
            max_fee=fee,
            max_priority_fee=fee,
            to=bytes(20),
            value=0,
            data_bytes=data_bytes,
            floor_gas=TRANSFER + 16 * data_bytes,
            blob_wei=0,
        )
        self._arrival += 1
        try:
            self.pool.insert(tx, self._arrival, self._arrival, state=self.chain[sender])
        except BpciError:
            return False
        return True

    def spend_away(self, sender: bytes) -> None:
        """Run the next nonce of an account elsewhere, as a transfer of all that it has."""
        self.chain[sender] = SenderState(self.chain[sender].nonce + 1, 0)
        self.spent_elsewhere += TRANSFER * FEE

    @property
    def evicted(self) -> int:
        return sum(self.pool.find(txid) is None for txid in self.honest)

    @property
    def cost(self) -> Fraction:
        """What the attacker pays, in plain transfers at the honest fee."""
        own = [entry for entry in self.pool if entry.leaf.txid not in self.honest]
        paid = sum(entry.transaction.floor_gas * entry.leaf.fee_per_w for entry in own)
        return Fraction(paid + self.spent_elsewhere, TRANSFER * FEE)


def outbid(attack: Attack) -> None:
    for number in range(HONEST):
        attack.send(attack.account(b"a", number // PER_SENDER), number % PER_SENDER, FEE * 11 // 10)


def leave_gaps(attack: Attack) -> None:
    for number in range(HONEST):
        attack.send(attack.account(b"a", number), 1, FEE * 1_000)


def be_poor(attack: Attack) -> None:
    for number in range(HONEST):
        attack.send(attack.account(b"a", number, balance=TRANSFER * FEE), 0, FEE * 1_000)


def back_many_with_one_balance(attack: Attack) -> None:
    fee = FEE * 11 // 10
    sender = attack.account(b"a", 0, balance=TRANSFER * fee)
    for nonce in range(HONEST):
        attack.send(sender, nonce, fee)


def hide_behind_a_cheap_one(attack: Attack) -> None:
    for number in range(HONEST // PER_SENDER):
        sender = attack.account(b"a", number)
        attack.send(sender, 0, 1)
        for nonce in range(1, PER_SENDER):
            attack.send(sender, nonce, FEE * 1_000)


def replace_down(attack: Attack) -> None:
    outbid(attack)
    for number in range(HONEST):
        for fee in (1, FEE, FEE * 12 // 10):
            attack.send(attack.account(b"a", number // PER_SENDER), number % PER_SENDER, fee)


def claim_gas_that_is_not_used(attack: Attack) -> None:
    for number in range(HONEST):
        attack.send(attack.account(b"a", number), 0, FEE + 1, gas=30_000_000)


def push_many_out_with_one(attack: Attack) -> None:
    """Send long entries at 110 %, 120 %, ... until one gets in; again and again."""
    number = 0
    for fee in range(FEE * 11 // 10, FEE * 20, FEE // 10):
        sender = attack.account(b"a", number)
        while attack.evicted < HONEST and attack.send(sender, 0, fee, data_bytes=20_000, gas=10**6):
            number += 1
            sender = attack.account(b"a", number)


def cancel(attack: Attack) -> None:
    for number in range(HONEST):
        key = PrivateKey((number + 1).to_bytes(32, "big"))
        sender = keccak256(key.public_key.format(compressed=False)[1:])[12:]
        attack.chain[sender] = SenderState(0, WEALTH)
        assert attack.send(sender, 0, FEE * 11 // 10)
        entry = next(reversed(list(attack.pool)))
        unsigned = Cancellation(LEDGER_ID, "eip155:1", entry.leaf.txid, entry.leaf.arrival_seq, b"")
        made = key.sign_recoverable(typed_digest(unsigned), hasher=None)
        with pytest.raises(RefusedError) as caught:
            attack.pool.cancel(replace(unsigned, signature=made[:64] + bytes([27 + made[64]])))
        assert caught.value.code == "entry.bound"


def spend_the_balance_elsewhere(attack: Attack) -> None:
    outbid(attack)
    senders = attack.pool.senders()
    for number in range(-(-HONEST // PER_SENDER)):
        sender = keccak256(b"a%d" % number)[12:]
        assert sender in senders
        attack.spend_away(sender)
    attack.pool.revise({sender: attack.chain[sender] for sender in senders})


ATTACKS: dict[str, Callable[[Attack], None]] = {
    "outbid": outbid,
    "high fees behind a missing nonce": leave_gaps,
    "high fees that the account can't pay": be_poor,
    "one balance behind many entries": back_many_with_one_balance,
    "a cheap nonce before dear ones": hide_behind_a_cheap_one,
    "a high gas limit that is not used": claim_gas_that_is_not_used,
    "outbid, then replace by less": replace_down,
    "outbid, then cancel": cancel,
    "one long entry for many short ones": push_many_out_with_one,
    "outbid, then spend the balances elsewhere": spend_the_balance_elsewhere,
}


def published() -> dict[str, tuple[int, str]]:
    """Return the specification's table: attack, entries pushed out, cost."""
    text = (Path(__file__).parents[3] / "docs/spec/mempool.md").read_text()
    lines = text.partition("## Attacks")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: (int(row[1].replace(",", "")), row[2]) for row in rows if row[1].replace(",", "").isdigit()}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_costs_what_is_published(name: str) -> None:
    attack = Attack()
    assert attack.evicted == 0
    ATTACKS[name](attack)
    evicted, cost = published()[name]
    assert (attack.evicted, f"{float(attack.cost):,.1f}") == (evicted, cost)
    if name != "outbid, then spend the balances elsewhere":
        assert attack.cost >= Fraction(11, 10) * attack.evicted


def test_every_published_attack_is_tried() -> None:
    assert published().keys() == ATTACKS.keys()
