"""Every way in which a connection can fail, against real sockets: each becomes an error of the product's own."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bpci_node.errors import AccessError, BpciError, FormatError, LimitError, RefusedError
from bpci_node.network.client import NodeClient
from bpci_node.network.transport import Transport, error_of_problem

Answer = Callable[[socket.socket], None]


@contextmanager
def serving(answer: Answer, *, speaks_first: bool = False) -> Iterator[str]:
    """Serve connections one after the other; ``answer`` writes to each, after the head has come or at once."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    while not speaks_first and b"\r\n\r\n" not in connection.recv(65536):
                        pass
                    answer(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def says(head: str, body: bytes = b"") -> Answer:
    return lambda connection: connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


def failure(base: str | Path, **options: float) -> BpciError:
    with pytest.raises(BpciError) as caught, NodeClient(base, **options) as client:
        client.status()
    assert type(caught.value).__module__ == "bpci_node.errors"
    assert caught.value.hint
    return caught.value


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}")
    assert (error.code, error.status) == ("unreachable.refused", 3)


def test_a_name_that_does_not_exist() -> None:
    assert failure("http://no-such-host.invalid:8545").code == "unreachable.dns"


def test_no_such_socket(tmp_path: Path) -> None:
    assert failure(tmp_path / "owner.sock").code == "unreachable.socket"


def test_an_answer_that_never_comes() -> None:
    with serving(lambda _connection: time.sleep(1)) as url:
        assert failure(url, timeout_seconds=0.3).code == "unreachable.timeout"


def test_an_answer_that_drips_is_cut_off_by_the_time_in_all() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(40):
            connection.sendall(b" ")
            time.sleep(0.05)

    with serving(drip) as url:
        assert failure(url, timeout_seconds=0.5).code == "unreachable.timeout"


def test_a_server_that_is_no_node() -> None:
    with serving(says("HTTP/1.1 200 OK\ncontent-type: text/html\ncontent-length: 5", b"<html")) as url:
        assert failure(url).code == "unreachable.not_a_node"
    with serving(says("HTTP/1.1 404 Not Found\ncontent-length: 0")) as url:
        assert failure(url).code == "unreachable.not_a_node"
    with serving(says("220 mail.example ESMTP")) as url:
        assert failure(url).code == "unreachable.not_a_node"
    with serving(says("HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2", b"[]")) as url:
        assert failure(url).code == "format.reply"


def test_a_redirect_is_not_followed() -> None:
    with serving(says("HTTP/1.1 302 Found\nlocation: http://127.0.0.1:1/\ncontent-length: 0")) as url:
        assert failure(url).code == "unreachable.not_a_node"


def test_tls_where_none_is_spoken() -> None:
    with serving(says("220 mail.example ESMTP"), speaks_first=True) as url:
        assert failure(url.replace("http:", "https:")).code == "unreachable.tls"


def test_a_connection_that_breaks_off() -> None:
    with serving(lambda connection: connection.close()) as url:
        assert failure(url).code.startswith("unreachable.")
    with serving(says("HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 50", b"{")) as url:
        assert failure(url).code.startswith("unreachable.")


def test_a_reply_longer_than_what_is_read() -> None:
    body = b"x" * 100_000
    head = f"HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {len(body)}"
    with serving(says(head, body)) as url:
        transport = Transport(url)
        with pytest.raises(FormatError) as caught:
            transport.request("GET", "/", reply_bytes=1000)
        assert caught.value.code == "format.reply"
        transport.close()


def test_a_problem_becomes_the_error_that_it_was() -> None:
    problem = LimitError("slow down", code="limit.requests", hint="Wait.", retry_after_seconds=3).as_problem()
    error = error_of_problem(problem)
    assert isinstance(error, LimitError)
    assert (error.code, error.hint, error.details) == ("limit.requests", "Wait.", {"retry_after_seconds": 3})
    assert isinstance(error_of_problem(AccessError("no").as_problem()), AccessError)
    assert isinstance(error_of_problem({"code": "x.y", "title": "t", "status": 418}), RefusedError)


@pytest.mark.parametrize("value", [None, [], {}, {"code": 1, "title": "t", "status": 400}, {"code": "a", "title": "t"}])
def test_what_is_no_problem_is_none(value: object) -> None:
    assert error_of_problem(value) is None


def test_text_of_a_stranger_is_printable_and_short() -> None:
    error = error_of_problem({"code": "a.b", "title": "\x1b[31m" + "x" * 9999, "status": 400})
    assert error is not None
    assert error.message.isprintable()
    assert len(error.message) <= 500


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with serving(says("HTTP/1.1 200 OK\ncontent-type: text/html\ncontent-length: 0")) as url:
        assert failure(url).code == "unreachable.not_a_node"


def test_an_address_that_is_no_url_is_a_wrong_form() -> None:
    with pytest.raises(FormatError):
        NodeClient("not a url")
