"""Reading a ledger through a node that lies."""

from types import SimpleNamespace

import pytest

from bpci_node.chain.account import account_id_of, load_account
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.state import State
from bpci_node.errors import NotFoundError, ProofError
from bpci_node.network.proved_state import ProvedState
from bpci_node.primitives.codec import encode
from bpci_node.primitives.keys import LocalSigner

REGISTRY, STRANGER = LocalSigner(bytes([1]) * 32), LocalSigner(bytes([2]) * 32)
STATE = State.of([(b"a", encode({"v": 1})), (b"b", encode({"v": 2}))])


def node(*, signer=REGISTRY, version=2, **lies):
    """A node's ledger over a state of two entries, which says ``lies`` in place of the truth."""

    def state(key):
        block = Block(
            height=7,
            time_ms=9,
            parent=bytes(32),
            commands_root=bytes(32),
            state_root=STATE.root,
            proposer=signer.public_key,
            version=version,
        )
        found = {"value": STATE.get(key), "proof": STATE.prove(key).encode()}
        return found | {"signed_block": sign_block(signer, block).encode()} | lies

    return SimpleNamespace(ledger=SimpleNamespace(state=state))


def test_what_is_there_and_what_is_not_are_proved():
    state = ProvedState(node(), REGISTRY.public_key)
    assert state.get(b"a") == encode({"v": 1})
    assert state.get(b"c") is None
    assert load_account(state, account_id_of(REGISTRY.public_key)) is None
    assert (state.height, state.newest_height, state.time_ms) == (7, 7, 9)


@pytest.mark.parametrize(
    ("lies", "code"),
    [
        ({"value": None}, "proof.state"),
        ({"value": encode({"v": 2})}, "proof.state"),
        ({"proof": STATE.prove(b"b").encode()}, "proof.state"),
        ({"signer": STRANGER}, "proof.proposer"),
        ({"version": 1}, "proof.proposer"),
    ],
)
def test_a_lie_is_refused(lies, code):
    with pytest.raises(ProofError) as caught:
        ProvedState(node(**lies), REGISTRY.public_key).get(b"a")
    assert caught.value.code == code


def test_a_node_that_forgets_its_blocks_meanwhile_is_refused():
    def nothing(_):
        raise NotFoundError("no block", code="chain.block")

    client = node()
    state = ProvedState(client, REGISTRY.public_key)
    state.get(b"a")
    client.ledger.state = nothing
    with pytest.raises(NotFoundError):
        state.get(b"b")
    assert ProvedState(client, REGISTRY.public_key).get(b"a") is None
