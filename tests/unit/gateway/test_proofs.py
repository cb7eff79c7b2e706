"""Headers and mempool proofs over HTTP."""

from typing import Any

import pytest

from bpci_node.errors import NotFoundError
from bpci_node.gateway import api as api_module
from bpci_node.mempool.header import MxHeader, verify_header
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.proof_view import header_view, proof_view
from bpci_node.mempool.verify import Trust, verify_mempool_proof
from bpci_node.network.wire import CBOR
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import Transaction

T = "eip155:1"
EMPTY = b"\x00\x03\xff\xff"


@pytest.fixture
def filled(serve: Any, mainnet: list[Transaction]) -> Any:
    served = serve()
    served.client.submit_entries(T, [item.raw for item in mainnet[:300]])
    return served


def ask(served: Any, accept: str = "", **body: Any) -> Any:
    content = codec.encode({"v": 1, **body})
    return served.http.post(f"/v1/mempool/{T}/proof", content=content, headers={"Content-Type": CBOR, "Accept": accept})


def test_a_header_is_the_pools_and_signed(filled: Any) -> None:
    reply = filled.http.get(f"/v1/mempool/{T}/header", headers={"Accept": CBOR})
    assert reply.headers["content-type"] == CBOR
    header = MxHeader.decode(reply.content)
    verify_header(header)
    assert (header.signer, header.entries, header.arrival_seq) == (filled.node.signer.public_key, 300, 300)
    assert header.mx_root == filled.node.pools[T].pool.roots().mx_root
    shown = filled.http.get(f"/v1/mempool/{T}/header").json()
    assert shown["time_ms"] >= header.time_ms
    assert shown == header_view(header) | {"time_ms": shown["time_ms"], "signature": shown["signature"]}


def test_a_proof_comes_in_cbor_and_as_a_view(filled: Any, mainnet: list[Transaction]) -> None:
    wanted = {"entries": [item.txid for item in mainnet[:20]], "buckets": [EMPTY]}
    reply = ask(filled, **wanted)
    assert (reply.status_code, reply.headers["content-type"]) == (200, CBOR)
    proof = verify_mempool_proof(reply.content, Trust(signer=filled.node.signer.public_key))
    assert {entry.txid for bucket in proof.buckets for entry in bucket.entries} == set(wanted["entries"])
    assert proof.absent == (EMPTY,)
    view = ask(filled, "application/json", **wanted).json()
    assert view["buckets"] == proof_view(proof)["buckets"]
    assert view["absent"] == ["0x0003ffff"]
    in_json = filled.http.post(
        f"/v1/mempool/{T}/proof", json={"entries": ["0x" + mainnet[0].txid.hex()], "buckets": ["0x0003ffff"]}
    )
    assert MempoolProof.decode(in_json.content).absent == (EMPTY,)
    assert filled.client.mempool_proof(T, [], [EMPTY])


def test_what_does_not_wait_is_named(filled: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        filled.client.mempool_proof(T, [b"\x11" * 32], [])
    assert (caught.value.code, caught.value.details["txids"]) == ("entry.not_waiting", ["0x" + "11" * 32])
    with pytest.raises(NotFoundError) as caught:
        filled.client.mempool_proof("eip155:5", [], [EMPTY])
    assert caught.value.code == "entry.target"
    assert filled.http.get("/v1/mempool/eip155:5/header").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 429, "proof.size"),
        ({"entries": [b"\x11" * 31]}, 400, "format.request"),
        ({"buckets": [b"\x00" * 5]}, 400, "format.request"),
        ({"buckets": [b"\x00" * 4] * 501}, 400, "format.request"),
        ({"more": 1}, 400, "format.request"),
        ({"v": 2}, 400, "format.request"),
    ],
)
def test_what_is_no_request_is_refused(served: Any, body: dict[str, Any], status: int, code: str) -> None:
    reply = ask(served, **body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_large_proofs_use_an_address_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PROOFS_BURST", 64.0)
    monkeypatch.setattr(api_module, "PROOFS_PER_SECOND", 0.001)
    served = serve()
    keys = [number.to_bytes(4, "big") for number in range(500)]
    assert ask(served, buckets=keys).status_code == 200
    refused = ask(served, buckets=keys)
    assert (refused.status_code, refused.json()["code"]) == (429, "limit.proofs")
    assert int(refused.headers["retry-after"]) > 0
    assert served.http.get(f"/v1/mempool/{T}/header").status_code == 200
