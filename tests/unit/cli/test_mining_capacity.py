from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.capacity import Capacity
from bpci_node.cli import mining_capacity
from bpci_node.cli.mining_capacity import capacity_of, declare
from bpci_node.host.figures import Figures
from bpci_node.host.fingerprint import fingerprint
from bpci_node.host.measure import keep

MINER = {"mx_verkle_buckets": 900, "mx_verkle_proofs": 11, "auction_windows_per_sec": 9}
LINE = {"download": 94_000_000, "upload": 88_000_000}


class Desk:
    """A desk whose ledger holds one miner's capacity."""

    def __init__(self, declared: Capacity | None) -> None:
        self.declared, self.sent = declared, []

    def ledger(self) -> Any:
        return self

    @property
    def state(self) -> Any:
        return self

    def send(self, kind: str, body: dict[str, Any]) -> None:
        self.sent.append((kind, body))


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bpci_node.chain.capacity.load_capacity", lambda desk, _account: desk.declared)


def test_what_was_measured_is_declared_once(tmp_path: Path) -> None:
    file, none = tmp_path / "figures.cbor", tmp_path / "none"
    keep(file, Figures({"miner": MINER, "network": LINE}, 1, fingerprint()))
    wanted = Capacity(900, 9, 94_000_000, 88_000_000, None)
    desk = Desk(None)
    assert declare(desk, "", figures_file=file, report_file=none)  # type: ignore[arg-type]
    assert desk.sent == [("registry.declare_capacity", wanted.as_body())]
    assert not declare(Desk(wanted), "", figures_file=file, report_file=none)  # type: ignore[arg-type]


def test_figures_of_another_machine_are_not_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, none = tmp_path / "figures.cbor", tmp_path / "none"
    keep(file, Figures({"miner": MINER | {"mx_verkle_buckets": 10**9}}, 1, bytes(32)))
    monkeypatch.setattr(mining_capacity, "SECONDS", 0.01)
    desk = Desk(None)
    assert declare(desk, "", figures_file=file, report_file=none)  # type: ignore[arg-type]
    assert 0 < desk.sent[0][1]["mx_verkle_buckets"] < 10**9
    assert desk.sent[0][1]["download_bps"] is None


def test_without_new_figures_what_is_declared_stays(tmp_path: Path) -> None:
    none = tmp_path / "none"
    declared = capacity_of(Figures({"miner": MINER}, 1, bytes(32)), None)
    assert not declare(Desk(declared), "", figures_file=none, report_file=none)  # type: ignore[arg-type]
