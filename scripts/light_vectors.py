"""Write ``docs/spec/vectors/light.json``: what a light client follows, and what it refuses.

``PYTHONPATH=appliance:. python scripts/light_vectors.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bpci_node.auction.header import NO_PARENT, AuctionHeader
from bpci_node.auction.light import FinalHeader, LightState, begin, committee_of_proof
from bpci_node.auction.seal_auction import WindowFacts, draft_window
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.draw import committee_entry
from bpci_node.chain.ledger_proof import StateEntryProof, decode_ledger_proof
from bpci_node.chain.target_terms import Tier
from bpci_node.errors import BpciError
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.record import save_record
from bpci_node.primitives.state_proof import StateProof, path_of, state_leaf
from scripts.auction_scene import members, target_terms

OUT = Path(__file__).resolve().parent.parent / "docs" / "spec" / "vectors" / "light.json"
LEDGER_ID = "vectors:" + "5a" * 32
TARGET = "eip155:1"
QLOCK_MS = 50
REGISTRY, STRANGER = LocalSigner(bytes(31) + b"\x63"), LocalSigner(bytes(31) + b"\x64")
TERMS = target_terms(gas_limit=150_000, classes=(QLOCK_MS,), forced_gas_bps=2_000, tiers=(Tier(0, 10**6, 10**6),))
HEADER, PROOF = "header", "proof"


WEIGHTS = (1, 1, 1, 1)
GROUPS = {
    name: members(epoch, first, WEIGHTS)
    for name, epoch, first in (("1", 1, 10), ("2", 2, 20), ("3", 3, 30), ("other 2", 2, 40))
}


def header(by: str, sequence: int, parent: bytes, *, named: str | None = None) -> FinalHeader:
    """Return the final header of an empty window, by a committee, which names another one or none."""
    group, following = GROUPS[by], None if named is None else GROUPS[named].committee
    epoch = group.committee.epoch
    window = WindowId(TARGET, QLOCK_MS, 100 * epoch + sequence)
    facts = WindowFacts(LEDGER_ID, epoch, window, sequence, parent, 900_000, None, 0, 0, next_committee=following)
    made: AuctionHeader = draft_window(select_window([], TERMS), (), TERMS, facts).header
    return FinalHeader(made, group.certify(made.digest(), (0, 1, 3)), following)


def proof(of: str, epoch: int, *, signer: LocalSigner = REGISTRY, proved: bytes | None = None) -> StateEntryProof:
    """Return the proof, from a state of one entry, that a committee stands at the key of an epoch."""
    key, value = committee_entry(epoch), save_record(GROUPS[of].committee.as_map())
    root = state_leaf(path_of(key), sha256(value if proved is None else proved))
    block = Block(7, 1_000, bytes(32), bytes(32), root, signer.public_key)
    return StateEntryProof(sign_block(signer, block).encode(), key, value, StateProof((), None).encode())


def materials() -> dict[str, FinalHeader | StateEntryProof]:
    """Return headers and proofs by name."""
    first = header("1", 1, NO_PARENT)
    at = first.header.digest()
    hands_over = header("1", 2, at, named="2")
    again = header("1", 3, hands_over.header.digest(), named="2")
    return {
        "proof of 1": proof("1", 1),
        "proof of 2": proof("2", 2),
        "proof of 3": proof("3", 3),
        "proof of another 2": proof("other 2", 2),
        "proof of 2 by a stranger": proof("2", 2, signer=STRANGER),
        "proof of 2 that the state does not hold": proof("2", 2, proved=b"something else"),
        "committee 1 at the key of 2": proof("1", 2),
        "header 1": first,
        "header 2 hands over to 2": hands_over,
        "header 3 of epoch 1 names 2 again": again,
        "header 3 of epoch 1 names nobody": header("1", 3, hands_over.header.digest()),
        "header 3 of epoch 1 names another 2": header("1", 3, hands_over.header.digest(), named="other 2"),
        "header 3 of epoch 2": header("2", 3, hands_over.header.digest()),
        "header 3 of epoch 3": header("3", 3, hands_over.header.digest()),
        "header 4 of epoch 2": header("2", 4, again.header.digest()),
        "header 4 of epoch 1 after epoch 2": header("1", 4, header("2", 3, hands_over.header.digest()).header.digest()),
        "header 2 of epoch 2": header("2", 2, at),
        "header 2 of epoch 3": header("3", 2, at),
        "header 2 of epoch 2 with another parent": header("2", 2, sha256(b"another")),
    }


BEGIN = ("proof of 1", "header 1")
HANDED = (*BEGIN, "header 2 hands over to 2")
PATHS = (
    (*HANDED, "header 3 of epoch 2"),
    (*HANDED, "header 3 of epoch 1 names 2 again", "header 4 of epoch 2"),
    (*HANDED, "header 3 of epoch 1 names nobody"),
    (*HANDED, "proof of 2", "header 3 of epoch 2"),
    (*HANDED, "proof of 3", "header 3 of epoch 3"),
    (*BEGIN, "proof of 2", "header 2 of epoch 2"),
    (*BEGIN, "proof of 3", "header 2 of epoch 3"),
    (*BEGIN, "header 2 of epoch 2"),
    (*BEGIN, "proof of 2 by a stranger"),
    (*BEGIN, "proof of 2 that the state does not hold"),
    (*BEGIN, "committee 1 at the key of 2"),
    (*BEGIN, "proof of 2", "header 2 of epoch 2 with another parent"),
    (*BEGIN, "proof of 2", "header 3 of epoch 2"),
    (*BEGIN, "proof of 3", "proof of 2"),
    (*BEGIN, "proof of another 2", "header 2 hands over to 2"),
    (*HANDED, "proof of another 2"),
    (*HANDED, "header 3 of epoch 1 names another 2"),
    (*HANDED, "header 3 of epoch 2", "proof of 1"),
    (*HANDED, "header 3 of epoch 2", "header 4 of epoch 1 after epoch 2"),
    (*HANDED, "proof of 3", "header 3 of epoch 2"),
)
"""What a client is shown one after the other; the last of it may have to be refused."""


def walk(state: LightState | None, kind: str, data: bytes) -> LightState:
    """Return the state of a client after a header or a proof of a committee; the first one is a proof."""
    if kind == HEADER and state is not None:
        return state.follow(FinalHeader.decode(data))
    shown = decode_ledger_proof(data)
    if not isinstance(shown, StateEntryProof):
        raise TypeError("a client is shown proofs of entries")
    committee = committee_of_proof(shown, REGISTRY.public_key)
    return begin(LEDGER_ID, TARGET, committee) if state is None else state.appoint(committee)


def followed(path: tuple[str, ...], shown: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return what a path comes to: the state in the end, or the code with which its last step is refused."""
    state: LightState | None = None
    for place, name in enumerate(path):
        try:
            state = walk(state, shown[name]["kind"], bytes.fromhex(shown[name]["encoded"]))
        except BpciError as error:
            if place != len(path) - 1:
                raise
            return {"path": list(path), "code": error.code}
    if state is None:
        raise ValueError("a path has steps")
    return {"path": list(path), "state": state.encode().hex()}


def main() -> None:
    """Write the file."""
    shown = {
        name: {"kind": HEADER if isinstance(item, FinalHeader) else PROOF, "encoded": item.encode().hex()}
        for name, item in materials().items()
    }
    value = {
        "ledger_id": LEDGER_ID,
        "target": TARGET,
        "registry_key": REGISTRY.public_key.hex(),
        "shown": shown,
        "followed": [followed(path, shown) for path in PATHS],
    }
    OUT.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main()
