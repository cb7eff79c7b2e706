"""What the wizard works with, passed in from outside: the machine, the turn, the checks, randomness."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bpci_node.setup.system import System
from bpci_node.setup.turn import Turn

if TYPE_CHECKING:
    from bpci_node.host.check import Check

CONFIRMED_WORDS = 3
"""How many words of a new phrase are asked for."""


CONFIRMED_GROUPS = 2
"""How many groups of a disk's recovery key."""


def three_positions() -> tuple[int, ...]:
    """Return the positions of the words to ask for, from 1, ascending."""
    return tuple(sorted(random.SystemRandom().sample(range(1, 25), CONFIRMED_WORDS)))


def two_groups() -> tuple[int, ...]:
    """Return the positions of the groups to ask for, from 1, ascending."""
    return tuple(sorted(random.SystemRandom().sample(range(1, 9), CONFIRMED_GROUPS)))


@dataclass(slots=True)
class Services:
    """The wizard's surroundings."""

    system: System
    """The machine."""
    turn: Turn
    """This console's claim to set the machine up."""
    on_console: bool = True
    """Whether this is one of the machine's own consoles, which there is no leaving."""
    checks: Sequence[Check] | None = None
    """Hardware checks; ``None`` for all of them."""
    entropy: Callable[[int], bytes] = os.urandom
    """Source of a new identity."""
    positions: Callable[[], tuple[int, ...]] = three_positions
    """Which words of the phrase are asked for."""
    groups: Callable[[], tuple[int, ...]] = two_groups
    """Which groups of a disk's recovery key are asked for."""
    run_options: dict[str, Any] = field(default_factory=dict)
    """Further fields of :class:`bpci_node.setup.run.Run`."""
