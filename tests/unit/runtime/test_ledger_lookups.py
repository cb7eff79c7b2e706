"""What the node's own ledger answers: assets, balances, events, proofs."""

import asyncio
from pathlib import Path

from bpci_node.chain.account import account_id_of
from bpci_node.chain.assets import balance_entry
from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.wallets import WALLETS
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.state_proof import decode_state_proof, verify_state
from bpci_node.runtime.ledger import EmbeddedLedger
from bpci_node.store.store import Store

REGISTRY, HOLDER = LocalSigner(b"\x02" * 32), LocalSigner(b"\x03" * 32)


def command(ledger: EmbeddedLedger, signer: LocalSigner, kind: str, body: dict[str, object], nonce: int = 0) -> bytes:
    sender = account_id_of(signer.public_key)
    return sign_command(signer, Command(ledger.network.ledger_id, sender, nonce, 100, kind, body)).encode()


def test_a_new_ledger_has_assets_and_answers_for_them(tmp_path: Path) -> None:
    holder, registry = account_id_of(HOLDER.public_key), account_id_of(REGISTRY.public_key)

    async def scenario(ledger: EmbeddedLedger) -> None:
        grant = {"wallet": "faucet", "asset": "BPI", "to": holder, "amount": 150, "reason": bytes(32)}
        await ledger.submit(command(ledger, REGISTRY, "wallet.spend", grant))
        payment = {"asset": "BPI", "to": registry, "amount": 50}
        await ledger.submit(command(ledger, HOLDER, "asset.transfer", payment))
        assert await ledger.balances(holder) == {"BPI": 100}
        assert await ledger.balances("nobody/../x") == {}
        assert [asset["id"] for asset in await ledger.assets()] == ["BPI", "FLX", "GEN", "NEX"]
        events = await ledger.events(holder)
        assert [(event["height"], event["kind"]) for event in events] == [
            (1, "wallet.spent"),
            (2, "asset.transferred"),
        ]
        assert await ledger.events(holder, after=(1, 0, 0)) == events[1:]
        assert await ledger.events("asset.transferred") == events[1:]
        assert [event["kind"] for event in await ledger.events(WALLETS["faucet"], limit=1)] == ["wallet.spent"]
        root = decode_signed_block((await ledger.block(2))["signed_block"]).block.state_root
        for asset, amount in (("BPI", 100), ("GEN", None)):
            key = balance_entry(holder, asset)
            height, value, proof = await ledger.prove(key)
            assert (height, value is None) == (2, amount is None)
            verify_state(root, key, value, decode_state_proof(proof))

    store = Store(tmp_path)
    ledger = EmbeddedLedger(
        store, name="own", signer=REGISTRY, urls=(), guard=tmp_path / "guard", clock_ms=lambda: 1_800_000_000_000
    )
    try:
        asyncio.run(scenario(ledger))
    finally:
        ledger.close()
        store.close()
