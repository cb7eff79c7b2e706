import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bpci_node.auction.coordinator_book import Stage
from bpci_node.auction.outcome import Kind
from bpci_node.auction.reveal import payment_of
from bpci_node.cli.auction_simulate import DATA, render
from bpci_node.cli.main import main
from bpci_node.cli.replaying import MinedBlock, load_blocks
from bpci_node.cli.simulating import IN_THE_OPEN, Attack, Play, Setting, play
from bpci_node.cli.simulating_figures import figures_of, latencies, places
from bpci_node.cli.simulating_plot import plot
from bpci_node.errors import FormatError, UsageError

FILES = sorted(DATA.glob("block-*.json.gz"))


@cache
def blocks() -> tuple[MinedBlock, ...]:
    return tuple(load_blocks(FILES))


SMALL = [replace(blocks()[0], raws=blocks()[0].raws[:60], gas_limit=12_000_000)]
"""The beginning of a block, and room in proportion."""


@cache
def played(seed: int = 1, attackers: int = 40) -> Play:
    """The first two blocks, of which each is a few hundred bids."""
    return play(blocks()[:2], Setting(seed=seed, attackers_percent=attackers))


def figures(**setting: int) -> dict[str, Any]:
    return figures_of(played(**setting), prize=3)


def call(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["auction", "simulate", *arguments])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_blocks_come_with_what_a_replay_needs() -> None:
    found = blocks()
    assert [block.number for block in found] == [24476000, 24476001, 24476003, 24476004]
    assert {block.gas_limit for block in found} == {60_000_000}
    assert sum(len(block.raws) for block in found) == 1_167
    assert found[0].base_fee_wei == 0x2AE2A84


@pytest.mark.parametrize("text", ["[]", "{}", '{"number": "0x1", "transactions": []}', '{"result": null}'])
def test_what_is_no_block_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "block.json"
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        load_blocks([path])
    assert caught.value.code == "format.block_file"


def test_every_transaction_bids_and_comes_to_one_end() -> None:
    made = played()
    assert len(made.players) == sum(len(block.raws) for block in made.blocks)
    assert {result.stage for result in made.results} == {Stage.FINAL}
    assert all(made.outcomes[player.bid.commit.commit_id].kind in (Kind.WON, Kind.LOST) for player in made.players)
    inclusion = figures()["inclusion"]
    assert inclusion["bids"] == inclusion["ran"] + inclusion["no_room"]
    assert inclusion["ran"] > inclusion["bids"] // 2


def test_no_attack_works_in_the_auction_and_every_kind_costs_something() -> None:
    rows = {row["kind"]: row for row in figures()["attacks"]}
    assert set(rows) == {kind.value for kind in Attack}
    for row in rows.values():
        assert row["tried"] > 10
        assert row["succeeded"] == 0
        assert int(row["gained"]) == -int(row["paid"]) - int(row["forfeited"]) < 0
    assert rows["copy"]["refused"] == {"reveal.mismatch": rows["copy"]["tried"]}
    assert rows["front-run"]["refused"] == {"window.closed": rows["front-run"]["tried"]}
    assert rows["late reveal"]["refused"] == {"reveal.late": rows["late reveal"]["tried"]}


def test_the_same_attacks_work_in_a_pool_that_everybody_reads() -> None:
    for row in figures()["attacks"]:
        if row["kind"] in {kind.value for kind in IN_THE_OPEN}:
            assert row["succeeded_in_the_open"] > 0
        else:
            assert row["succeeded_in_the_open"] is None


def test_what_was_paid_is_what_the_winners_offered() -> None:
    made, revenue = played(), figures()["revenue"]
    own = {player.entry.leaf.txid for player in made.players}
    ran = [entry for entry in made.ran if entry.leaf.txid in own]
    assert int(revenue["paid"]) == sum(payment_of(entry, made.terms) for entry in ran)
    assert int(revenue["paid"]) <= int(revenue["offered_in_blocks"])
    assert revenue["forfeited"] == "0"
    total = sum(outcome.amount for outcome in made.outcomes.values())
    assert total == sum(int(revenue[name]) for name in ("paid", "paid_by_attackers", "forfeited_by_attackers"))


def test_senders_run_in_the_order_of_their_nonces() -> None:
    last: dict[bytes, int] = {}
    for entry in played().ran:
        assert last.get(entry.leaf.sender, -1) < entry.leaf.nonce
        last[entry.leaf.sender] = entry.leaf.nonce


def test_gas_of_every_window_is_kept() -> None:
    made = played()
    for result in made.results:
        assert result.header is not None
        assert result.header.gas_used <= made.terms.gas_limit == 20_000_000


def test_latencies_cover_reveal_phase_and_votes() -> None:
    made, found = played(), figures()["latency_us"]
    times = latencies(made)
    assert len(times) == figures()["inclusion"]["ran"]
    assert times[0] > made.terms.reveal_ms * 1_000
    assert times[0] <= found["p50"] <= found["p90"] <= found["p99"] <= found["max"] == times[-1]


def test_the_same_seed_plays_the_same_and_another_does_not() -> None:
    one, again, other = (play(SMALL, Setting(seed=seed, attackers_percent=40)) for seed in (1, 1, 2))
    found = figures_of(one, prize=3)
    assert figures_of(again, prize=3) == found
    assert plot(again, found) == plot(one, found)
    assert figures_of(other, prize=3)["attacks"] != found["attacks"]


def test_without_attackers_nothing_is_forfeited_and_the_pool_brings_as_much() -> None:
    found = figures_of(play(blocks()[:1], Setting(attackers_percent=0)), prize=3)
    assert all(row["tried"] == 0 for row in found["attacks"])
    assert found["revenue"]["forfeited"] == found["revenue"]["forfeited_by_attackers"] == "0"
    assert int(found["revenue"]["paid_in_the_open"]) > int(found["revenue"]["paid"]) * 95 // 100


def test_cheaper_bids_stand_first_in_real_blocks_and_not_inside_a_window_that_had_room() -> None:
    rows = figures_of(play(blocks()[:1], Setting(attackers_percent=0)), prize=3)["orders"]
    assert all(row["cheaper_first_in_block_bps"] > 100 for row in rows)
    assert rows[0]["cheaper_first_bps"] < rows[0]["cheaper_first_in_block_bps"]
    assert all(0 < row["same_order_bps"] < 10_000 for row in rows)


def test_a_transaction_that_cannot_fit_a_window_does_not_bid() -> None:
    made = play(SMALL, Setting(windows=20, attackers_percent=0))
    assert made.terms.gas_limit == 600_000
    found = figures_of(made, prize=0)["inclusion"]
    assert found["cannot_bid"]["entry.gas"] > 0
    assert found["bids"] + sum(found["cannot_bid"].values()) == found["transactions"]


def test_blocks_without_transactions_are_a_wrong_call() -> None:
    with pytest.raises(UsageError) as caught:
        play([MinedBlock(1, 1, 30_000_000, ())], Setting())
    assert caught.value.code == "usage.blocks"


def test_the_picture_is_well_formed_and_has_a_point_for_each_that_ran() -> None:
    made = played()
    root = ET.fromstring(plot(made, figures()))  # noqa: S314 - written by us
    names = [item.tag.rpartition("}")[2] for item in root.iter()]
    assert names.count("circle") == len(places(made)) == figures()["inclusion"]["ran"]
    assert names.count("polyline") == 1


def test_the_command_prints_a_document_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "play.svg"
    arguments = ("--blocks", str(FILES[0]), "--seed", "3", "--attackers", "10")
    status, out, err = call(*arguments, "--plot", str(path), "--json", capsys=capsys)
    assert status == 0
    data = json.loads(out)
    assert (data["blocks"], data["seed"], data["setting"]["attackers_percent"]) == ([24476000], 3, 10)
    assert path.read_text().startswith("<svg")
    assert str(path) in err
    assert "worked in the open" in render(data)


def test_a_file_that_cannot_be_written_is_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call("--blocks", str(FILES[0]), "--plot", str(tmp_path / "no" / "x.svg"), capsys=capsys)
    assert (status, out) == (2, "")
    assert "x.svg" in err
