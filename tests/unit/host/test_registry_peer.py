import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bpci_node.chain.challenge import issue_challenge
from bpci_node.errors import AccessError, BpciError, FormatError, UnreachableError
from bpci_node.host.checks.clock import offset_ms
from bpci_node.host.registry_peer import RegistryPeer
from bpci_node.network.auth import verify_request
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner, public_key_of

LEDGER = "devnet:" + "ab" * 32
REGISTRY, NODE = LocalSigner(bytes([3]) * 32), LocalSigner(bytes([1]) * 32)


class Registry(BaseHTTPRequestHandler):
    """The few paths of a registry that measuring needs, with the real challenges and signatures."""

    protocol_version = "HTTP/1.1"
    status: dict[str, Any]

    def log_message(self, *_arguments: object) -> None:
        """Be silent."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/v1/status":
            self._answer(json.dumps(type(self).status | {"time_ms": now_ms()}).encode())
        else:
            self._verify(b"")
            self._answer(bytes(int(parse_qs(parts.query)["bytes"][0])), "application/octet-stream")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/registry/challenge":
            key = public_key_of(json.loads(body)["node_key"])
            challenge, signature = issue_challenge(
                REGISTRY, ledger_id=LEDGER, node_key=key, now_ms=now_ms(), nonce16=bytes(16)
            )
            self._answer(
                json.dumps({"challenge": "0x" + challenge.hex(), "signature": "0x" + signature.hex()}).encode()
            )
        else:
            self._verify(body)
            self._answer(json.dumps({"bytes": len(body)}).encode())

    def _verify(self, body: bytes) -> None:
        request = verify_request(
            self.headers["BPCI-Auth"],
            method=self.command,
            path=self.path,
            registry_key=REGISTRY.public_key,
            ledger_id=LEDGER,
            now_ms=now_ms(),
        )
        assert request.node_key == NODE.public_key
        assert request.body_digest == sha256(body)

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Refusing(Registry):
    """Refuses whatever is signed."""

    def _verify(self, body: bytes) -> None:
        del body

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        if self.path.startswith("/v1/measure"):
            problem = {"type": "x", "title": "not you", "status": 403, "code": "access.auth"}
            body, kind, status = json.dumps(problem).encode(), "application/problem+json", 403
        super()._answer(body, kind, status)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def serve(handler: type[Registry]) -> Iterator[str]:
    handler.status = {"v": 1, "node": {}, "ledger": {"id": LEDGER}}
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def registry() -> Iterator[str]:
    yield from serve(Registry)


@pytest.fixture
def refusing() -> Iterator[str]:
    yield from serve(Refusing)


def test_both_directions_and_the_time_are_measured_with_signed_requests(registry: str) -> None:
    with RegistryPeer(registry, NODE) as peer:
        assert 0 < peer.download(1 << 20) < 10
        assert 0 < peer.upload(1 << 20) < 10
        offset, uncertainty = offset_ms(peer)
        assert abs(offset) <= uncertainty + 1


def test_a_registry_that_refuses_is_told_from_one_that_is_not_there(refusing: str) -> None:
    with RegistryPeer(refusing, NODE) as peer, pytest.raises(AccessError):
        peer.upload(1000)
    with RegistryPeer("http://127.0.0.1:1", NODE) as peer, pytest.raises(UnreachableError):
        peer.download(1000)


def test_a_status_without_a_time_is_refused(registry: str) -> None:
    Registry.status = {"v": 1, "node": {}, "ledger": {"id": LEDGER}}
    with RegistryPeer(registry, NODE) as peer:
        peer.time_ms()
        now = Registry.do_GET
        try:
            Registry.do_GET = lambda self: self._answer(json.dumps(type(self).status).encode())  # type: ignore[method-assign]
            with pytest.raises(FormatError):
                peer.time_ms()
        finally:
            Registry.do_GET = now  # type: ignore[method-assign]


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(BpciError):
        RegistryPeer("ftp://x", NODE)
