"""What the routes share: the node, its limits, and who signed a request."""

from __future__ import annotations

from starlette.requests import Request

from bpci_node.chain.registration import ACTIVE
from bpci_node.errors import AccessError, BpciError
from bpci_node.gateway.limits import RateLimit, source_of
from bpci_node.gateway.measuring import Turn
from bpci_node.gateway.metrics import Metrics
from bpci_node.gateway.models import MAX_BATCH
from bpci_node.network.auth import ReplayGuard, SignedRequest, verify_request
from bpci_node.network.wire import AUTH_HEADER
from bpci_node.primitives.keys import did_of
from bpci_node.runtime.intake import clock_ms
from bpci_node.runtime.node import Node

LOOKUPS_PER_ENTRY = 8
"""Looking one entry up costs about an eighth of accepting one."""
MEASURE_MIB_PER_SECOND = 4.0
MEASURE_BURST_MIB = 256.0
REACH_PER_SECOND = 0.2
REACH_BURST = 5.0
PROOFS_PER_SECOND = 5.0
PROOFS_BURST = 100.0
LEDGER_MIB_PER_SECOND = 32.0
LEDGER_BURST_MIB = 512.0
PAGES_PER_SECOND = 10.0
PAGES_BURST = 200.0
GRANTS_PER_SECOND = 0.2
GRANTS_BURST = 20.0
OPENINGS_PER_PROOF = 8
"""Entries and buckets that a proof opens for the price of one request."""


class Api:
    """One node's API."""

    def __init__(self, node: Node, metrics: Metrics) -> None:
        self.node, self.metrics = node, metrics
        self._replays = ReplayGuard()
        self._measure = RateLimit(MEASURE_MIB_PER_SECOND, MEASURE_BURST_MIB, code="limit.measure")
        self._turns = {True: Turn(), False: Turn()}
        self._reach = RateLimit(REACH_PER_SECOND, REACH_BURST, code="limit.reach")
        self._proofs = RateLimit(PROOFS_PER_SECOND, PROOFS_BURST, code="limit.proofs", what="proofs")
        self._ledger = RateLimit(
            LEDGER_MIB_PER_SECOND, LEDGER_BURST_MIB, code="limit.ledger", what="parts of the ledger"
        )
        self._pages = RateLimit(PAGES_PER_SECOND, PAGES_BURST, code="limit.pages", what="pages")
        self._grants = RateLimit(GRANTS_PER_SECOND, GRANTS_BURST, code="limit.faucet", what="requests of the faucet")
        rate = node.config.limits.entries_per_second
        self._entries = RateLimit(rate, max(2 * rate, MAX_BATCH), code="limit.entries", what="entries")

    def signed_request(self, request: Request) -> SignedRequest:
        """Check who signed a request, and that it comes for the first time. The body is the caller's to compare.

        Raises:
            AccessError: not signed, not valid (``access.auth``), or replayed (``access.replay``).
            LimitError: too many signed requests (``limit.signed_requests``).
        """
        network, now = self.node.network, clock_ms()
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["raw_path"].decode("latin-1")
        signed = verify_request(
            request.headers.get(AUTH_HEADER),
            method=request.method,
            path=f"{path}?{query}" if query else path,
            registry_key=network.registry_key,
            ledger_id=network.ledger_id,
            now_ms=now,
        )
        self._replays.admit(signed, now)
        return signed

    def allow_measuring(self, request: Request, signed: SignedRequest, size_bytes: int) -> None:
        """Take the bytes of a measured transfer from what source and key may use.

        Raises:
            LimitError: ``limit.measure``.
        """
        mib = max(size_bytes / (1 << 20), 0.1)
        self._measure.take(address_of(request), mib)
        self._measure.take(did_of(signed.node_key), mib)

    async def measuring_turn(self, signed: SignedRequest) -> Turn:
        """Return where the sender of a request measures: registered nodes have a place of their own."""
        try:
            record, _ = await self.node.lookups.find_node(did_of(signed.node_key))
        except BpciError:
            return self._turns[False]
        return self._turns[record["status"] == ACTIVE]

    def allow_reaching(self, request: Request, signed: SignedRequest) -> None:
        """Count one probe against source and key.

        Raises:
            LimitError: ``limit.reach``.
        """
        self._reach.take(source_of(address_of(request)))
        self._reach.take(did_of(signed.node_key))

    def allow_proof(self, request: Request, openings: int) -> None:
        """Take one header, or one proof of so many entries and buckets, from what the source of a request may ask for.

        Raises:
            LimitError: ``limit.proofs``.
        """
        self._proofs.take(source_of(address_of(request)), max(1.0, openings / OPENINGS_PER_PROOF))

    def allow_ledger(self, request: Request, mib: float) -> None:
        """Take a part of the ledger of about so many MiB from what the source of a request may fetch.

        Raises:
            LimitError: ``limit.ledger``.
        """
        self._ledger.take(source_of(address_of(request)), mib)

    def allow_page(self, request: Request) -> None:
        """Take one page from what the source of a request may have made.

        Raises:
            LimitError: ``limit.pages``.
        """
        self._pages.take(source_of(address_of(request)))

    def allow_grant(self, request: Request) -> None:
        """Count one request of the faucet against the source of a request, whatever becomes of it.

        Raises:
            LimitError: ``limit.faucet``.
        """
        self._grants.take(source_of(address_of(request)))

    def allow_entries(self, request: Request, count: int) -> bytes:
        """Take ``count`` entries from what the source of a request may send; return that source.

        Raises:
            LimitError: ``limit.entries``.
        """
        source = source_of(address_of(request))
        self._entries.take(source, count)
        return source.encode()

    def allow_lookups(self, request: Request, count: int) -> None:
        """Take ``count`` look-ups of entries from what the source of a request may send.

        Raises:
            LimitError: ``limit.entries``.
        """
        self._entries.take(source_of(address_of(request)), count / LOOKUPS_PER_ENTRY)


def address_of(request: Request) -> str:
    """Return the IP address at the other end of the connection; no header can change it."""
    return request.client.host if request.client else "local"


def require_digest(signed: SignedRequest, digest: bytes) -> None:
    """Check that the body is the one that was signed.

    Raises:
        AccessError: it is not (``access.auth``).
    """
    if digest != signed.body_digest:
        raise AccessError("the body is not the one that was signed", code="access.auth")
