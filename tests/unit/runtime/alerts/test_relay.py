"""The relay on real connections: a receiver that answers over HTTP, a mail server that speaks SMTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bpci_node.runtime.alerts import records
from bpci_node.runtime.alerts.config import DeadMan, Mail, Ntfy, Receiver, Webhook
from bpci_node.runtime.alerts.message import compose, read_notification
from bpci_node.runtime.alerts.relay import serve
from bpci_node.runtime.alerts.rendering import TEST_ALERT


def alert(name: str = "BpciDiskFull", *, status: str = "firing", severity: str = "critical", **labels: str) -> Any:
    annotations = {"summary": "the file system at /data is full", "description": "it refuses", "action": "Run it."}
    return {
        "status": status,
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": annotations,
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }


def notification(*alerts: Any) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "receiver": "x", "alerts": alerts}).encode()


class Web:
    """A web server that keeps what it was sent."""

    def __init__(self) -> None:
        self.status, self.requests = 200, list[tuple[str, str, dict[str, str], bytes]]()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                web.requests.append((self.command, self.path, dict(self.headers), body))
                self.send_response(web.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the base class names it so

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def hand_over(receivers: dict[str, Receiver], directory: Path, name: str, body: bytes, *, head: str = "") -> str:
    """Send the relay one request, as Alertmanager does, and return its answer."""
    ours, its = socket.socketpair()
    head = head or f"POST /{name} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n"
    ours.sendall(head.encode() + body)
    serve(its, receivers, directory)
    with ours:
        return b"".join(iter(lambda: ours.recv(65536), b"")).decode()


def test_a_webhook_gets_the_notification_as_it_is(web: Web, tmp_path: Path) -> None:
    body = notification(alert())
    hook = Webhook("chat", "warning", f"{web.url}/hooks?key=canary", "token")
    assert hand_over({"webhook:chat": hook}, tmp_path, "webhook:chat", body).startswith("HTTP/1.1 200 ")
    method, path, headers, sent = web.requests[0]
    assert (method, path, sent) == ("POST", "/hooks?key=canary", body)
    assert headers["Authorization"] == "Bearer token"
    assert records.read(tmp_path, "webhook:chat").succeeded_ms is not None


def test_ntfy_gets_words_that_a_person_reads(web: Web, tmp_path: Path) -> None:
    ntfy = Ntfy("phone", "warning", web.url, "topic", None)
    hand_over({"ntfy:phone": ntfy}, tmp_path, "ntfy:phone", notification(alert()))
    sent = json.loads(web.requests[0][3])
    assert sent["topic"] == "topic"
    assert sent["priority"] == 5
    assert sent["title"] == f"[CRITICAL] {socket.gethostname()}: the file system at /data is full"
    assert "It means: it refuses\n  Next: Run it.\n" in sent["message"]


def test_the_dead_mans_switch_is_fetched(web: Web, tmp_path: Path) -> None:
    hand_over({"dead-man:switch": DeadMan(f"{web.url}/ping/x", 5)}, tmp_path, "dead-man:switch", notification(alert()))
    assert web.requests[0][:2] == ("GET", "/ping/x")


def test_a_refusal_is_said_and_tried_again_and_shows_no_secret(web: Web, tmp_path: Path) -> None:
    web.status = 403
    hook = Webhook("chat", "warning", f"{web.url}/canary", "canary")
    body = notification(alert(TEST_ALERT, test_id="ab"))
    answer = hand_over({"webhook:chat": hook}, tmp_path, "webhook:chat", body)
    assert answer.startswith("HTTP/1.1 503 ")
    assert "canary" not in answer
    record = records.read(tmp_path, "webhook:chat")
    assert record.reason == record.test_reason == "127.0.0.1 answered with HTTP status 403"
    assert (record.test_id, record.succeeded_ms) == ("ab", None)
    web.status = 204
    hand_over({"webhook:chat": hook}, tmp_path, "webhook:chat", body)
    assert records.read(tmp_path, "webhook:chat").test_reason is None


def test_what_was_delivered_is_so_even_where_it_can_not_be_recorded(web: Web, tmp_path: Path) -> None:
    hook = Webhook("chat", "warning", web.url, None)
    answer = hand_over({"webhook:chat": hook}, tmp_path / "absent", "webhook:chat", notification(alert()))
    assert answer.startswith("HTTP/1.1 200 ")
    assert len(web.requests) == 1


def test_nobody_listening_is_said(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        hook = Webhook("chat", "warning", f"http://127.0.0.1:{closed.getsockname()[1]}/", None)
        answer = hand_over({"webhook:chat": hook}, tmp_path, "webhook:chat", notification(alert()))
    assert answer.startswith("HTTP/1.1 503 ")
    assert "refused the connection" in str(records.read(tmp_path, "webhook:chat").reason)


@pytest.mark.parametrize(
    ("name", "body", "head", "status"),
    [
        ("mail:nobody", b"{}", "", 404),
        ("webhook:chat", b"{}", "", 400),
        ("webhook:chat", b"[" * 5000, "", 400),
        ("webhook:chat", notification(), "", 400),
        ("webhook:chat", b"", "POST /webhook:chat HTTP/1.1\r\n\r\n", 411),
        ("webhook:chat", b"", "POST /webhook:chat HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("webhook:chat", b"", "GET /webhook:chat HTTP/1.1\r\n\r\n", 501),
    ],
    ids=["unknown", "empty", "deep", "no-alerts", "no-length", "long", "get"],
)
def test_what_is_no_notification_is_refused_for_good(
    web: Web, tmp_path: Path, *, name: str, body: bytes, head: str, status: int
) -> None:
    hook = Webhook("chat", "warning", web.url, None)
    assert hand_over({"webhook:chat": hook}, tmp_path, name, body, head=head).startswith(f"HTTP/1.1 {status} ")
    assert not web.requests


class Post:
    """A mail server for one letter."""

    def __init__(self, *, password: str, unknown: str = "nobody@", farewell: str = "221 bye") -> None:
        self.unknown, self.farewell = unknown, farewell
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.password, self.letter, self.rcpt = password, "", list[str]()
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _talk(self) -> None:
        from base64 import b64decode

        connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb") as stream:

            def say(line: str) -> None:
                stream.write(line.encode() + b"\r\n")
                stream.flush()

            say("220 test")
            for raw in stream:
                line = raw.decode().strip()
                if line.upper().startswith("EHLO"):
                    say("250-test\r\n250 AUTH PLAIN")
                elif line.startswith("AUTH PLAIN "):
                    is_right = b64decode(line.split()[2]).split(b"\0")[2].decode() == self.password
                    say("235 ok" if is_right else "535 no")
                elif line.upper() == "DATA":
                    say("354 go on")
                    self.letter = "".join(iter(lambda: stream.readline().decode(), ".\r\n"))
                    say("250 taken")
                elif line.upper() == "QUIT":
                    say(self.farewell)
                    return
                elif self.unknown in line:
                    say("550 no such mailbox")
                else:
                    self.rcpt += [line] if line.upper().startswith("RCPT") else []
                    say("250 ok")

    def close(self) -> None:
        self.thread.join(timeout=20)
        self.listener.close()


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_letter_arrives_or_it_is_said_why_not(tmp_path: Path, password: str) -> None:
    post = Post(password="right")
    mail = Mail(
        "owner", "warning", ("a@b.example", "c@d.example"), "n@b.example", "127.0.0.1", post.port, "none", "u", password
    )
    answer = hand_over({"mail:owner": mail}, tmp_path, "mail:owner", notification(alert()))
    post.close()
    record = records.read(tmp_path, "mail:owner")
    if password == "wrong":
        assert answer.startswith("HTTP/1.1 503 ")
        assert "refused user or password" in str(record.reason)
        assert post.letter == ""
        return
    assert answer.startswith("HTTP/1.1 200 ")
    assert "Subject: [CRITICAL] " in post.letter
    assert "Next: Run it." in post.letter
    assert len(post.rcpt) == 2


def mailed(post: Post, directory: Path, *to: str) -> str:
    mail = Mail("owner", "warning", to, "n@b.example", "127.0.0.1", post.port, "none", "u", "right")
    body = notification(alert(TEST_ALERT, test_id="ab"))
    answer = hand_over({"mail:owner": mail}, directory, "mail:owner", body)
    post.close()
    return answer


def test_a_recipient_who_is_refused_is_named_and_the_others_get_one_letter(tmp_path: Path) -> None:
    post = Post(password="right")
    assert mailed(post, tmp_path, "a@b.example", "nobody@b.example").startswith("HTTP/1.1 200 ")
    assert "Subject: " in post.letter
    assert str(records.read(tmp_path, "mail:owner").test_reason).endswith("refused 1 of 2 recipients")


def test_a_letter_that_was_taken_is_not_sent_again_when_the_farewell_fails(tmp_path: Path) -> None:
    post = Post(password="right", farewell="421 too late")
    assert mailed(post, tmp_path, "a@b.example").startswith("HTTP/1.1 200 ")
    record = records.read(tmp_path, "mail:owner")
    assert (record.test_id, record.test_reason) == ("ab", None)


def test_what_is_over_is_said_to_be_over() -> None:
    message = compose(read_notification(notification(alert(status="resolved"))), "box")
    assert (message.title, message.is_firing) == ("[OVER] box: the file system at /data is full", False)
    assert "Next" not in message.text


def test_many_alerts_are_one_message_with_the_most_urgent_first() -> None:
    alerts = [alert(severity="info"), *[alert(f"A{number}", severity="warning") for number in range(14)], alert()]
    message = compose(read_notification(notification(*alerts)), "box")
    assert message.severity == "critical"
    assert "and 15 more" in message.title
    assert message.text.startswith("CRITICAL: ")
    assert "6 more are not shown" in message.text


def test_control_characters_do_not_reach_a_person() -> None:
    foreign = alert()
    foreign["annotations"]["summary"] = "x\r\nBcc: y\x1b[2J"
    message = compose(read_notification(notification(foreign)), "box")
    assert message.title.isprintable()
