"""Two machines on one line of a known rate: a node in one network namespace, who measures in another."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.runtime.config import ApiSection, LimitsSection, dump
from tests.integration.conftest import COMMAND, ENVIRONMENT, _config

DOWN_BITS, UP_BITS = 8_000_000, 4_000_000
"""So slow that the load of the machine that tests does not matter."""
THERE, HERE, PORT = "10.213.7.1", "10.213.7.2", 8545


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def line() -> Iterator[tuple[str, str]]:
    """Names of two namespaces with a shaped line between them: to the second one 8 Mbit/s, from it 4 Mbit/s."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        pytest.skip("network namespaces need root, ip and tc")
    there, here = (f"bpci-measure-{os.getpid()}-{side}" for side in ("a", "b"))
    made = []
    try:
        for name in (there, here):
            _ip("netns", "add", name)
            made.append(name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", "line", "netns", there, "type", "veth", "peer", "name", "line", "netns", here)
        for name, address, rate in ((there, THERE, DOWN_BITS), (here, HERE, UP_BITS)):
            _ip("-n", name, "address", "add", f"{address}/30", "dev", "line")
            # Without this, "packets" of 64 KiB would be held against a bucket of 16.
            _ip("-n", name, "link", "set", "line", "gso_max_size", "8192", "up")
            shape = ["tc", "qdisc", "add", "dev", "line", "root", "tbf"]
            shape += ["rate", f"{rate}bit", "burst", "16kb", "latency", "400ms"]
            subprocess.run(["ip", "netns", "exec", name, *shape], check=True, capture_output=True, timeout=30)
        yield there, here
    finally:
        for name in made:
            _ip("netns", "delete", name)


@pytest.fixture
def node(line: tuple[str, str], tmp_path: Path) -> Iterator[str]:
    """Base URL of a node in the first namespace."""
    home = tmp_path / "there"
    config = _config(home, PORT, network_file=None, state_dir=None, limits=LimitsSection(), ledger=None)
    config = replace(config, api=ApiSection(THERE, PORT))
    (home / "node.toml").write_text(dump(config))
    with (home / "node.log").open("wb") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", line[0], *COMMAND, "node", "run", "--config", str(home / "node.toml")],
            env=ENVIRONMENT,
            stdout=log,
            stderr=log,
        )
    try:
        _await(config.owner.socket, process, home / "node.log")
        yield f"http://{THERE}:{PORT}"
    finally:
        process.kill()
        process.wait(60)


def _await(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the node listens to its owner, after its API; two minutes are for a machine that builds an image."""
    for _ in range(1200):
        assert process.poll() is None, log.read_text()
        with socket.socket(socket.AF_UNIX) as owner:
            try:
                owner.connect(str(path))
            except OSError:
                time.sleep(0.1)
            else:
                return
    raise AssertionError(log.read_text())


def test_the_measured_rates_are_those_of_the_line(line: tuple[str, str], node: str, tmp_path: Path) -> None:
    command = ["hardware", "measure", "--part", "network", "--quick", "--node", node]
    command += ["--figures", str(tmp_path / "figures.cbor"), "--json"]
    run: Callable[..., Any] = subprocess.run
    found = run(
        ["ip", "netns", "exec", line[1], *COMMAND, *command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    figures = json.loads(found.stdout)["parts"]["network"]
    # Headers take some six per cent; the shaper's bucket lets a little pass at once.
    assert DOWN_BITS * 0.6 < figures["download"] < DOWN_BITS * 1.1, figures
    assert UP_BITS * 0.6 < figures["upload"] < UP_BITS * 1.1, figures
    assert figures["connections"] == 4
    assert figures["moved"] >= 2 * 256 << 10
    assert figures["round_trip"] > 0
