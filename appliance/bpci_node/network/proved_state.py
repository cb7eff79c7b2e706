"""A ledger's state seen from afar: each entry is fetched from a node and proved against a signed block."""

from __future__ import annotations

from bpci_node.chain.block import decode_signed_block, verify_block
from bpci_node.errors import NotFoundError, ProofError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.state_proof import decode_state_proof, verify_state


class ProvedState:
    """Reads entries of the state through a node that need not be trusted.

    Entries may be of different blocks if the ledger moves on meanwhile; :attr:`height` is the oldest of them.
    """

    def __init__(self, client: NodeClient, registry_key: bytes) -> None:
        """Read through ``client``.

        Args:
            registry_key: the key that signs the ledger's blocks, 32 bytes, from a source that the caller trusts.
        """
        self._client, self._registry_key = client, registry_key
        self._entries: dict[bytes, bytes | None] = {}
        self.height: int | None = None
        """Height of the oldest block that an entry was proved against; ``None`` before the first."""
        self.newest_height = 0
        """Height of the newest block that was seen."""
        self.time_ms = 0
        """Time of the newest block, Unix milliseconds."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if the node proved that there is none.

        Before the first block there is no root that could prove anything, and nothing is there.

        Raises:
            ProofError: the block is not the ledger's, or the proof does not hold (``proof.proposer``, ``proof.state``,
                ``proof.signature``).
            UnreachableError: the node does not answer.
        """
        if key not in self._entries:
            self._entries[key] = self._fetch(key)
        return self._entries[key]

    def _fetch(self, key: bytes) -> bytes | None:
        try:
            found = self._client.ledger.state(key)
        except NotFoundError as error:
            if error.code == "chain.block" and self.height is None:
                return None
            raise
        signed = decode_signed_block(found["signed_block"])
        block = signed.block
        if block.proposer != self._registry_key or block.version == 1:
            raise ProofError("the node showed a block of another ledger", code="proof.proposer")
        verify_block(signed)
        value: bytes | None = found["value"]
        verify_state(block.state_root, key, value, decode_state_proof(found["proof"]))
        self.height = block.height if self.height is None else min(self.height, block.height)
        if block.height > self.newest_height:
            self.newest_height, self.time_ms = block.height, block.time_ms
        return value
