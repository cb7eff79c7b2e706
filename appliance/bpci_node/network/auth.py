"""Requests that a node signs: both sides of the header ``BPCI-Auth``.

The header is base64url (no padding) over canonical CBOR of ``{challenge, challenge_sig, method, path, body_digest,
sig}``. ``challenge`` is a challenge of the registry for the node's key, ``path`` the request target with its query,
``body_digest`` the SHA-256 of the body, ``sig`` the signature over all other members. A header is good once: its
replay within the challenge's life is refused, after it the challenge has expired.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import re
import threading
from collections import Counter
from dataclasses import dataclass

from bpci_node.chain.challenge import verify_challenge
from bpci_node.errors import AccessError, BpciError, LimitError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive, sha256
from bpci_node.primitives.keys import Signer, sign_object, verify_object

REQUEST_CONTEXT = "bpci 2026 request v1"
MAX_HEADER_CHARACTERS = 2048

_FIELDS = ("challenge", "challenge_sig", "method", "path", "body_digest", "sig")
_METHOD = re.compile(r"[A-Z]{1,10}")
_PATH = re.compile(r"/[\x21-\x7e]{0,511}")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """Who asks, and for what, as far as the header says and its signatures hold."""

    node_key: bytes
    """Ed25519 key of the asking node, 32 bytes."""
    body_digest: bytes
    """SHA-256 that the body must have, 32 bytes."""
    digest: bytes
    """Names this challenge, method, path and body; the replay guard remembers it."""
    expires_ms: int
    """End of the challenge's life, Unix milliseconds."""


def sign_request(signer: Signer, *, challenge: bytes, challenge_sig: bytes, method: str, path: str, body: bytes) -> str:
    """Return the header's value for one request.

    Args:
        challenge: the registry's challenge for the signer's key.
        path: request target with its query, as it is sent.
    """
    members = {
        "challenge": challenge,
        "challenge_sig": challenge_sig,
        "method": method,
        "path": path,
        "body_digest": sha256(body),
    }
    signed = codec.encode({**members, "sig": sign_object(signer, REQUEST_CONTEXT, members)})
    return base64.urlsafe_b64encode(signed).decode("ascii").rstrip("=")


def verify_request(
    header: str | None, *, method: str, path: str, registry_key: bytes, ledger_id: str, now_ms: int
) -> SignedRequest:
    """Check the header of a request; the caller still compares the body with ``body_digest``, and asks its guard.

    Raises:
        AccessError: no header, not well-formed, for another request, expired, or a signature that does not hold
            (``access.auth``).
    """
    if not header:
        raise AccessError(
            "this request must be signed by a node",
            code="access.auth",
            hint="Get a challenge from /v1/registry/challenge and send the BPCI-Auth header.",
        )
    try:
        fields = Fields(_decoded(header), _FIELDS, what="the BPCI-Auth header", code="format.auth")
        challenge_data, challenge_sig = fields.blob_up_to("challenge", 512), fields.blob("challenge_sig", 64)
        body_digest = fields.blob("body_digest", 32)
        members = {
            "challenge": challenge_data,
            "challenge_sig": challenge_sig,
            "method": fields.text("method", _METHOD, "an HTTP method"),
            "path": fields.text("path", _PATH, "a request target"),
            "body_digest": body_digest,
        }
        challenge = verify_challenge(
            challenge_data,
            challenge_sig,
            registry_key=registry_key,
            ledger_id=ledger_id,
            time_ms=now_ms,
        )
        if (members["method"], members["path"]) != (method, path):
            raise AccessError("the BPCI-Auth header was made for another request", code="access.auth")
        verify_object(challenge.node_key, REQUEST_CONTEXT, members, fields.blob("sig", 64))
    except BpciError as error:
        raise AccessError(
            f"the request's signature is refused: {error.message}",
            code="access.auth",
            hint="Get a new challenge and sign again; check this machine's clock.",
            reason=error.code,
        ) from error
    return SignedRequest(
        node_key=challenge.node_key,
        body_digest=body_digest,
        digest=derive(REQUEST_CONTEXT, codec.encode(members)),
        expires_ms=challenge.expires_ms,
    )


def _decoded(header: str) -> object:
    if len(header) > MAX_HEADER_CHARACTERS:
        raise AccessError("the BPCI-Auth header is too long", code="access.auth")
    try:
        raw = base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise AccessError("the BPCI-Auth header is not base64url", code="access.auth") from error
    return codec.decode(raw, max_bytes=MAX_HEADER_CHARACTERS)


class ReplayGuard:
    """Remembers admitted requests until their challenges expire.

    It is bounded, and when it is full it refuses rather than forgets.
    """

    def __init__(self, *, capacity: int = 65_536, per_key: int = 256) -> None:
        """Set the bounds.

        Args:
            capacity: requests that are remembered at most.
            per_key: of one node's key, so that one node can't fill it.
        """
        self._capacity, self._per_key = capacity, per_key
        self._seen: set[bytes] = set()
        self._by_expiry: list[tuple[int, bytes, bytes]] = []
        self._count: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    def admit(self, request: SignedRequest, now_ms: int) -> None:
        """Remember ``request``.

        Raises:
            AccessError: it was admitted before (``access.replay``).
            LimitError: too many within the life of a challenge (``limit.signed_requests``).
        """
        with self._lock:
            self._forget(now_ms)
            if request.digest in self._seen:
                raise AccessError(
                    "this signed request was already used", code="access.replay", hint="Get a new challenge."
                )
            if len(self._seen) >= self._capacity or self._count[request.node_key] >= self._per_key:
                raise LimitError(
                    "too many signed requests", code="limit.signed_requests", hint="Try again in ten minutes."
                )
            self._seen.add(request.digest)
            self._count[request.node_key] += 1
            heapq.heappush(self._by_expiry, (request.expires_ms, request.digest, request.node_key))

    def _forget(self, now_ms: int) -> None:
        while self._by_expiry and self._by_expiry[0][0] < now_ms:
            _, digest, node_key = heapq.heappop(self._by_expiry)
            self._seen.remove(digest)
            self._count[node_key] -= 1
            if not self._count[node_key]:
                del self._count[node_key]
