"""The network file: the one thing a person needs to trust a network.

It names the ledger, its genesis, the key of its registry and where to reach it. What a node answers is checked
against it. JSON is what people pass around; the same members in canonical CBOR are read too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpci_node.chain.endpoint import is_endpoint
from bpci_node.errors import FormatError, UsageError
from bpci_node.primitives import codec
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.keys import did_of, public_key_of
from bpci_node.primitives.names import LEDGER_ID_FORM, NAME_FORM

MAX_BYTES = 64 * 1024
"""Longest network file that is read."""
MAX_URLS = 32
NAME = NAME_FORM
"""Name of a ledger: the part of the ledger id before the colon."""
_MEMBERS = {"v", "ledger_id", "genesis_hash", "registry_key", "urls"}


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """What is known about a network before anything was heard from it."""

    ledger_id: str
    """``<name>:<genesis hash as hex>``."""
    genesis_hash: bytes
    """32 bytes; the same as in ``ledger_id``."""
    registry_key: bytes
    """Ed25519 public key of the registry, 32 bytes."""
    urls: tuple[str, ...]
    """Base URLs where the network's nodes answer; may be empty."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "v": 1,
            "ledger_id": self.ledger_id,
            "genesis_hash": "0x" + self.genesis_hash.hex(),
            "registry_key": did_of(self.registry_key),
            "urls": list(self.urls),
        }

    def save(self, path: Path) -> None:
        """Write the JSON form to ``path``, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(self.as_json(), indent=2) + "\n")
        partial.replace(path)


def parse(data: bytes) -> NetworkFile:
    """Read a network file from its JSON or CBOR form.

    Raises:
        FormatError: not a network file, or its parts contradict one another (``format.network_file``).
    """
    if len(data) > MAX_BYTES:
        raise _wrong(f"it is longer than {MAX_BYTES} bytes")
    try:
        value = read_json(data, max_bytes=MAX_BYTES) if data.lstrip()[:1] == b"{" else codec.decode(data)
    except FormatError as error:
        raise _wrong("it is neither JSON nor canonical CBOR") from error
    return from_value(value)


def from_value(value: Any) -> NetworkFile:
    """Check decoded members and return the network file.

    Raises:
        FormatError: ``format.network_file``.
    """
    if not isinstance(value, dict) or set(value) != _MEMBERS:
        raise _wrong("its members must be exactly " + ", ".join(sorted(_MEMBERS)))
    if value["v"] != 1 or isinstance(value["v"], bool):
        raise _wrong(f"version {value['v']!r} is not known here")
    ledger_id, genesis, key, urls = value["ledger_id"], value["genesis_hash"], value["registry_key"], value["urls"]
    if not (isinstance(genesis, str) and re.fullmatch(r"0x[0-9a-f]{64}", genesis)):
        raise _wrong("genesis_hash must be 0x and 64 hexadecimal digits in lower case")
    if not isinstance(ledger_id, str) or not LEDGER_ID_FORM.fullmatch(ledger_id):
        raise _wrong("ledger_id must be a name (a-z, 0-9, -), a colon and the genesis hash")
    if ledger_id.partition(":")[2] != genesis[2:]:
        raise _wrong("ledger_id does not contain genesis_hash")
    if not isinstance(key, str):
        raise _wrong("registry_key must be a did:key")
    if not isinstance(urls, list) or len(urls) > MAX_URLS or not all(isinstance(url, str) for url in urls):
        raise _wrong(f"urls must be a list of at most {MAX_URLS} URLs")
    for url in urls:
        check_url(url)
    return NetworkFile(ledger_id, bytes.fromhex(genesis[2:]), public_key_of(key), tuple(urls))


def check_url(url: str) -> None:
    """Check that ``url`` is the base URL of a node, in the strict form of :mod:`bpci_node.chain.endpoint`.

    Raises:
        FormatError: it is not (``format.url``).
    """
    if not is_endpoint(url):
        shown = "".join(char if char.isprintable() else " " for char in url[:200])
        raise FormatError(
            f"not the base URL of a node: {shown}", code="format.url", hint="Write it like http://192.0.2.5:8545"
        )


def load(path: Path) -> NetworkFile:
    """Read a network file from disk.

    Raises:
        UsageError: it can't be read (``usage.file``).
        FormatError: it is not a network file (``format.network_file``).
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the network file {path}: {error.strerror}", code="usage.file") from error
    return parse(data)


def _wrong(reason: str) -> FormatError:
    return FormatError(
        f"this is not a network file: {reason}",
        code="format.network_file",
        hint="Ask the network's operator for its file, or fetch it from a node's /v1/network.",
    )
