"""Updates of a real node: kept when it serves as before, undone when it does not, whole when anything is cut off."""

import http.server
import json
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bpci_node.store import schema
from scripts.make_update import ReleaseSigner
from tests.integration.conftest import free_port
from tests.integration.update_machine import Machine, make_bundle, make_wheelhouse

SIGNER = ReleaseSigner("test-key", bytes(range(64)))


@pytest.fixture(scope="module")
def wheelhouses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheels of versions: good ones, and some that are broken in one way each."""
    place = tmp_path_factory.mktemp("wheelhouses")
    broken: dict[str, dict[str, tuple[str, str]]] = {
        "0.1.0": {},
        "0.2.0": {},
        # It starts, says that it is ready, and answers nobody's question for health.
        "0.3.0": {"bpci_node/gateway/routes_node.py": ('{"alive": True}', '{"alive": False}')},
        # Its command works, and the node ends at its start.
        "0.4.0": {"bpci_node/runtime/process.py": ("    pace = slowness()\n", '    raise SystemExit("broken")\n')},
        # Not even its command starts.
        "0.5.0": {"bpci_node/cli/main.py": ("import click\n", "import click\nimport not_there\n")},
    }
    return {version: make_wheelhouse(place / version, version, changes) for version, changes in broken.items()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheelhouses: dict[str, Path]) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"), free_port(), SIGNER)
    try:
        machine.set_up(wheelhouses["0.1.0"])
        yield machine
    finally:
        machine.close()


@pytest.fixture
def at_rest(machine: Machine) -> Machine:
    """The machine with version 0.1.0 running and no memory of updates."""
    first = next(
        path for path in (machine.home / "opt").glob("bpci-*") if "os==0.1.0" in (path / ".complete").read_text()
    )
    if machine.linked() != first.name:
        machine.systemctl("stop")
        link = machine.home / "opt/bpci"
        link.unlink()
        link.symlink_to(first.name)
    subprocess.run(["rm", "-rf", machine.home / "update"], check=True)
    machine.systemctl("start")
    return machine


def bundle_of(wheelhouses: dict[str, Path], tmp_path: Path, version: str, **changes: Any) -> Path:
    return make_bundle(tmp_path / f"{version}.update", wheelhouses[version], SIGNER, **({"sequence": 2} | changes))


def version_served(machine: Machine) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{machine.port}/v1/status", timeout=30) as reply:
        return str(json.load(reply)["version"])


def metric(machine: Machine, name: str) -> int:
    lines = (machine.home / "metrics/bpci_update.prom").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_a_version_that_serves_is_kept_and_the_one_before_can_come_back(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path
) -> None:
    machine, bundle = at_rest, bundle_of(wheelhouses, tmp_path, "0.2.0")
    before = machine.linked()
    assert machine.call("check", bundle)["fits"]
    verdict = machine.call(bundle, "--yes")
    assert (verdict["outcome"], verdict["from"], verdict["to"]) == ("installed", "0.1.0", "0.2.0")
    assert version_served(machine) == "0.2.0"
    assert machine.call("apply", bundle, "--yes")["outcome"] == "unchanged"
    found = machine.call("status")
    assert (found["version"], found["former"], found["sequence"], found["under_way"]) == ("0.2.0", "0.1.0", 2, None)
    assert metric(machine, "bpci_update_failed") == 0
    back = machine.call("rollback", "--yes")
    assert back["outcome"] == "returned"
    assert (version_served(machine), machine.linked()) == ("0.1.0", before)
    # The same release may come again, an older one may not.
    old = bundle_of(wheelhouses, tmp_path, "0.3.0", sequence=1)
    assert machine.call("check", old, status=1)["refused"]["code"] == "update.downgrade"
    assert machine.call(bundle, "--yes")["outcome"] == "installed"
    outcomes = [item["outcome"] for item in machine.call("history")["history"]]
    assert outcomes == ["installed", "returned", "installed"]


@pytest.mark.parametrize(("version", "why"), [("0.3.0", "does not speak as a node"), ("0.4.0", "did not start")])
def test_a_version_that_does_not_serve_is_undone_by_itself_and_the_reason_is_told(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path, version: str, why: str
) -> None:
    machine, before = at_rest, at_rest.linked()
    settings = machine.settings.read_text()
    machine.settings.write_text(settings.replace("answer_seconds = 60", "answer_seconds = 2"))
    verdict = machine.call(bundle_of(wheelhouses, tmp_path, version), "--yes", status=1)
    machine.settings.write_text(settings)
    assert verdict["outcome"] == "rolled_back"
    assert why in verdict["reason"]
    assert (version_served(machine), machine.linked()) == ("0.1.0", before)
    assert metric(machine, "bpci_update_failed") == 1
    assert machine.call("status", status=1)["last"] == verdict


def test_a_version_whose_command_does_not_start_is_never_switched_to(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path
) -> None:
    machine, before = at_rest, (at_rest.home / "pid").read_text()
    problem = machine.call(bundle_of(wheelhouses, tmp_path, "0.5.0"), "--yes", status=1)
    assert problem["code"] == "update.broken"
    assert (machine.home / "pid").read_text() == before  # the node was not even restarted
    assert machine.call("history")["history"][-1]["outcome"] == "not_installed"


FATAL = {"installing version": "interrupted", "changing the link": "rolled_back", "taking older": "installed"}
"""Steps of three phases, and what becomes of an update that is killed there."""


def test_whoever_is_killed_in_a_phase_of_an_update_leaves_one_whole_version(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path
) -> None:
    machine, bundle = at_rest, bundle_of(wheelhouses, tmp_path, "0.2.0")
    first = machine.linked()
    for step, outcome in FATAL.items():
        machine.apply_and_die(bundle, step)
        assert _recovered(machine, first) == outcome, step
        machine.systemctl("start")
        assert version_served(machine) == ("0.2.0" if outcome == "installed" else "0.1.0"), step


def _recovered(machine: Machine, first: str) -> str | None:
    """Go through what happens at boot: the node is down, and the former version's unit brings everything to an end."""
    machine.systemctl("stop")
    command = [machine.home / "opt" / first / "bin/bpci", "update", "recover", "--settings", machine.settings, "--json"]
    done = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=True)
    verdict = json.loads(done.stdout)["verdict"]
    return None if verdict is None else str(verdict["outcome"])


@pytest.mark.long
def test_whatever_is_killed_at_any_step_leaves_one_whole_version(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path
) -> None:
    machine, bundle = at_rest, bundle_of(wheelhouses, tmp_path, "0.2.0")
    first, seen, at = machine.linked(), set(), 1
    while True:
        said = machine.apply_and_die(bundle, at)
        if said is None:
            break
        assert len(said) == at
        outcome = _recovered(machine, first)
        seen.add(outcome)
        version = "0.2.0" if outcome == "installed" else "0.1.0"
        machine.systemctl("start")
        assert version_served(machine) == version, said
        is_bad = outcome in ("interrupted", "rolled_back")
        assert machine.call("status", status=int(is_bad))["under_way"] is None
        if version == "0.2.0":
            machine.call("rollback", "--yes")
        at += 1
    assert at > 10
    assert seen == {None, "interrupted", "rolled_back", "installed"}
    assert version_served(machine) == "0.2.0"


def test_databases_of_a_new_form_go_back_only_where_nothing_was_acknowledged(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path
) -> None:
    machine, newer = at_rest, (schema.VERSION + 1, 2)
    # The version never starts: nobody was given a receipt, so the databases go back with it.
    failing = bundle_of(wheelhouses, tmp_path, "0.4.0", formats=newer)
    settings = machine.settings.read_text()
    assert machine.call(failing, "--yes", status=1)["outcome"] == "rolled_back"
    assert version_served(machine) == "0.1.0"
    assert not (machine.home / "update/databases").exists()
    # The version serves and is not well: going back by itself could lose what it acknowledged.
    machine.settings.write_text(settings.replace("answer_seconds = 60", "answer_seconds = 2"))
    verdict = machine.call(bundle_of(wheelhouses, tmp_path, "0.3.0", formats=newer), "--yes", status=1)
    machine.settings.write_text(settings)
    assert verdict["outcome"] == "kept"
    assert "--with-copy" in verdict["reason"]
    assert version_served(machine) == "0.3.0"
    assert machine.call("rollback", "--yes", status=1)["code"] == "update.formats"
    assert machine.call("rollback", "--with-copy", "--yes")["outcome"] == "returned"
    assert version_served(machine) == "0.1.0"


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves one file over TLS, breaks off after so many bytes, and knows ranges."""

    data = b""
    breaks: ClassVar[list[int]] = []
    ranges: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = self.headers.get("Range")
        type(self).ranges.append(asked or "")
        begins = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = self.data[begins:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {begins}-{len(self.data) - 1}/{len(self.data)}")
        self.end_headers()
        length = type(self).breaks.pop(0) if type(self).breaks else len(body)
        self.wfile.write(body[:length])
        self.wfile.flush()
        if length < len(body):
            self.close_connection = True
            self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[type[_Server], str, Path]]:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"]  # type: ignore[list-item]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    handler = type("Handler", (_Server,), {"data": b"", "breaks": [], "ranges": []})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield handler, f"https://localhost:{listening.server_port}", certificate
        listening.shutdown()
        thread.join()


def test_a_bundle_is_fetched_over_tls_resumed_where_it_broke_off_and_installed(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path, server: tuple[type[_Server], str, Path]
) -> None:
    machine, (handler, url, certificate) = at_rest, server
    handler.data = bundle_of(wheelhouses, tmp_path, "0.2.0").read_bytes()
    handler.breaks = [100_000, 200_000]
    assert machine.call("check", f"{url}/file", status=3)["code"] == "unreachable.tls"
    assert machine.call("check", f"{url}/moved", "--ca", certificate)["version"] == "0.2.0"
    assert handler.ranges == ["", "bytes=100000-", "bytes=300000-"]
    assert machine.call(f"{url}/moved", "--ca", certificate, "--yes")["outcome"] == "installed"
    assert len(handler.ranges) == 3  # what check had fetched was not fetched again
    assert list((machine.home / "update/download").iterdir()) == []


def test_an_untrusted_or_unwanted_bundle_is_refused_before_most_of_it_is_fetched(
    at_rest: Machine, wheelhouses: dict[str, Path], tmp_path: Path, server: tuple[type[_Server], str, Path]
) -> None:
    machine, (handler, url, certificate) = at_rest, server
    stranger = ReleaseSigner("stranger", bytes(64))
    evil = make_bundle(tmp_path / "evil.update", wheelhouses["0.2.0"], stranger, sequence=9).read_bytes()
    for data, code in (
        (evil, "update.unknown_key"),
        (bundle_of(wheelhouses, tmp_path, "0.2.0", platforms=("debian-99-x86_64",)).read_bytes(), "update.platform"),
    ):
        handler.data = data
        assert machine.call("check", f"{url}/file", "--ca", certificate, status=1)["code"] == code
        (part,) = (machine.home / "update/download").iterdir()
        assert part.stat().st_size < len(data) // 2
        part.unlink()
    assert machine.call("check", url.replace("https", "http"), status=2)["code"] == "update.url"
