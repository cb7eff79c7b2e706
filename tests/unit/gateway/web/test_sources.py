"""What the dashboard makes of what other programs of the machine say, or don't."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.gateway.web.sources import REPLY_BYTES, Sources


class Manager(BaseHTTPRequestHandler):
    """Alertmanager, as far as the dashboard asks it. Source: its API version 2."""

    reply: tuple[int, bytes] = (200, b"[]")
    asked: list[tuple[str, str, bytes]] = []  # noqa: RUF012 - emptied by the fixture

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, body))
        status, data = type(self).reply
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer  # noqa: N815 - names of http.server

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def manager() -> Iterator[str]:
    Manager.asked.clear()
    Manager.reply = (200, b"[]")
    with ThreadingHTTPServer(("127.0.0.1", 0), Manager) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/alerts"
        server.shutdown()
        thread.join()


def ask(tmp_path: Path, url: str, do: Callable[[Sources], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        sources = Sources(tmp_path / "none.sock", tls=tmp_path, textfiles=tmp_path, alerts=url)
        try:
            return await do(sources)
        finally:
            await sources.close()

    return asyncio.run(run())


def alert(name: str, severity: str) -> dict[str, Any]:
    notes = {"summary": f"{name} is so", "description": "long", "action": "Do this."}
    return {
        "labels": {"alertname": name, "severity": severity},
        "annotations": notes,
        "startsAt": "2026-11-22T01:02:03.4Z",
    }


def test_the_gravest_alert_comes_first_and_the_one_that_always_fires_is_left_out(tmp_path: Path, manager: str) -> None:
    found = [alert("B", "warning"), alert("BpciWatchdog", "info"), alert("A", "warning"), alert("C", "critical")]
    Manager.reply = (200, json.dumps(found).encode())
    shown = ask(tmp_path, manager, lambda sources: sources.alerts())
    assert [item["name"] for item in shown] == ["C", "A", "B"]
    assert (shown[0]["advice"], shown[0]["since"]) == ("Do this.", "2026-11-22 01:02:03")
    assert Manager.asked[0][1].startswith("/alerts/api/v2/alerts?active=true&silenced=false")


def test_a_silence_names_the_alert_and_who_wanted_it(tmp_path: Path, manager: str) -> None:
    Manager.reply = (200, b'{"silenceID": "x"}')
    times = {"start": "2026-11-22T00:00:00+00:00", "end": "2026-11-22T04:00:00+00:00"}
    ask(tmp_path, manager, lambda sources: sources.silence("DiskFull", by="olga", **times))
    method, path, body = Manager.asked[0]
    assert (method, path) == ("POST", "/alerts/api/v2/silences")
    sent = json.loads(body)
    assert (sent["matchers"][0]["value"], sent["createdBy"], sent["endsAt"]) == ("DiskFull", "olga", times["end"])


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((200, b"{"), "format.json"),
        ((200, b'{"a": 1}'), "format.reply"),
        ((200, b"[" * 5000), "format.json"),
        ((200, b" " * (REPLY_BYTES + 1)), "format.reply"),
        ((400, b"{}"), "alerts.refused"),
    ],
    ids=["cut off", "no list", "deep", "long", "refused"],
)
def test_whatever_it_says_wrongly_is_an_error_of_ours(
    tmp_path: Path, manager: str, reply: tuple[int, bytes], code: str
) -> None:
    Manager.reply = reply
    with pytest.raises(BpciError) as caught:
        ask(tmp_path, manager, lambda sources: sources.alerts())
    assert caught.value.code == code


def test_figures_of_backup_and_updates_are_read_and_anything_else_is_not(tmp_path: Path) -> None:
    text = (
        "# HELP x y\nbpci_backup_failed 0\nbpci_backup_last_success_timestamp_seconds 1.7953e9\nother 1\nbpci_bad x\n"
        "bpci_update_pending 1e999\n"
    )
    (tmp_path / "bpci_backup.prom").write_text(text)
    (tmp_path / "bpci_update.prom").write_text("bpci_reboot_required 1\n")
    parts = ask(tmp_path, "http://127.0.0.1:1", lambda sources: sources.dashboard())
    assert parts["upkeep"].value == {
        "bpci_backup_failed": 0.0,
        "bpci_backup_last_success_timestamp_seconds": 1.7953e9,
        "bpci_reboot_required": 1.0,
        "bpci_update_pending": 0.0,
    }
    for name in ("node", "health", "earnings"):
        assert (parts[name].value, parts[name].reason) == (None, "the node is not there")
    assert parts["machine"].value["certificate"] is None
