"""Which node a command means: one by URL, the devnet in a directory, or the one of this machine."""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click

from bpci_node.errors import UsageError

MACHINE_URL = "http://127.0.0.1:8545"
MACHINE_SOCKET = Path("/run/bpci/owner.sock")


dir_option = click.option(
    "--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="The devnet in this directory."
)
node_option = click.option("--node", "url", metavar="URL", help="The node at this URL.")
socket_option = click.option(
    "--socket", type=click.Path(path_type=Path), metavar="PATH", help="The node behind this owner's socket."
)
target_option = click.option(
    "--target", default="eip155:1", show_default=True, metavar="CHAIN", help="Target chain, CAIP-2."
)


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where a node's two faces are."""

    url: str
    """Base URL of the public API."""
    socket: Path | None
    """The owner's socket; ``None`` for a node on another machine."""


def default_directory() -> Path:
    """Return the devnet's default directory. Source: XDG Base Directory Specification 0.8."""
    base = os.environ.get("XDG_STATE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "bpci" / "devnet"


def socket_of(directory: Path) -> Path:
    """Return the owner's socket of the devnet in ``directory``; elsewhere if its path is too long for a socket."""
    path = directory / "owner.sock"
    if len(os.fsencode(path)) <= 100:
        return path
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"bpci-devnet-{os.getuid()}-{digest}" / "owner.sock"


def devnet_place(directory: Path) -> NodePlace:
    """Return the place of the devnet in ``directory``.

    Raises:
        UsageError: there is none (``devnet.none``).
    """
    try:
        port = tomllib.loads((directory / "node.toml").read_text())["api"]["port"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise UsageError(
            f"there is no devnet in {directory}",
            code="devnet.none",
            hint="Start one with 'bpci devnet up', or name a node with --node URL.",
        ) from error
    return NodePlace(f"http://127.0.0.1:{port}", socket_of(directory))


def find_node(directory: Path | None, url: str | None) -> NodePlace:
    """Return the node that ``--dir`` or ``--node`` means.

    With neither it is this machine's own node if its owner's socket is there, else the devnet in its default place.

    Raises:
        UsageError: both are given (``usage.call``), or there is no devnet (``devnet.none``).
    """
    if directory is not None and url is not None:
        raise UsageError("--dir and --node exclude one another", code="usage.call")
    if url is not None:
        return NodePlace(url, None)
    if directory is not None:
        return devnet_place(directory.absolute())
    if MACHINE_SOCKET.exists() or not (default_directory() / "node.toml").exists():
        return NodePlace(MACHINE_URL, MACHINE_SOCKET)
    return devnet_place(default_directory())


def find_socket(directory: Path | None, socket: Path | None) -> Path:
    """Return the owner's socket that ``--dir`` or ``--socket`` means, as :func:`find_node`.

    Raises:
        UsageError: both are given (``usage.call``), or there is no devnet (``devnet.none``).
    """
    if directory is not None and socket is not None:
        raise UsageError("--dir and --socket exclude one another", code="usage.call")
    return socket or find_node(directory, None).socket or MACHINE_SOCKET
