import base64
from typing import Any

import pytest

from bpci_node.chain.challenge import LIFETIME_MS, issue_challenge
from bpci_node.errors import AccessError, LimitError
from bpci_node.network.auth import ReplayGuard, SignedRequest, sign_request, verify_request
from bpci_node.primitives import codec
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner

REGISTRY, NODE, OTHER = (LocalSigner(bytes([number]) * 32) for number in (1, 2, 3))
LEDGER = "devnet:" + "ab" * 32
NOW = 1_800_000_000_000
ASKED = {"method": "GET", "path": "/v1/measure/download?bytes=5"}


def header(signer: LocalSigner = NODE, key: bytes = NODE.public_key, body: bytes = b"", **changes: Any) -> str:
    challenge, signature = issue_challenge(REGISTRY, ledger_id=LEDGER, node_key=key, now_ms=NOW, nonce16=bytes(16))
    members = {"challenge": challenge, "challenge_sig": signature, "body": body, **ASKED} | changes
    return sign_request(signer, **members)


def verify(text: str | None, **changes: Any) -> SignedRequest:
    asked = {"registry_key": REGISTRY.public_key, "ledger_id": LEDGER, "now_ms": NOW + 1000, **ASKED} | changes
    return verify_request(text, **asked)


def refused(text: str | None, **changes: Any) -> AccessError:
    with pytest.raises(AccessError) as caught:
        verify(text, **changes)
    assert caught.value.code == "access.auth"
    return caught.value


def test_a_signed_request_names_its_node_and_its_body() -> None:
    found = verify(header(body=b"body"))
    assert found.node_key == NODE.public_key
    assert found.body_digest == sha256(b"body")
    assert found.expires_ms == NOW + LIFETIME_MS


@pytest.mark.parametrize("text", [None, "", "%%%", "a" * 3000, "AAAA", base64.urlsafe_b64encode(b"\xa0").decode()])
def test_what_is_no_header_is_refused(text: str | None) -> None:
    refused(text)


def test_a_header_is_good_for_its_own_request_only() -> None:
    refused(header(), method="POST")
    refused(header(), path="/v1/measure/download?bytes=6")


def test_another_registry_ledger_or_time_is_refused() -> None:
    refused(header(), registry_key=OTHER.public_key)
    refused(header(), ledger_id="devnet:" + "cd" * 32)
    refused(header(), now_ms=NOW + LIFETIME_MS + 1)


def test_only_the_challenged_key_may_answer() -> None:
    refused(header(signer=OTHER))
    refused(header(key=OTHER.public_key))


def test_every_altered_byte_is_refused() -> None:
    text = header()
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for position in range(len(raw)):
        altered = bytearray(raw)
        altered[position] ^= 1
        refused(base64.urlsafe_b64encode(bytes(altered)).decode().rstrip("="))


def test_members_may_not_be_added() -> None:
    text = header()
    raw = codec.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    refused(base64.urlsafe_b64encode(codec.encode(raw | {"x": 1})).decode())


def request(number: int, key: bytes = b"k", expires_ms: int = NOW) -> SignedRequest:
    return SignedRequest(key, b"", number.to_bytes(32, "big"), expires_ms)


def test_a_request_is_admitted_once_within_its_life() -> None:
    guard = ReplayGuard()
    guard.admit(request(1), NOW - 10)
    with pytest.raises(AccessError) as caught:
        guard.admit(request(1), NOW)
    assert caught.value.code == "access.replay"


def test_a_full_guard_refuses_instead_of_forgetting_and_recovers_when_challenges_expire() -> None:
    guard = ReplayGuard(capacity=3, per_key=2)
    guard.admit(request(1), NOW)
    guard.admit(request(2), NOW)
    with pytest.raises(LimitError):
        guard.admit(request(3), NOW)
    guard.admit(request(4, b"other"), NOW)
    with pytest.raises(LimitError):
        guard.admit(request(5, b"third"), NOW)
    with pytest.raises(AccessError):
        guard.admit(request(1), NOW)
    guard.admit(request(3, expires_ms=NOW + 100), NOW + 1)
