"""Actions: what proposals carry, each with its body and what does it once the proposal has passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import Form, read_body
from bpci_node.chain.state import Overlay
from bpci_node.primitives.fields import Fields

MAX_ACTIONS = 8
"""Most actions of one proposal."""

Actions = tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of action."""

    name: str
    """Its kind."""
    body: type
    """A dataclass of declared fields."""
    apply: Callable[[Overlay, Context, Any], list[Event]]
    """Does it."""
    check: Callable[[Any], None] | None = None
    """What the forms of single fields do not say of a body; raises ``FormatError``."""

    def read(self, body: Any) -> Any:
        """Return the body that a map holds.

        Raises:
            FormatError: it is not of this kind's form (``format.body``, and what its forms say).
        """
        found: Any = read_body(self.body, body, kind=self.name)
        if self.check is not None:
            self.check(found)
        return found


def actions_form(table: Mapping[str, Action]) -> Form:
    """Return the form of a list of actions of these kinds."""

    def read(fields: Fields, name: str) -> Actions:
        found = []
        for item in fields.items(name, MAX_ACTIONS):
            inner = Fields(item, ("kind", "body"), what="an action", code="format.body")
            action, body = table.get(str(inner.raw("kind"))), inner.raw("body")
            if action is None:
                raise inner.wrong("is not of a kind that proposals carry")
            action.read(body)
            found.append((action.name, body))
        if not found:
            raise fields.wrong(f"needs an action in {name!r}")
        return tuple(found)

    kinds = ", ".join(f"`{name}`" for name in table)
    return Form(
        f"list of 1 to {MAX_ACTIONS} maps `{{kind: text, body: map}}`; kinds: {kinds}",
        read,
        lambda value: [{"kind": kind, "body": body} for kind, body in value],
    )


def run_actions(
    state: Overlay, context: Context, actions: list[dict[str, Any]], table: Mapping[str, Action]
) -> list[Event]:
    """Do what a proposal carries, in its order, and return what it brought about.

    Raises:
        BpciError: what an action raises; the caller's command fails with it, and nothing is done.
    """
    events: list[Event] = []
    for action in actions:
        kind = table[action["kind"]]
        events += kind.apply(state, context, kind.read(action["body"]))
    return events
