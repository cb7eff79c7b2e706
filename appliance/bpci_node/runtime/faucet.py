"""The faucet of a node that holds its operator's key: who asks, proves work or has a code, and gets a grant in a block.

Whatever may be given at all, the ledger decides (:mod:`bpci_node.chain.faucet`). Here stands what keeps one person from
taking the pool: work that is bound to the wallet and to this hour, a limit for each wallet and each source that
survives restarts, and codes of the operator's for those who can't compute. Grants that wait together share a block.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from typing import Any

from bpci_node.chain.account import account_id_of, load_key_use
from bpci_node.chain.admission import verify_work
from bpci_node.chain.assets import balance, find_asset
from bpci_node.chain.beginning import first_writes
from bpci_node.chain.faucet import (
    NODE,
    PARAMETER_OF,
    POOL,
    PURPOSES,
    WALLET,
    allowance_of,
    load_operator,
    require_test_network,
)
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.machine import Machine
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import BpciError, FormatError, NotFoundError, ProofError, RefusedError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import LocalSigner, Signer
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.counters import Counters
from bpci_node.runtime.faucet_section import FaucetSection
from bpci_node.runtime.grant_queue import GrantQueue
from bpci_node.runtime.intake import clock_ms
from bpci_node.runtime.key_files import read_key
from bpci_node.runtime.lookups import Lookups
from bpci_node.runtime.membership import Registry
from bpci_node.store import faucet_records
from bpci_node.store.faucet_records import Allowance
from bpci_node.store.store import Store

WORK_CONTEXT = "bpci 2026 faucet work v1"
SOURCE_CONTEXT = "bpci 2026 faucet source v1"
CODE_CONTEXT = "bpci 2026 faucet code v1"

SLOT_MS = 600_000
"""Work is bound to a stretch of time of this length, and good in it and in the next."""
WALLET_WINDOW_MS = 3 * SLOT_MS
"""A wallet gets one grant in this time, so that no work serves twice."""
DAY_MS = 86_400_000
NONCE_BYTES = 8
CODE_BYTES = 10
MAX_NEW_CODES = 100
"""Codes that are made at one time."""


class Faucet:
    """The faucet of one node; closed unless the configuration opens it."""

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        registry: Registry,
        *,
        ledger_id: str,
        signer: Signer | None,
        section: FaucetSection,
        counters: Counters,
        clock_ms: Callable[[], int],
    ) -> None:
        """Take up what is remembered.

        Args:
            signer: holds the operator's key; ``None`` if the faucet is closed.
            clock_ms: Unix milliseconds.
        Raises:
            StorageError: the store failed.
        """
        self._store, self._lookups, self._signer = store, lookups, signer
        self._section, self._counters, self._clock_ms = section, counters, clock_ms
        self._secret = b""
        self._queue: GrantQueue | None = None
        if signer is not None:
            self._queue = GrantQueue(registry, signer, ledger_id)
            self._secret = store.meta("faucet-secret") or os.urandom(32)
            store.set_meta("faucet-secret", self._secret)

    @property
    def is_open(self) -> bool:
        """Whether the configuration opens it."""
        return self._signer is not None

    @property
    def waiting(self) -> int:
        """Grants that wait for their block."""
        return 0 if self._queue is None else self._queue.waiting

    @property
    def pool(self) -> int:
        """What is left to give, smallest unit of BPI; 0 while the ledger is not here."""
        try:
            return balance(_state_of(self._lookups.current()), WALLETS[POOL], NATIVE)
        except BpciError:
            return 0

    def terms(self) -> dict[str, Any]:
        """Return what anyone may know: limits, what is left, what it takes to be given something.

        Raises:
            BpciError: the faucet is closed (as :meth:`_require_open`).
        """
        machine, _, _ = self._require_open()
        state = _state_of(machine)
        maxima = {name: str(load_parameter(state, parameter)) for name, parameter in PARAMETER_OF.items()}
        parameters = machine.genesis.parameters
        return {
            "v": 1,
            "network": "devnet" if parameters is None else parameters.network,
            "asset": NATIVE,
            "decimals": find_asset(state, NATIVE).decimals,
            "pool": str(balance(state, WALLETS[POOL], NATIVE)),
            "maxima": maxima,
            "work_bits": self._section.work_bits,
            "grants_per_source": self._section.grants_per_source,
            "waiting": self.waiting,
        }

    def challenge(self, account: str, purpose: str) -> dict[str, Any]:
        """Return what work for a grant is done on: SHA-256 of statement and an 8-byte nonce begins with zero bits.

        Raises:
            BpciError: the faucet is closed, or the ledger would refuse such a grant (``faucet.granted``, ...).
            FormatError: no account id, or no purpose (``format.account``, ``format.request``).
        """
        machine, _, _ = self._require_open()
        most = self._most(machine, account, purpose)
        slot = self._clock_ms() // SLOT_MS
        return {
            "v": 1,
            "statement": self._statement(machine.ledger_id, account, purpose, slot),
            "bits": self._section.work_bits,
            "expires_ms": (slot + 2) * SLOT_MS,
            "most": str(most),
        }

    async def request(
        self,
        account: str,
        purpose: str,
        *,
        source: str,
        amount: int | None = None,
        nonce: bytes | None = None,
        code: str | None = None,
    ) -> dict[str, Any]:
        """Give a grant, and return it when its block is durable.

        Args:
            source: where the request comes from, as rates are counted.
            amount: smallest unit of BPI; ``None``: as much as may be.
            nonce: proof of work, 8 bytes.
            code: a code of the operator's, instead of work.
        Raises:
            BpciError: why nothing was given.
        """
        try:
            found = await self._request(account, purpose, source=source, amount=amount, nonce=nonce, code=code)
        except BpciError as error:
            self._counters.note_faucet_refusal(error.code)
            raise
        self._counters.faucet_grants[purpose] = self._counters.faucet_grants.get(purpose, 0) + 1
        return found

    async def _request(
        self, account: str, purpose: str, *, source: str, amount: int | None, nonce: bytes | None, code: str | None
    ) -> dict[str, Any]:
        machine, operator, queue = self._require_open()
        most = self._most(machine, account, purpose)
        if amount is None:
            amount = most
        if not 1 <= amount <= most:
            raise RefusedError(f"at most {most} is left to this {purpose}", code="faucet.amount", most=str(most))
        if self.pool < queue.promised + amount:
            raise RefusedError("the faucet's pool is empty", code="faucet.empty", hint="Ask the network's operator.")
        digest = None if code is None else _digest_of_code(code)
        if digest is None:
            self._require_work(machine.ledger_id, account, purpose, nonce)
        allowances = [self._for_wallet(account, purpose)]
        if digest is None:
            allowances.append(self._for_source(source))
        now_ms, writer = self._clock_ms(), self._store.writer
        await asyncio.wrap_future(
            writer.submit(lambda connection: faucet_records.take(connection, allowances, digest, now_ms=now_ms))
        )
        try:
            command_id = await queue.give(operator, {"to": account, "purpose": purpose, "amount": amount})
        except BpciError:
            await asyncio.wrap_future(
                writer.submit(
                    lambda connection: faucet_records.give_back(connection, allowances, digest, now_ms=now_ms)
                )
            )
            raise
        return {"v": 1, "account": account, "purpose": purpose, "amount": str(amount), "command_id": command_id}

    async def make_codes(self, count: int) -> list[str]:
        """Make codes, each good for one grant without work. Only their digests are kept.

        Raises:
            BpciError: the faucet is closed, or too many codes are unused (``faucet.codes``).
        """
        self._require_open()
        codes = [base64.b32encode(os.urandom(CODE_BYTES)).decode("ascii").lower() for _ in range(count)]
        digests = [_digest_of_code(code) for code in codes]
        await asyncio.wrap_future(
            self._store.writer.submit(lambda connection: faucet_records.add_codes(connection, digests))
        )
        return codes

    def _require_open(self) -> tuple[Machine, str, GrantQueue]:
        """Return the ledger, the operator's account, and who sends its grants.

        Raises:
            NotFoundError: the configuration does not open it (``faucet.closed``).
            RefusedError: there is none on the mainnet (``faucet.mainnet``), or this node's key is not the operator's
                (``faucet.operator``).
            BpciError: the ledger is not here.
        """
        if self._signer is None or self._queue is None:
            raise NotFoundError("this node has no faucet", code="faucet.closed", hint="Ask a node that has one.")
        machine = self._lookups.current()
        require_test_network(machine.genesis)
        state = _state_of(machine)
        find_asset(state, NATIVE)
        use = load_key_use(state, self._signer.public_key)
        account = account_id_of(self._signer.public_key) if use is None else use.account
        if account != load_operator(state, machine.genesis):
            raise RefusedError(
                "this node does not hold the key of the faucet's operator",
                code="faucet.operator",
                hint="Its owner sets faucet.key, or closes the faucet.",
            )
        return machine, account, self._queue

    @staticmethod
    def _most(machine: Machine, account: str, purpose: str) -> int:
        """Return the most that the account may be given now, if the pool has it."""
        if ACCOUNT_FORM.fullmatch(account) is None:
            raise FormatError("not an account id", code="format.account", hint="It begins with bpa1.")
        if purpose not in PURPOSES:
            raise FormatError(f"a grant is for a {WALLET} or a {NODE}", code="format.request")
        most = allowance_of(_state_of(machine), account, purpose)
        if not most:
            raise RefusedError(f"nothing is left to this {purpose}", code="faucet.amount", most="0")
        return most

    def _statement(self, ledger_id: str, account: str, purpose: str, slot: int) -> bytes:
        """Return what work is done on, 32 bytes; nobody can know it before its time has come."""
        return derive(WORK_CONTEXT, encode([self._secret, ledger_id, account, purpose, slot]))

    def _require_work(self, ledger_id: str, account: str, purpose: str, nonce: bytes | None) -> None:
        if nonce is None or len(nonce) != NONCE_BYTES:
            raise ProofError(
                "a grant takes a proof of work, or a code", code="proof.work", hint="Ask for a challenge first."
            )
        slot = self._clock_ms() // SLOT_MS
        failure: ProofError | None = None
        for candidate in (slot, slot - 1):
            try:
                verify_work(self._statement(ledger_id, account, purpose, candidate), nonce, self._section.work_bits)
            except ProofError as error:
                failure = error
            else:
                return
        raise ProofError(
            "the proof of work is not for this account and time",
            code="proof.work",
            hint="Ask for a new challenge, and work on that.",
            bits=self._section.work_bits,
        ) from failure

    @staticmethod
    def _for_wallet(account: str, purpose: str) -> Allowance:
        return Allowance(f"{purpose}/{account}", 1, WALLET_WINDOW_MS, "faucet.wallet_rate", purpose)

    def _for_source(self, source: str) -> Allowance:
        """Return what a source may take. It is kept as a digest that tells nobody else where a request came from."""
        name = derive(SOURCE_CONTEXT, encode([self._secret, source])).hex()
        return Allowance(f"source/{name}", self._section.grants_per_source, DAY_MS, "faucet.source_rate", "address")


def _state_of(machine: Machine) -> View:
    """Return the state, before the first block what that will begin with."""
    if machine.height:
        return machine.state
    state = Overlay(machine.state)
    state.writes.update(first_writes(machine.genesis))
    return state


def open_faucet(
    config: NodeConfig, store: Store, lookups: Lookups, registry: Registry, *, ledger_id: str, counters: Counters
) -> Faucet:
    """Return the faucet of a node, as its configuration has it.

    Raises:
        UsageError: the operator's key can't be read (``config.key_file``).
        StorageError: the store failed.
    """
    section, signer = config.faucet, None
    if section.enabled:
        name = "keys.registry" if section.key is None else "faucet.key"
        signer = LocalSigner(read_key(section.key or config.keys.registry or "", key=name))
    return Faucet(
        store,
        lookups,
        registry,
        ledger_id=ledger_id,
        signer=signer,
        section=section,
        counters=counters,
        clock_ms=clock_ms,
    )


def _digest_of_code(code: str) -> bytes:
    """Return what is kept of a code; how it is written (case, spaces) does not matter."""
    return derive(CODE_CONTEXT, "".join(code.split()).lower().encode())
