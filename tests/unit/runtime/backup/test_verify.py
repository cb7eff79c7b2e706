"""A drill proves the bundles that the node says it has, and no others."""

import sqlite3
from pathlib import Path
from zlib import crc32

import pytest

from bpci_node.errors import ProofError
from bpci_node.runtime.backup import verify
from bpci_node.runtime.backup.contents import LedgerMark, Manifest, digest_of
from bpci_node.store.store import Store

T = "eip155:1"
KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
"""A public key. Source: RFC 8032, section 7.1, test 1."""


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    """A database with bundles 2 and 4 of one target; the first is kept no more, and 3 is missing."""
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "node.db")
    connection.execute("INSERT INTO targets VALUES (1, ?, x'', 0, 0, 0, x'', 0, 0, 1, 0)", (T,))
    for sequence in (2, 4):
        connection.execute("INSERT INTO bundles VALUES (?, x'', ?, x'aa')", ((1 << 48) + sequence, crc32(b"\xaa")))
    connection.commit()
    return connection


@pytest.mark.parametrize("name", ["etc/bpci/keys/node-key.key", "etc/bpci/ssh/key", "etc/passwd", "guard/blocks"])
def test_a_backup_that_brings_what_none_may_hold_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("x")
    mark = LedgerMark("", is_own=False, height=0, block="", state_root="")
    manifest = Manifest(1, "0.1.0", "", 0, mark, {name: digest_of(tmp_path / name)})
    with pytest.raises(ProofError) as caught:
        verify._compare_files(tmp_path, manifest)
    assert caught.value.code == "backup.content"


def proved(directory: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(verify, "verify_bundle", lambda *_, **__: None)
    store = Store(directory)
    try:
        return verify._verify_bundles(store, (T,), KEY, lambda _text: None)
    finally:
        store.close()


def test_a_bundle_that_a_repair_has_given_up_does_not_fail_every_drill(
    tmp_path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("INSERT INTO lost_bundles VALUES (?, 1)", ((1 << 48) + 3,))
    database.commit()
    database.close()
    assert proved(tmp_path, monkeypatch) == 2


def test_a_bundle_that_is_missing_without_a_word_fails_the_drill(
    tmp_path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    with pytest.raises(ProofError) as caught:
        proved(tmp_path, monkeypatch)
    assert caught.value.code == "backup.bundle"
