from typing import Any

import pytest

from bpci_node.errors import LimitError
from bpci_node.gateway.limits import ConnectionLimit, RateLimit, source_of
from bpci_node.primitives import codec


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.5", "192.0.2.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.5", "192.0.2.5"),
        (None, "local"),
        ("nonsense", "unknown"),
    ],
)
def test_sources_are_addresses_or_64_networks(address: str | None, source: str) -> None:
    assert source_of(address) == source


def test_a_bucket_empties_refills_and_says_how_long_to_wait() -> None:
    limit = RateLimit(2, 4, code="limit.requests")
    for _ in range(4):
        limit.take("a", now=0.0)
    with pytest.raises(LimitError) as caught:
        limit.take("a", now=0.0)
    assert caught.value.details["retry_after_seconds"] >= 1
    limit.take("b", now=0.0)
    limit.take("a", now=0.5)
    with pytest.raises(LimitError):
        limit.take("a", now=0.5)
    for _ in range(4):
        limit.take("a", now=100.0)
    with pytest.raises(LimitError):
        limit.take("a", now=100.0)


def test_a_refused_request_costs_nothing() -> None:
    limit = RateLimit(1, 2, code="limit.requests")
    limit.take("a", 2, now=0.0)
    for _ in range(50):
        with pytest.raises(LimitError):
            limit.take("a", now=0.5)
    limit.take("a", now=1.0)


def test_many_sources_cost_bounded_memory() -> None:
    limit = RateLimit(1, 1, code="limit.requests", max_sources=100)
    for number in range(1000):
        limit.take(str(number), now=0.0)
    assert len(limit._buckets) == 100


def test_connections_are_counted_in_all_and_per_source() -> None:
    limit = ConnectionLimit(3, 2)
    assert limit.enter("a")
    assert limit.enter("a")
    assert not limit.enter("a")
    assert limit.enter("b")
    assert not limit.enter("c")
    limit.leave("a")
    assert limit.enter("c")
    assert (limit.count, limit.refused) == (3, 2)


def test_entries_are_counted_per_source_over_all_requests(serve: Any) -> None:
    served = serve(entries_per_second=10)
    body = codec.encode({"v": 1, "target": "eip155:1", "raws": [b"\xff"] * 3_000})
    headers = {"Content-Type": "application/cbor"}
    assert served.http.post("/v1/entries/batch", content=body, headers=headers).status_code == 200
    refused = served.http.post("/v1/entries/batch", content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "limit.entries")
    assert int(refused.headers["Retry-After"]) >= 90
    # What is left of the burst is enough for single ones, and for many look-ups.
    single = served.http.post("/v1/entries", json={"target": "eip155:1", "raw": "0x00"})
    assert single.json()["code"] == "entry.type"
    lookup = codec.encode({"v": 1, "target": "eip155:1", "txids": [bytes(32)] * 8_000})
    assert served.http.post("/v1/entries/lookup", content=lookup, headers=headers).status_code == 200
