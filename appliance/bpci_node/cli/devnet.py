"""``bpci devnet``: nodes with a ledger of their own on this machine, on loopback, within seconds."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bpci_node.cli.devnet_files import (
    DASHBOARD_PORT,
    FAUCET_PORT,
    MAX_NODES,
    RPC_PORT,
    Place,
    Ports,
    nodes_of,
    ports_of,
    remove_devnet,
    validators_of,
    write_files,
    write_follower,
)
from bpci_node.cli.devnet_view import STEP_SECONDS, describe, describe_node, render, running_of
from bpci_node.cli.local import default_directory
from bpci_node.cli.output import emit, json_option, say
from bpci_node.errors import StorageError, UsageError

if TYPE_CHECKING:
    from bpci_node.runtime.supervision import NodeProcess

VALIDATORS = 4
"""As many auction on although one of them is down."""
dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where it lives.  [default: $XDG_STATE_HOME/bpci/devnet]",
)
_port = click.IntRange(1024, 65535)


@click.group("devnet")
def command() -> None:
    """Nodes on this machine, within seconds."""


@command.command("up")
@dir_option
@click.option("--nodes", type=click.IntRange(1, MAX_NODES), help="How many.  [default: 1, or as many as it has]")
@click.option(
    "--validators",
    type=click.IntRange(0, MAX_NODES - 1),
    help="How many of those that follow run auctions.  [default: as it has; four of five or more new nodes]",
)
@click.option("--port", type=_port, help="Port of the first node's API; the others follow.  [default: 8545]")
@click.option("--dashboard-port", type=_port, help="Port of its pages.  [default: 8080, without --port]")
@click.option("--faucet-port", type=_port, help="Port of its faucet's page.  [default: 3000, without --port]")
@json_option
def up(
    *,
    directory: Path | None,
    nodes: int | None,
    validators: int | None,
    port: int | None,
    dashboard_port: int | None,
    faucet_port: int | None,
    as_json: bool,
) -> None:
    """Start what of the devnet does not run, or say where it runs.

    The first node keeps the ledger and is its registry; the others follow it, and are registered. A fresh recovery
    phrase is made at the first start, and a funded account for you: developer.key. Validators get keys and a stake from
    the faucet, and auction in epochs of ten seconds. Without --port ports are those that it had, or the defaults; with
    --port the pages are on the API's port unless theirs is named.

    \b
    Examples:
      bpci devnet up
      bpci devnet up --nodes 4
      bpci devnet up --nodes 5 --validators 4
      bpci devnet up --dir /tmp/two --port 9545 --json
    """
    home = _home(directory)
    with _alone(home):
        present = nodes_of(home)
        wanted = _ports(home, port, dashboard_port, faucet_port)
        running = running_of(present)
        if running and ports_of(home) != wanted:
            raise UsageError(
                f"the devnet in {home} already runs on other ports",
                code="devnet.running",
                hint="Stop it first with 'bpci devnet down'.",
            )
        if nodes is not None and nodes < len(present):
            raise UsageError(
                f"the devnet in {home} has {len(present)} nodes already",
                code="devnet.nodes",
                hint="'bpci devnet reset' lets it begin anew.",
            )
        served = len(validators_of(home))
        count = nodes or max(len(present), 1 if validators is None else validators + 1)
        if validators is None:
            validators = served if present else (VALIDATORS if count > VALIDATORS else 0)
        if not served <= validators < count:
            raise UsageError(
                f"of {count} nodes, of which {served} are validators, {validators} can't be the validators",
                code="devnet.validators",
                hint="The first node keeps the ledger; validators are further ones, and stay validators.",
            )
        _start_missing(home, count, wanted, running, validators=validators)
        found = describe(home)
    emit(found, as_json, render)


@command.command("status")
@dir_option
@json_option
def status(*, directory: Path | None, as_json: bool) -> int:
    """Say which nodes of the devnet run, where, and whether they are in step. Exit status 1 if not all run.

    \b
    Examples:
      bpci devnet status
      bpci devnet status --json
    """
    home = _home(directory)
    places = nodes_of(home)
    running = running_of(places)
    if not running:
        emit({"running": False, "dir": str(home)}, as_json, lambda data: f"no devnet runs in {data['dir']}")
        return 1
    emit(describe(home), as_json, render)
    return 0 if len(running) == len(places) else 1


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
    home = _home(directory)
    was_running = bool(running_of(nodes_of(home)))
    if was_running:
        with _alone(home):
            _stop(home)
    emit(
        {"running": False, "was_running": was_running, "dir": str(home)},
        as_json,
        lambda data: f"the devnet in {data['dir']} " + ("is stopped" if data["was_running"] else "was not running"),
    )


@command.command("reset")
@dir_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def reset(*, directory: Path | None, yes: bool, as_json: bool) -> None:
    """Stop the devnet and remove its ledger, its keys and everything else that it wrote.

    \b
    Examples:
      bpci devnet reset
      bpci devnet reset --dir /tmp/two --yes
    """
    home = _home(directory)
    if not nodes_of(home) and not (home / "phrase.txt").exists():
        raise UsageError(f"there is no devnet in {home}", code="devnet.none", hint="'bpci devnet up' begins one.")
    if not yes:
        click.confirm(f"Remove the devnet in {home}, with its keys and its ledger?", abort=True, err=True)
    with _alone(home):
        _stop(home)
        remove_devnet(home)
    emit({"removed": True, "dir": str(home)}, as_json, lambda data: f"the devnet in {data['dir']} is removed")


def _home(directory: Path | None) -> Path:
    return (directory or default_directory()).absolute()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep a second ``devnet up``, ``down`` or ``reset`` of the same directory waiting."""
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


def _ports(home: Path, base: int | None, dashboard: int | None, faucet: int | None) -> Ports:
    former = ports_of(home)
    if base is None and former is not None:
        defaults = former
    elif base is None:
        defaults = Ports(RPC_PORT, DASHBOARD_PORT, FAUCET_PORT)
    else:
        defaults = former if former is not None and former.base == base else Ports(base, 0, 0)
    return Ports(defaults.base, dashboard or defaults.dashboard, faucet or defaults.faucet)


def _start_missing(home: Path, count: int, ports: Ports, running: dict[int, int], *, validators: int) -> None:
    """Start every node that does not run. What a failed try started is stopped, what it made is removed."""
    from bpci_node.runtime.supervision import require_free, start_node, stop_nodes

    places = [Place(home, number) for number in range(1, count + 1)]
    served = {place.number for place in validators_of(home)}
    chosen = [number for number in range(2, count + 1) if number not in served][: validators - len(served)]
    stop_nodes([running.pop(number) for number in chosen if number in running])
    missing = [place for place in places if place.number not in running]
    new = [place for place in missing if not place.config.exists()]
    wanted = [(ports.base + place.number - 1, "--port") for place in missing]
    if 1 not in running:
        wanted += [(ports.dashboard, "--dashboard-port"), (ports.faucet, "--faucet-port")]
    started: list[NodeProcess] = []
    try:
        for number, option in wanted:
            if number:
                hint = f"Stop that, or choose another port: bpci devnet up {option} {min(number + 1, 65_535)}"
                require_free(number, hint=hint)
        if missing and missing[0].number == 1:
            write_files(home, ports.base, ports=ports)
            started.append(start_node(missing[0].config, missing[0].log))
            started[0].await_ready(missing[0].socket)
            _register(missing[0], network_file=home / "network.json")
        followers = [place for place in missing if place.number > 1]
        for place in followers:
            write_follower(place, ports, is_validator=place.number in chosen)
            started.append(start_node(place.config, place.log))
        for place, process in zip(followers, started[len(started) - len(followers) :], strict=True):
            process.await_ready(place.socket)
            _register(place)
        for number in chosen:
            _enlist(Place(home, number))
        _await_step([place for place in places if place.number > 1])
    except BaseException:
        stop_nodes([item.pid for item in started])
        for item in started:
            item.process.wait()
        _remove_new(home, new)
        raise


def _await_step(followers: list[Place]) -> None:
    """Wait until followers have the blocks that the first node had a moment ago; one that never has them shows it."""
    end = time.monotonic() + STEP_SECONDS
    while followers and time.monotonic() < end:
        ahead = describe_node(Place(followers[0].home, 1), None)["height"] or 0
        if all((describe_node(place, None)["height"] or 0) >= ahead for place in followers):
            return
        time.sleep(0.1)


def _remove_new(home: Path, new: list[Place]) -> None:
    """Remove nodes that a failed start had begun to make, or the whole devnet if it began with it."""
    if any(place.number == 1 for place in new):
        remove_devnet(home)
        return
    for place in new:
        place.socket.unlink(missing_ok=True)
        shutil.rmtree(place.directory, ignore_errors=True)


def _register(place: Place, *, network_file: Path | None = None) -> None:
    from bpci_node.network.client import NodeClient

    with NodeClient(place.socket) as client:
        client.register(None)
        if network_file is not None:
            client.network().save(network_file)


def _enlist(place: Place) -> None:
    """Give a validator its stake, and let the ledger know its keys."""
    from bpci_node.cli.mining import enlist, open_desk
    from bpci_node.cli.mining_place import open_place

    mining = open_place(place.config)
    with open_desk(mining) as desk:
        enlist(desk, mining.validator_keys())


def _stop(home: Path) -> None:
    """Stop the followers, then who they follow."""
    from bpci_node.runtime.supervision import stop_nodes

    running = running_of(nodes_of(home))
    first = running.pop(1, None)
    for pid in [*stop_nodes(list(running.values())), *stop_nodes([] if first is None else [first])]:
        say(f"the node (pid {pid}) did not stop in time, and was killed")
