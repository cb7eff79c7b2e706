"""One node: its store, its pools, its ledger or its place on one, and what its faces may ask of it.

Every stage says what a power cut can take: an entry without a receipt may be lost; one with a receipt is in the
journal; a bundle is shown after it is stored and remembered by the sign guard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bpci_node import __version__
from bpci_node.chain.account import account_id_of
from bpci_node.chain.state import State
from bpci_node.consensus.instance import require_registered_instance
from bpci_node.errors import BpciError, NotFoundError, StorageError
from bpci_node.mempool.header import MxHeader
from bpci_node.mempool.proof import MempoolProof
from bpci_node.network import file as network_file
from bpci_node.network.chain_rpc import ChainRpc
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.keys import LocalSigner, Signer, did_of
from bpci_node.runtime import membership
from bpci_node.runtime.belonging import require_same_identity
from bpci_node.runtime.config import NodeConfig, NodeSection
from bpci_node.runtime.counters import Counters, Timings
from bpci_node.runtime.drain import Drain
from bpci_node.runtime.faucet import open_faucet
from bpci_node.runtime.following import FollowedLedger
from bpci_node.runtime.funding import Funding
from bpci_node.runtime.intake import Intake, clock_ms
from bpci_node.runtime.key_files import read_key
from bpci_node.runtime.ledger import EmbeddedLedger
from bpci_node.runtime.ledger_upkeep import LedgerUpkeep
from bpci_node.runtime.lookups import Lookups
from bpci_node.runtime.membership import OwnRegistry, Registry, RemoteRegistry, Report
from bpci_node.runtime.overview import Overview
from bpci_node.runtime.proving import Prover
from bpci_node.runtime.registry_guard import RegistryGuard
from bpci_node.runtime.sealing import Sealer
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.runtime.terms import pool_limits, target_terms
from bpci_node.runtime.upkeep import Upkeep
from bpci_node.store import journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.snapshots import SnapshotFiles
from bpci_node.store.store import Store
from bpci_node.store.writer import stopping_error

if TYPE_CHECKING:
    from bpci_node.runtime.auction_duties import AuctionDuties

log = logging.getLogger("bpci.node")

PATIENCE_SECONDS = 20.0
"""How long the writer may be inside one commit before the watchdog stops being fed."""


class Node:
    """A running node."""

    def __init__(self, config: NodeConfig) -> None:
        """Open everything; what is wrong shows here, before any port is open.

        Raises:
            UsageError: configuration or keys (``config.*``).
            StorageError: the store.
            RefusedError: restored data that must not sign (``sign.rolled_back``).
            FormatError: the network file or a target.
        """
        self.config = config
        self.counters = Counters()
        self.timings = Timings()
        self.stopping = asyncio.Event()
        self.started_ms = clock_ms()
        self.signer: Signer = LocalSigner(read_key(config.keys.node, key="keys.node"))
        targets = target_terms(config.targets)
        self._chains = {
            target.id: ChainRpc(item.chain_url, target.chain_id)
            for target, item in zip(targets, config.targets, strict=True)
            if item.chain_url is not None
        }
        self.store = Store(config.state_dir)
        try:
            guards = config.state_dir / "guard"
            guards.mkdir(mode=0o700, exist_ok=True)
            self.ledger: EmbeddedLedger | None = None
            self.followed: FollowedLedger | None = None
            self.lookups: Lookups
            self.network: NetworkFile
            self._registry: Registry
            if config.ledger.network_file is None:
                self.ledger = EmbeddedLedger(
                    self.store,
                    name=config.ledger.name,
                    signer=LocalSigner(read_key(config.keys.registry or "", key="keys.registry")),
                    urls=config.node.endpoints,
                    guard=guards / "blocks",
                    clock_ms=clock_ms,
                    genesis_file=config.ledger.genesis_file,
                )
                self.lookups, capture = self.ledger, self.ledger.capture
                self.network = self.ledger.network
                self._registry = OwnRegistry(self.ledger)
            else:
                self.network = network_file.load(config.ledger.network_file)
                self._registry = RemoteRegistry(self.network)
                self.followed = FollowedLedger(
                    self.store, self.network, own_urls=config.node.endpoints, clock_ms=clock_ms
                )
                self.lookups, capture = self.followed, self.followed.capture
            require_same_identity(self.store, node_key=self.signer.public_key, ledger_id=self.network.ledger_id)
            self.guard = RegistryGuard(
                self.store,
                self.lookups,
                self.network,
                node_key=self.signer.public_key,
                has_registry=self.ledger is not None or bool(self.network.urls),
                ask=self._ask_token,
                clock_ms=clock_ms,
            )
            if self.ledger is not None:
                self.ledger.guard = self.guard
            self.snapshots = LedgerUpkeep(
                SqliteBlockStore(self.store), SnapshotFiles(config.state_dir / "snapshots"), config.ledger, capture
            )
            limits = pool_limits(config.limits)
            self.pools = {
                target.id: TargetPool(
                    target,
                    limits,
                    guard=ArrivalGuard(guards / f"arrivals-{target.id.replace(':', '-')}"),
                    ledger_id=self.network.ledger_id,
                    is_checked=target.id in self._chains,
                )
                for target in targets
            }
            self._sealers = {
                name: Sealer(pool, signer=self.signer, ledger_id=self.network.ledger_id, guard_directory=guards)
                for name, pool in self.pools.items()
            }
            self._restore()
            self.certificate: bytes | None = None
            self.account = account_id_of(self.signer.public_key)
            self._take_certificate(self.store.meta("certificate"))
        except BaseException:
            self.store.close()
            raise
        self.funding = Funding(self._chains, self.pools, self.store, counters=self.counters, timings=self.timings)
        self.intake = Intake(
            self.store,
            self.pools,
            signer=self.signer,
            funding=self.funding,
            counters=self.counters,
            timings=self.timings,
        )
        self.overview = Overview(self.store, self.intake, make_header=self.header)
        self.faucet = open_faucet(
            config, self.store, self.lookups, self._registry, ledger_id=self.network.ledger_id, counters=self.counters
        )
        self.auction: AuctionDuties | None = None
        self.drain = Drain(clock_ms)
        self.upkeep = Upkeep(self.store, self.pools.values(), config.journal, clock_ms, timings=self.timings)
        self._prover = Prover(self.store, signer=self.signer, ledger_id=self.network.ledger_id, timings=self.timings)

    def _restore(self) -> None:
        """Rebuild every pool from its journal, and compare the bundles with what was signed."""
        for name, pool in self.pools.items():
            self.store.writer.after_commit.append(pool.remember)
            self.store.writer.submit(pool.refresh).result()
            self._sealers[name].check_guard(self.store)

    # Bundles

    async def seal(self, target: str, *, gas_limit: int | None = None, base_fee_wei: int | None = None) -> bytes:
        """Seal a bundle of what waits and return its file.

        Raises:
            NotFoundError: no such target (``entry.target``).
            RefusedError: nothing to seal (``bundle.empty``), the registry guard (``guard.*``) or the sign guard forbids
                it, or another instance of this identity is registered (``sign.*``).
            FormatError: a base fee or gas limit out of range.
            StorageError: it could not be stored or remembered, and nobody has seen it.
        """
        pool, sealer, now = self.intake.pool(target), self._sealers[target], clock_ms()
        await self.guard.activate()
        require_registered_instance(
            self._state(),
            self.certificate,
            account=self.account,
            instance=self.config.node.instance,
            registry_key=self.network.registry_key,
            ledger_id=self.network.ledger_id,
        )

        def write(connection: Any) -> journal.JournalBundle:
            with self.timings.of("seal"):
                return sealer.seal(
                    connection,
                    now_ms=now,
                    gas_limit=gas_limit,
                    base_fee_wei=base_fee_wei,
                    certificate=self.certificate,
                )

        # A bundle that was stored and could not be remembered then, is remembered now, before one follows it.
        await asyncio.to_thread(sealer.check_guard, self.store)
        bundle = await asyncio.wrap_future(self.store.writer.submit(write, undo=pool.forget))
        await asyncio.to_thread(sealer.remember, bundle)
        self.counters.bundles += 1
        log.info("sealed bundle %d of %s, %d bytes", bundle.sequence, target, len(bundle.data))
        return bundle.data

    def _state(self) -> State | None:
        """Return the state after the last block that is here, ``None`` if the ledger is not."""
        try:
            return self.lookups.current().state
        except BpciError:
            return None

    def last_bundle(self, target: str) -> int:
        """Return the sequence of the last bundle that may be shown, 0 before the first."""
        self.intake.pool(target)
        return self._sealers[target].shown

    async def bundle(self, target: str, sequence: int) -> bytes:
        """Return a sealed bundle's file.

        Raises:
            NotFoundError: no such target (``entry.target``) or bundle (``bundle.unknown``).
        """
        data = None
        if sequence <= self.last_bundle(target):
            data = await asyncio.to_thread(journal.find_bundle, self.store, target, sequence)
        if data is None:
            raise NotFoundError(f"there is no bundle {sequence} of {target} here", code="bundle.unknown")
        return data

    # Proofs

    async def header(self, target: str) -> MxHeader:
        """Return the signed header of a pool as it stands.

        Raises:
            NotFoundError: no such target (``entry.target``).
            LimitError, StorageError: as :meth:`Prover.header`, or the writer stands still (``storage.stalled``).
        """
        self.intake.require_writer()
        return await self._prover.header(self.intake.pool(target), certificate=self.certificate, now_ms=clock_ms())

    async def prove(self, target: str, txids: Sequence[bytes], keys: Sequence[bytes]) -> MempoolProof:
        """Return the proof of what is, or is not, in a pool as it stands.

        Args:
            txids: entries, 32 bytes each.
            keys: buckets, 4 bytes each.
        Raises:
            NotFoundError: no such target (``entry.target``), or an entry does not wait (``entry.not_waiting``).
            LimitError, StorageError: as :meth:`Prover.prove`, or the writer stands still (``storage.stalled``).
        """
        self.intake.require_writer()
        return await self._prover.prove(
            self.intake.pool(target), txids, keys, certificate=self.certificate, now_ms=clock_ms()
        )

    # Ledger

    def own_ledger(self) -> EmbeddedLedger:
        """Return the ledger that this node sequences.

        Raises:
            NotFoundError: it belongs to a network that others keep (``registry.elsewhere``).
        """
        if self.ledger is None:
            raise NotFoundError(
                "this node follows the ledger of its network, and does not make its blocks",
                code="registry.elsewhere",
                hint="Ask one of the network's registries.",
                urls=list(self.network.urls),
            )
        return self.ledger

    async def register(self, section: NodeSection, report: Report | None) -> bytes:
        """Register this node, or bring its registration up to date; return the certificate.

        Args:
            section: what is registered.
            report: hardware report to name.
        Raises:
            BpciError: the registry's reason for refusing, or it could not be reached.
        """
        found = await membership.register(self._registry, self.signer, self.network, section, report)
        await self._keep_certificate(found)
        await self.guard.renew()
        return found

    async def refresh_certificate(self) -> None:
        """Ask the registry for this node's certificate and keep it.

        Raises:
            BpciError: the registry could not be asked, or its answer does not hold.
        """
        found = await membership.fetch_certificate(self._registry, self.signer.public_key, self.network)
        await self._keep_certificate(found)

    async def _ask_token(self) -> bytes:
        """Ask the registry for an activation token; it gives one to its own node, and to those that it certifies."""
        if self.ledger is None and self.certificate is None:
            raise NotFoundError("this node is not registered", code="registry.unknown")
        return await self._registry.token(self.signer)

    async def _keep_certificate(self, certificate: bytes | None) -> None:
        """Keep what the registry says now; a node that it no longer knows, or that has retired, has none."""
        if certificate != self.certificate:
            await asyncio.to_thread(self.store.set_meta, "certificate", certificate or b"")
            self._take_certificate(certificate)

    def _take_certificate(self, data: bytes | None) -> None:
        """Seal under this certificate, if it is one of this node on its network."""
        account = membership.certified_account(data, self.signer.public_key, self.network)
        self.certificate = None if account is None else data
        self.account = account or account_id_of(self.signer.public_key)

    # State

    def status(self) -> dict[str, Any]:
        """Return what anyone may know of this node, as values of the codec's subset."""
        node = self.config.node
        return {
            "v": 1,
            "version": __version__,
            "node": {
                "did": did_of(self.signer.public_key),
                "account": self.account,
                "name": node.name,
                "type": node.type,
                "registered": self.certificate is not None,
            },
            "ledger": {
                "id": self.network.ledger_id,
                "mode": self.config.ledger.mode,
                **self.lookups.status(),
            },
            "guard": self.guard.status(),
            "targets": {name: pool.status() for name, pool in self.pools.items()},
            "time_ms": clock_ms(),
        }

    def obstacles(self) -> list[BpciError]:
        """Return why this node is not ready; empty when it is."""
        found: list[BpciError] = []
        if self.stopping.is_set():
            found.append(stopping_error())
        if self.lookups.stopped is not None:
            found.append(self.lookups.stopped)
        if self.store.writer.error is not None:
            found.append(self.store.writer.error)
        elif not self.stopping.is_set():
            try:
                self.intake.require_disk()
            except StorageError as error:
                found.append(error)
        return found

    async def probe_store(self) -> None:
        """After a failed write, see by a small one whether the disk takes writes again.

        Raises:
            StorageError: it does not.
        """
        if self.store.writer.error is not None:
            await asyncio.to_thread(self.store.set_meta, "probe", str(clock_ms()).encode())

    def is_alive(self) -> bool:
        """Tell whether the writer still works, which the watchdog wants to know."""
        return self.store.writer.is_alive(PATIENCE_SECONDS)

    async def close(self) -> None:
        """Finish what was accepted and close the store."""
        self.stopping.set()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.intake.close()
        self.funding.close()
        for chain in self._chains.values():
            chain.close()
        self._prover.close()
        if self.ledger is not None:
            self.ledger.close()
        if self.followed is not None:
            self.followed.close()
        self.store.close()
