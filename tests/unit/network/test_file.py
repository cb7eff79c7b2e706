import json
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import FormatError, UsageError
from bpci_node.network.file import MAX_BYTES, NetworkFile, check_url, load, parse
from bpci_node.primitives import codec
from bpci_node.primitives.keys import LocalSigner

KEY = LocalSigner(b"\x07" * 32).public_key
GOOD = NetworkFile("devnet:" + "ab" * 32, b"\xab" * 32, KEY, ("http://192.0.2.5:8545",))


def changed(**members: Any) -> bytes:
    return json.dumps(GOOD.as_json() | members).encode()


def test_json_and_cbor_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    GOOD.save(path)
    assert load(path) == GOOD
    assert parse(codec.encode(GOOD.as_json())) == GOOD
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xff",
        b"{" * 5000,
        b"x" * (MAX_BYTES + 1),
        json.dumps({"v": 1}).encode(),
        changed(extra=1),
        changed(v=2),
        changed(v=True),
        changed(ledger_id="devnet:" + "cd" * 32),
        changed(ledger_id="Devnet:" + "ab" * 32),
        changed(ledger_id=5),
        changed(genesis_hash="ab" * 32),
        changed(genesis_hash="0x" + "AB" * 32),
        changed(genesis_hash=None),
        changed(registry_key="did:key:z6Mkwrong"),
        changed(registry_key=5),
        changed(urls="http://192.0.2.5"),
        changed(urls=["ftp://192.0.2.5"]),
        changed(urls=["http://192.0.2.5"] * 33),
        changed(urls=[5]),
    ],
)
def test_what_is_no_network_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse(data)


def test_a_missing_file_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "absent.json")
    assert "absent.json" in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://user@host",
        "http://host/?q",
        "http://host/#f",
        "file:///etc/passwd",
        "http://",
        "http://h:0",
        "http://a\n",
    ],
)
def test_only_base_urls_of_nodes_are_taken(url: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_url(url)
    assert caught.value.code == "format.url"
    assert "\n" not in caught.value.message
