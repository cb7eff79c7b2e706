"""What a node of a chain may do wrong, against a real socket; a real one answers in tests/integration."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bpci_node.errors import UnreachableError, UsageError
from bpci_node.mempool.state import SenderState
from bpci_node.network import chain_rpc
from bpci_node.network.chain_rpc import BATCH, ChainRpc

Reply = Callable[[list[dict[str, Any]]], Any]


@contextmanager
def chain(reply: Reply, *, status: int = 200) -> Iterator[tuple[str, list[list[dict[str, Any]]]]]:
    """Serve JSON-RPC; ``reply`` makes the body of the answer to each batch. Yields URL and the batches asked for."""
    asked: list[list[dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(calls)
            made = reply(calls)
            body = made if isinstance(made, bytes) else json.dumps(made).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v3/secret?key=secret", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def honest(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answer like a node of chain 5 where an account has as its nonce its first byte, and that many thousand wei."""
    answers = []
    for call in calls:
        if call["method"] == "eth_chainId":
            value = 5
        else:
            address, block = call["params"]
            assert block == "latest"
            first = int(address[2:4], 16)
            value = first if call["method"] == "eth_getTransactionCount" else first * 1000
        answers.append({"jsonrpc": "2.0", "id": call["id"], "result": hex(value)})
    return answers


def address(first: int, rest: int = 0) -> bytes:
    return bytes([first]) + rest.to_bytes(19, "big")


def refusal(url: str, chain_id: int = 5, **options: Any) -> UnreachableError:
    provider = ChainRpc(url, chain_id, **options)
    try:
        with pytest.raises(UnreachableError) as caught:
            provider.states([address(1)])
    finally:
        provider.close()
    assert "secret" not in caught.value.message
    return caught.value


def test_accounts_are_asked_for_in_batches_and_once() -> None:
    many = [address(number % 200, number) for number in range(2 * BATCH + 1)]
    with chain(honest) as (url, asked):
        provider = ChainRpc(url, 5)
        found = provider.states([*many, many[0]])
        assert dict(found) == {item: SenderState(item[0], item[0] * 1000) for item in many}
        assert [len(calls) for calls in asked] == [1 + 2 * BATCH, 2 * BATCH, 2]
        assert provider.states([]) == {}
        assert dict(provider.states(many[:3])) == {item: found[item] for item in many[:3]}
        assert len(asked) == 3
        provider.forget()
        provider.states(many[:3])
        assert len(asked) == 4
        provider.close()


def test_answers_grow_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_rpc, "MAX_AGE_SECONDS", 0.0)
    with chain(honest) as (url, asked):
        provider = ChainRpc(url, 5)
        provider.states([address(1)])
        provider.states([address(1)])
        assert len(asked) == 2
        provider.close()


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_rpc, "MAX_KEPT", 2)
    with chain(honest) as (url, asked):
        provider = ChainRpc(url, 5)
        provider.states([address(1), address(2), address(3)])
        provider.states([address(2), address(3)])
        assert len(asked) == 1
        provider.states([address(1)])
        assert len(asked) == 2
        provider.close()


def test_answers_may_come_in_any_order() -> None:
    with chain(lambda calls: honest(calls)[::-1]) as (url, _):
        provider = ChainRpc(url, 5)
        assert provider.states([address(7)]) == {address(7): SenderState(7, 7000)}
        provider.close()


def test_another_chain_is_refused() -> None:
    with chain(honest) as (url, _):
        error = refusal(url, chain_id=6)
    assert error.code == "unreachable.chain_id"
    assert "chain 5, not 6" in error.message


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"not json",
        b"[" * 10_000,
        b"{}",
        [],
        lambda calls: honest(calls)[1:],
        lambda calls: [*honest(calls)[:-1], honest(calls)[0]],
        lambda calls: [*honest(calls), {}],
        lambda calls: [7] * len(calls),
        lambda calls: [item | {"id": None} for item in honest(calls)],
        lambda calls: [item | {"id": item["id"] + 1} for item in honest(calls)],
        lambda calls: [item | {"result": "0x"} for item in honest(calls)],
        lambda calls: [item | {"result": "0x01"} for item in honest(calls)],
        lambda calls: [item | {"result": "-0x1"} for item in honest(calls)],
        lambda calls: [item | {"result": 1} for item in honest(calls)],
        lambda calls: [item | {"result": "0x1" + "0" * 64} for item in honest(calls)],
        lambda calls: [{"id": item["id"], "error": {"code": -32000, "message": "busy\n"}} for item in calls],
    ],
)
def test_what_makes_no_sense_is_not_believed(wrong: Any) -> None:
    with chain(wrong if callable(wrong) else lambda _: wrong) as (url, _):
        assert refusal(url).code == "unreachable.chain_reply"


def test_the_nodes_own_words_are_passed_on() -> None:
    with chain(lambda calls: [{"id": 0, "error": {"message": "out of\nservice"}}] * len(calls)) as (url, _):
        assert refusal(url).message.endswith("out of service")


def test_an_error_status_is_no_answer() -> None:
    with chain(honest, status=429) as (url, _):
        error = refusal(url)
    assert error.code == "unreachable.chain_reply"
    assert "429" in error.message


def test_a_reply_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_rpc, "MAX_REPLY_BYTES", 1000)
    with chain(lambda _: b" " * 2000) as (url, _):
        assert refusal(url).code == "unreachable.chain"


def test_nothing_is_waited_for_without_end() -> None:
    release = threading.Event()
    with chain(lambda calls: (release.wait(5), honest(calls))[1]) as (url, _):
        error = refusal(url, timeout_seconds=0.2)
        release.set()
    assert error.code == "unreachable.chain"
    assert "in time" in error.message


def test_nobody_there_is_said() -> None:
    assert refusal("http://127.0.0.1:9/secret").code == "unreachable.chain"


def test_a_failed_question_is_not_remembered() -> None:
    good = threading.Event()
    with chain(lambda calls: honest(calls) if good.is_set() else []) as (url, _):
        provider = ChainRpc(url, 5)
        with pytest.raises(UnreachableError):
            provider.states([address(4)])
        good.set()
        assert provider.states([address(4)]) == {address(4): SenderState(4, 4000)}
        provider.close()


@pytest.mark.parametrize("url", ["", "localhost", "ftp://example.net", "http://", "http://exa mple", "http://h:99999"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        ChainRpc(url, 5)
    assert caught.value.code == "config.value"
