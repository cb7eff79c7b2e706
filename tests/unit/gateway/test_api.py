import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from bpci_node.auction.verify import verify_bundle
from bpci_node.chain.certificate import verify_certificate
from bpci_node.errors import BpciError, LimitError, NotFoundError, RefusedError
from bpci_node.mempool.receipt import verify_receipt
from bpci_node.network.wire import CBOR, JSON, PROBLEM
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.keys import LocalSigner, did_of

T = "eip155:1"
STRANGER = LocalSigner(b"\x09" * 32)


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.headers["content-type"] == PROBLEM
    found: dict[str, Any] = response.json()
    assert (response.status_code, found["status"], found["code"]) == (status, status, code), found
    assert found["type"] == f"urn:bpci:error:{code}"
    assert found["title"]
    return found


def cbor(value: Any) -> dict[str, Any]:
    return {"content": codec.encode(value), "headers": {"content-type": CBOR, "accept": CBOR}}


def test_health_status_and_network(served: Any) -> None:
    assert served.http.get("/healthz").json() == {"alive": True}
    assert served.http.get("/readyz").json() == {"ready": True, "obstacles": []}
    status = served.client.status()
    assert status["node"]["did"] == did_of(served.node.signer.public_key)
    assert served.client.network() == served.node.network
    as_cbor = served.http.get("/v1/status", headers={"accept": CBOR})
    assert codec.decode(as_cbor.content)["ledger"]["id"] == status["ledger"]["id"]
    assert "date" in as_cbor.headers


def test_registration_look_up_and_pages(served: Any) -> None:
    found = served.owner.register()
    node = served.client.node(found["account"])
    assert node["node"]["did"] == did_of(served.node.signer.public_key)
    network = served.node.network
    certificate = verify_certificate(
        bytes.fromhex(node["certificate"][2:]), registry_key=network.registry_key, ledger_id=network.ledger_id
    )
    assert certificate.node_id == found["account"]
    assert served.client.node(node["node"]["did"]) == node
    page = served.client.nodes(limit=1)
    assert page["next"] == found["account"]
    assert served.client.nodes(after=page["next"]) == {"nodes": [], "next": None}
    assert served.client.nodes(node_type="hybrid")["nodes"] == []
    assert served.client.account(found["account"])["nonce"] == 1
    block = served.client.ledger.block(1)
    assert block["block"]["height"] == 1
    assert len(block["commands"]) == 1
    problem(served.http.get("/v1/blocks/99"), 404, "chain.block")
    problem(served.http.get("/v1/accounts/bpa1nobody"), 404, "chain.account")
    problem(served.http.get(f"/v1/registry/nodes/{did_of(STRANGER.public_key)}"), 404, "registry.unknown")
    problem(served.http.get("/v1/registry/nodes/somebody"), 400, "format.did")


def test_one_entry_as_json(served: Any, mainnet: list[Transaction]) -> None:
    tx = mainnet[0]
    body = {"v": 1, "target": T, "raw": "0x" + tx.raw.hex()}
    first = served.http.post("/v1/entries", json=body)
    receipt = verify_receipt(bytes.fromhex(first.json()["receipt"][2:]), node_key=served.node.signer.public_key)
    assert receipt.txid == tx.txid
    problem(served.http.post("/v1/entries", json=body), 409, "entry.duplicate")
    known = served.client.entry(T, tx.txid)
    assert known["state"] == "pooled"
    assert known["receipt"] == first.json()["receipt"]
    assert known["sender"] == "0x" + tx.sender.hex()
    problem(served.http.get(f"/v1/entries/{T}/0x{'00' * 32}"), 404, "entry.unknown")
    problem(served.http.get(f"/v1/entries/{T}/0x00"), 400, "format.hex")
    problem(served.http.get(f"/v1/entries/eip155:5/0x{'00' * 32}"), 404, "entry.target")


def test_a_batch_gets_one_answer_for_each_in_order(served: Any, mainnet: list[Transaction]) -> None:
    good, bad = mainnet[10:13], b"\x02\xc0"
    results = served.client.submit_entries(T, [good[0].raw, bad, good[1].raw, good[0].raw, good[2].raw])
    assert [item.receipt is not None for item in results] == [True, False, True, False, True]
    assert [item.error.code for item in results if item.error] == ["entry.format", "entry.duplicate"]
    places = served.client.find_entries(T, [good[1].txid, bytes(32)])
    assert [item and item["state"] for item in places] == ["pooled", None]
    as_json = served.http.post(
        "/v1/entries/batch", json={"v": 1, "target": T, "raws": ["0x" + mainnet[13].raw.hex(), "0x00"]}
    )
    assert [sorted(item) for item in as_json.json()["results"]] == [["receipt"], ["error"]]


def test_sealing_goes_through_the_owner_and_the_bundle_is_public(served: Any, mainnet: list[Transaction]) -> None:
    served.owner.register()
    served.client.submit_entries(T, [item.raw for item in mainnet[100:200]])
    data = served.owner.seal(T, gas_limit=3_000_000)
    network = served.node.network
    header = verify_bundle(data, network=(network.ledger_id, network.registry_key)).bundle.header
    assert served.client.bundle(T, header.sequence) == data
    with pytest.raises(NotFoundError):
        served.client.bundle(T, 77)
    problem(served.http.post("/owner/seal", json={"target": T}), 404, "format.path")
    with pytest.raises(RefusedError):
        served.owner.seal(T, gas_limit=21_000, base_fee=10**18)


def test_the_owner_sees_more(served: Any) -> None:
    found = served.owner.owner_status()
    assert found["addresses"] == [served.url]
    assert found["obstacles"] == []
    assert "accepted" in found["counters"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "format.path"),
        ("GET", "/v1/status/", {}, 404, "format.path"),
        ("DELETE", "/v1/status", {}, 405, "format.method"),
        ("POST", "/v1/entries", {"content": b"x"}, 415, "format.media_type"),
        ("POST", "/v1/entries", {"content": b"{", "headers": {"content-type": JSON}}, 400, "format.json"),
        ("POST", "/v1/entries", {"content": b"[" * 9000, "headers": {"content-type": JSON}}, 400, "format.json"),
        ("POST", "/v1/entries", {"content": b'{"v":1.0}', "headers": {"content-type": JSON}}, 400, "format.json"),
        ("POST", "/v1/entries", {"content": b"\xff", "headers": {"content-type": CBOR}}, 400, "format.cbor"),
        ("POST", "/v1/entries", {"content": b"", "headers": {"content-type": CBOR}}, 400, "format.cbor"),
        ("POST", "/v1/entries", {"json": []}, 400, "format.request"),
        ("POST", "/v1/entries", {"json": {"target": T}}, 400, "format.request"),
        ("POST", "/v1/entries", {"json": {"target": T, "raw": "zz"}}, 400, "format.request"),
        ("POST", "/v1/entries", {"json": {"target": T, "raw": "0x00", "more": 1}}, 400, "format.request"),
        ("POST", "/v1/entries", {"json": {"target": "mars", "raw": "0x00"}}, 400, "format.request"),
        ("POST", "/v1/entries", {"json": {"target": "eip155:9", "raw": "0x00"}}, 404, "entry.target"),
        ("POST", "/v1/entries", {"json": {"v": 2, "target": T, "raw": "0x00"}}, 400, "format.request"),
        ("POST", "/v1/entries/batch", cbor({"v": 1, "target": T, "raws": []}), 400, "format.request"),
        ("POST", "/v1/entries/batch", cbor({"v": 1, "target": T, "raws": ["x"]}), 400, "format.request"),
        ("POST", "/v1/entries/batch", cbor({"v": 1, "target": T, "raws": [b""] * 5001}), 400, "format.request"),
        ("POST", "/v1/entries/lookup", cbor({"v": 1, "target": T, "txids": [b"short"]}), 400, "format.request"),
        ("POST", "/v1/commands", cbor({"command": b"", "x": 1}), 400, "format.command"),
        ("POST", "/v1/commands", {"content": b"x" * 60_000}, 413, "limit.body"),
        ("POST", "/v1/registry/challenge", {"json": {"node_key": "did:key:z6Mkx"}}, 400, "format.did"),
        ("POST", "/v1/registry/challenge", {"json": {"node_key": 5}}, 400, "format.request"),
        ("GET", "/v1/registry/nodes?limit=0", {}, 400, "format.request"),
        ("GET", "/v1/registry/nodes?limit=many", {}, 400, "format.request"),
        ("GET", "/v1/blocks/first", {}, 400, "format.request"),
        ("GET", "/v1/bundles/1", {}, 400, "format.request"),
        ("GET", "/v1/bundles/99999999999999999999?target=eip155:1", {}, 400, "format.request"),
        ("GET", "/v1/bundles/1?target=eip155:1%00", {}, 404, "entry.target"),
        ("GET", "/v1/measure/download?bytes=5", {}, 403, "access.auth"),
        ("GET", "/v1/measure/download?bytes=99999999999", {}, 400, "format.request"),
        ("POST", "/v1/measure/upload", {"content": b"x"}, 403, "access.auth"),
        ("POST", "/v1/registry/reach", {"json": {"port": 8545}}, 403, "access.auth"),
    ],
)
def test_what_is_wrong_with_a_request_is_a_problem_with_a_code(
    served: Any, *, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    problem(served.http.request(method, path, **options), status, code)
    assert served.http.get("/readyz").status_code == 200


def test_the_input_is_not_echoed(served: Any) -> None:
    answer = served.http.post("/v1/entries", json={"target": T, "raw": "a-secret-of-mine"})
    assert "a-secret-of-mine" not in answer.text


def test_a_fault_of_ours_is_a_problem_without_its_reason(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("inner words")

    monkeypatch.setattr(served.node, "status", broken)
    answer = served.http.get("/v1/status")
    problem(answer, 500, "internal")
    assert "inner words" not in answer.text


def test_a_node_that_is_not_ready_says_why(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bpci_node.runtime.intake.RESERVE_BYTES", 1 << 62)
    answer = served.http.get("/readyz")
    assert answer.status_code == 503
    assert [item["code"] for item in answer.json()["obstacles"]] == ["storage.full"]
    problem(served.http.post("/v1/entries", json={"target": T, "raw": "0x00"}), 507, "storage.full")
    assert served.http.get("/v1/status").status_code == 200


def test_measuring_is_signed_counted_and_used_once(served: Any) -> None:
    assert served.client.measure_download(STRANGER, 3_000_000).size_bytes == 3_000_000
    assert served.client.measure_upload(STRANGER, b"x" * 1_000_000).seconds > 0
    sent: list[dict[str, Any]] = []
    real = served.client._transport.request

    def watched(method: str, target: str, **options: Any) -> Any:
        sent.append({"method": method, "url": target, **options})
        return real(method, target, **options)

    served.client._transport.request = watched
    try:
        served.client.measure_upload(STRANGER, b"once")
    finally:
        served.client._transport.request = real
    headers = sent[-1]["headers"]
    again = served.http.post("/v1/measure/upload", content=b"once", headers=headers)
    problem(again, 403, "access.replay")
    fresh = served.client.challenge(STRANGER.public_key)
    assert fresh.challenge


def test_one_measures_at_a_time_and_registered_nodes_have_a_place_of_their_own(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bpci_node.gateway.measuring.PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr("bpci_node.gateway.measuring.TURN_SECONDS", 3600.0)
    served.client.measure_upload(STRANGER, b"first")
    with pytest.raises(LimitError) as caught:
        served.client.measure_download(LocalSigner(b"\x0a" * 32), 1)
    assert caught.value.code == "limit.measuring"
    assert served.client.measure_download(STRANGER, 100_000).size_bytes == 100_000
    served.owner.register()
    assert served.client.measure_download(served.node.signer, 1).size_bytes == 1


def test_a_body_that_was_not_signed_is_refused(served: Any) -> None:
    from bpci_node.network.auth import sign_request

    signed = served.client.challenge(STRANGER.public_key)
    header = sign_request(
        STRANGER,
        challenge=signed.challenge,
        challenge_sig=signed.signature,
        method="POST",
        path="/v1/measure/upload",
        body=b"signed",
    )
    problem(served.http.post("/v1/measure/upload", content=b"other", headers={"BPCI-Auth": header}), 403, "access.auth")


def test_metrics_name_patterns_not_paths(served: Any) -> None:
    served.http.get(f"/v1/entries/{T}/0x{'12' * 32}")
    text = served.http.get("/metrics").text
    assert 'route="/v1/entries/{target}/{txid}"' in text
    assert "12" * 32 not in text
    for name in ("bpci_entries_accepted_total", "bpci_pool_entries", "bpci_store_commit_jobs_bucket", "bpci_ready 1"):
        assert name in text
    assert "process_resident_memory_bytes" in text


def test_a_source_that_asks_too_often_is_told_when_to_go_on(serve: Callable[..., Any]) -> None:
    node = serve(requests_per_second=5)
    answers = [node.http.get("/healthz") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem(refused, 429, "limit.requests")
    assert int(refused.headers["retry-after"]) >= 1


def test_headers_can_not_change_who_asks(serve: Callable[..., Any]) -> None:
    node = serve(requests_per_second=2)
    codes = [
        node.http.get("/healthz", headers={"x-forwarded-for": f"192.0.2.{number}"}).status_code for number in range(20)
    ]
    assert 429 in codes


def test_foreign_exceptions_do_not_leak_from_the_client(served: Any) -> None:
    with pytest.raises(BpciError):
        served.client.ledger.block(-1)
    assert json.dumps(served.client.status())
