"""Which credentials are revoked: one bit each, in pages of state, so that one proof under a block's root answers it.

An issuer numbers its credentials from 0. A page holds 2,048 of them; bit n of a page is the lowest bit first, as in the
Token Status List. A page that was never written has no revoked credential.
"""

from __future__ import annotations

from bpci_node.chain.state import Overlay, View
from bpci_node.errors import ProofError
from bpci_node.primitives.record import load_record, save_record
from bpci_node.primitives.state_proof import StateProof, verify_state

PAGE_BITS = 2048


def status_entry(issuer: str, index: int) -> bytes:
    """Return the state key of the page on which credential ``index`` of an issuer stands."""
    return f"credential-status/{issuer}/{index // PAGE_BITS:08d}".encode("ascii")


def is_revoked(page: bytes | None, index: int) -> bool:
    """Say whether the credential is revoked, given what stands at its page's state key.

    Source: Token Status List (draft 12), section 4.1.
    """
    if page is None:
        return False
    place = index % PAGE_BITS
    return bool(load_record(page)["bits"][place // 8] >> (place % 8) & 1)


def set_revoked(state: Overlay, issuer: str, index: int, height: int) -> None:
    """Mark a credential as revoked."""
    key, place = status_entry(issuer, index), index % PAGE_BITS
    page = state.get(key)
    bits = bytearray(PAGE_BITS // 8) if page is None else bytearray(load_record(page)["bits"])
    bits[place // 8] |= 1 << (place % 8)
    state.put(key, save_record({"v": 1, "bits": bytes(bits), "height": height}))


def load_status(state: View, issuer: str, index: int) -> bool:
    """Say whether the state has the credential revoked."""
    return is_revoked(state.get(status_entry(issuer, index)), index)


def verify_status(
    page: bytes | None,
    proof: StateProof,
    *,
    root: bytes,
    issuer: str,
    index: int,
    height: int,
    known_height: int,
    max_age_blocks: int,
) -> None:
    """Check, with a block's state root alone, that a credential is not revoked, and that this is fresh.

    Args:
        page: what stands at :func:`status_entry`, ``None`` for nothing.
        root: the state root of the block at ``height``, from a source that the caller trusts.
        known_height: the highest block that the caller knows of.
    Raises:
        ProofError: the page is not the state's (``proof.state``), it is too old (``proof.status_age``), or the
            credential is revoked (``proof.credential_revoked``).
    """
    verify_state(root, status_entry(issuer, index), page, proof)
    if known_height - height > max_age_blocks:
        raise ProofError(
            f"the status is {known_height - height} blocks old; at most {max_age_blocks} were asked for",
            code="proof.status_age",
            hint="Ask for the status again.",
        )
    if is_revoked(page, index):
        raise ProofError("the credential is revoked", code="proof.credential_revoked")
