"""A short ledger of version 2 for the test vectors: transfers, a minting by quorum, a bond, and state proofs."""

from __future__ import annotations

from typing import Any

from bpci_node.chain.account import account_id_of
from bpci_node.chain.assets import balance_entry
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.parameters import Allocation, AssetRule, Parameters, Schedule
from bpci_node.chain.wallets import WALLETS
from bpci_node.primitives.keys import LocalSigner, derive_keys

BIRTH_MS = 1_767_225_600_000


def ledger_2(phrase: str) -> dict[str, Any]:
    """Return a ledger of three blocks; signers are the phrase's keys and seeds of one repeated byte."""
    derived = derive_keys(phrase)
    registry, node, other = LocalSigner(derived.registry), LocalSigner(derived.node), LocalSigner(bytes([7]) * 32)
    guardians = [LocalSigner(bytes([number]) * 32) for number in (1, 2, 3)]
    holder, peer = account_id_of(node.public_key), account_id_of(other.public_key)
    parameters = Parameters(
        network="testnet",
        assets=tuple(AssetRule(name, 8, 10**15) for name in ("BPI", "FLX", "GEN", "NEX")),
        allocations=(
            Allocation(holder, "BPI", 1_000_000, None),
            Allocation(peer, "GEN", 900, Schedule(BIRTH_MS, BIRTH_MS + 1000, BIRTH_MS + 10_000)),
        ),
        guardians=tuple(sorted(signer.public_key for signer in guardians)),
        threshold=2,
        values={"fee_min": 2},
    )
    genesis = Genesis("vectors", registry.public_key, BIRTH_MS, parameters)
    minting = {"asset": "FLX", "to": peer, "amount": 40, "justification": {"kind": "gold", "digest": bytes(32)}}
    bond = {"bond_id": bytes([9]) * 32, "owner": holder, "asset": "BPI", "amount": 60}
    steps: list[list[tuple[LocalSigner, int, str, dict[str, Any], list[LocalSigner]]]] = [
        [
            (node, 0, "asset.transfer", {"asset": "BPI", "to": peer, "amount": 5000}, []),
            (node, 1, "escrow.deposit", {"asset": "BPI", "holder": peer, "amount": 100}, []),
            (node, 2, "asset.mint", minting, guardians[:2]),
        ],
        [
            (other, 0, "bond.reserve", bond | {"purpose": "auction.commit", "last_height": 9}, []),
            (other, 1, "vesting.claim", {"grant_id": (1).to_bytes(16)}, []),
            (node, 3, "asset.burn", {"asset": "GEN", "amount": 1}, []),
        ],
        [(other, 2, "bond.forfeit", {"bond_id": bytes([9]) * 32, "reason": bytes(32)}, [])],
    ]
    machine, parent, blocks = Machine(genesis), genesis.hash, []
    for number, step in enumerate(steps, start=1):
        commands = [
            sign_command(
                signer,
                Command(genesis.ledger_id, account_id_of(signer.public_key), nonce, 100, kind, body, fee=2),
                approvals=approvals,
            ).encode()
            for signer, nonce, kind, body, approvals in step
        ]
        time_ms = BIRTH_MS + 2000 * number
        done = machine.finalize(number, time_ms, commands)
        machine.commit()
        block = Block(number, time_ms, parent, done.commands_root, done.state_root, registry.public_key)
        parent = block.digest
        blocks.append(
            {
                "block": sign_block(registry, block).encode(),
                "digest": parent,
                "commands": commands,
                "results": [result.encode() for result in done.results],
                "state_root": done.state_root,
            }
        )
    asked = [balance_entry(holder, "BPI"), balance_entry(peer, "GEN"), balance_entry(holder, "NEX"), b"account/nobody"]
    return {
        "genesis": {"cbor": genesis.encode(), "hash": genesis.hash},
        "ledger_id": genesis.ledger_id,
        "treasury": WALLETS["treasury"],
        "blocks": blocks,
        "entries": [{"key": key, "value": value} for key, value in machine.state.entries()],
        "state_proofs": [
            {"key": key, "value": machine.state.get(key), "proof": machine.state.prove(key).encode()} for key in asked
        ],
    }
