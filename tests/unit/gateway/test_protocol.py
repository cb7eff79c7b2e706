"""Connections at their limits, over raw sockets."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from bpci_node.gateway import protocol
from bpci_node.gateway.protocol import owner_gate


def talk(address: tuple[str, int], *parts: bytes, pause: float = 0.0) -> bytes:
    with socket.create_connection(address, timeout=10) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
            time.sleep(pause)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def code_of(reply: bytes) -> str:
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, reply[:200]
    return str(json.loads(body)["code"])


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00",
        b"HELLO\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\nGET /\x00 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_told_so(served: Any, request_bytes: bytes) -> None:
    assert code_of(talk(served.address, request_bytes + b"\r\n\r\n")) == "format.http"


def test_a_head_that_is_too_long_is_refused_in_one_piece_and_in_many(served: Any) -> None:
    line = b"x-long: " + b"a" * 1000 + b"\r\n"
    whole = b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + line * 40 + b"\r\n"
    assert code_of(talk(served.address, whole)) == "limit.headers"
    parts = [b"GET /healthz HTTP/1.1\r\nhost: x\r\n", *[line] * 40]
    assert code_of(talk(served.address, *parts, pause=0.002)) == "limit.headers"
    url = b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"
    assert code_of(talk(served.address, url)) == "limit.headers"


def test_a_head_that_does_not_come_is_not_waited_for(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
    assert code_of(talk(served.address, b"GET /healthz HTTP/1.1\r\n")) == "limit.slow"
    assert code_of(talk(served.address)) == "limit.slow"


def test_a_body_beyond_the_limit_is_cut_off_with_an_answer(serve: Callable[..., Any]) -> None:
    node = serve(body_bytes=65536)
    head = b"POST /v1/entries/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/cbor\r\nconnection: close\r\n"
    announced = head + b"content-length: 5000000\r\n\r\n"
    assert b" 413 " in talk(node.address, announced, b"x" * 5_000_000).partition(b"\r\n")[0]
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    endless = [head + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n"]
    assert b" 413 " in talk(node.address, *endless).partition(b"\r\n")[0]


def test_a_body_that_does_not_come_is_not_waited_for(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bpci_node.gateway.body.BODY_SECONDS", 0.02)
    head = b"POST /v1/entries HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 50\r\n\r\n"
    with socket.create_connection(served.address, timeout=10) as connection:
        connection.sendall(head + b"x")
        found = b""
        while part := connection.recv(65536):
            found += part
        assert code_of(found) == "limit.slow"


def test_requests_follow_one_another_on_one_connection(served: Any) -> None:
    one = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert talk(served.address, one, one, last, pause=0.05).count(b"200 OK") == 3
    assert talk(served.address, one + one + last).count(b"200 OK") == 3


def test_too_many_connections_of_one_source_are_turned_away_and_room_returns(serve: Callable[..., Any]) -> None:
    node = serve(connections_per_source=3)
    held = [socket.create_connection(node.address, timeout=10) for _ in range(3)]
    try:
        time.sleep(0.1)
        assert code_of(talk(node.address)) == "limit.connections"
    finally:
        for connection in held:
            connection.close()
    for _ in range(300):  # the node learns of the closed connections when it comes to it
        if node.http.get("/healthz").status_code == 200:
            break
        time.sleep(0.1)
    assert node.http.get("/healthz").status_code == 200


def test_a_request_smuggled_behind_two_lengths_is_refused(served: Any) -> None:
    head = b"POST /v1/entries HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert code_of(talk(served.address, head)) == "format.http"


def test_the_owners_gate_knows_root_itself_and_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 880)
    gate = owner_gate("daemon")
    assert gate(0, 0)
    assert gate(880, 880)
    assert gate(65534, 1)
    assert not gate(65534, 65534)
    assert not owner_gate("")(65534, 1)
    assert not owner_gate("no-such-group")(65534, 1)
