import json
from pathlib import Path

import pytest

from bpci_node.auction.light import FinalHeader, LightState, begin, committee_of_proof
from bpci_node.chain.ledger_proof import StateEntryProof, decode_ledger_proof
from bpci_node.errors import ProofError

VECTORS = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/light.json").read_text())
REGISTRY_KEY = bytes.fromhex(VECTORS["registry_key"])


def step(state, name):
    """The state after a header or a proof of the vectors."""
    item = VECTORS["shown"][name]
    data = bytes.fromhex(item["encoded"])
    if item["kind"] == "header":
        final = FinalHeader.decode(data)
        assert final.encode() == data
        return state.follow(final)
    proof = decode_ledger_proof(data)
    assert isinstance(proof, StateEntryProof)
    committee = committee_of_proof(proof, REGISTRY_KEY)
    return begin(VECTORS["ledger_id"], VECTORS["target"], committee) if state is None else state.appoint(committee)


@pytest.mark.parametrize("case", VECTORS["followed"], ids=lambda case: " - ".join(case["path"][2:]))
def test_what_is_shown_leads_to_the_state_of_the_vectors_or_is_refused_with_its_code(case):
    *before, last = case["path"]
    state = None
    for name in before:
        state = step(state, name)
    if "code" in case:
        with pytest.raises(ProofError) as caught:
            step(state, last)
        assert caught.value.code == case["code"]
        return
    state = step(state, last)
    assert state.encode().hex() == case["state"]
    assert LightState.decode(state.encode()) == state


def test_the_vectors_show_every_way_and_every_reason():
    codes = {case.get("code") for case in VECTORS["followed"]}
    assert codes == {
        *(None, "light.epoch", "light.sequence", "light.parent", "light.next_committee", "light.committee"),
        *("proof.proposer", "proof.state"),
    }
    assert {name for case in VECTORS["followed"] for name in case["path"]} == set(VECTORS["shown"])
