"""``bpci devnet``: a node with a ledger of its own on this machine, on loopback, within seconds."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.local import default_directory, devnet_place, socket_of
from bpci_node.cli.output import emit, fields, json_option, say
from bpci_node.errors import BpciError, HostError, StorageError, UsageError

if TYPE_CHECKING:
    from bpci_node.network.client import NodeClient

READY_SECONDS = 30.0
STOP_SECONDS = 10.0

dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where it lives.  [default: $XDG_STATE_HOME/bpci/devnet]",
)


@click.group("devnet")
def command() -> None:
    """A node on this machine, within seconds."""


@command.command("up")
@dir_option
@click.option("--port", type=click.IntRange(1024, 65535), help="Port of its API.  [default: 8545, or the one it had]")
@json_option
def up(*, directory: Path | None, port: int | None, as_json: bool) -> None:
    """Start the devnet, or say where it already runs.

    A fresh recovery phrase is made at the first start and kept in the directory, readable by you alone.

    \b
    Examples:
      bpci devnet up
      bpci devnet up --dir /tmp/two --port 9545 --json
    """
    home = (directory or default_directory()).absolute()
    with _alone(home):
        pid = _running(home)
        if pid is not None:
            place = devnet_place(home)
            if port is not None and place.url != f"http://127.0.0.1:{port}":
                raise UsageError(
                    f"the devnet in {home} already runs at {place.url}",
                    code="devnet.running",
                    hint="Stop it first with 'bpci devnet down'.",
                )
        else:
            chosen = port or _former_port(home) or 8545
            _require_free(chosen)
            write_files(home, chosen)
            pid = _start(home)
        found = _describe(home, pid)
    emit(found, as_json, _render)


@command.command("status")
@dir_option
@json_option
def status(*, directory: Path | None, as_json: bool) -> int:
    """Say whether the devnet runs, and where. Exit status 1 if it does not.

    \b
    Examples:
      bpci devnet status
      bpci devnet status --json
    """
    home = (directory or default_directory()).absolute()
    pid = _running(home)
    if pid is None:
        emit({"running": False, "dir": str(home)}, as_json, lambda data: f"no devnet runs in {data['dir']}")
        return 1
    emit(_describe(home, pid), as_json, _render)
    return 0


@command.command("down")
@dir_option
@json_option
def down(*, directory: Path | None, as_json: bool) -> None:
    """Stop the devnet; its data stays.

    \b
    Examples:
      bpci devnet down
      bpci devnet down --dir /tmp/two
    """
    home = (directory or default_directory()).absolute()
    was_running = _running(home) is not None
    if was_running:
        with _alone(home):
            pid = _running(home)
            if pid is not None:
                _stop(pid)
    emit(
        {"running": False, "was_running": was_running, "dir": str(home)},
        as_json,
        lambda data: f"the devnet in {data['dir']} " + ("is stopped" if data["was_running"] else "was not running"),
    )


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep a second ``devnet up`` or ``down`` of the same directory waiting."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (home / "devnet.lock").open("a")
    except OSError as error:
        raise StorageError(
            f"cannot write to {home}: {error.strerror}", code="storage.access", hint="Choose another --dir."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _running(home: Path) -> int | None:
    """Return the pid of the node that uses this directory's state, ``None`` if none does.

    The node holds a lock on its state for as long as it lives, so neither a stale pid nor a reused one misleads.
    """
    try:
        with (home / "state" / "lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                text = file.read(32).strip()
                return int(text) if text.isdigit() else None
    except OSError:
        pass
    return None


def _former_port(home: Path) -> int | None:
    try:
        return int(devnet_place(home).url.rpartition(":")[2])
    except UsageError:
        return None


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HostError(
                f"port {port} is taken{_by_whom(port)}",
                code="devnet.port",
                hint=f"Stop that, or choose another port: bpci devnet up --port {port + 1}",
                port=port,
            ) from error


def _by_whom(port: int) -> str:
    import psutil

    try:
        for item in psutil.net_connections("tcp"):
            if item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port == port and item.pid:
                return f" by {psutil.Process(item.pid).name()} (pid {item.pid})"
    except psutil.Error:
        pass
    return " by a process of another user"


def write_files(home: Path, port: int) -> None:
    """Write the devnet's keys, once, and its configuration, anew."""
    from bpci_node.primitives.keys import derive_keys, new_phrase
    from bpci_node.runtime.config import (
        ApiSection,
        KeysSection,
        LedgerSection,
        LimitsSection,
        NodeConfig,
        NodeSection,
        OwnerSection,
        TargetSection,
        dump,
    )

    phrase_file = home / "phrase.txt"
    if not phrase_file.exists():
        phrase = new_phrase(os.urandom(32))
        keys = derive_keys(phrase)
        _write_secret(home / "node.key", keys.node)
        _write_secret(home / "registry.key", keys.registry)
        # Last, so that an interrupted first start makes a new phrase instead of keeping one without its keys.
        _write_secret(phrase_file, phrase.encode() + b"\n")
    owner_socket = socket_of(home)
    owner_socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = NodeConfig(
        state_dir=home / "state",
        node=NodeSection(name="devnet", flags=("community_operated",), endpoints=(f"http://127.0.0.1:{port}",)),
        api=ApiSection(listen="127.0.0.1", port=port),
        owner=OwnerSection(socket=owner_socket, group=""),
        ledger=LedgerSection(mode="embedded", name="devnet"),
        keys=KeysSection(node=f"file:{home / 'node.key'}", registry=f"file:{home / 'registry.key'}"),
        targets=(TargetSection(id="eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000),),
        limits=LimitsSection(requests_per_second=1000),
    )
    (home / "node.toml").write_text(dump(config))


def _write_secret(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _start(home: Path) -> int:
    """Start the node in the background, and return its pid when it is ready and registered."""
    package = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    with (home / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bpci_node.cli.main", "node", "run", "--config", str(home / "node.toml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    try:
        with _client(home) as client:
            _await_ready(process, client, home)
            client.register(None)
            client.network().save(home / "network.json")
    except BaseException:
        process.terminate()
        raise
    return process.pid


def _client(home: Path) -> NodeClient:
    from bpci_node.network.client import NodeClient

    return NodeClient(socket_of(home))


def _await_ready(process: subprocess.Popen[bytes], client: NodeClient, home: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise HostError(
                f"the node ended at once: {_last_words(home)}",
                code="devnet.start",
                hint=f"Its log is {home / 'node.log'}.",
            )
        try:
            if client.is_ready():
                return
        except BpciError:
            pass
        time.sleep(0.05)
    raise HostError(
        f"the node is not ready after {READY_SECONDS:.0f} s",
        code="devnet.start",
        hint=f"Its log is {home / 'node.log'}.",
    )


def _last_words(home: Path) -> str:
    lines = (home / "node.log").read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "no log")


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while time.monotonic() < end:
        if not _is_alive(pid):
            return
        time.sleep(0.05)
    say(f"the node (pid {pid}) did not stop within {STOP_SECONDS:.0f} s, and is killed")
    os.kill(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _describe(home: Path, pid: int) -> dict[str, Any]:
    place = devnet_place(home)
    with _client(home) as client:
        found = client.owner_status()
    return {
        "running": True,
        "ready": not found["obstacles"],
        "dir": str(home),
        "pid": pid,
        "url": place.url,
        "owner_socket": str(place.socket),
        "network_file": str(home / "network.json"),
        "phrase_file": str(home / "phrase.txt"),
        "log_file": str(home / "node.log"),
        "node": found["node"],
        "ledger": found["ledger"],
        "targets": found["targets"],
    }


def _render(data: dict[str, Any]) -> str:
    return fields(
        {
            "devnet": f"{'ready' if data['ready'] else 'NOT READY'} at {data['url']} (pid {data['pid']})",
            "node": data["node"]["did"],
            "account": data["node"]["account"],
            "ledger": data["ledger"]["id"],
            "network file": data["network_file"],
            "owner's socket": data["owner_socket"],
            "phrase": data["phrase_file"],
            "log": data["log_file"],
        }
    )
