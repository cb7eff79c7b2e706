"""What the dashboard shows, asked of the programs on this machine: each part by itself, so that none takes others down.

Whatever does not answer in time is shown as not there, with the reason. Replies are bounded; nothing outside this
machine is asked.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bpci_node.errors import BpciError, FormatError, NotFoundError, RefusedError, UnreachableError
from bpci_node.host import certificates
from bpci_node.primitives.json_text import read_json
from bpci_node.setup.interfaces import own_addresses
from bpci_node.setup.system import System

REPLY_BYTES = 2 << 20
SECONDS = 5.0
DOCTOR_SECONDS = 15.0
ACTION_SECONDS = 60.0
TEXTFILES = Path("/var/lib/prometheus/node-exporter")
"""Where other parts of the system leave figures of theirs."""
_SAMPLE = re.compile(r"(bpci_[a-z_]+)(?:\{[^}\n]{0,200}\})? ([0-9.eE+-]{1,32})")
ALERTS_URL = "http://127.0.0.1:9093/alerts"
WATCHDOG = "BpciWatchdog"
"""The alert that always fires, to show that alerts work."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the dashboard."""

    value: Any
    """What is known; ``None`` if nothing is."""
    reason: str
    """Why nothing is known."""


class Sources:
    """Asks the programs of this machine."""

    def __init__(self, owner_socket: Path, *, tls: Path, textfiles: Path = TEXTFILES, alerts: str = ALERTS_URL) -> None:
        """Take where they are.

        Args:
            owner_socket: of the node.
            tls: directory of the certificates.
            textfiles: directory of other parts' figures.
            alerts: base URL of Alertmanager.
        """
        self._tls, self._textfiles = tls, textfiles
        options: dict[str, Any] = {"trust_env": False, "follow_redirects": False, "timeout": ACTION_SECONDS}
        transport = httpx.AsyncHTTPTransport(uds=str(owner_socket))
        self._node = httpx.AsyncClient(base_url="http://owner", transport=transport, **options)
        self._alerts = httpx.AsyncClient(base_url=alerts, **options)

    async def close(self) -> None:
        """Close the connections."""
        await self._node.aclose()
        await self._alerts.aclose()

    async def dashboard(self) -> dict[str, Part]:
        """Return all parts by name."""
        reads: dict[str, Callable[[], Awaitable[Any]]] = {
            "machine": lambda: asyncio.to_thread(self._machine),
            "node": lambda: self.ask("GET", "/owner/status", seconds=SECONDS),
            "health": lambda: self.ask("GET", "/owner/doctor", seconds=DOCTOR_SECONDS),
            "earnings": lambda: self.ask("GET", "/owner/earnings", seconds=SECONDS),
            "alerts": self.alerts,
            "upkeep": lambda: asyncio.to_thread(self._upkeep),
        }
        parts = await asyncio.gather(*(_part(read) for read in reads.values()))
        return dict(zip(reads, parts, strict=True))

    async def ask(self, method: str, path: str, body: Any = None, *, seconds: float = ACTION_SECONDS) -> Any:
        """Ask the node on its owner's socket and return the value of its JSON.

        Raises:
            BpciError: the node's reason.
            UnreachableError: it does not answer (``unreachable.node``).
        """
        return await _ask(self._node, "the node", (method, path), body, seconds)

    async def alerts(self) -> list[dict[str, str]]:
        """Return the alerts that fire and that nobody has silenced, the gravest first.

        Raises:
            UnreachableError: Alertmanager does not answer (``unreachable.alerts``).
        """
        query = "/api/v2/alerts?active=true&silenced=false&inhibited=false"
        found = await _ask(self._alerts, "Alertmanager", ("GET", query), None, SECONDS)
        if not isinstance(found, list):
            raise FormatError("Alertmanager sent no list of alerts", code="format.reply")
        alerts = [_alert(item) for item in found[:200] if isinstance(item, dict)]
        grave = {"critical": 0, "warning": 1}
        shown = [item for item in alerts if item["name"] != WATCHDOG]
        return sorted(shown, key=lambda item: (grave.get(item["severity"], 2), item["name"]))

    async def silence(self, name: str, *, start: str, end: str, by: str) -> None:
        """Silence the alerts of one name for a while.

        Args:
            start: RFC 3339, as ``end``.
            by: who does it.
        Raises:
            UnreachableError: ``unreachable.alerts``.
            RefusedError: Alertmanager refuses (``alerts.refused``).
        """
        matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
        body = {
            "matchers": [matcher],
            "startsAt": start,
            "endsAt": end,
            "createdBy": by,
            "comment": "from the dashboard",
        }
        await _ask(self._alerts, "Alertmanager", ("POST", "/api/v2/silences"), body, SECONDS)

    def _machine(self) -> dict[str, Any]:
        addresses = own_addresses(System())
        shown: dict[str, Any] = {"hostname": socket.gethostname(), "addresses": addresses, "certificate": None}
        try:
            found = certificates.show(self._tls)
        except FormatError:
            return shown
        kept = {"fingerprint": found.fingerprint, "expires_ms": found.expires_ms, "names": list(found.names)}
        return shown | {"certificate": kept}

    def _upkeep(self) -> dict[str, float]:
        """Return what backup and updates say of themselves."""
        found: dict[str, float] = {}
        for name in ("bpci_backup.prom", "bpci_update.prom"):
            try:
                with (self._textfiles / name).open("r", encoding="utf-8", errors="replace") as file:
                    text = file.read(1 << 16)
            except OSError:
                continue
            for line in text.splitlines():
                sample = _SAMPLE.fullmatch(line.strip())
                if sample:
                    found[sample[1]] = _number(sample[2])
        if not found:
            raise NotFoundError("neither backup nor updates have reported yet", code="access.unknown")
        return found


async def _part(read: Callable[[], Awaitable[Any]]) -> Part:
    try:
        return Part(await read(), "")
    except BpciError as error:
        return Part(None, error.message)


async def _ask(client: httpx.AsyncClient, who: str, what: tuple[str, str], body: Any, seconds: float) -> Any:
    code = "unreachable.alerts" if who == "Alertmanager" else "unreachable.node"
    content = None if body is None else json.dumps(body).encode()
    headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream(*what, content=content, headers=headers) as response,
        ):
            data = b""
            async for part in response.aiter_raw():
                data += part
                if len(data) > REPLY_BYTES:
                    raise FormatError(f"{who} sent too much", code="format.reply")
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        reason = (
            "does not answer in time" if isinstance(error, TimeoutError | httpx.TimeoutException) else "is not there"
        )
        raise UnreachableError(f"{who} {reason}", code=code) from error
    is_json = response.headers.get("content-type", "").partition(";")[0].strip().endswith("json")
    value = read_json(data, max_bytes=REPLY_BYTES, allow_fractions=True) if is_json else None
    if response.is_success:
        return value
    raise _refusal(who, value, response.status_code)


def _refusal(who: str, value: Any, status: int) -> RefusedError:
    if who == "the node" and isinstance(value, dict):
        code, title = str(value.get("code", "refused"))[:60], str(value.get("title", "the node refuses"))[:300]
        return RefusedError(title, code=code, hint=str(value.get("hint", ""))[:300] or None)
    return RefusedError(f"{who} refuses it (HTTP {status})", code="alerts.refused")


def _alert(item: dict[str, Any]) -> dict[str, str]:
    labels, notes = item.get("labels"), item.get("annotations")
    labels, notes = (labels if isinstance(labels, dict) else {}), (notes if isinstance(notes, dict) else {})
    return {
        "name": str(labels.get("alertname", "?"))[:100],
        "severity": str(labels.get("severity", "?"))[:20],
        "summary": str(notes.get("summary", ""))[:500],
        "advice": str(notes.get("action", notes.get("description", "")))[:500],
        "since": str(item.get("startsAt", ""))[:19].replace("T", " "),
    }


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0
