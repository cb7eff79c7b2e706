"""Whose a state directory is: one node's, on one ledger."""

from __future__ import annotations

from bpci_node.errors import StorageError
from bpci_node.store.store import Store


def require_same_identity(store: Store, *, node_key: bytes, ledger_id: str) -> None:
    """Bind the state directory to the node's key and its ledger at the first start, and check it at every other.

    Raises:
        StorageError: it is another's (``storage.identity``), or the store failed.
    """
    for key, value, what in (
        ("node_key", node_key, "another node key"),
        ("ledger_id", ledger_id.encode(), "another ledger"),
    ):
        kept = store.meta(key)
        if kept is None:
            store.set_meta(key, value)
        elif kept != value:
            raise StorageError(
                f"the state in {store.path.parent} belongs to {what}",
                code="storage.identity",
                hint="Use another state_dir for another identity or network.",
            )
