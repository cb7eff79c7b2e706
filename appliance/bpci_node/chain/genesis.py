"""The first word of a ledger: its name, its sequencer's key, its birth, its parameters. Its hash is in the ledger's id.

Version 1 has no parameters; ledgers that began with it go on under the rules of version 2 with the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.parameters import Parameters, parse_parameters
from bpci_node.errors import FormatError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import require_public_key
from bpci_node.primitives.names import NAME_FORM

GENESIS_CONTEXT = "bpci 2026 genesis v1"

MAX_GENESIS_BYTES = 1 << 20
"""Longest encoded genesis: 4,096 allocations with their schedules fit."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """What every participant of one ledger agrees on beforehand."""

    name: str
    """The network's name, as in :data:`NAME_FORM`."""
    registry_key: bytes
    """Ed25519 key that signs blocks, challenges and certificates, 32 bytes."""
    time_ms: int
    """Birth of the ledger, Unix milliseconds; every block is later."""
    parameters: Parameters | None = None
    """What it begins with; ``None`` makes a genesis of version 1."""

    def __post_init__(self) -> None:
        """Check the fields, so that no ledger with an unusable key comes into being."""
        if NAME_FORM.fullmatch(self.name) is None:
            raise FormatError(
                "a network's name is 1 to 32 lower-case letters, digits and inner hyphens", code="format.genesis"
            )
        require_public_key(self.registry_key)

    @property
    def version(self) -> int:
        """Version of its layout, and least version of the ledger's blocks: 1 or 2."""
        return 1 if self.parameters is None else 2

    @property
    def guardians(self) -> tuple[bytes, ...]:
        """Ed25519 keys of the guardians that it names, 32 bytes each."""
        return (self.registry_key,) if self.parameters is None else self.parameters.guardians

    @property
    def threshold(self) -> int:
        """How many of the guardians make a quorum."""
        return 1 if self.parameters is None else self.parameters.threshold

    @property
    def hash(self) -> bytes:
        """The genesis hash, 32 bytes."""
        return derive(GENESIS_CONTEXT, self.encode())

    @property
    def ledger_id(self) -> str:
        """The id of the ledger that begins with this genesis."""
        return f"{self.name}:{self.hash.hex()}"

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {
            "v": self.version,
            "name": self.name,
            "registry_key": self.registry_key,
            "time_ms": self.time_ms,
            "parameters": {} if self.parameters is None else self.parameters.as_map(),
        }

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(self.as_map())


def decode_genesis(data: bytes) -> Genesis:
    """Return the genesis that ``data`` encodes.

    Raises:
        FormatError: not the encoding of one (``format.genesis``, ``format.key``, or a code of the codec).
    """
    fields = Fields(
        decode(data, max_bytes=MAX_GENESIS_BYTES),
        ("v", "name", "registry_key", "time_ms", "parameters"),
        what="a genesis",
        code="format.genesis",
    )
    parameters = None
    if fields.integer("v", 1, 2) == 2:
        parameters = parse_parameters(fields.raw("parameters"))
    else:
        Fields(fields.raw("parameters"), (), what="the parameters of a genesis", code="format.genesis")
    return Genesis(
        name=fields.text("name", NAME_FORM, "a network's name"),
        registry_key=fields.blob("registry_key", 32),
        time_ms=fields.integer("time_ms"),
        parameters=parameters,
    )
