"""HTTP to one node: bounded in time and size, and no exception of the HTTP library gets out.

Nothing of the environment is used (no proxy variables, no netrc) and redirects are not followed: what is asked is
what was named.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from bpci_node import __version__, errors
from bpci_node.errors import BpciError, FormatError, UnreachableError
from bpci_node.network.file import check_url
from bpci_node.network.wire import CBOR, JSON, PROBLEM
from bpci_node.primitives import codec
from bpci_node.primitives.json_text import read_json

REPLY_BYTES = 4 << 20
"""Longest reply that is read, unless a call expects more."""
TIMEOUT_SECONDS = 15.0
"""Time that one request may take in all, unless a call expects more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply."""

    status: int
    media_type: str
    body: bytes
    first_byte_seconds: float
    """From sending the request to the first byte of the body."""
    seconds: float
    """From sending the request to the last byte of the body."""


@cache
def _tls() -> ssl.SSLContext:
    """Return what all connections trust: reading the machine's authorities takes longer than asking a node."""
    return httpx.create_ssl_context()


class Transport:
    """One node's address and the connections to it."""

    def __init__(self, base: str | Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Take an address; nothing is sent yet.

        Args:
            base: base URL, or the path of a Unix socket.
        Raises:
            FormatError: not the base URL of a node (``format.url``).
        """
        self._timeout = timeout_seconds
        self._socket = base if isinstance(base, Path) else None
        if isinstance(base, Path):
            self.where = str(base)
            transport = httpx.HTTPTransport(uds=str(base), verify=_tls())
            url = "http://owner"
        else:
            check_url(base)
            self.where = base.rstrip("/")
            transport = httpx.HTTPTransport(limits=httpx.Limits(max_connections=8), verify=_tls())
            url = self.where
        self._client = httpx.Client(
            base_url=url,
            transport=transport,
            headers={"User-Agent": f"bpci/{__version__}"},
            timeout=httpx.Timeout(min(timeout_seconds, 15.0), connect=min(timeout_seconds, 5.0)),
            trust_env=False,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        target: str,
        *,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        reply_bytes: int = REPLY_BYTES,
        timeout_seconds: float | None = None,
    ) -> Reply:
        """Send one request and read its whole reply.

        Args:
            target: path and query.
            reply_bytes: longest body that is read.
            timeout_seconds: time that the request may take in all.
        Raises:
            UnreachableError: no connection, no answer in time, or an answer that is not HTTP (``unreachable.*``).
            FormatError: a longer reply (``format.reply``).
        """
        allowed = timeout_seconds or self._timeout
        with self._translated():
            if self._socket is not None:
                self._socket.stat()  # says plainly that it is missing, before the HTTP library tries
            started = time.monotonic()
            with self._client.stream(method, target, content=content, headers=headers) as response:
                first, parts, size = 0.0, [], 0
                for part in response.iter_raw():
                    now = time.monotonic()
                    first = first or now - started
                    size += len(part)
                    if size > reply_bytes:
                        raise FormatError(
                            f"{self.where} sent more than the {reply_bytes} bytes that are read", code="format.reply"
                        )
                    if now - started > allowed:
                        raise _too_slow(self.where)
                    parts.append(part)
                media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                taken = time.monotonic() - started
                return Reply(response.status_code, media_type, b"".join(parts), first or taken, taken)

    def value(self, method: str, target: str, *, json_body: Any = None, **options: Any) -> Any:
        """Send a request with an optional JSON body and return the decoded reply, JSON or CBOR.

        Raises:
            BpciError: the node's own error, in the family of its status.
            UnreachableError: as :meth:`request`, or not a node (``unreachable.not_a_node``).
            FormatError: as :meth:`request`.
        """
        headers = dict(options.pop("headers", {}))
        if json_body is not None:
            options["content"] = json.dumps(json_body).encode()
            headers.setdefault("Content-Type", JSON)
        return self.decode(self.request(method, target, headers=headers, **options))

    def decode(self, reply: Reply) -> Any:
        """Return the value of a reply, or raise the error that it carries.

        Raises:
            BpciError: as :meth:`value`.
        """
        if reply.status >= 400:
            raise self._error_of(reply)
        try:
            if reply.media_type == JSON:
                return read_json(reply.body, max_bytes=len(reply.body), allow_fractions=True)
            if reply.media_type == CBOR:
                return codec.decode(reply.body, max_bytes=len(reply.body))
        except FormatError as error:
            raise _not_a_node(self.where) from error
        raise _not_a_node(self.where)

    def _error_of(self, reply: Reply) -> BpciError:
        try:
            problem = {}
            if reply.media_type == PROBLEM:
                problem = read_json(reply.body, max_bytes=len(reply.body), allow_fractions=True)
        except FormatError:
            problem = {}
        return error_of_problem(problem) or _not_a_node(self.where, status=reply.status)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise _too_slow(self.where) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            raise _unreachable(self.where, error) from error


def error_of_problem(problem: Any) -> BpciError | None:
    """Return the error that an RFC 9457 problem object of a node describes, ``None`` if it is none.

    What comes from outside is cut to a bounded length and stripped of control characters before anyone prints it.
    """
    if not isinstance(problem, dict):
        return None
    code, title, status = problem.get("code"), problem.get("title"), problem.get("status")
    if not isinstance(code, str) or not isinstance(title, str) or type(status) is not int:
        return None
    family = _FAMILIES.get(status, BpciError if status >= 500 else errors.RefusedError)
    hint, details = problem.get("hint"), problem.get("details")
    error = family(_plain(title), code=_plain(code), hint=_plain(hint) if isinstance(hint, str) else None)
    if isinstance(details, dict):
        error.details = details
    return error


_FAMILIES: dict[int, type[BpciError]] = {
    kind.http_status: kind
    for kind in (
        errors.FormatError,
        errors.RefusedError,
        errors.LimitError,
        errors.AccessError,
        errors.NotFoundError,
        errors.ProofError,
        errors.UnreachableError,
        errors.StorageError,
    )
}


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:500])


def _too_slow(where: str) -> UnreachableError:
    return UnreachableError(
        f"{where} did not answer in time",
        code="unreachable.timeout",
        hint="Check the address, and that no firewall drops the connection.",
    )


def _not_a_node(where: str, *, status: int | None = None) -> UnreachableError:
    said = "" if status is None else f" (HTTP status {status})"
    return UnreachableError(
        f"what answers at {where} is not a BPCI node{said}",
        code="unreachable.not_a_node",
        hint="Check host and port; a node's API listens on port 8545 unless it was told otherwise.",
    )


def _unreachable(where: str, error: BaseException) -> UnreachableError:
    """Say in plain words why a connection failed, looking through what the libraries wrapped around the reason."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < 10:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for item in causes:
        if isinstance(item, ssl.SSLError):
            return UnreachableError(
                f"no trusted TLS connection to {where}: {getattr(item, 'verify_message', '') or item.reason or item}",
                code="unreachable.tls",
                hint="Check the certificate and this machine's clock, or use http:// inside your own network.",
            )
        if isinstance(item, socket.gaierror):
            return UnreachableError(
                f"the name in {where} could not be resolved",
                code="unreachable.dns",
                hint="Check the spelling and the name server, or use an IP address.",
            )
        if isinstance(item, ConnectionRefusedError):
            return UnreachableError(
                f"{where} refused the connection",
                code="unreachable.refused",
                hint="The machine is there, but nothing listens: is the node running, and is the port right?",
            )
        if isinstance(item, FileNotFoundError):
            return UnreachableError(
                f"there is no socket {where}", code="unreachable.socket", hint="Is the node running on this machine?"
            )
        if isinstance(item, PermissionError):
            return UnreachableError(
                f"this user may not use {where}",
                code="unreachable.permission",
                hint="Run it with sudo, or as a member of the owner's group.",
            )
    if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError | httpx.InvalidURL | UnicodeError):
        return _not_a_node(where)
    if isinstance(error, httpx.ReadError | httpx.WriteError):
        return UnreachableError(
            f"{where} closed the connection", code="unreachable.closed", hint="Try again; if it repeats, see its log."
        )
    return UnreachableError(
        f"{where} could not be reached: {causes[-1]}",
        code="unreachable.network",
        hint="Check the cable, the network settings, and the address.",
    )
