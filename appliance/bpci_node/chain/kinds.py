"""What a kind of command is: everything that the machine needs to run it, and the reference needs to describe it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import read_body
from bpci_node.chain.state import Overlay

Handler = Callable[[Overlay, Context, Any], list[Event]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of command."""

    name: str
    """Area, dot, verb and noun."""
    summary: str
    """What it does, one sentence."""
    body: type
    """A dataclass of declared fields."""
    apply: Handler
    """Executes it; either everything it writes applies, or nothing."""
    rules: tuple[tuple[str, str], ...]
    """Its preconditions in the order in which they are checked: the code of the error, and what must hold."""
    effects: str
    """What it changes, in sentences."""
    events: tuple[str, ...]
    """Kinds of the events that it may bring about."""
    check: Callable[[Any], None] | None = None
    """What the forms of single fields do not say of a body; raises ``FormatError``."""
    since: int = 2
    """First version of the rules that knows it."""
    is_free: bool = False
    """Whether it is exempt from the least fee."""
    takes_approvals: bool = False
    """Whether guardians may sign it besides the sender."""

    def read(self, body: dict[str, Any]) -> Any:
        """Return the body that a command's map holds; no state is looked at.

        Raises:
            FormatError: it is not of this kind's form (``format.body``, and what its forms say).
        """
        found: Any = read_body(self.body, body, kind=self.name)
        if self.check is not None:
            self.check(found)
        return found
