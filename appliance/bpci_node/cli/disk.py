"""``bpci disk``: the data partition and its room."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.output import emit, fields, json_option
from bpci_node.errors import HostError

DATA = Path("/data")


@click.group("disk")
def command() -> None:
    """The data partition and its room."""


@command.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Show how full the data partition is, and what of it is kept for root.

    \b
    Examples:
      bpci disk status
      bpci disk status --json
    """
    try:
        room = os.statvfs(DATA)
    except OSError as error:
        raise HostError(
            f"{DATA} can't be looked at: {error.strerror}", code="host.data", hint="Is this machine an appliance?"
        ) from error
    data: dict[str, Any] = {
        "v": 1,
        "size_bytes": room.f_blocks * room.f_frsize,
        "free_bytes": room.f_bavail * room.f_frsize,
        "reserved_bytes": (room.f_bfree - room.f_bavail) * room.f_frsize,
    }
    emit(data, as_json, _render)


def _render(data: dict[str, Any]) -> str:
    size, free, kept = (f"{data[f'{name}_bytes'] / 2**30:.2f} GiB" for name in ("size", "free", "reserved"))
    return fields({"Size": size, "Free": f"{free}, and {kept} kept for root"})
