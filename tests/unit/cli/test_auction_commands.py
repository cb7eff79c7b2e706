import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.batch_signature import BatchSignature
from bpci_node.auction.certificate import aggregate_votes
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_receipt import (
    Arrival,
    CommitReceipt,
    issue_commit_receipts,
    next_running_hash,
    order_start,
)
from bpci_node.auction.commit_set import Omission, draft_set, sign_set, verify_omission
from bpci_node.auction.reveal_receipt import RevealReceipt, issue_reveal_receipts
from bpci_node.chain.catalog import KINDS
from bpci_node.cli import auction_watch, bidding
from bpci_node.cli.auction_watch import line_of
from bpci_node.cli.bid_file import BidFile, Certified, KeptBid
from bpci_node.cli.bidding import Market, Overview, prepare, tier_for, wait_for_set
from bpci_node.cli.bidding import commit as send_commits
from bpci_node.cli.bidding import reveal as send_reveals
from bpci_node.cli.main import main
from bpci_node.errors import BpciError, NotFoundError, ProofError, RefusedError, UnreachableError, UsageError
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.codec import decode
from tests.unit.auction.scene import (
    BLS,
    COMMITTEE,
    COORDINATOR,
    EPOCH,
    FRAME,
    LEDGER_ID,
    NODES,
    TARGET,
    TERMS,
    WINDOW,
    account,
    bid,
    bidder,
)

ROOT = Path(__file__).parents[3]


def call(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["auction", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def receipt_of(commit: Commit, position: int) -> bytes:
    before, seq = order_start(LEDGER_ID, EPOCH, WINDOW), WINDOW.first_seq + position
    after = next_running_hash(before, commit.commit_id, seq)
    arrival = Arrival(commit, commit.commit_id, seq, before, after)
    (receipt,) = issue_commit_receipts(COORDINATOR, LEDGER_ID, EPOCH, [arrival])
    return receipt.encode()


def certified(commit_ids: list[bytes], closed_us: int = 1_800_100_000) -> Certified:
    draft = draft_set(LEDGER_ID, EPOCH, WINDOW, commit_ids, closed_us=closed_us, coordinator=COORDINATOR.public_key)
    signed = sign_set(COORDINATOR, draft)
    votes = {seat: BLS[seat].sign(signed.digest()) for seat in range(3)}
    return Certified(signed, aggregate_votes(COMMITTEE, votes), tuple(commit_ids))


def kept_bids(
    path: Path, count: int = 1, *, others: int = 0, has_set: bool = True, leaves_out: bool = False
) -> BidFile:
    """A file of bids whose commits have receipts and, but for what is left out, stand in a certified set."""
    made = [bid(number + 1) for number in range(count)]
    bids = [
        KeptBid(item.commit, item.reveal.raw, item.reveal.salt, receipt_of(item.commit, at))
        for at, item in enumerate(made)
    ]
    ids = [item.commit.commit_id for item in made[leaves_out:]] + [bytes([9, at] * 16) for at in range(others)]
    kept = BidFile(path, LEDGER_ID, EPOCH, WINDOW, bids, certified(ids) if has_set else None)
    kept.save()
    return kept


class Validator:
    """Answers a bidder as a validator would, out of what a test gives it."""

    def __init__(self, seat: int, certified: Certified | None = None, *, is_down: bool = False) -> None:
        self.seat, self.certified, self.is_down = seat, certified, is_down
        self.where = f"http://192.0.2.{seat}:8545"
        self.reveals: list[bytes] = []
        self.commits: list[bytes] = []
        self.answers: list[bytes | BpciError] = []

    def send_commits(self, batch: bytes) -> list[bytes | BpciError]:
        self.commits.append(batch)
        return self.answers

    def commit_set(self, _window: object) -> dict[str, Any]:
        if self.is_down:
            raise UnreachableError("down", code="unreachable.refused")
        if self.certified is None:
            raise NotFoundError("none", code="window.unknown")
        return {
            "commit_set": self.certified.commit_set.encode(),
            "certificate": self.certified.certificate.as_map(),
            "commit_ids": list(self.certified.commit_ids),
        }

    def send_reveals(self, batch: bytes) -> list[bytes | BpciError]:
        if self.is_down:
            raise UnreachableError("down", code="unreachable.refused")
        self.reveals.append(batch)
        if self.answers:
            return self.answers
        digest = self.certified.commit_set.digest() if self.certified else bytes(32)
        names = [item["commit_id"] for item in decode(batch, max_bytes=1 << 20)]
        empty = BatchSignature(0, 1, b"", b"")
        unsigned = [
            RevealReceipt(LEDGER_ID, EPOCH, WINDOW, digest, name, self.seat, 1_800_150_000, empty) for name in names
        ]
        return [item.encode() for item in issue_reveal_receipts(NODES[self.seat], unsigned)]


class Clock:
    """Time that passes by waiting alone, so that a busy machine misses no phase."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bidding, "time", Clock())


def market(validators: list[Validator], now_us: int = WINDOW.opens_us) -> Market:
    overview = Overview(
        now_us, bidding.time.monotonic(), EPOCH, FRAME.begins_us, FRAME.ends_us, ("x",) * 4, {TARGET: TERMS}
    )
    network = NetworkFile(LEDGER_ID, bytes(32), NODES[0].public_key, ())
    return Market(network, overview, COMMITTEE, list(validators))  # type: ignore[arg-type]  # they answer alike


def test_a_file_of_bids_comes_back_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    kept = kept_bids(tmp_path / "a.bid", 3, others=2)
    assert BidFile.load(kept.path) == kept
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["a.bid"]
    assert kept.bids[0].reveal() == bid(1).reveal


@pytest.mark.parametrize("data", [b"", b"\xa0", b"nonsense", b"\x01"], ids=["empty", "map", "text", "number"])
def test_what_is_no_file_of_bids_is_a_wrong_call(
    tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.bid"
    path.write_bytes(data)
    status, out, err = call("report", "miss", path, "--out", tmp_path / "x", "--json", capsys=capsys)
    assert (status, out, json.loads(err)["code"]) == (2, "", "usage.bid")


def test_what_opens_a_bid_is_on_the_disk_before_anything_leaves(tmp_path: Path) -> None:
    path, raw = tmp_path / "a.bid", bid(1).reveal.raw
    place = market([])
    kept = prepare(place, bidder(1), account(1), [raw], path, target=TARGET, qlock_ms=100, ahead_ms=300, tier=None)
    found = BidFile.load(path)
    assert found == kept
    assert found.window.opens_us > WINDOW.opens_us + 300_000
    assert found.bids[0].commit.tier == 1
    assert found.bids[0].raw == raw
    with pytest.raises(UsageError) as caught:
        prepare(place, bidder(1), account(1), [raw], path, target=TARGET, qlock_ms=100, ahead_ms=300, tier=None)
    assert caught.value.code == "usage.file"


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"qlock_ms": 30}, "usage.class"), ({"target": "eip155:2"}, "window.target"), ({"tier": 7}, "reveal.tier")],
    ids=["class", "target", "tier"],
)
def test_a_bid_that_cannot_be_made_leaves_no_file(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    options = {"target": TARGET, "qlock_ms": 100, "ahead_ms": 300, "tier": None} | changes
    with pytest.raises(BpciError) as caught:
        prepare(market([]), bidder(1), account(1), [bid(1).reveal.raw], tmp_path / "a.bid", **options)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_no_window_of_another_epoch_is_chosen(tmp_path: Path) -> None:
    place, path = market([], FRAME.ends_us - 100_000), tmp_path / "a.bid"
    with pytest.raises(RefusedError) as caught:
        prepare(
            place, bidder(1), account(1), [bid(1).reveal.raw], path, target=TARGET, qlock_ms=100, ahead_ms=300, tier=1
        )
    assert caught.value.code == "window.epoch"


def test_the_least_tier_that_covers_a_bid_is_taken() -> None:
    raws = [bid(1, fee=fee, gas=30_000).reveal.raw for fee in (60, 100)]
    assert [tier_for(raw, TERMS, 100, LEDGER_ID, None) for raw in raws] == [1, 2]
    with pytest.raises(RefusedError) as caught:
        tier_for(bid(1, fee=60_000).reveal.raw, TERMS, 100, LEDGER_ID, None)
    assert caught.value.code == "reveal.tier"


def test_receipts_are_checked_and_kept_and_a_duplicate_is_as_good_as_taken(tmp_path: Path) -> None:
    kept = kept_bids(tmp_path / "a.bid", 3, has_set=False)
    receipts = [item.receipt for item in kept.bids]
    for item in kept.bids:
        item.receipt = None
    coordinator = Validator(0)
    coordinator.answers = [
        receipts[0] or b"",
        RefusedError("twice", code="commit.duplicate"),
        RefusedError("late", code="window.closed"),
    ]
    assert [error.code for error in send_commits(market([coordinator]), kept)] == ["window.closed"]
    assert [item.receipt for item in BidFile.load(kept.path).bids] == [receipts[0], None, None]
    coordinator.answers = [receipts[0] or b"", RefusedError("late", code="window.closed")]
    with pytest.raises(ProofError):
        send_commits(market([coordinator]), kept)


def test_nothing_is_revealed_before_the_set_is_certified(tmp_path: Path) -> None:
    kept, notary = kept_bids(tmp_path / "a.bid", has_set=False), Validator(1)
    with pytest.raises(UsageError) as caught:
        send_reveals(market([Validator(0), notary]), kept, 3)
    assert caught.value.code == "usage.certified"
    assert notary.reveals == []


def test_a_set_counts_with_the_votes_of_the_committee_alone(tmp_path: Path) -> None:
    kept = kept_bids(tmp_path / "a.bid", has_set=False)
    good = certified([kept.bids[0].commit.commit_id])
    few = {seat: BLS[seat].sign(good.commit_set.digest()) for seat in (0, 1, 3)}
    foreign = replace(good.certificate, signature=aggregate_votes(COMMITTEE, few).signature)
    with pytest.raises(ProofError) as caught:
        wait_for_set(market([Validator(0, Certified(good.commit_set, foreign, good.commit_ids))]), kept)
    assert caught.value.code.startswith("certificate.")
    assert BidFile.load(kept.path).certified is None
    wait_for_set(market([Validator(0, is_down=True), Validator(1), Validator(2, good)]), kept)
    assert BidFile.load(kept.path).certified == good


def test_a_set_that_does_not_come_before_the_phase_ends_is_waited_for_no_longer(tmp_path: Path) -> None:
    kept = kept_bids(tmp_path / "a.bid", has_set=False)
    with pytest.raises(UnreachableError) as caught:
        wait_for_set(market([Validator(0)], WINDOW.opens_us + 900_000), kept)
    assert caught.value.code == "unreachable.auctions"


def test_a_commit_that_was_left_out_is_noticed_and_the_proof_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = kept_bids(tmp_path / "a.bid", 2, has_set=False)
    found = certified([kept.bids[1].commit.commit_id])
    with pytest.raises(ProofError) as caught:
        wait_for_set(market([Validator(0, found)]), kept)
    assert caught.value.code == "bid.omitted"
    evidence = tmp_path / "evidence.cbor"
    status, out, _ = call("report", "exclusion", kept.path, "--out", evidence, "--json", capsys=capsys)
    assert (status, json.loads(out)["kind"]) == (0, "auction.report_omission")
    body = decode(evidence.read_bytes(), max_bytes=1 << 20)["body"]
    omission = Omission(body["commit_id"], tuple(body["path"]))
    verify_omission(CommitReceipt.decode(body["receipt"]), found.commit_set, omission)
    assert body["commit_set"] == found.commit_set.encode()


def test_reveals_go_to_as_many_notaries_as_asked_for_and_to_others_when_those_are_down(tmp_path: Path) -> None:
    kept = kept_bids(tmp_path / "a.bid", 2)
    seats = [Validator(seat, kept.certified, is_down=seat in (1, 2)) for seat in range(4)]
    assert send_reveals(market(seats), kept, 2) == []
    assert [len(item.reveals) for item in seats] == [1, 0, 0, 1]
    assert [len(item.reveals) for item in BidFile.load(kept.path).bids] == [2, 2]
    with pytest.raises(UnreachableError):
        send_reveals(market([Validator(seat, is_down=True) for seat in range(4)]), kept, 2)


def test_what_a_notary_was_handed_by_another_one_is_no_refusal(tmp_path: Path) -> None:
    kept, notary = kept_bids(tmp_path / "a.bid", 2), Validator(1)
    notary.answers = [RefusedError("known", code="reveal.duplicate"), RefusedError("late", code="reveal.late")]
    assert [error.code for error in send_reveals(market([Validator(0), notary]), kept, 1)] == ["reveal.late"]


def test_a_notary_that_has_not_heard_of_the_set_yet_is_asked_again_while_reveals_are_taken(tmp_path: Path) -> None:
    kept, notary = kept_bids(tmp_path / "a.bid"), Validator(1)
    early = iter([RefusedError("early", code="window.unknown"), RefusedError("early", code="reveal.uncertified")])
    answer, notary.certified = notary.send_reveals, kept.certified
    notary.send_reveals = lambda batch: [item] if (item := next(early, None)) else answer(batch)  # type: ignore[method-assign]  # early at first
    assert send_reveals(market([Validator(0), notary]), kept, 1) == []
    assert len(kept.bids[0].reveals) == 1
    never = Validator(1)
    never.answers = [RefusedError("never", code="window.unknown")]
    late = market([Validator(0), never], WINDOW.opens_us + 500_000)
    assert [error.code for error in send_reveals(late, kept_bids(tmp_path / "b.bid"), 1)] == ["window.unknown"]


def test_a_receipt_that_another_notary_signed_is_refused(tmp_path: Path) -> None:
    kept = kept_bids(tmp_path / "a.bid")
    true, false = Validator(2, kept.certified), Validator(1, kept.certified)
    (receipt,) = true.send_reveals(b"\x81" + kept.bids[0].reveal().encode())
    assert isinstance(receipt, bytes)
    false.answers = [replace(RevealReceipt.decode(receipt), seat=1).encode()]
    with pytest.raises(ProofError) as caught:
        send_reveals(market([Validator(0), false]), kept, 1)
    assert caught.value.code == "reveal.receipt"


def test_two_sets_of_one_window_are_evidence_and_one_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = kept_bids(tmp_path / "a.bid")
    other, evidence = tmp_path / "set.cbor", tmp_path / "evidence.cbor"
    other.write_bytes(certified([bytes(32)]).commit_set.encode())
    status, out, _ = call("report", "set", one.path, other, "--out", evidence, "--json", capsys=capsys)
    assert (status, json.loads(out)["kind"]) == (0, "auction.report_sets")
    assert set(decode(evidence.read_bytes(), max_bytes=1 << 20)["body"]) == {"first", "second"}
    status, _, err = call("report", "set", one.path, one.path, "--out", evidence, "--json", capsys=capsys)
    assert (status, json.loads(err)["code"]) == (1, "bid.evidence")


def test_evidence_fits_the_commands_that_bring_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = kept_bids(tmp_path / "a.bid", others=3)
    send_reveals(market([Validator(0, kept.certified), Validator(1, kept.certified)]), kept, 1)
    for what in ("miss", "refund"):
        out = tmp_path / f"{what}.cbor"
        assert call("report", what, kept.path, "--out", out, capsys=capsys)[0] == 0
        found = decode(out.read_bytes(), max_bytes=1 << 20)
        KINDS[found["kind"]].read(found["body"])
    assert call("report", "exclusion", kept.path, "--out", tmp_path / "x", capsys=capsys)[0] == 1


def test_evidence_goes_somewhere_or_is_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = kept_bids(tmp_path / "a.bid")
    assert call("report", "miss", kept.path, capsys=capsys)[0] == 2
    path = tmp_path / "e.cbor"
    path.write_bytes(b"\xa1\x61v\x01")
    status, _, err = call("report", "send", path, "--json", capsys=capsys)
    assert (status, json.loads(err)["code"]) == (2, "usage.evidence")


class Stream:
    """A validator's stream that breaks after each event."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def subscribe(self, *, after: int, **_: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(after)
        yield {"v": 1, "sequence": after, "kind": "void", "target": TARGET, "data": {}}  # told again
        yield {"v": 1, "sequence": after + 1, "kind": "void", "target": TARGET, "data": {}}
        raise UnreachableError("broke", code="unreachable.stream")


def test_a_watcher_goes_on_behind_what_it_has_seen_and_shows_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auction_watch, "_PAUSE_SECONDS", 0)
    stream = Stream()
    events = auction_watch._live(stream, 7, None, None)  # type: ignore[arg-type]  # answers alike
    assert [event["sequence"] for event in itertools.islice(events, 3)] == [8, 9, 10]
    assert stream.asked == [7, 8, 9]


@pytest.mark.parametrize("kind", ["set", "window", "bundle", "void", "gap"])
def test_every_kind_of_event_has_a_line(kind: str) -> None:
    data = {"window": [TARGET, 100, 7], "sequence": 3, "count": 2, "bytes": 9, "digest": "0x12", "commits": 4}
    line = line_of({"sequence": 5, "kind": kind, "target": TARGET, "data": data, "after": 2})
    assert line.lstrip().startswith("5 ")
    assert "\n" not in line


def test_every_code_of_bidding_is_documented_and_raised() -> None:
    source = "".join(path.read_text() for path in (ROOT / "appliance/bpci_node/cli").glob("*.py"))
    table = (ROOT / "docs/spec/errors/bid.md").read_text()
    documented = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE))
    assert documented >= set(re.findall(r'"(bid\.[a-z0-9_]+)"', source))
    assert all(f'"{code}"' in source for code in documented)


@pytest.mark.parametrize("name", ["header", "set", "exclusion", "miss", "refund", "send"])
def test_every_report_shows_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call("report", name, "--help", capsys=capsys)
    assert status == 0
    assert "Examples:" in out
