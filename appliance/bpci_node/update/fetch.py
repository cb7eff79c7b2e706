"""Fetching a bundle over HTTPS: resumed where it broke off, bounded by its own signed manifest, with progress.

The connection is trusted for privacy alone: what is kept is what the release keys have signed. The envelope is checked
as soon as it is here, so that nothing is fetched that would not be installed, and never more than it says.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx

from bpci_node import __version__
from bpci_node.errors import BpciError, FormatError, HostError, ProofError, UnreachableError, UsageError
from bpci_node.primitives.hashing import sha256
from bpci_node.store.durable_file import sync_path
from bpci_node.update import bundle
from bpci_node.update.bundle import Release
from bpci_node.update.release_key import KeyRing

MAX_REDIRECTS = 5
ATTEMPTS = 5
"""Connections in a row that bring nothing new, until it is given up."""
_PAUSE_SECONDS = 0.5
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)

Progress = Callable[[int, int], None]
"""Hears how many bytes are here, and of how many."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a bundle is fetched from."""

    url: str
    ca: Path | None = None
    """Certificates of the only authority that is believed; ``None`` for those of the machine."""


def fetch(source: Source, directory: Path, ring: KeyRing, judge: Callable[[Release], None], progress: Progress) -> Path:
    """Fetch a bundle into ``directory`` and return its path; what an earlier call has fetched is not fetched again.

    Args:
        judge: raises if the release is not wanted; called before most of it is fetched.
    Raises:
        UsageError: not an ``https`` URL, or no such authority (``update.url``, ``update.ca``).
        UnreachableError: it can't be fetched (``unreachable.update``, ``unreachable.tls``).
        HostError: the disk refuses it (``update.disk``).
        BpciError: not a bundle, not a trusted one, or what ``judge`` raises.
    """
    _require_https(source.url)
    name = sha256(source.url.encode()).hex()[:32]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in directory.iterdir():
            if not old.name.startswith(name):
                old.unlink()
        download = _Download(directory / f"{name}.part", ring, judge, progress)
        with _client(source) as client:
            _run(client, source.url, download)
            try:
                bundle.verify_payload(download.path, download.release())
            except ProofError:
                if not download.was_resumed:
                    download.path.unlink()
                    raise
                # The beginning may be of an older file of that name.
                download.path.unlink()
                download = _Download(download.path, ring, judge, progress)
                _run(client, source.url, download)
                bundle.verify_payload(download.path, download.release())
        sync_path(download.path)
    except OSError as error:
        raise HostError(f"the disk refused the download: {error.strerror}", code="update.disk") from error
    return download.path


class _Download:
    """A file that grows, and what it is by its own beginning."""

    def __init__(self, path: Path, ring: KeyRing, judge: Callable[[Release], None], progress: Progress) -> None:
        self.path, self._ring, self._judge, self._progress = path, ring, judge, progress
        self._release: Release | None = None
        self.size = path.stat().st_size if path.exists() else 0
        self.was_resumed = self.size > 0
        try:
            is_of_use = self._look() if self.size else True
        except BpciError:
            is_of_use = False  # of another release: the address may hold a newer one by now
        if not is_of_use or (self._release is not None and self.size > self._release.total_bytes):
            self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
        self.size, self._release, self.was_resumed = 0, None, False

    def release(self) -> Release:
        """Return what it is; only once it is complete."""
        if self._release is None:
            raise FormatError("the file ends before its manifest does", code="update.size")
        return self._release

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here."""
        return self._release is not None and self.size == self._release.total_bytes

    def take(self, parts: httpx.Response) -> None:
        """Append the body of a reply; at most as much as the manifest says."""
        with self.path.open("ab") as file:
            for part in parts.iter_raw():
                file.write(part)
                self.size += len(part)
                if self._release is None:
                    file.flush()
                    self._look()
                if self._release is not None:
                    self._progress(min(self.size, self._release.total_bytes), self._release.total_bytes)
                    if self.size > self._release.total_bytes:
                        raise FormatError("more was sent than the manifest says", code="update.size")
            file.flush()
            os.fsync(file.fileno())

    def _look(self) -> bool:
        """Judge the envelope if all of it is here; tell whether it is."""
        with self.path.open("rb") as file:
            head = file.read(bundle.HEAD_BYTES)
            if len(head) < bundle.HEAD_BYTES:
                return False
            body = file.read(length := bundle.envelope_length(head))
        if len(body) < length:
            return False
        self._release = bundle.verify_envelope(body, self._ring)
        self._judge(self._release)
        return True


def _run(client: httpx.Client, url: str, download: _Download) -> None:
    """Connect again and again until all is here."""
    failures = 0
    while not download.is_complete:
        before = download.size
        try:
            _once(client, url, download)
            error: Exception = UnreachableError(f"{url} ended too early", code="unreachable.update")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as caught:
            error = _translated(url, caught)
            if error.code == "unreachable.tls":
                raise error from caught
        failures = 0 if download.size > before else failures + 1
        if download.is_complete:
            return
        if failures >= ATTEMPTS:
            raise error
        time.sleep(_PAUSE_SECONDS)


def _once(client: httpx.Client, url: str, download: _Download) -> None:
    for _ in range(MAX_REDIRECTS):
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={download.size}-"} if download.size else {})
        with client.stream("GET", url, headers=headers) as reply:
            if reply.is_redirect:
                url = urljoin(url, reply.headers.get("location", ""))
                _require_https(url)
                continue
            if reply.status_code == 416 or (reply.status_code == 200 and download.size):
                download.restart()
            if reply.status_code == 416:
                return
            begins = reply.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
            if reply.status_code == 206 and begins != str(download.size):
                raise UnreachableError(f"{url} sends another part than was asked for", code="unreachable.update")
            if reply.status_code not in (200, 206):
                raise UnreachableError(
                    f"{url} answers with HTTP status {reply.status_code}",
                    code="unreachable.update",
                    hint="Check the address.",
                )
            download.take(reply)
            return
    raise UnreachableError(f"{url} redirects too often", code="unreachable.update")


def _client(source: Source) -> httpx.Client:
    try:
        context = ssl.create_default_context(cafile=None if source.ca is None else str(source.ca))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{source.ca} holds no certificates", code="update.ca") from error
    # The proxy of the environment is used: an update is fetched from far away.
    return httpx.Client(
        verify=context, timeout=_TIMEOUT, follow_redirects=False, headers={"User-Agent": f"bpci/{__version__}"}
    )


def _require_https(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("this is not a URL", code="update.url") from error
    if parsed.scheme != "https" or not parsed.host or parsed.userinfo:
        raise UsageError(
            "updates are fetched from https:// addresses without a password in them",
            code="update.url",
            hint="Or fetch the file by other means, and give its path.",
        )


def _translated(url: str, error: Exception) -> BpciError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            said = getattr(cause, "verify_message", "") or cause.reason or "no TLS"
            return UnreachableError(
                f"no trusted TLS connection to {url}: {said}",
                code="unreachable.tls",
                hint="Check this machine's clock; --ca names an authority of your own.",
            )
        cause = cause.__cause__ or cause.__context__
    return UnreachableError(
        f"{url} can't be fetched: {str(error)[:200] or type(error).__name__}",
        code="unreachable.update",
        hint="Call it again: what is here already is not fetched twice.",
    )
