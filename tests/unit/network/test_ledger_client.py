"""What a node answers about its ledger is bounded and typed before anyone looks at it."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cbor2
import pytest

from bpci_node.errors import BpciError, FormatError
from bpci_node.network import ledger_client
from bpci_node.network.client import NodeClient


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], NodeClient]]:
    """Return a client of a server that answers everything with the same bytes."""
    made: list[tuple[ThreadingHTTPServer, NodeClient]] = []

    def serve(body: bytes, media_type: str = "application/cbor") -> NodeClient:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = NodeClient(f"http://127.0.0.1:{server.server_address[1]}")
        made.append((server, client))
        return client

    yield serve
    for server, client in made:
        client.close()
        server.shutdown()
        server.server_close()


def page(**changes: Any) -> bytes:
    value = {"v": 1, "first": 1, "checkpoint": None, "blocks": [{"block": b"b", "commands": [b"c"]}]}
    return cbor2.dumps(value | changes, canonical=True)


def test_a_page_is_read_as_it_is(answering: Any) -> None:
    found = answering(page()).ledger.blocks(1, 4)
    assert (found.first, found.checkpoint, found.blocks) == (1, None, ((b"b", (b"c",)),))


@pytest.mark.parametrize(
    "changes",
    [
        {"first": "1"},
        {"first": True},
        {"checkpoint": 5},
        {"blocks": {}},
        {"blocks": [1]},
        {"blocks": [{"block": b"b"}]},
        {"blocks": [{"block": "b", "commands": []}]},
        {"blocks": [{"block": b"b", "commands": b"c"}]},
        {"blocks": [{"block": b"b", "commands": [1]}]},
        {"blocks": [{"block": b"b", "commands": []}] * 5},
    ],
)
def test_a_page_of_another_form_is_refused(answering: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        answering(page(**changes)).ledger.blocks(1, 4)
    assert caught.value.code == "format.reply"


def test_lengths_are_not_trusted(answering: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_client, "PAGE_BYTES", 1_000)
    client = answering(page(blocks=[{"block": b"b" * 2_000, "commands": []}]))
    for call in (lambda: client.ledger.blocks(1, 4), lambda: answering(b"x" * 70_000).ledger.chunk(1, 0, 10)):
        with pytest.raises(FormatError) as caught:
            call()
        assert caught.value.code == "format.reply"


def test_what_is_no_node_is_said_to_be_none(answering: Any) -> None:
    client = answering(b"<html>", "text/html")
    for call in (
        client.ledger.genesis,
        client.ledger.snapshots,
        lambda: client.ledger.blocks(1, 4),
        lambda: client.ledger.manifest(5),
        lambda: client.ledger.chunk(5, 0, 100),
        lambda: client.ledger.state(b"key"),
    ):
        with pytest.raises(BpciError):
            call()
