import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpci_node.errors import StorageError
from bpci_node.store import auction_journal
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, VOID, AuctionJournal

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
    assert journal.last_bundle("eip155:1") == (1, b"d1", b"bundle")
    assert journal.last_bundle("eip155:2") is None
    assert journal.bundles("eip155:1", 0, 10) == [(1, b"d1", b"bundle")]
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


def test_what_is_owed_stays_until_it_is_paid(tmp_path: Path) -> None:
    journal = AuctionJournal(tmp_path)
    number = journal.owe("auction.settle", b"body").result()
    journal.owe("auction.settle", b"later").result()
    journal.close()
    again = AuctionJournal(tmp_path)
    assert again.owed() == [(number, "auction.settle", b"body"), (number + 1, "auction.settle", b"later")]
    again.paid(number).result()
    assert [row[2] for row in again.owed()] == [b"later"]
    again.close()


def test_a_mock_settlement_is_stored_once_with_its_ledger(journal: AuctionJournal) -> None:
    assert journal.add_mock_settlement(b"d", "mock:1", b"data").result()
    assert not journal.add_mock_settlement(b"d", "mock:1", b"other").result()
    assert journal.mock_settlements() == [(b"d", "mock:1", b"data")]


def test_pruning_takes_commits_of_finished_windows_alone(journal: AuctionJournal) -> None:
    other = ("eip155:1", 100, 8)
    journal.add_commits(3, [(KEY, 1, 1, b"a"), (other, 2, 2, b"b")]).result()
    journal.add_reveals(KEY, [(b"a", 1, b"x", b"r")]).result()
    journal.put_window(KEY, 3, VOID).result()
    assert journal.prune(3).result() == 0
    assert journal.prune(4).result() == 2
    assert journal.commits(KEY) == []
    assert journal.commits(other) == [(2, 2, b"b")]


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
