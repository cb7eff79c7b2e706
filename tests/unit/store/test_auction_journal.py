import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import StorageError
from bpci_node.store import auction_journal, auction_schema
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, PROPOSED, VOID, AuctionJournal

KEY = ("eip155:1", 100, 7)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[AuctionJournal]:
    opened = AuctionJournal(tmp_path)
    yield opened
    opened.close()


def test_commits_are_there_after_a_restart_with_their_window(tmp_path: Path) -> None:
    journal = AuctionJournal(tmp_path)
    journal.add_commits(
        3, [(KEY, 5, 900, b"five"), (KEY, 6, 901, b"six"), (("eip155:1", 50, 9), 7, 902, b"x")]
    ).result()
    journal.close()
    again = AuctionJournal(tmp_path)
    assert again.commits(KEY) == [(5, 900, b"five"), (6, 901, b"six")]
    assert again.last_commit() == 7
    assert [(item.key, item.epoch, item.stage) for item in again.windows(OPEN)] == [
        (("eip155:1", 50, 9), 3, OPEN),
        (KEY, 3, OPEN),
    ]
    again.close()


def test_a_window_keeps_what_a_later_stage_does_not_name(journal: AuctionJournal) -> None:
    journal.put_window(KEY, 3, OPEN, commit_set=b"set").result()
    journal.put_window(KEY, 3, CERTIFIED, set_certificate=b"votes").result()
    journal.put_window(KEY, 3, FINAL, header=b"header", certificate=b"final", carried=[b"a", b"b"]).result()
    found = journal.window(KEY)
    assert found is not None
    assert (found.stage, found.commit_set, found.set_certificate) == (FINAL, b"set", b"votes")
    assert (found.header, found.certificate) == (b"header", b"final")
    assert journal.carried("eip155:1") == [b"a", b"b"]
    journal.put_window(("eip155:1", 100, 8), 3, FINAL, carried=[]).result()
    assert journal.carried("eip155:1") == []
    assert journal.window(("eip155:1", 100, 99)) is None


def test_a_reveal_is_stored_once(journal: AuctionJournal) -> None:
    journal.add_reveals(KEY, [(b"b", 10, b"second", b"r2"), (b"a", 9, b"first", b"r1")]).result()
    journal.add_reveals(KEY, [(b"a", 99, b"again", b"r3")]).result()
    assert journal.reveals(KEY) == [(b"a", 9, b"first", b"r1"), (b"b", 10, b"second", b"r2")]


def test_a_bundle_is_stored_and_announced_once(journal: AuctionJournal) -> None:
    first = journal.add_bundle(b"d1", "eip155:1", 1, b"bundle", b"event").result()
    assert first == 1
    assert journal.add_bundle(b"d1", "eip155:1", 1, b"bundle", b"event").result() is None
    assert journal.bundle(b"d1") == b"bundle"
    assert journal.bundle(b"d2") is None
    assert journal.bundles("eip155:1", 0, 10) == [(1, b"d1", 6)]
    assert journal.bundles("eip155:1", 1, 10) == []
    assert journal.bundle_sequences("eip155:1", 0) == {1}
    assert journal.bundle_sequences("eip155:2", 0) == set()
    (event,) = journal.events(0, 10)
    assert (event.sequence, event.kind, event.target, event.data) == (1, "bundle", "eip155:1", b"event")


def test_events_are_numbered_for_ever_and_the_oldest_go(
    journal: AuctionJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auction_journal, "KEPT_EVENTS", 20)
    monkeypatch.setattr(auction_journal, "_PRUNE_EVERY", 10)
    told: list[bool] = []
    journal.on_events = lambda: told.append(True)
    numbers = [journal.add_event("window", "eip155:1", bytes([mark])).result() for mark in range(50)]
    assert numbers == list(range(1, 51))
    assert journal.event_range() == (31, 50)
    assert [event.sequence for event in journal.events(45, 3)] == [46, 47, 48]
    assert told


def complete(journal: AuctionJournal, key: auction_journal.WindowKey, sequence: int, **settled: Any) -> int | None:
    mark = str(sequence).encode()
    return journal.complete(key, b"digest" + mark, sequence, b"bundle" + mark, b"event", **settled).result()


def test_what_is_owed_comes_with_the_bundle_once_and_stays_until_it_is_paid(tmp_path: Path) -> None:
    journal = AuctionJournal(tmp_path)
    journal.put_window(KEY, 3, PROPOSED, header=b"header", proposal=b"parts").result()
    assert (journal.proposal(KEY), journal.incomplete()) == (b"parts", [])
    journal.put_window(KEY, 3, FINAL, certificate=b"votes").result()
    assert [item.key for item in journal.incomplete()] == [KEY]
    owed = [("auction.settle", b"body"), ("auction.settle", b"later")]
    assert complete(journal, KEY, 1, owed=owed, mock=("mock:1", b"record")) == 1
    assert complete(journal, KEY, 1, owed=owed, mock=("mock:1", b"other")) is None
    assert (journal.proposal(KEY), journal.incomplete()) == (None, [])
    journal.close()
    again = AuctionJournal(tmp_path)
    assert again.owed() == [(1, *owed[0]), (2, *owed[1])]
    again.paid(1).result()
    assert [row[2] for row in again.owed()] == [b"later"]
    assert again.mock_settlements() == [(b"digest1", "mock:1", b"record")]
    assert again.bundle(b"digest1") == b"bundle1"
    again.close()


def test_a_void_window_lets_go_of_what_was_proposed(journal: AuctionJournal) -> None:
    journal.put_window(KEY, 3, PROPOSED, header=b"header", proposal=b"parts").result()
    journal.put_window(KEY, 3, VOID).result()
    assert journal.proposal(KEY) is None


def test_the_last_epoch_with_a_final_header_is_found_for_each_target(journal: AuctionJournal) -> None:
    for target, number, epoch, stage in (("a", 1, 3, FINAL), ("a", 2, 5, FINAL), ("a", 3, 6, VOID), ("b", 1, 4, FINAL)):
        journal.put_window((target, 100, number), epoch, stage).result()
    assert [item.key for item in journal.latest_final()] == [("a", 100, 2), ("b", 100, 1)]
    assert [item.key for item in journal.windows_of(5)] == [("a", 100, 2)]


def test_pruning_takes_what_no_settlement_or_refund_needs_and_nothing_that_is_incomplete(
    journal: AuctionJournal,
) -> None:
    others = ("eip155:1", 100, 8), ("eip155:1", 100, 9)
    journal.add_commits(3, [(KEY, 1, 1, b"a"), (others[0], 2, 2, b"b"), (others[1], 3, 3, b"c")]).result()
    journal.add_reveals(KEY, [(b"a", 1, b"x", b"r")]).result()
    journal.put_window(others[0], 3, PROPOSED, proposal=b"parts").result()
    journal.put_window(others[1], 9, OPEN).result()
    kept = auction_journal.KEPT_MATERIAL
    assert journal.prune(3 + kept).result() == 0
    assert journal.prune(4 + kept).result() == 3
    assert (journal.commits(KEY), journal.reveals(KEY)) == ([], [])
    assert journal.commits(others[0]) == [(2, 2, b"b")]
    assert journal.window(KEY) is not None
    journal.prune(4 + auction_journal.KEPT_EPOCHS).result()
    assert journal.window(KEY) is None
    assert journal.window(others[0]) is not None


@pytest.mark.parametrize(("name", "value"), [("KEPT_BUNDLES", 2), ("KEPT_BUNDLE_BYTES", 15)])
def test_the_oldest_bundles_go_where_there_are_too_many(
    journal: AuctionJournal, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    for sequence in range(1, 5):
        journal.put_window(KEY, 3, FINAL, proposal=b"parts").result()
        complete(journal, KEY, sequence, mock=("mock:1", b"record"))
    monkeypatch.setattr(auction_journal, name, value)
    journal.prune(3).result()
    assert [row[0] for row in journal.bundles("eip155:1", 0, 10)] == [3, 4]
    assert {row[0] for row in journal.mock_settlements()} == {b"digest3", b"digest4"}


def test_a_file_of_version_1_gets_the_tables_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auction_schema, "VERSION", 1)
    monkeypatch.setattr(auction_schema, "_SECOND", "")
    old = AuctionJournal(tmp_path)
    old.put_window(KEY, 3, OPEN).result()
    old.close()
    monkeypatch.undo()
    again = AuctionJournal(tmp_path)
    again.put_window(KEY, 3, PROPOSED, proposal=b"parts").result()
    assert again.proposal(KEY) == b"parts"
    again.close()


def test_a_file_of_something_else_or_of_a_later_version_is_refused(tmp_path: Path) -> None:
    for pragma, code in (("application_id=5", "storage.foreign"), ("user_version=9", "storage.newer")):
        home = tmp_path / code
        home.mkdir()
        connection = sqlite3.connect(home / auction_journal.FILE_NAME)
        connection.execute(f"PRAGMA {pragma}")
        connection.commit()
        connection.close()
        with pytest.raises(StorageError) as caught:
            AuctionJournal(home)
        assert caught.value.code == code


def test_an_end_of_a_window_is_not_taken_back_by_a_step_that_comes_late(journal: AuctionJournal) -> None:
    journal.put_window(KEY, 3, VOID).result()
    journal.put_window(KEY, 3, OPEN, commit_set=b"set").result()
    found = journal.window(KEY)
    assert found is not None
    assert (found.stage, found.commit_set) == (VOID, b"set")
    for stage in (FINAL, CERTIFIED, VOID):
        journal.put_window(KEY, 3, stage).result()
        found = journal.window(KEY)
        assert found is not None
        assert found.stage == FINAL
