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

from bpci_node.host.figures import decode_figures
from bpci_node.runtime.config import ApiSection, LimitsSection, dump
from tests.integration.conftest import COMMAND, ENVIRONMENT, _config

DOWN_BITS, UP_BITS = 4_000_000, 2_000_000
"""So slow that the load of the machine that tests does not matter."""
THERE, HERE, PORT = "10.213.7.1", "10.213.7.2", 8545


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def line() -> Iterator[tuple[str, str]]:
    """Names of two namespaces with a shaped line between them: to the second one 4 Mbit/s, from it 2 Mbit/s."""
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
    # Headers take some six per cent; the shaper's bucket lets a little pass at once. Below, there is room for a
    # machine that lets either process wait for seconds.
    assert DOWN_BITS * 0.4 < figures["download"] < DOWN_BITS * 1.1, figures
    assert UP_BITS * 0.4 < figures["upload"] < UP_BITS * 1.1, figures
    assert figures["connections"] == 4
    assert figures["moved"] >= 2 * 256 << 10
    assert figures["round_trip"] > 0


@pytest.fixture
def way_to_a_tpm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment in which the TPM's tools find a TPM in software; an empty one without it."""
    if shutil.which("swtpm") is None or shutil.which("tpm2_quote") is None:
        yield {}
        return
    state = tmp_path / "tpm"
    state.mkdir()
    faces = ["--server", f"type=unixio,path={state}/sock", "--ctrl", f"type=unixio,path={state}/sock.ctrl"]
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", *faces, "--flags", "not-need-init,startup-clear"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        if (state / "sock").exists():
            break
        assert process.poll() is None
        time.sleep(0.05)
    yield {"TPM2TOOLS_TCTI": f"swtpm:path={state}/sock"}
    process.kill()
    process.wait(30)


def test_a_report_is_signed_quoted_registered_and_checked_by_others(
    start: Callable[..., Any], tmp_path: Path, way_to_a_tpm: dict[str, str]
) -> None:
    node = start("one")
    figures, out, network = tmp_path / "figures.cbor", tmp_path / "report.cbor", tmp_path / "network.json"
    with node.client() as client:
        client.network().save(network)

    def bpci(*arguments: str | Path) -> tuple[int, Any, str]:
        found = subprocess.run(
            [*COMMAND, "hardware", *map(str, arguments), "--json"],
            env=ENVIRONMENT | way_to_a_tpm,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return found.returncode, json.loads(found.stdout or "null"), found.stderr

    assert bpci("measure", "--quick", "--part", "memory", "--figures", figures)[0] == 0
    options = ["--config", node.home / "node.toml", "--figures", figures, "--profile", "dev", "--out"]
    status, made, err = bpci("report", *options, out, "--register")
    assert status == 0, err
    assert made["registered"] is True
    assert made["quoted"] is bool(way_to_a_tpm)

    status, seen, err = bpci("verify", out, "--node", node.url, "--network", network)
    assert status == 0, err
    assert (seen["digest"], seen["node"], seen["registered"]) == (made["digest"], made["node"], True)
    assert seen["score"] == made["score"]
    assert seen["quote"]["level"] == ("unattested" if way_to_a_tpm else "none")
    with node.client() as client:
        assert client.node(made["node"])["node"]["report_digest"] == made["digest"]

    status, shown, _ = bpci("show", "--report", out)
    assert (status, shown["same_hardware"], shown["digest"]) == (0, True, made["digest"])

    # Another report of the same node holds, and is not the registered one.
    status, _, err = bpci("report", *options, tmp_path / "other.cbor", "--no-tpm")
    assert status == 0, err
    assert bpci("verify", tmp_path / "other.cbor")[0] == 0
    status, _, err = bpci("verify", tmp_path / "other.cbor", "--node", node.url)
    assert status == 1
    assert "proof.hardware_report" in err

    altered = bytearray(out.read_bytes())
    altered[len(altered) // 2] ^= 1
    out.write_bytes(altered)
    assert bpci("verify", out)[0] == 1

    kept = decode_figures(figures.read_bytes())
    figures.write_bytes(replace(kept, fingerprint=bytes(32)).encode())
    status, _, err = bpci("report", *options, out)
    assert status == 1
    assert "host.other_machine" in err
