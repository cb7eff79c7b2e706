"""A validator's keys: its node's, and those with which it votes, draws and signs for later."""

from __future__ import annotations

from dataclasses import dataclass, field

from bpci_node.errors import FormatError, UsageError
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.keys import Signer
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.vrf import VrfSigner
from bpci_node.runtime.auction_config import ValidatorSection
from bpci_node.runtime.key_files import read_key


@dataclass(frozen=True, slots=True)
class AuctionKeys:
    """What a validator signs with; ``repr`` shows nothing of it."""

    node: Signer = field(repr=False)
    """Ed25519: receipts, sets, lists."""
    bls: BlsSigner = field(repr=False)
    """BLS12-381: votes."""
    vrf: VrfSigner = field(repr=False)
    """Draws."""
    ml_dsa: MlDsaSigner = field(repr=False)
    """ML-DSA-44: bundles."""


def load_auction_keys(section: ValidatorSection, node: Signer) -> AuctionKeys:
    """Read a validator's keys.

    Raises:
        UsageError: one is absent, readable by others, or no key (``config.key_file``).
    """
    try:
        bls = BlsSigner(int.from_bytes(read_key(section.bls, key="validator.bls")))
    except FormatError as error:
        raise UsageError(f"validator.bls: {error.message}", code="config.key_file", key="validator.bls") from error
    return AuctionKeys(
        node=node,
        bls=bls,
        vrf=VrfSigner(read_key(section.vrf, key="validator.vrf")),
        ml_dsa=MlDsaSigner(read_key(section.ml_dsa, key="validator.ml_dsa")),
    )
