"""Any sequence of commands: nothing is lost or made, machines agree, and hostile bytes meet our errors alone."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.command import decode_signed_command
from bpci_node.chain.state import State
from bpci_node.errors import BpciError
from bpci_node.primitives.codec import encode

ASSETS = ("BPI", "GEN", "NEX")
ACTIONS = (
    *("transfer", "burn", "mint", "spend", "distribute", "grant", "claim", "stake", "unstake", "collect"),
    *("deposit", "announce", "withdraw", "reserve", "release", "forfeit", "reclaim"),
)
who = st.sampled_from([2, 3, 4])
amount = st.sampled_from([1, 2, 50, 499, 500, 10_001, 999_998, 10**12])
small = st.integers(0, 2)
step = st.tuples(
    st.sampled_from(
        [
            "transfer",
            "burn",
            "mint",
            "spend",
            "distribute",
            "grant",
            "claim",
            "stake",
            "unstake",
            "collect",
            "deposit",
            "announce",
            "withdraw",
            "reserve",
            "release",
            "forfeit",
            "reclaim",
        ]
    ),
    who,
    who,
    st.sampled_from(ASSETS),
    amount,
    small,
)


def command(economy, machine, step):
    what, sender, other, asset, units, number = step
    signer, account = economy.signer(sender), economy.account(economy.signer(other))
    money = {"asset": asset, "amount": units}
    bond, escrow = {"bond_id": bytes([number]) * 32}, {"holder": account, "asset": asset}
    schedule = {"start_ms": machine.time_ms, "cliff_ms": machine.time_ms, "end_ms": machine.time_ms + 3000}
    justification = {"justification": {"kind": "action", "digest": bytes([number]) * 32}}
    kind, body = {
        "transfer": ("asset.transfer", money | {"to": account}),
        "burn": ("asset.burn", money),
        "mint": ("asset.mint", money | {"to": account} | justification),
        "spend": ("wallet.spend", money | {"to": account, "wallet": "treasury", "reason": bytes(32)}),
        "distribute": ("wallet.distribute", money | {"wallet": "treasury", "policy": "auction-25"}),
        "grant": ("vesting.grant", money | {"to": account, "grant_id": bytes([number]) * 16, "schedule": schedule}),
        "claim": ("vesting.claim", {"grant_id": bytes([number]) * 16}),
        "stake": ("stake.deposit", {"amount": units}),
        "unstake": ("stake.withdraw", {"amount": units}),
        "collect": ("stake.claim", {}),
        "deposit": ("escrow.deposit", escrow | {"amount": units}),
        "announce": ("escrow.announce", escrow | {"amount": units}),
        "withdraw": ("escrow.withdraw", escrow),
        "reserve": ("bond.reserve", money | bond | {"owner": account, "purpose": "p", "last_height": 4 + number}),
        "release": ("bond.release", bond),
        "forfeit": ("bond.forfeit", bond | {"reason": bytes(32)}),
        "reclaim": ("bond.reclaim", bond | {"holder": account}),
    }[what]
    approvals = (11, 13) if what in ("mint", "spend", "distribute") and number else ()
    return economy.make(machine, kind, body, signer, approvals=approvals)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(step, min_size=1, max_size=5), max_size=10))
def test_nothing_is_lost_or_made_by_any_sequence(economy, conserved, blocks):
    machine = economy.started()
    other = economy.started()
    for block in blocks:
        for item in block:
            signed = command(economy, machine, item)
            (result,) = economy.run(machine, signed)
            conserved(machine)
            # The other machine sees only what succeeded.
            economy.run(other, *([signed] if result.error is None else []))
            assert machine.state.root == other.state.root
    assert machine.state.root == State.of(machine.state.entries()).root


REPLAY = """
import sys
from bpci_node.chain.genesis import decode_genesis
from bpci_node.chain.machine import Machine
genesis, *commands = sys.stdin.read().split()
machine = Machine(decode_genesis(bytes.fromhex(genesis)))
for number, signed in enumerate(commands, start=1):
    block = machine.finalize(number, machine.time_ms + 1000, [bytes.fromhex(signed)])
    machine.commit()
    print(block.state_root.hex(), block.results[0].encode().hex())
"""


def test_processes_with_other_hash_seeds_come_to_the_same_roots_and_results(economy):
    chosen = random.Random(5)  # noqa: S311 - repeatable
    machine, commands = economy.machine(), []
    kinds = ["transfer", "stake", "unstake", "grant", "deposit", "reserve", "release", "mint", "distribute", "burn"]
    for _ in range(120):
        item = (chosen.choice(kinds), *chosen.choices([2, 3], k=2), "BPI", chosen.choice([1, 50, 7000]))
        signed = command(economy, machine, (*item, chosen.randrange(3)))
        economy.run(machine, signed)
        commands.append(signed)
    told = "\n".join([economy.genesis.encode().hex(), *(signed.hex() for signed in commands)])
    outputs = set()
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", REPLAY],
            input=told,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3] / "appliance")},
        )
        outputs.add(done.stdout)
    (output,) = outputs
    assert output.splitlines()[-1].split()[0] == machine.state.root.hex()


def hostile(signed, chosen):
    """Bytes that look like a command: changed, cut, spliced, or of random structure."""
    data = bytearray(signed)
    match chosen.randrange(5):
        case 0:
            data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        case 1:
            del data[chosen.randrange(len(data)) :]
        case 2:
            at = chosen.randrange(len(data))
            data[at : at + chosen.randrange(9)] = chosen.randbytes(chosen.randrange(9))
        case 3:
            at = chosen.randrange(len(data))
            data += data[at : at + chosen.randrange(64)]
        case _:
            return encode({"command": structure(chosen, 3), "signatures": [structure(chosen, 2)]})
    return bytes(data)


def structure(chosen, depth):
    names = ["v", "ledger_id", "sender", "nonce", "expires_height", "fee", "kind", "body", "alg", "key_id", "sig"]
    match chosen.randrange(6 if depth else 4):
        case 0:
            return chosen.randrange(-(2**63), 2**64)
        case 1:
            return chosen.randbytes(chosen.randrange(70))
        case 2:
            return chosen.choice(["ed25519", "asset.transfer", "é", "bpa1" + "a" * 32])
        case 3:
            return None
        case 4:
            return [structure(chosen, depth - 1) for _ in range(chosen.randrange(4))]
        case _:
            return {chosen.choice(names): structure(chosen, depth - 1) for _ in range(chosen.randrange(12))}


def throw(economy, count, seed):
    machine = economy.started()
    chosen = random.Random(seed)  # noqa: S311 - repeatable
    signed = command(economy, machine, ("transfer", 2, 3, "BPI", 50, 0))
    root, refusals = machine.state.root, 0
    draft = machine.draft(machine.time_ms + 1)
    for _ in range(count):
        data = hostile(signed, chosen)
        if data == signed:
            continue
        try:
            decoded = decode_signed_command(data)
        except BpciError:
            refusals += 1
        else:
            with pytest.raises(BpciError):
                draft.run(decoded)
            refusals += 1
    assert refusals > count * 0.9
    assert draft.writes == {}
    assert machine.state.root == root


def test_20000_hostile_inputs_meet_our_errors_alone(economy):
    throw(economy, 20_000, 1)


@pytest.mark.long
def test_1000000_hostile_inputs_meet_our_errors_alone(economy):
    throw(economy, 1_000_000, 2)
