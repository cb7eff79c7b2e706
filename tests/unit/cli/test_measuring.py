import json
from pathlib import Path

import pytest

from bpci_node.cli.main import main
from bpci_node.cli.measuring import amount
from bpci_node.host.figures import Figures
from bpci_node.host.measure import keep, read_kept


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["hardware", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_measuring_keeps_the_figures_and_later_parts_are_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept" / "figures.cbor"
    assert run("measure", "--quick", "--part", "memory", "--figures", str(kept), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["parts"]) == ["memory"]
    assert shown["of_this_machine"] is True
    assert "memory.all" in shown["score"]["figures"]
    options = ["--quick", "--processor-seconds", "1", "--part", "processor", "--figures", str(kept)]
    assert run("measure", *options) == 0
    assert "tier unrated" in capsys.readouterr().out
    found = read_kept(kept)
    assert found is not None
    assert set(found.parts) == {"memory", "processor"}
    assert kept.stat().st_mode & 0o777 == 0o644


def test_a_part_that_cannot_be_measured_is_said_and_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--quick", "--part", "network", "--part", "memory", "--figures", str(tmp_path / "figures.cbor")]
    assert run("measure", *options, "--json") == 3
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["could_not_tell"]) == {"network"}
    assert set(shown["parts"]) == {"memory"}


def test_a_node_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--part", "network", "--node", "http://127.0.0.1:9", "--figures", str(tmp_path / "figures.cbor")]
    assert run("measure", *options) == 3
    assert "could not tell" in capsys.readouterr().out
    assert run("measure", *options[:2], "--node", "not a url", *options[4:], "--json") == 3
    assert "URL" in json.loads(capsys.readouterr().out)["could_not_tell"]["network"]


def test_the_score_of_what_was_kept_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "figures.cbor"
    assert run("score", "--figures", str(kept)) == 1
    assert "bpci hardware measure" in capsys.readouterr().err
    keep(kept, Figures({"memory": {"all": 20_000_000_000}}, 1, bytes(32)))
    assert run("score", "--figures", str(kept), "--json") == 3
    assert json.loads(capsys.readouterr().out)["figures"] == {"memory.all": 2000}
    kept.write_bytes(b"something else")
    assert run("score", "--figures", str(kept)) != 0


def test_that_figures_cannot_be_kept_is_said_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("measure", "--figures", "/proc/none/figures.cbor") == 2
    assert "--figures" in capsys.readouterr().err


def test_figures_that_nothing_can_be_added_to_are_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.cbor"
    kept.write_bytes(b"torn")
    monkeypatch.setattr("bpci_node.host.measure.measure", lambda *_: pytest.fail("it measured"))
    assert run("measure", "--quick", "--figures", str(kept)) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_figures_are_shown_in_units_that_people_read() -> None:
    assert amount(2_036_482_000, "B/s") == "2,036 MB/s"
    assert amount(94_000_000_000, "bit/s") == "94 Gbit/s"
    assert amount(61_500, "m°C") == "61 °C"
    assert amount(40_047, "1/s") == "40,047 1/s"
