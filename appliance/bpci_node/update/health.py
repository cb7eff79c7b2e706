"""Is the node well? Asked from outside its process, over HTTP, as anybody else would, and held against before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from bpci_node.errors import BpciError, FormatError
from bpci_node.network.client import NodeClient
from bpci_node.network.transport import REPLY_BYTES, Transport
from bpci_node.primitives.json_text import read_json
from bpci_node.runtime.config import NodeConfig
from bpci_node.update.service import Service

_ASK_SECONDS = 5.0
_PAUSE_SECONDS = 0.25
_BLOCK_VERSION = 2
"""Of blocks that name the root which a node's status shows; docs/spec/ledger.md."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node says of itself."""

    version: str
    did: str
    ledger_id: str
    height: int | None
    """``None`` while a follower has no ledger yet."""
    root: str | None
    obstacles: tuple[str, ...]
    """Codes of what keeps it from taking entries; none when it is ready."""

    def as_map(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "version": self.version,
            "did": self.did,
            "ledger_id": self.ledger_id,
            "height": self.height,
            "root": self.root,
            "obstacles": list(self.obstacles),
        }


def url_of(config: NodeConfig) -> str:
    """Return where this machine finds the node's public API."""
    address = ip_address(config.api.listen)
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{config.api.port}"


def look(config: NodeConfig) -> Seen:
    """Ask the node how it is.

    Raises:
        UnreachableError: it does not answer.
        FormatError: it answers something else (``format.reply``).
    """
    url = url_of(config)
    transport = Transport(url, timeout_seconds=_ASK_SECONDS)
    try:
        if transport.value("GET", "/healthz") != {"alive": True}:
            raise _odd(url)
        # Not ready is an answer, too, though not one of success.
        ready = read_json(transport.request("GET", "/readyz").body, max_bytes=REPLY_BYTES, allow_fractions=True)
        status = transport.value("GET", "/v1/status")
    finally:
        transport.close()
    try:
        ledger, node = status["ledger"], status["node"]
        return Seen(
            str(status["version"]),
            str(node["did"]),
            str(ledger["id"]),
            None if ledger["height"] is None else int(ledger["height"]),
            None if ledger["root"] is None else str(ledger["root"]),
            tuple(sorted(str(item["code"]) for item in ready["obstacles"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(url) from error


def compare(config: NodeConfig, before: Seen | None, now: Seen, *, version: str) -> str:
    """Say what is wrong with a node after an update, or nothing.

    Args:
        before: what it said before, ``None`` if it did not run or did not answer.
        version: the one that ought to run; empty for any.
    Raises:
        UnreachableError, FormatError: it does not say what its ledger was.
    """
    if version and now.version != version:
        return f"version {now.version[:40]} answers instead of {version}"
    if before is None:
        return ""
    if (now.did, now.ledger_id) != (before.did, before.ledger_id):
        return "it is another node, or on another ledger"
    if before.height is not None and before.root is not None:
        if now.height is None or now.height < before.height:
            return f"its ledger is at height {now.height}, and was at {before.height}"
        root = now.root if now.height == before.height else _root_at(config, before.height)
        if root is not None and root != before.root:
            return f"its ledger has another root at height {before.height}"
    new = [code for code in now.obstacles if code not in before.obstacles]
    return f"it is not ready any more: {', '.join(new)[:200]}" if new else ""


def await_health(
    config: NodeConfig,
    service: Service,
    before: Seen | None,
    *,
    version: str,
    answer_seconds: float,
    settle_seconds: float,
    tell: Callable[[str], None],
) -> str:
    """Wait until a node that was started serves as before, and goes on so; return why it does not, or nothing.

    Args:
        answer_seconds: time until it first answers well.
        settle_seconds: how long it then must go on answering, without being started again.
    Raises:
        HostError: the service manager does not answer.
    """
    end, why, restarts = time.monotonic() + answer_seconds, "it did not answer", -1
    while restarts < 0:
        why = _trouble(config, before, version)
        if not why:
            restarts = service.condition().restarts
        elif time.monotonic() >= end:
            return why
        else:
            time.sleep(_PAUSE_SECONDS)
    tell(f"it serves; watching it for {settle_seconds:.0f} seconds")
    end = time.monotonic() + settle_seconds
    while time.monotonic() < end:
        time.sleep(min(1.0, settle_seconds))
        condition = service.condition()
        if condition.restarts > restarts or not condition.is_running:
            return f"it did not stay up: {condition.result or condition.active}"
        why = _trouble(config, before, version)
        if why:
            return why
    return ""


def _trouble(config: NodeConfig, before: Seen | None, version: str) -> str:
    try:
        return compare(config, before, look(config), version=version)
    except BpciError as error:
        return error.message[:300]


def _root_at(config: NodeConfig, height: int) -> str | None:
    """Return the root after a block that is not the newest any more; ``None`` if it says another kind of root."""
    with NodeClient(url_of(config), timeout_seconds=_ASK_SECONDS) as client:
        block = client.ledger.block(height)["block"]
    if not isinstance(block, dict) or block.get("v") != _BLOCK_VERSION:
        return None
    return str(block.get("state_root"))


def _odd(url: str) -> FormatError:
    return FormatError(f"what answers at {url} does not speak as a node", code="format.reply")
