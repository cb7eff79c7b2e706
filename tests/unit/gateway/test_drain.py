"""Draining over the owner's socket."""

from typing import Any

import pytest

from bpci_node.errors import FormatError
from bpci_node.network.owner_client import OwnerClient


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
