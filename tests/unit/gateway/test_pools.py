"""What the API shows of a pool: summary, buckets, one bucket."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from coincurve import PrivateKey

from bpci_node.errors import NotFoundError, RefusedError
from bpci_node.mempool.bucket_key import bucket_id
from bpci_node.mempool.cancellation import Cancellation, typed_digest
from bpci_node.mempool.receipt import EntryReceipt
from bpci_node.network.wire import json_view
from bpci_node.primitives.ethereum import Transaction
from bpci_node.runtime import overview as overview_module

T = "eip155:1"


@pytest.fixture
def filled(serve: Any, mainnet: list[Transaction], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(overview_module, "GLANCE_SECONDS", 0.0)
    monkeypatch.setattr(overview_module, "HEADER_SECONDS", 0.0)
    served = serve()
    served.client.submit_entries(T, [item.raw for item in mainnet[:300]])
    return served


def pages(http: httpx.Client, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = "0x"
    while after is not None:
        page = http.get(f"/v1/mempool/{T}/buckets", params={"after": after, "limit": limit}).json()
        assert len(page["buckets"]) <= limit
        found += page["buckets"]
        after = page["next"]
    return found


def test_a_summary_says_terms_limits_funding_and_roots(filled: Any) -> None:
    said = filled.http.get(f"/v1/mempool/{T}").json()
    pool = filled.node.pools[T].pool
    assert (said["target"], said["count"], said["bytes"]) == (T, len(pool), pool.raw_bytes)
    assert said["funding"] == "unchecked"
    assert (said["least_fee_wei"], said["crowded"]) == ("0", False)
    assert said["limits"]["entries"] == 100_000
    assert said["buckets"] == len(pool.buckets())
    assert said["roots"]["merkle_mesh_root"] == "0x" + pool.merkle_mesh_root().hex()
    assert said["roots"]["arrival_seq"] == 300


def test_buckets_come_in_pages_in_the_order_of_their_keys(filled: Any) -> None:
    pool = filled.node.pools[T].pool
    found = pages(filled.http, 7)
    assert [item["key"] for item in found] == ["0x" + bucket.key.hex() for bucket in pool.buckets()]
    assert sum(item["count"] for item in found) == len(pool)
    for item, bucket in zip(found, pool.buckets(), strict=True):
        fees = [entry.leaf.fee_per_w for entry in bucket]
        assert (item["min_fee_wei"], item["max_fee_wei"]) == (str(min(fees)), str(max(fees)))
        assert item["bucket_id"] == "0x" + bucket_id(T, bucket.key).hex()
        assert int(item["gas_sum"]) == bucket.gas_sum


def test_the_entries_of_a_bucket_come_as_they_were_signed_the_dearest_first(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = filled.node.pools[T].pool
    bucket = max(pool.buckets(), key=len)
    expected = [(entry.leaf.txid, entry.transaction.raw) for entry in bucket]
    assert len(expected) > 3
    place, found, skip = f"/v1/mempool/{T}/buckets/0x{bucket.key.hex()}/entries", [], 0
    while skip is not None:
        page = filled.http.get(place, params={"skip": skip, "limit": 2}).json()
        found += [(bytes.fromhex(item["txid"][2:]), bytes.fromhex(item["raw"][2:])) for item in page["entries"]]
        skip = page["next"]
    assert found == expected
    assert filled.http.get(place, params={"skip": 10_000}).json() == {"v": 1, "entries": [], "next": None}
    assert list(filled.client.mempool.entries(T, bucket.key)) == [raw for _, raw in expected]
    monkeypatch.setattr(overview_module, "MAX_PAGE_BYTES", 1)
    assert len(filled.http.get(place).json()["entries"]) == 1
    answer = filled.http.get(f"/v1/mempool/{T}/buckets/0x00000000/entries")
    assert (answer.status_code, answer.json()["code"]) == (404, "mempool.no_bucket")
    assert filled.http.get(place, params={"limit": 257}).status_code == 400


def test_one_bucket_is_shown_as_in_the_list_and_an_empty_one_is_not_found(filled: Any) -> None:
    first = pages(filled.http, 200)[0]
    assert filled.http.get(f"/v1/mempool/{T}/buckets/{first['key']}").json() == first
    for key, status, code in (
        ("0x00000000", 404, "mempool.no_bucket"),
        ("0x00ff0000", 400, "mempool.class"),
        ("0x0000", 400, "mempool.bucket"),
        ("000", 400, "format.hex"),
    ):
        answer = filled.http.get(f"/v1/mempool/{T}/buckets/{key}")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert filled.http.get("/v1/mempool/eip155:99").json()["code"] == "entry.target"


def test_too_many_readers_are_turned_away(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview_module, "MAX_READERS", 0)
    answer = filled.http.get(f"/v1/mempool/{T}")
    assert (answer.status_code, answer.json()["code"]) == (429, "limit.busy")


def test_a_writer_that_stands_still_is_said_to(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filled.node.store.writer, "is_alive", lambda _seconds: False)
    for answer in (
        filled.http.get(f"/v1/mempool/{T}"),
        filled.http.post("/v1/entries", json={"target": T, "raw": "0x00"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (507, "storage.stalled")
    assert [item["code"] for item in filled.http.get("/readyz").json()["obstacles"]] == ["storage.stalled"]


def sign_typed(key: int, unsigned: Cancellation) -> Cancellation:
    signature = PrivateKey(key.to_bytes(32, "big")).sign_recoverable(typed_digest(unsigned), hasher=None)
    return replace(unsigned, signature=signature[:64] + bytes([27 + signature[64]]))


def test_only_its_sender_takes_an_entry_back_and_the_state_says_so(serve: Any, sign_raw: Callable[..., bytes]) -> None:
    served = serve()
    (taken,) = served.client.submit_entries(T, [sign_raw(7, max_fee=10**9)])
    receipt = EntryReceipt.decode(taken.receipt)
    unsigned = Cancellation(served.node.network.ledger_id, T, receipt.txid, receipt.arrival_seq, b"")
    with pytest.raises(RefusedError) as theirs:
        served.client.mempool.cancel(sign_typed(8, unsigned).encode())
    assert theirs.value.code == "entry.not_yours"
    assert served.node.pools[T].count == 1
    body = {key: json_view(value) for key, value in sign_typed(7, unsigned).signed_value().items()}
    body["signature"] = json_view(sign_typed(7, unsigned).signature)
    answer = served.http.post("/v1/entries/cancel", json=body)
    assert answer.json() == {"txid": "0x" + receipt.txid.hex(), "arrival_seq": 1, "state": "cancelled"}
    assert served.node.pools[T].count == 0
    assert served.client.entry(T, receipt.txid)["state"] == "cancelled"
    assert (served.node.counters.cancelled, served.node.counters.refused) == (1, {"entry.not_yours": 1})
    with pytest.raises(NotFoundError) as gone:
        served.client.mempool.cancel(sign_typed(7, unsigned).encode())
    assert gone.value.code == "entry.not_waiting"


def test_a_refused_cancellation_does_not_make_the_node_build_its_pool_anew(
    serve: Any, sign_raw: Callable[..., bytes]
) -> None:
    served = serve()
    served.client.submit_entries(T, [sign_raw(7)])
    before = served.node.pools[T].pool
    with pytest.raises(NotFoundError):
        served.client.mempool.cancel(Cancellation(served.node.network.ledger_id, T, bytes(32), 1, bytes(65)).encode())
    served.client.submit_entries(T, [sign_raw(8)])
    assert served.node.pools[T].pool is before


def test_a_body_that_is_no_cancellation_is_refused(served: Any) -> None:
    for body in (
        {},
        {"v": 1, "ledger_id": "x", "target": T, "txid": "0x" + "00" * 32, "arrival_seq": 1, "signature": "0x"},
    ):
        answer = served.http.post("/v1/entries/cancel", json=body)
        assert (answer.status_code, answer.json()["code"]) in ((400, "format.request"), (400, "entry.cancellation"))
