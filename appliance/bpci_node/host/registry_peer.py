"""A registry to measure against, reached over its HTTP API with requests that a node's key signs."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from bpci_node.errors import FormatError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.keys import Signer


class RegistryPeer:
    """One registry, as the checks see it; to be closed after use."""

    def __init__(self, url: str, signer: Signer) -> None:
        """Take the registry's address; nothing is sent yet.

        Args:
            url: base URL.
            signer: signs the measuring requests; the registry limits each key, and admits any.
        Raises:
            FormatError: not the base URL of a node (``format.url``).
        """
        self._client = NodeClient(url)
        self._signer = signer
        self.url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def download(self, size_bytes: int) -> float:
        """Fetch ``size_bytes`` and return the seconds from the first byte to the last.

        Raises:
            BpciError: not reached, or refused.
        """
        return self._client.measure_download(self._signer, size_bytes).seconds

    def upload(self, size_bytes: int) -> float:
        """Send ``size_bytes`` of random data and return the seconds until the registry confirmed them.

        Raises:
            BpciError: not reached, or refused.
        """
        return self._client.measure_upload(self._signer, os.urandom(size_bytes)).seconds

    def time_ms(self) -> int:
        """Return the registry's clock, Unix milliseconds.

        Raises:
            BpciError: not reached, or its status carries no time.
        """
        time_ms = self._client.status().get("time_ms")
        if type(time_ms) is not int:
            raise FormatError("the registry's status carries no time", code="format.reply")
        return time_ms
