"""The registry guard: bundles and blocks are signed only while the node's registry says that they may be.

States, and what leads from one to another:

- ``unconfigured``: no valid address of a registry is known; it ends with a configuration that names one.
- ``configured``: there is an address, and no token yet; :meth:`RegistryGuard.take` leads to ``proved``.
- ``proved``: the registry's token is good. Its end leads to ``expired``; a registry that is out of reach, to nothing.
- ``expired``: the token ran out, or the clock is too far from the registry's; a new token leads back.
- ``deactivated``: this node's own copy of the ledger says that the guardians stopped it, whatever the token says; the
  block that reactivates it leads back to what the token says.

The state is computed each time from configuration, token, clock and ledger, so nothing can be left behind by a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from bpci_node.chain.activation_token import LIFETIME_MS, ActivationToken, read_token
from bpci_node.chain.deactivation import Deactivation, find_deactivation
from bpci_node.errors import BpciError, RefusedError
from bpci_node.network.file import NetworkFile
from bpci_node.runtime.lookups import Lookups
from bpci_node.runtime.service import log_error
from bpci_node.store.store import Store

log = logging.getLogger("bpci.guard")

UNCONFIGURED, CONFIGURED, PROVED, EXPIRED, DEACTIVATED = STATES = (
    "unconfigured",
    "configured",
    "proved",
    "expired",
    "deactivated",
)

_KEPT = "activation_token"
_RUN_OUT = ("registry.token_expired", "registry.token_clock")


class RegistryGuard:
    """What one node may sign, as its registry and its ledger have it."""

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        network: NetworkFile,
        *,
        node_key: bytes,
        has_registry: bool,
        ask: Callable[[], Awaitable[bytes]],
        clock_ms: Callable[[], int],
    ) -> None:
        """Take up the token that is kept, if there is one.

        Args:
            has_registry: whether the node is its own registry, or knows where its registry is.
            ask: asks the registry for a token.
            clock_ms: Unix milliseconds.
        Raises:
            StorageError: the store failed.
        """
        self._store, self._lookups, self._network = store, lookups, network
        self.node_key = node_key
        """Whom the token must name, 32 bytes."""
        self._clock_ms = clock_ms
        self._has_registry, self._ask = has_registry, ask
        self._failure: BpciError | None = None
        self._token: ActivationToken | None = None
        self.encoded: bytes | None = None
        """The token that is kept, encoded, good or not any more."""
        kept = store.meta(_KEPT)
        if kept is not None:
            try:
                self._token, self.encoded = self._verify(kept), kept
            except BpciError as error:
                self.note_failure(error)

    @property
    def time_ms(self) -> int:
        """The clock, or the time of the last block that is here if that is later; Unix milliseconds.

        A clock that is set back past the last block makes no token live longer.
        """
        try:
            return max(self._clock_ms(), self._lookups.current().time_ms)
        except BpciError:
            return self._clock_ms()

    @property
    def state(self) -> str:
        """One of :data:`STATES`."""
        return self._look()[0]

    @property
    def wants_token(self) -> bool:
        """Whether it is time to ask the registry for a new token: there is none that lasts another half of its life."""
        if not self._has_registry:
            return False
        try:
            return self._require_good().expires_ms < self.time_ms + LIFETIME_MS // 2
        except BpciError:
            return True

    def take(self, token: bytes) -> None:
        """Keep a token that the registry gave. Not for the event loop.

        Raises:
            BpciError: it is not good (as :func:`read_token` and :meth:`ActivationToken.require_good`), and the one that
                was kept stays; or the store failed.
        """
        found = self._verify(token)
        found.require_good(self.time_ms)
        self._store.set_meta(_KEPT, token)
        self._token, self.encoded, self._failure = found, token, None

    def note_failure(self, error: BpciError) -> None:
        """Remember why the registry gave no token, and log it once for each reason."""
        if self._failure is None or self._failure.code != error.code:
            log_error(log, "the registry gave no activation token", error)
        self._failure = error

    async def renew(self, *, at_once: bool = False) -> None:
        """Ask the registry for a new token if it is time. Why it gave none is remembered, and said when it matters.

        Args:
            at_once: whether it is time, however long the present one lasts.
        """
        if not (self._has_registry and (at_once or self.wants_token)):
            return
        try:
            await asyncio.to_thread(self.take, await self._ask())
        except BpciError as error:
            self.note_failure(error)

    async def activate(self) -> None:
        """Ask for a token if there is no good one, and check that this node may seal, auction, and order.

        Raises:
            RefusedError: as :meth:`require_active`.
        """
        if self.state in (CONFIGURED, EXPIRED):
            await self.renew()
        self.require_active()

    def require_active(self) -> None:
        """Check that this node may seal, auction, and order on its ledger.

        Raises:
            RefusedError: ``guard.unconfigured``, ``guard.configured``, ``guard.expired`` or ``guard.deactivated``.
        """
        state, deactivation = self._look()
        if state == PROVED:
            return
        if deactivation is not None:
            raise RefusedError(
                f"the guardians deactivated the ledger at height {deactivation.height}; nothing is signed",
                code="guard.deactivated",
                hint="Wait until they reactivate it; 'bpci registry guard' shows the state.",
                height=deactivation.height,
            )
        self.require_token()

    def require_token(self) -> None:
        """Check the token alone: whoever orders the blocks must be able to order the one that reactivates the ledger.

        Raises:
            RefusedError: as :meth:`require_active`, but for ``guard.deactivated``.
        """
        if not self._has_registry:
            raise RefusedError(
                "no address of a registry is configured; nothing is signed",
                code="guard.unconfigured",
                hint="Set ledger.network_file to a network file that names the registry's URL.",
            )
        try:
            self._require_good()
        except BpciError as error:
            reason = error.message if self._failure is None else self._failure.message
            if error.code in _RUN_OUT:
                raise RefusedError(
                    f"the registry's activation of this node has run out: {reason}",
                    code="guard.expired",
                    hint="Check the clock and the way to the registry, then run 'bpci registry token'.",
                ) from error
            raise RefusedError(
                f"the registry has not activated this node: {reason}",
                code="guard.configured",
                hint="Register the node with 'bpci node register', then run 'bpci registry token'.",
            ) from error

    def status(self) -> dict[str, Any]:
        """Return what anyone may know of it, as values of the codec's subset."""
        state, deactivation = self._look()
        try:
            expires_ms = self._require_good().expires_ms
        except BpciError:
            expires_ms = None
        return {
            "state": state,
            "expires_ms": expires_ms,
            "reason": None if deactivation is None else deactivation.reason,
            "failure": None if self._failure is None else self._failure.code,
        }

    def _look(self) -> tuple[str, Deactivation | None]:
        if not self._has_registry:
            return UNCONFIGURED, None
        try:
            machine = self._lookups.current()
        except BpciError:
            found = None
        else:
            found = find_deactivation(machine.state, machine.height + 1)
        if found is not None:
            return DEACTIVATED, found
        try:
            self._require_good()
        except BpciError as error:
            return EXPIRED if error.code in _RUN_OUT else CONFIGURED, None
        return PROVED, None

    def _require_good(self) -> ActivationToken:
        if self._token is None:
            raise RefusedError("it gave no token yet", code="guard.configured")
        self._token.require_good(self.time_ms)
        return self._token

    def _verify(self, token: bytes) -> ActivationToken:
        return read_token(
            token,
            registry_key=self._network.registry_key,
            ledger_id=self._network.ledger_id,
            node_key=self.node_key,
        )
