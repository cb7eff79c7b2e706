"""Records of the program's own: the canonical encoding without the checks that strangers' bytes need.

For state entries, and for what was decoded with all checks a moment ago: whoever writes an entry chose every type in
it, and whoever reads it has compared its root with a signed one. Everything else goes through
:mod:`bpci_node.primitives.codec`, which gives the same bytes.
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
