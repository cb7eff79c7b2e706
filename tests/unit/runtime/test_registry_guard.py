"""The registry guard: every state, every way from one to another, and what must not lead anywhere."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.activation_token import LIFETIME_MS, TOLERANCE_MS, issue_token
from bpci_node.chain.command import Command, sign_command
from bpci_node.errors import BpciError, NotFoundError, RefusedError, UnreachableError
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.ledger import EmbeddedLedger
from bpci_node.runtime.node import Node
from bpci_node.runtime.registry_guard import (
    CONFIGURED,
    DEACTIVATED,
    EXPIRED,
    PROVED,
    STATES,
    UNCONFIGURED,
    RegistryGuard,
)
from bpci_node.store.store import Store

NOW_MS = 1_800_000_000_000
REGISTRY, NODE, OTHER = (LocalSigner(bytes([number]) * 32) for number in (2, 3, 4))
HOUR_MS = 3_600_000


@dataclass
class Clock:
    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


class Bench:
    """A real ledger, and the guard of a node that looks at it; the registry's answer is what the test sets."""

    def __init__(self, home: Path, *, has_registry: bool = True) -> None:
        self.clock, self.home, self.has_registry = Clock(), home, has_registry
        self.answer: bytes | BpciError = UnreachableError("no way", code="unreachable.registry")
        self.asked = 0
        self.store = Store(home)
        self.ledger = EmbeddedLedger(
            self.store, name="testnet", signer=REGISTRY, urls=(), guard=home / "blocks", clock_ms=self.clock
        )
        self.guard = self.make()

    def make(self, *, network: NetworkFile | None = None, node_key: bytes = NODE.public_key) -> RegistryGuard:
        async def ask() -> bytes:
            self.asked += 1
            if isinstance(self.answer, BpciError):
                raise self.answer
            return self.answer

        return RegistryGuard(
            self.store,
            self.ledger,
            network or self.ledger.network,
            node_key=node_key,
            has_registry=self.has_registry,
            ask=ask,
            clock_ms=self.clock,
        )

    def token(self, *, signer: LocalSigner = REGISTRY, **changes: Any) -> bytes:
        terms = {"ledger_id": self.ledger.network.ledger_id, "node_key": NODE.public_key, "now_ms": self.clock.now_ms}
        return issue_token(signer, **(terms | changes))

    def order(self, kind: str, nonce: int) -> None:
        """Let the only guardian of this ledger, its registry, give an order."""
        command = Command(
            ledger_id=self.ledger.network.ledger_id,
            sender=account_id_of(REGISTRY.public_key),
            nonce=nonce,
            expires_height=100,
            kind=kind,
            body={"reason": bytes([5]) * 32},
        )
        asyncio.run(self.ledger.submit(sign_command(REGISTRY, command).encode()))

    def proved(self) -> RegistryGuard:
        self.guard.take(self.token())
        assert self.guard.state == PROVED
        return self.guard

    def close(self) -> None:
        self.ledger.close()
        self.store.close()


@contextmanager
def bench(home: Path, **options: Any) -> Iterator[Bench]:
    made = Bench(home, **options)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code


def test_without_an_address_nothing_is_asked_and_nothing_is_active(tmp_path: Path) -> None:
    with bench(tmp_path, has_registry=False) as made:
        asyncio.run(made.guard.renew(at_once=True))
        assert (made.guard.state, made.asked) == (UNCONFIGURED, 0)
        assert refusal(made.guard.require_active) == "guard.unconfigured"
        assert refusal(made.guard.require_token) == "guard.unconfigured"
        assert made.guard.status()["state"] in STATES
        # A token that somebody brings doesn't stand in for an address.
        made.guard.take(made.token())
        assert made.guard.state == UNCONFIGURED


def test_with_an_address_it_is_configured_until_the_registry_gives_a_token(stand: Bench) -> None:
    assert stand.guard.state == CONFIGURED
    assert stand.guard.wants_token
    assert refusal(stand.guard.require_active) == "guard.configured"
    with pytest.raises(RefusedError) as caught:
        asyncio.run(stand.guard.activate())
    assert "no way" in caught.value.message
    assert stand.guard.status() == {
        "state": "configured",
        "expires_ms": None,
        "reason": None,
        "failure": "unreachable.registry",
    }
    stand.answer = stand.token()
    asyncio.run(stand.guard.activate())
    assert stand.guard.status() == {
        "state": "proved",
        "expires_ms": NOW_MS + LIFETIME_MS,
        "reason": None,
        "failure": None,
    }


def test_a_token_survives_a_restart(stand: Bench) -> None:
    stand.proved()
    again = stand.make()
    assert again.state == PROVED
    assert again.encoded == stand.guard.encoded


def test_a_proved_node_does_not_ask_before_half_of_the_life_is_over(stand: Bench) -> None:
    stand.proved()
    asyncio.run(stand.guard.renew())
    stand.clock.now_ms += LIFETIME_MS // 2
    asyncio.run(stand.guard.renew())
    assert stand.asked == 0
    stand.clock.now_ms += 1
    stand.answer = stand.token()
    asyncio.run(stand.guard.renew())
    assert stand.asked == 1
    assert stand.guard.status()["expires_ms"] == stand.clock.now_ms + LIFETIME_MS


def test_with_its_registry_out_of_reach_it_works_to_the_end_of_its_token_and_no_longer(stand: Bench) -> None:
    stand.proved()
    stand.clock.now_ms = NOW_MS + LIFETIME_MS
    asyncio.run(stand.guard.renew())
    assert stand.asked == 1
    asyncio.run(stand.guard.activate())
    stand.clock.now_ms += 1
    assert stand.guard.state == EXPIRED
    with pytest.raises(RefusedError) as caught:
        asyncio.run(stand.guard.activate())
    assert caught.value.code == "guard.expired"
    stand.answer = stand.token()
    asyncio.run(stand.guard.activate())
    assert stand.guard.state == PROVED


def test_a_clock_that_jumps_ahead_expires_the_token_and_one_that_comes_back_revives_it(stand: Bench) -> None:
    stand.proved()
    stand.clock.now_ms += 10 * LIFETIME_MS
    assert stand.guard.state == EXPIRED
    stand.clock.now_ms = NOW_MS
    assert stand.guard.state == PROVED


def test_a_clock_that_is_set_back_makes_no_token_live_longer(stand: Bench) -> None:
    stand.clock.now_ms = NOW_MS + HOUR_MS
    stand.proved()
    stand.clock.now_ms -= TOLERANCE_MS
    assert stand.guard.state == PROVED
    stand.clock.now_ms -= 1
    assert stand.guard.state == EXPIRED
    assert refusal(stand.guard.require_active) == "guard.expired"


def test_the_last_block_s_time_stands_against_a_clock_that_is_set_back(stand: Bench) -> None:
    stand.proved()
    stand.clock.now_ms = NOW_MS + LIFETIME_MS + 1
    stand.order("registry.deactivate", 0)
    stand.order("registry.reactivate", 1)
    stand.clock.now_ms = NOW_MS
    assert stand.guard.time_ms > NOW_MS + LIFETIME_MS
    assert stand.guard.state == EXPIRED


def test_tokens_of_another_node_ledger_or_registry_prove_nothing(stand: Bench, tmp_path: Path) -> None:
    with bench(tmp_path / "other") as other:
        elsewhere = issue_token(
            REGISTRY, ledger_id="other:" + "0" * 64, node_key=NODE.public_key, now_ms=stand.clock.now_ms
        )
        wrong = {
            "registry.token": stand.token(node_key=OTHER.public_key),
            "proof.ledger": elsewhere,
            "proof.signature": stand.token(signer=OTHER),
            "registry.token_expired": stand.token(now_ms=NOW_MS - LIFETIME_MS - 1),
            "registry.token_clock": stand.token(now_ms=NOW_MS + HOUR_MS),
        }
        for code, token in wrong.items():
            stand.answer = token
            asyncio.run(stand.guard.renew())
            assert stand.guard.status()["failure"] == code
            assert stand.guard.state == CONFIGURED
        stand.proved()
        for token in wrong.values():
            stand.answer = token
            asyncio.run(stand.guard.renew(at_once=True))
            assert stand.guard.state == PROVED
        assert other.guard.state == CONFIGURED


def test_a_kept_token_that_is_not_this_node_s_is_not_taken_up(stand: Bench) -> None:
    stand.proved()
    another = stand.make(node_key=OTHER.public_key)
    assert (another.state, another.encoded) == (CONFIGURED, None)
    assert another.status()["failure"] == "registry.token"


def test_a_deactivation_holds_whatever_the_token_says_and_ends_with_the_reactivation(stand: Bench) -> None:
    guard = stand.proved()
    stand.order("registry.deactivate", 0)
    assert guard.state == DEACTIVATED
    assert guard.status()["reason"] == bytes([5]) * 32
    assert refusal(guard.require_active) == "guard.deactivated"
    # Whoever orders the blocks must be able to order the one that leads back.
    guard.require_token()
    # A fresh token doesn't lead out of it, and an old one doesn't lead to anything else.
    guard.take(stand.token())
    assert guard.state == DEACTIVATED
    stand.clock.now_ms += LIFETIME_MS + 1
    assert guard.state == DEACTIVATED
    stand.order("registry.reactivate", 1)
    assert guard.state == EXPIRED
    guard.take(stand.token(now_ms=guard.time_ms))
    guard.require_active()


def test_a_node_that_never_proved_itself_stays_so_through_a_deactivation(stand: Bench) -> None:
    stand.order("registry.deactivate", 0)
    assert stand.guard.state == DEACTIVATED
    stand.order("registry.reactivate", 1)
    assert stand.guard.state == CONFIGURED


def test_the_registry_gives_tokens_to_its_active_nodes_alone_and_to_none_while_deactivated(stand: Bench) -> None:
    def ask() -> bytes:
        return asyncio.run(stand.ledger.token(NODE.public_key))

    with pytest.raises(NotFoundError) as caught:
        ask()
    assert caught.value.code == "registry.unknown"
    challenge, signature = asyncio.run(stand.ledger.challenge(NODE.public_key))
    flags = dict.fromkeys(("app_hosting", "validator", "bank_sponsored", "community_operated"), False)
    body = {"node_type": "hybrid", "node_key": NODE.public_key, "flags": flags, "capabilities": [], "endpoints": []}
    body |= {"report_digest": bytes(32), "challenge": challenge, "challenge_sig": signature, "instance": 0}

    def send(kind: str, body: dict[str, Any], nonce: int) -> None:
        terms = {"ledger_id": stand.ledger.network.ledger_id, "expires_height": 100}
        sender = account_id_of(NODE.public_key)
        command = Command(sender=sender, nonce=nonce, kind=kind, body=body, **terms)
        asyncio.run(stand.ledger.submit(sign_command(NODE, command).encode()))

    send("registry.register_node", body, 0)
    stand.guard.take(ask())
    stand.order("registry.deactivate", 0)
    assert refusal(ask) == "registry.deactivated"
    stand.order("registry.reactivate", 1)
    stand.guard.take(ask())
    send("registry.retire_node", {}, 1)
    with pytest.raises(RefusedError) as retired:
        ask()
    assert retired.value.code == "registry.retired"


def test_a_node_with_a_ledger_of_its_own_activates_itself_and_seals_nothing_while_deactivated(
    make_config: Callable[..., NodeConfig],
) -> None:
    async def scenario() -> None:
        node = Node(make_config())
        try:
            assert node.guard.state == CONFIGURED
            with pytest.raises(RefusedError) as empty:
                await node.seal("eip155:1")
            assert empty.value.code == "bundle.empty"
            assert node.status()["guard"]["state"] == "proved"
            home = node.config.state_dir.parent
            registry = LocalSigner((home / "registry.key").read_bytes())
            for nonce, kind in enumerate(("registry.deactivate", "registry.reactivate")):
                command = Command(
                    ledger_id=node.network.ledger_id,
                    sender=account_id_of(registry.public_key),
                    nonce=nonce,
                    expires_height=100,
                    kind=kind,
                    body={"reason": bytes(32)},
                )
                await node.own_ledger().submit(sign_command(registry, command).encode())
                with pytest.raises(RefusedError) as caught:
                    await node.seal("eip155:1")
                assert caught.value.code == ("guard.deactivated", "bundle.empty")[nonce]
        finally:
            await node.close()

    asyncio.run(scenario())


def test_every_code_of_the_guard_is_documented_and_no_other() -> None:
    root = Path(__file__).parents[3]
    source = (root / "appliance/bpci_node/runtime/registry_guard.py").read_text()
    table = (root / "docs/spec/errors/guard.md").read_text()
    raised = set(re.findall(r"code=\"(guard\.[a-z]+)\"", source))
    assert raised == set(re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE))
