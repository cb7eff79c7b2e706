"""``registry.admit_node``: a community node registers without a fee, for a proof of work or an invitation.

A proof of work is bound to the ledger, the node's key, its instance, and the root of a recent block, so it can
be neither sold on nor kept in stock. An invitation is the registry's word, good once and for a time. Both are counted
per window of heights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import DIGEST, PUBLIC_KEY, SIGNATURE, Form, Spec, blob_up_to, body_map, flags, optional
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.recent import RECENT_BLOCKS, recent_root
from bpci_node.chain.registration import (
    ACTIVE,
    CAPABILITIES,
    ENDPOINTS,
    FLAGS,
    INSTANCE,
    REGION,
    NodeRecord,
    load_node,
    store_node,
)
from bpci_node.chain.registry import require_unregistered
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import FormatError, ProofError, RefusedError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive, sha256
from bpci_node.primitives.keys import Signer, verify_signature
from bpci_node.primitives.names import LEDGER_ID_FORM
from bpci_node.primitives.record import load_record, save_record

WORK_CONTEXT = "bpci 2026 admission work v1"
INVITATION_CONTEXT = "bpci 2026 invitation v1"
MAX_INVITATION_BYTES = 512
"""Longest encoded invitation, without its signature."""
COMMUNITY_TYPE = "bpi-community"

_WORK, _INVITATION = "work", "invitation"


@dataclass(frozen=True, slots=True)
class Work:
    """A proof of work, as a command carries it."""

    height: int
    """Height of the block whose state root it is bound to."""
    nonce: bytes
    """8 bytes."""


def _read_work(fields: Fields, name: str) -> Work:
    inner = Fields(fields.raw(name), ("height", "nonce"), what=f"the map {name!r}", code="format.body")
    return Work(inner.integer("height"), inner.blob("nonce", 8))


_WORK_FORM = Form(
    "{height: int, nonce: 8 bytes}", _read_work, lambda work: {"height": work.height, "nonce": work.nonce}
)


@dataclass(frozen=True, slots=True)
class Admission:
    """Body of ``registry.admit_node``. Its node is of type ``bpi-community``."""

    node_key: Annotated[bytes, Spec(PUBLIC_KEY, "The node's Ed25519 key; it must be the key that signs the command.")]
    flags: Annotated[dict[str, bool], Spec(flags(FLAGS), "What kind of node it is; no bank sponsors it.")]
    capabilities: Annotated[tuple[str, ...], Spec(CAPABILITIES, "What it can do.")]
    endpoints: Annotated[tuple[str, ...], Spec(ENDPOINTS, "Where it is reached: URLs in the form below.")]
    region: Annotated[str | None, Spec(optional(REGION), "Where it stands; null: it says nothing.")]
    report_digest: Annotated[bytes, Spec(DIGEST, "Digest of the signed hardware report; zeros: none was made.")]
    instance: Annotated[int, Spec(INSTANCE, "Instance of the identity.")]
    work: Annotated[Work | None, Spec(optional(_WORK_FORM), "The proof of work, if there is no invitation.")]
    invitation: Annotated[
        bytes | None, Spec(optional(blob_up_to(MAX_INVITATION_BYTES)), "The invitation, if there is no work.")
    ]
    invitation_sig: Annotated[
        bytes | None, Spec(optional(SIGNATURE), "The registry's signature, there exactly when `invitation` is.")
    ]

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return body_map(self)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, not yet signed."""

    ledger_id: str
    """The ledger whose registry invites."""
    invitation_id: bytes
    """16 random bytes."""
    node_key: bytes | None
    """The only key that may use it; ``None``: whoever holds it."""
    expires_ms: int
    """Last block time at which it is good, Unix milliseconds."""

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(
            {
                "v": 1,
                "ledger_id": self.ledger_id,
                "invitation_id": self.invitation_id,
                "node_key": self.node_key,
                "expires_ms": self.expires_ms,
            }
        )


def check_admission(body: Admission) -> None:
    """Check what the forms of single fields do not say.

    Raises:
        FormatError: both a proof of work and an invitation, neither, or an invitation without its signature or the
            reverse (``format.body``).
    """
    if (body.work is None) == (body.invitation is None) or (body.invitation is None) != (body.invitation_sig is None):
        raise FormatError(
            "the body of registry.admit_node has either 'work', or 'invitation' with 'invitation_sig'",
            code="format.body",
        )


def invite(signer: Signer, invitation: Invitation) -> tuple[bytes, bytes]:
    """Return an encoded invitation and the registry's signature, 64 bytes."""
    data = invitation.encode()
    return data, signer.sign(derive(INVITATION_CONTEXT, data))


def work_statement(*, ledger_id: str, node_key: bytes, instance: int, height: int, root: bytes) -> bytes:
    """Return what a proof of work is for, 32 bytes: its nonce is hashed together with this.

    Args:
        height: of a recent block.
        root: root of the state after it, 32 bytes.
    """
    statement = {"v": 1, "ledger_id": ledger_id, "node_key": node_key, "instance": instance}
    return derive(WORK_CONTEXT, encode(statement | {"height": height, "root": root}))


def find_work(statement: bytes, bits: int, *, start: int = 0) -> bytes:
    """Return the first nonce from ``start`` on, 8 bytes, that proves work of so many bits; it takes 2^bits hashes."""
    bound = 1 << (256 - bits)
    nonce = start
    while int.from_bytes(sha256(statement + nonce.to_bytes(8)), "big") >= bound:
        nonce += 1
    return nonce.to_bytes(8)


def verify_work(statement: bytes, nonce: bytes, bits: int) -> None:
    """Check a proof of work: SHA-256 of statement and nonce begins with ``bits`` zero bits.

    Raises:
        ProofError: it does not (``proof.work``).
    """
    if int.from_bytes(sha256(statement + nonce), "big") >= 1 << (256 - bits):
        raise ProofError(
            f"the proof of work has fewer than {bits} bits",
            code="proof.work",
            hint="Ask the registry for the difficulty in force, and search for a nonce again.",
            bits=bits,
        )


def admit_node(state: Overlay, context: Context, body: Admission) -> list[Event]:
    """Register the community node of the sender.

    Raises:
        RefusedError: signed by another key than the node's (``registry.node_key``), sponsored by a bank
            (``registry.community``), registered already or suspended (as :func:`require_unregistered`), too many in
            this window (``registry.admissions``), a root that is not recent (``registry.work_height``), or an
            invitation that is another's, used or expired (``registry.invitation``).
        ProofError: too little work (``proof.work``), or not the registry's invitation (``proof.signature``).
        FormatError: the invitation is none (``format.invitation``).
    """
    if body.node_key != context.key:
        raise RefusedError("a registration is signed by the key that it registers", code="registry.node_key")
    if body.flags["bank_sponsored"]:
        raise RefusedError("a node that a bank sponsors is not a community node", code="registry.community")
    require_unregistered(load_node(state, context.sender), body.instance)
    if body.work is not None:
        _take_place(state, context, _WORK)
        _require_work(state, context, body, body.work)
    elif body.invitation is not None and body.invitation_sig is not None:
        _take_place(state, context, _INVITATION)
        _use_invitation(state, context, body.invitation, body.invitation_sig)
    record = NodeRecord(
        account=context.sender,
        node_key=body.node_key,
        node_type=COMMUNITY_TYPE,
        flags=body.flags,
        capabilities=body.capabilities,
        endpoints=body.endpoints,
        report_digest=body.report_digest,
        instance=body.instance,
        status=ACTIVE,
        registered_height=context.height,
        updated_height=context.height,
        region=body.region,
    )
    store_node(state, record, version=context.version)
    return [Event("registry.node_registered", {"account": context.sender, "instance": body.instance})]


def admitted_in_window(state: View, height: int, *, by_work: bool) -> int:
    """Return how many nodes were admitted so far in the window of heights that holds ``height``."""
    data = state.get(_count_entry(_WORK if by_work else _INVITATION))
    stored = None if data is None else load_record(data)
    window = height // load_parameter(state, "admission_window")
    return stored["count"] if stored is not None and stored["window"] == window else 0


def _take_place(state: Overlay, context: Context, means: str) -> None:
    count = admitted_in_window(state, context.height, by_work=means == _WORK)
    length, most = load_parameter(state, "admission_window"), load_parameter(state, "admissions_per_window")
    window = context.height // length
    if count >= most:
        raise RefusedError(
            f"{most} nodes were admitted by {means} within {length} blocks",
            code="registry.admissions",
            hint="Try again in the next window of heights.",
            height=(window + 1) * length,
        )
    state.put(_count_entry(means), save_record({"v": 1, "window": window, "count": count + 1}))


def _require_work(state: View, context: Context, body: Admission, work: Work) -> None:
    root = recent_root(state, context, work.height)
    if root is None:
        raise RefusedError(
            f"block {work.height} is none of the last {RECENT_BLOCKS} whose roots are kept",
            code="registry.work_height",
            hint="Ask for the present height and root, and search for a nonce again.",
        )
    statement = work_statement(
        ledger_id=context.ledger_id, node_key=body.node_key, instance=body.instance, height=work.height, root=root
    )
    verify_work(statement, work.nonce, load_parameter(state, "admission_bits"))


def _use_invitation(state: Overlay, context: Context, data: bytes, signature: bytes) -> None:
    invitation = decode_invitation(data)
    if invitation.ledger_id != context.ledger_id:
        raise RefusedError("the invitation is of another ledger", code="chain.ledger")
    verify_signature(context.genesis.registry_key, derive(INVITATION_CONTEXT, data), signature)
    entry = b"invitation/" + invitation.invitation_id
    problems = (
        (invitation.node_key not in (None, context.key), "was written for another key"),
        (context.time_ms > invitation.expires_ms, "has expired"),
        (state.get(entry) is not None, "was used already"),
    )
    for is_so, problem in problems:
        if is_so:
            raise RefusedError(
                f"the invitation {problem}", code="registry.invitation", hint="Ask the registry for another one."
            )
    state.put(entry, save_record({"v": 1, "account": context.sender, "height": context.height}))


def decode_invitation(data: bytes) -> Invitation:
    """Return the invitation that ``data`` encodes; nothing but its form is checked.

    Raises:
        FormatError: not an invitation of version 1 (``format.invitation``, or a code of the codec).
    """
    fields = Fields(
        decode(data, max_bytes=MAX_INVITATION_BYTES),
        ("v", "ledger_id", "invitation_id", "node_key", "expires_ms"),
        what="an invitation",
        code="format.invitation",
    )
    fields.version()
    return Invitation(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        invitation_id=fields.blob("invitation_id", 16),
        node_key=None if fields.is_null("node_key") else fields.blob("node_key", 32),
        expires_ms=fields.integer("expires_ms"),
    )


def _count_entry(means: str) -> bytes:
    return b"admissions/" + means.encode("ascii")
