"""Records of the program's own: the canonical encoding without the checks that strangers' bytes need.

For state entries alone: whoever writes them chose every type in them, and whoever reads them has compared their root
with a signed one. Everything else goes through :mod:`bpci_node.primitives.codec`, which gives the same bytes.
"""

from __future__ import annotations

from typing import Any

import cbor2


def save_record(value: Any) -> bytes:
    """Return the canonical encoding of a value that :func:`bpci_node.primitives.codec.encode` would take."""
    return cbor2.dumps(value, canonical=True)


def load_record(data: bytes) -> Any:
    """Return the value that :func:`save_record` has encoded."""
    return cbor2.loads(data)
