"""The stream of auctions over real sockets: everything once and in order, from wherever a subscriber was."""

import asyncio
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bpci_node.errors import UnreachableError
from bpci_node.network.auction_client import AuctionClient
from bpci_node.primitives import codec
from bpci_node.runtime.auction_stream import AuctionStream
from bpci_node.store.auction_journal import AuctionJournal


@pytest.fixture
def journal(served: Any, tmp_path: Any) -> Iterator[AuctionJournal]:
    """A journal whose stream the served node gives out."""
    opened = AuctionJournal(tmp_path)

    async def begin() -> asyncio.Task[None]:
        stream = AuctionStream(opened)
        served.node.auction = SimpleNamespace(stream=stream, journal=opened)
        return asyncio.create_task(stream.run())

    task = asyncio.run_coroutine_threadsafe(begin(), served.loop).result(5)
    yield opened
    served.node.auction = None
    served.loop.call_soon_threadsafe(task.cancel)
    opened.close()


def tell(journal: AuctionJournal, count: int, target: str = "eip155:1", kind: str = "window") -> None:
    for number in range(count):
        journal.add_event(kind, target, codec.encode({"number": number})).result()


def known(served: Any, last: int) -> None:
    """Wait until the node has heard of an event."""
    for _ in range(500):
        if served.node.auction.stream.last >= last:
            return
        time.sleep(0.01)
    raise AssertionError("the stream did not hear of it")


def test_a_subscriber_gets_what_was_and_what_comes_and_resumes_where_it_broke(
    served: Any, journal: AuctionJournal
) -> None:
    tell(journal, 3)
    known(served, 3)
    with AuctionClient(served.url) as client:
        events = client.subscribe(timeout_seconds=5)
        assert [next(events)["sequence"] for _ in range(3)] == [1, 2, 3]
        tell(journal, 2, kind="bundle")
        fourth = next(events)
        assert (fourth["sequence"], fourth["kind"], fourth["data"]) == (4, "bundle", {"number": 0})
        events.close()
        again = client.subscribe(after=4, timeout_seconds=5)
        assert next(again)["sequence"] == 5
        again.close()
        assert [event["sequence"] for event in client.events(after=2)] == [3, 4, 5]


def test_a_subscriber_may_want_one_target_or_one_kind(served: Any, journal: AuctionJournal) -> None:
    tell(journal, 2)
    tell(journal, 1, target="eip155:10")
    tell(journal, 1, kind="bundle")
    with AuctionClient(served.url) as client:
        by_target = client.subscribe(target="eip155:10", timeout_seconds=5)
        by_kind = client.subscribe(kind="bundle", timeout_seconds=5)
        assert (next(by_target)["sequence"], next(by_kind)["sequence"]) == (3, 4)
        by_target.close()
        by_kind.close()


def test_browsers_get_json(served: Any, journal: AuctionJournal) -> None:
    journal.add_event("window", "eip155:1", codec.encode({"digest": b"\x01"})).result()
    url = served.url.replace("http", "ws") + "/v1/auction/stream?form=json"
    with connect(url, proxy=None) as socket:
        assert '"digest": "0x01"' in str(socket.recv(timeout=5))


@pytest.mark.parametrize("query", ["?after=-1", "?after=x", "?form=xml"])
def test_a_wrong_wish_is_refused(served: Any, journal: AuctionJournal, query: str) -> None:
    with (
        pytest.raises(InvalidStatus),
        connect(f"{served.url.replace('http', 'ws')}/v1/auction/stream{query}", proxy=None),
    ):
        pass


def test_who_is_ahead_of_the_stream_or_asks_no_validator_is_refused(served: Any, journal: AuctionJournal) -> None:
    with AuctionClient(served.url) as client:
        with pytest.raises(UnreachableError):
            next(client.subscribe(after=99))
        served.node.auction = None
        with pytest.raises(UnreachableError):
            next(client.subscribe())


def test_subscribers_are_limited_and_each_gives_its_place_back(serve: Callable[..., Any], tmp_path: Any) -> None:
    del tmp_path
    served = serve(connections_per_source=4)
    url = served.url.replace("http", "ws") + "/v1/auction/stream"
    for _ in range(12):
        with pytest.raises(InvalidStatus), connect(url, proxy=None):
            pass
    assert served.http.get("/healthz").status_code == 200


def test_what_a_subscriber_says_is_bounded_and_not_listened_to(served: Any, journal: AuctionJournal) -> None:
    url = served.url.replace("http", "ws") + "/v1/auction/stream"
    with connect(url, proxy=None) as socket:
        socket.send("hello")
        tell(journal, 1)
        assert socket.recv(timeout=5)
        socket.send(b"x" * 5000)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
