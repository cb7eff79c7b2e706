"""The doctor at a real node: while it runs, when it was killed, when its port is taken, and when its disk lied."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.recovery import HARMS, recovery_seconds, setting_seconds, supervised
from bpci_node.network.owner_client import OwnerClient
from tests.integration.conftest import free_port

T = "eip155:1"
MACHINE = {"disk", "memory", "clock"}
"""Checks whose outcome depends on the machine that the tests run on."""


def test_from_a_running_node_to_a_damaged_one_and_back(
    start: Callable[..., Any], bpci: Callable[..., Any], raws: list[bytes]
) -> None:
    node = start()

    def doctor(*arguments: str) -> tuple[int, dict[str, Any]]:
        done = bpci("doctor", "--config", node.home / "node.toml", "--json", *arguments)
        return done.returncode, json.loads(done.stdout)

    def codes(document: dict[str, Any]) -> set[str]:
        return {i["code"] for item in document["results"] if item["id"] not in MACHINE for i in item["issues"]}

    with node.client() as client, node.owner() as owner:
        receipts = client.submit_entries(T, raws[:300])
        assert sum(item.receipt is not None for item in receipts) > 100
        owner.seal(T, gas_limit=3_000_000)
    _, document = doctor()
    assert {item["id"] for item in document["results"]} >= {"database", "guard", "sealing"}
    assert codes(document) == set()
    # The node says the same of itself over its owner's socket, and gives a new token where that is the repair.
    with OwnerClient(node.owner_socket) as owner_client:
        assert codes(owner_client._transport.value("GET", "/owner/doctor")) == set()
    (node.home / "node.key").chmod(0o644)
    status, document = doctor("keys")
    assert (status, codes(document)) == (1, {"keys.mode"})
    status, document = doctor("keys", "--fix", "--yes")
    assert (status, document["repairs"][0]["state"]) == (0, "done")

    node.kill()
    assert codes(doctor("unit")[1]) == {"unit.stopped"}
    with socket.create_server(("127.0.0.1", node.config.api.port)):
        status, document = doctor("port")
        assert (status, codes(document)) == (1, {"port.taken"})
        assert f"pid {os.getpid()}" in document["results"][0]["issues"][0]["what"]

    database = node.config.state_dir / "node.db"
    start().stop()  # all that was in the log is in the file
    guards = {path: path.read_bytes() for path in (node.config.state_dir / "guard").iterdir()}
    damaged = bytearray(database.read_bytes())
    middle = len(damaged) // 2 // 4096 * 4096
    damaged[middle : middle + 4096] = os.urandom(4096)
    database.write_bytes(damaged)
    status, document = doctor("database")
    assert (status, codes(document)) == (1, {"database.damaged"})
    assert database.read_bytes() == damaged
    status, document = doctor("database", "--fix", "--yes")
    outcome = document["repairs"][0]["outcome"]
    assert (status, codes(document)) == (0, set())
    assert (Path(outcome["copy"]) / "node.db").read_bytes() == damaged
    assert guards == {path: path.read_bytes() for path in (node.config.state_dir / "guard").iterdir()}


def test_a_fix_asks_first_and_says_what_it_would_do(start: Callable[..., Any], bpci: Callable[..., Any]) -> None:
    node = start()
    (node.home / "node.key").chmod(0o640)
    configured = ("--config", node.home / "node.toml")
    planned = bpci("doctor", "keys", "--plan", *configured)
    assert planned.returncode == 1
    assert f"chmod 0600 {node.home / 'node.key'}" in planned.stderr
    assert "left as it is" in planned.stdout
    assert bpci("doctor", "--plan", "--fix", *configured).returncode == 2
    refused = bpci("doctor", "keys", "--fix", *configured, input="n\n")
    assert refused.returncode == 1
    assert f"chmod 0600 {node.home / 'node.key'}" in refused.stderr
    assert "left as it is" in refused.stdout
    assert (node.home / "node.key").stat().st_mode & 0o777 == 0o640
    assert bpci("doctor", "--fix", "--json", *configured).returncode == 2
    assert bpci("doctor", "nothing", *configured).returncode == 2
    assert bpci("doctor", "--config", "/nowhere.toml").returncode == 2
    agreed = bpci("doctor", "keys", "--fix", *configured, input="y\n")
    assert (agreed.returncode, (node.home / "node.key").stat().st_mode & 0o777) == (0, 0o600)


def test_a_node_that_is_killed_halted_or_hangs_serves_again_and_says_where_it_hung() -> None:
    with supervised(free_port()) as (supervisor, url):
        for number in HARMS.values():
            recovery_seconds(supervisor, url, lambda pid, number=number: os.kill(pid, number))
        assert supervisor.ends[0] == "-9"
        assert supervisor.ends[-1] == "watchdog"
        log = supervisor.log.read_text()
    assert "the event loop hangs" in log
    assert "Fatal Python error: Aborted" in log


def test_the_unit_leaves_a_second_to_start_in_before_five_are_over() -> None:
    assert setting_seconds("WatchdogSec") + setting_seconds("RestartSec") <= 4
