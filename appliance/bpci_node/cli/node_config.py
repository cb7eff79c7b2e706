"""Where a machine's node has its configuration, and the option that names another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

NODE_CONFIG = Path("/etc/bpci/node.toml")
_Command = TypeVar("_Command", bound=Callable[..., object])


def config_option(command: _Command) -> _Command:
    """Add ``--config`` to a click command; the function receives ``config``, the path of a node's configuration."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=NODE_CONFIG,
        show_default=True,
        help="The node's configuration.",
    )(command)
