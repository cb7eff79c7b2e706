import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.challenge import CHALLENGE_CONTEXT, LIFETIME_MS, issue_challenge, verify_challenge
from bpci_node.errors import BpciError, FormatError, ProofError, RefusedError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import sign_object

NOW = 1_800_000_000_000


@pytest.fixture
def challenge(world):
    return issue_challenge(
        world.registry,
        ledger_id=world.genesis.ledger_id,
        node_key=world.node.public_key,
        now_ms=NOW,
        nonce16=bytes(range(16)),
    )


@pytest.fixture
def verify(world):
    def run(data, signature, **changes):
        trusted = {"registry_key": world.registry.public_key, "ledger_id": world.genesis.ledger_id, "time_ms": NOW}
        return verify_challenge(data, signature, **(trusted | changes))

    return run


def test_a_challenge_is_good_for_ten_minutes(world, challenge, verify):
    assert verify(*challenge).node_key == world.node.public_key
    verify(*challenge, time_ms=NOW + LIFETIME_MS)
    verify(*challenge, time_ms=NOW - 5000)  # a clock behind the registry's is no reason to refuse
    with pytest.raises(RefusedError) as caught:
        verify(*challenge, time_ms=NOW + LIFETIME_MS + 1)
    assert caught.value.code == "registry.challenge_expired"


def test_a_challenge_is_good_for_its_ledger_and_registry(world, challenge, verify):
    with pytest.raises(RefusedError) as caught:
        verify(*challenge, ledger_id="other:" + "0" * 64)
    assert caught.value.code == "chain.ledger"
    with pytest.raises(ProofError) as proof:
        verify(*challenge, registry_key=world.other.public_key)
    assert proof.value.code == "proof.signature"


@pytest.mark.parametrize(
    "change",
    [
        {"expires_ms": NOW + LIFETIME_MS + 1},
        {"expires_ms": NOW},
        {"expires_ms": NOW - 1},
        {"nonce16": bytes(15)},
        {"node_key": bytes(31)},
        {"v": 2},
        {"more": 1},
        {"issued_ms": -1},
        {"ledger_id": "testnet"},
    ],
    ids=str,
)
def test_even_the_registry_can_not_sign_a_challenge_outside_its_form(world, challenge, verify, change):
    changed = decode(challenge[0]) | change
    signature = sign_object(world.registry, CHALLENGE_CONTEXT, changed)
    with pytest.raises(FormatError) as caught:
        verify(encode(changed), signature)
    assert caught.value.code == "format.challenge"


def test_what_can_not_be_challenged_is_refused(world):
    for change, code in (({"nonce16": bytes(8)}, "format.challenge"), ({"node_key": bytes(32)}, "format.key")):
        fields = {"node_key": world.node.public_key, "nonce16": bytes(16)} | change
        with pytest.raises(FormatError) as caught:
            issue_challenge(world.registry, ledger_id=world.genesis.ledger_id, now_ms=NOW, **fields)
        assert caught.value.code == code


@settings(max_examples=1000)
@given(st.binary(max_size=120), st.binary(max_size=64))
def test_random_bytes_raise_nothing_but_our_errors(world, data, signature):
    with pytest.raises(BpciError):
        verify_challenge(
            data,
            signature,
            registry_key=world.registry.public_key,
            ledger_id=world.genesis.ledger_id,
            time_ms=NOW,
        )
