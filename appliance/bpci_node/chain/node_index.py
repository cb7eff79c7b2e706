"""Finding nodes: state keys that list the nodes of each type, status, capability, region and flag, and the search.

Each index entry is ``node-<facet>/<value>/<account id>`` with an empty value. Version 1 of the rules knows the facet
``type`` alone; the first block of version 2 writes the others for the nodes that are there.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.registration import (
    ACTIVE,
    CAPABILITY_FORM,
    FLAGS,
    NODE_TYPES,
    REGION_FORM,
    RETIRED,
    SUSPENDED,
    NodeRecord,
    index_entries,
    load_node,
    node_entry,
)
from bpci_node.chain.state import State
from bpci_node.chain.validators import active_entry
from bpci_node.errors import FormatError

MAX_PAGE = 1000
"""Most nodes of one answer."""
MAX_MISSES = 250
"""Most nodes that one answer looks at in vain."""


@dataclass(frozen=True, slots=True)
class NodeQuery:
    """What is looked for; every condition that is given must hold."""

    node_type: str | None = None
    """One of :data:`NODE_TYPES`."""
    status: str | None = None
    """``active``, ``suspended`` or ``retired``."""
    capability: str | None = None
    """A capability that the node names."""
    region: str | None = None
    """The region where it says it stands."""
    flag: str | None = None
    """One of :data:`FLAGS` that is set."""
    is_validator: bool = False
    """Only nodes whose account is an active validator."""

    def __post_init__(self) -> None:
        """Check the conditions.

        Raises:
            FormatError: a condition that no node could meet (``format.node_type``, ``format.node_query``).
        """
        if self.node_type not in (None, *NODE_TYPES):
            raise FormatError(f"a node's type is one of {', '.join(NODE_TYPES)}", code="format.node_type")
        if self.status not in (None, ACTIVE, SUSPENDED, RETIRED):
            raise FormatError(f"a node's status is {ACTIVE}, {SUSPENDED} or {RETIRED}", code="format.node_query")
        if self.flag not in (None, *FLAGS):
            raise FormatError(f"a node's flags are {', '.join(FLAGS)}", code="format.node_query")
        for value, form, what in (
            (self.capability, CAPABILITY_FORM, "a capability is 1 to 40 characters a-z 0-9 . -"),
            (self.region, REGION_FORM, "a region is 1 to 16 characters a-z 0-9 -"),
        ):
            if value is not None and form.fullmatch(value) is None:
                raise FormatError(what, code="format.node_query")

    def prefixes(self) -> list[bytes]:
        """Return the prefixes of the indexes that answer it, the one that likely has fewest entries first."""
        facets = {
            "capability": self.capability,
            "region": self.region,
            "flag": self.flag,
            "type": self.node_type,
            "status": self.status,
        }
        found = [f"node-{facet}/{value}/".encode("ascii") for facet, value in facets.items() if value is not None]
        return [active_entry(""), *found] if self.is_validator else found


def search_nodes(
    state: State, query: NodeQuery, *, after: str = "", limit: int = 100
) -> tuple[list[NodeRecord], str | None]:
    """Return nodes in order of their account ids, and the account after which the next page begins.

    A page looks at :data:`MAX_MISSES` other nodes at most, so it may hold fewer than ``limit`` and not be the last.

    Args:
        after: only accounts greater than this one.
        limit: most nodes returned, 1 to 1000.
    Raises:
        FormatError: ``after`` is no account id (``format.account``).
    """
    if after and ACCOUNT_FORM.fullmatch(after) is None:
        raise FormatError("a page begins after an account id", code="format.account")
    first, *others = query.prefixes() or [node_entry("")]
    found: list[NodeRecord] = []
    last = after.encode("ascii")
    missed = 0
    for entry, _ in state.entries(first, after=first + last if after else b""):
        last = entry[len(first) :]
        is_met = all(state.get(prefix + last) is not None for prefix in others)
        record = load_node(state, last.decode("ascii")) if is_met else None
        if record is None:
            missed += 1
        else:
            found.append(record)
        if len(found) >= min(limit, MAX_PAGE) or missed >= MAX_MISSES:
            return found, last.decode("ascii")
    return found, None


def index_writes(state: State) -> dict[bytes, bytes | None]:
    """Return the index entries that a ledger of version 1 lacks when it passes to version 2."""
    prefix = node_entry("")
    records = [load_node(state, entry.removeprefix(prefix).decode("ascii")) for entry, _ in state.entries(prefix)]
    entries = [entry for record in records if record is not None for entry in index_entries(record)]
    return {entry: b"" for entry in entries if state.get(entry) is None}
