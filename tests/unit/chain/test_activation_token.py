import pytest

from bpci_node.chain.activation_token import (
    ACTIVATION_CONTEXT,
    LIFETIME_MS,
    TOLERANCE_MS,
    ActivationToken,
    issue_token,
    read_token,
)
from bpci_node.chain.certificate import CERTIFICATE_CONTEXT
from bpci_node.errors import BpciError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import sign_object

NOW_MS = 1_800_000_000_000


@pytest.fixture
def terms(world):
    return {
        "registry_key": world.registry.public_key,
        "ledger_id": world.genesis.ledger_id,
        "node_key": world.node.public_key,
    }


@pytest.fixture
def token(world, terms):
    return issue_token(world.registry, ledger_id=terms["ledger_id"], node_key=terms["node_key"], now_ms=NOW_MS)


def check(token, *, time_ms=NOW_MS, **terms):
    found = read_token(token, **terms)
    found.require_good(time_ms)
    return found


def code_of(token, **changes):
    with pytest.raises(BpciError) as caught:
        check(token, **changes)
    return caught.value.code


def test_it_is_good_for_its_node_on_its_ledger_to_the_last_millisecond(token, terms):
    for time_ms in (NOW_MS - TOLERANCE_MS, NOW_MS, NOW_MS + LIFETIME_MS):
        found = check(token, **terms, time_ms=time_ms)
        assert found == ActivationToken(terms["ledger_id"], terms["node_key"], NOW_MS + LIFETIME_MS)
    assert code_of(token, **terms, time_ms=NOW_MS + LIFETIME_MS + 1) == "registry.token_expired"


def test_it_is_not_good_by_a_clock_that_is_behind(token, terms):
    assert code_of(token, **terms, time_ms=NOW_MS - TOLERANCE_MS - 1) == "registry.token_clock"


def test_it_serves_no_other_node_ledger_or_registry(token, terms, world, economy):
    given = terms
    assert code_of(token, **(given | {"node_key": world.other.public_key})) == "registry.token"
    assert code_of(token, **(given | {"ledger_id": economy.genesis.ledger_id})) == "proof.ledger"
    assert code_of(token, **(given | {"registry_key": world.other.public_key})) == "proof.signature"


def test_nothing_in_it_can_be_changed(token, terms, world):
    given = terms
    value = decode(token)
    longer = value["token"] | {"expires_ms": value["token"]["expires_ms"] + 1}
    assert code_of(encode(value | {"token": longer}), **given) == "proof.signature"
    own = {"token": longer, "signature": sign_object(world.node, ACTIVATION_CONTEXT, longer)}
    assert code_of(encode(own), **given) == "proof.signature"
    other_context = sign_object(world.registry, CERTIFICATE_CONTEXT, value["token"])
    assert code_of(encode(value | {"signature": other_context}), **given) == "proof.signature"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: {"token": value["token"]},
        lambda value: value | {"more": 1},
        lambda value: value | {"token": value["token"] | {"v": 2}},
        lambda value: value | {"token": value["token"] | {"node_key": b"short"}},
        lambda value: value | {"token": value["token"] | {"expires_ms": -1}},
        lambda value: value | {"token": value["token"] | {"ledger_id": "no ledger"}},
        lambda value: value | {"signature": b""},
        lambda value: [value],
    ],
    ids=[
        "a field less",
        "a field more",
        "another version",
        "a short key",
        "a time",
        "a name",
        "no signature",
        "a list",
    ],
)
def test_another_form_is_refused(token, terms, spoil):
    assert code_of(encode(spoil(decode(token))), **terms, time_ms=NOW_MS) == "format.activation_token"


def test_a_cut_or_longer_token_is_refused(token, terms):
    for data in (token[:-1], token + b"\x00", token + bytes(1000), b""):
        assert code_of(data, **terms, time_ms=NOW_MS).startswith("format.")


def test_none_is_issued_to_what_is_no_key(world, terms):
    with pytest.raises(BpciError) as caught:
        issue_token(world.registry, ledger_id=terms["ledger_id"], node_key=bytes(32), now_ms=NOW_MS)
    assert caught.value.code == "format.key"
