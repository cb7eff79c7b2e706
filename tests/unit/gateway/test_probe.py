import asyncio
import socket
import threading
from typing import Any

from bpci_node.gateway.probe import PROBE_BYTES, answers_as
from bpci_node.primitives.keys import LocalSigner, did_of


def ask(port: int, did: str) -> bool:
    return asyncio.run(answers_as("127.0.0.1", port, did))


def answer_with(*parts: bytes) -> int:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, listening:
            connection.recv(65536)
            try:
                for part in parts:
                    connection.sendall(part)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


def test_a_node_is_known_by_its_key(served: Any) -> None:
    did = did_of(served.node.signer.public_key)
    assert ask(served.address[1], did)
    assert not ask(served.address[1], did_of(LocalSigner(b"\x09" * 32).public_key))


def test_others_are_not() -> None:
    ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    body = b'{"node": {"did": "x"}}'
    assert ask(answer_with(ok + b"content-length: 22\r\n\r\n" + body), "x")
    assert not ask(answer_with(ok.replace(b"200", b"500") + b"content-length: 22\r\n\r\n" + body), "x")
    assert not ask(answer_with(ok.replace(b"200", b"302") + b"location: http://127.0.0.1/\r\n\r\n"), "x")
    assert not ask(answer_with(ok + b"content-length: 2\r\n\r\n[]"), "x")
    assert not ask(answer_with(ok + b"content-length: 9\r\n\r\nnot json!"), "x")
    assert not ask(answer_with(b"SSH-2.0-OpenSSH_9.2\r\n"), "x")
    assert not ask(answer_with(), "x")


def test_an_endless_answer_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"
    assert not ask(answer_with(head, *[b" " * PROBE_BYTES] * 50), "x")


def test_the_registry_reaches_back_only_to_who_asks(served: Any) -> None:
    signer = served.node.signer
    assert served.client.is_reachable(signer, served.address[1])
    assert not served.client.is_reachable(LocalSigner(b"\x0a" * 32), served.address[1])
