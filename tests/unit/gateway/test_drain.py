"""Draining over the owner's socket."""

import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from bpci_node.errors import FormatError
from bpci_node.network.owner_client import OwnerClient
from bpci_node.update.draining import drain


def test_the_owner_lets_a_node_drain_and_takes_it_back(serve: Any) -> None:
    served = serve("drained")
    with OwnerClient(served.socket) as owner:
        assert owner.drain_status() == {
            "draining": False,
            "deadline_ms": None,
            "closed": False,
            "seats": [],
            "windows": 0,
            "owed": 0,
            "drained": False,
        }
        found = owner.drain(600)
        assert (found["draining"], found["drained"], found["closed"]) == (True, True, False)
        assert owner.drain(0)["closed"]
        assert not owner.resume()["draining"]
        with pytest.raises(FormatError):
            owner.drain(-1)
    assert served.http.post("/owner/drain", json={"seconds": 1}).status_code == 404  # nobody else may


def test_whoever_stops_waiting_for_the_auctions_lets_the_node_take_part_again(serve: Any) -> None:
    served, told = serve("waited"), list[str]()
    journal = SimpleNamespace(windows=lambda *_: [], incomplete=list, owed=list)
    served.node.auction = SimpleNamespace(runs={}, journal=journal, seats=lambda: [5])

    def interrupt() -> None:
        while not served.node.drain.is_draining:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    waiting = threading.Thread(target=interrupt)
    # Whoever runs these tests in the background may have told them to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        waiting.start()
        with pytest.raises(KeyboardInterrupt):
            drain(served.node.config, 60, told.append)
        waiting.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not served.node.drain.is_draining
    served.node.auction = None
    assert drain(served.node.config, 60, told.append)
    assert told == ["letting the auctions end"] * 2
