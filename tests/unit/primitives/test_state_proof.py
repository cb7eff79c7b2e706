import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.state import State
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.state_proof import StateProof, decode_state_proof, path_of, verify_state

ENTRIES = {f"key {number}".encode(): f"value {number}".encode() for number in range(500)}
STATE = State.of(ENTRIES.items())
HERE, ABSENT = b"key 7", b"key 500"


def refused(root, key, value, proof):
    with pytest.raises(ProofError) as caught:
        verify_state(root, key, value, proof)
    assert caught.value.code == "proof.state"


@pytest.mark.parametrize("key", [HERE, ABSENT])
def test_a_proof_is_read_as_it_was_written(key):
    proof = STATE.prove(key)
    assert decode_state_proof(proof.encode()) == proof
    verify_state(STATE.root, key, ENTRIES.get(key), decode_state_proof(proof.encode()))


def test_a_proof_proves_its_own_statement_and_no_other():
    here, absent = STATE.prove(HERE), STATE.prove(ABSENT)
    refused(STATE.root, HERE, b"value 8", here)
    refused(STATE.root, HERE, None, here)
    refused(STATE.root, b"key 8", b"value 7", here)
    refused(STATE.root, ABSENT, b"value", absent)
    refused(STATE.root, ABSENT, b"value", here)
    refused(bytes(32), HERE, ENTRIES[HERE], here)
    refused(STATE.root, b"nothing", None, StateProof((), None))


def test_what_is_there_can_not_be_denied_by_another_keys_leaf():
    # Whoever holds the tree has every leaf and every node to try with.
    for other, value in ENTRIES.items():
        if other != HERE:
            refused(STATE.root, HERE, None, replace(STATE.prove(other), other=(path_of(other), sha256(value))))
    own = STATE.prove(HERE)
    refused(STATE.root, HERE, None, replace(own, other=(path_of(HERE), sha256(ENTRIES[HERE]))))


def test_an_inner_node_is_not_taken_for_a_leaf():
    proof = STATE.prove(HERE)
    for cut in range(len(proof.steps)):
        refused(STATE.root, HERE, ENTRIES[HERE], replace(proof, steps=proof.steps[:cut]))
        refused(STATE.root, HERE, ENTRIES[HERE], replace(proof, steps=proof.steps[cut + 1 :]))


@pytest.mark.parametrize("key", [HERE, ABSENT])
def test_a_step_that_was_changed_is_refused(key):
    proof = STATE.prove(key)
    for position, (bit, sibling) in enumerate(proof.steps):
        for changed in ((bit, bytes(32)), ((bit + 1) % 256, sibling)):
            steps = (*proof.steps[:position], changed, *proof.steps[position + 1 :])
            refused(STATE.root, key, ENTRIES.get(key), replace(proof, steps=steps))
    refused(STATE.root, key, ENTRIES.get(key), replace(proof, steps=proof.steps[::-1]))


@settings(max_examples=300)
@given(st.sampled_from([HERE, ABSENT]), st.data())
def test_a_changed_byte_is_refused(key, data):
    changed = bytearray(STATE.prove(key).encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BpciError):
        verify_state(STATE.root, key, ENTRIES.get(key), decode_state_proof(bytes(changed)))


@pytest.mark.parametrize(
    "value",
    [
        {"v": 2, "steps": [], "other": None},
        {"v": 1, "steps": None, "other": None},
        {"v": 1, "steps": [[0, bytes(31)]], "other": None},
        {"v": 1, "steps": [[256, bytes(32)]], "other": None},
        {"v": 1, "steps": [[True, bytes(32)]], "other": None},
        {"v": 1, "steps": [[0]], "other": None},
        {"v": 1, "steps": [[1, bytes(32)], [1, bytes(32)]], "other": None},
        {"v": 1, "steps": [[2, bytes(32)], [1, bytes(32)]], "other": None},
        {"v": 1, "steps": [], "other": [bytes(32)]},
        {"v": 1, "steps": [], "other": [bytes(32), ""]},
        {"v": 1, "steps": [], "other": b""},
        {"v": 1, "steps": []},
        {"v": 1, "steps": [], "other": None, "more": 1},
        [],
    ],
    ids=str,
)
def test_what_is_not_of_the_form_is_refused(value):
    with pytest.raises(FormatError) as caught:
        decode_state_proof(encode(value))
    assert caught.value.code == "format.state_proof"


@settings(max_examples=1000)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_our_errors(data):
    with pytest.raises(BpciError):
        decode_state_proof(data)


def test_the_published_proofs_lead_to_the_published_root():
    path = Path(__file__).parents[3] / "docs/spec/vectors/ledger-2.json"
    vectors = json.loads(path.read_text())
    root = bytes.fromhex(vectors["blocks"][-1]["state_root"][2:])
    for item in vectors["state_proofs"]:
        key, proof = (bytes.fromhex(item[name][2:]) for name in ("key", "proof"))
        value = None if item["value"] is None else bytes.fromhex(item["value"][2:])
        verify_state(root, key, value, decode_state_proof(proof))
    assert sum(item["value"] is None for item in vectors["state_proofs"]) == 2
