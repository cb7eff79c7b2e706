import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.errors import FormatError
from bpci_node.host.figures import CATALOG, Figures, decode_figures, figures_from_object
from bpci_node.host.fingerprint import components, fingerprint
from bpci_node.host.measure import keep, read_kept
from bpci_node.host.score import MEASURES, points_of, score_of

SPEC = (Path(__file__).parents[3] / "docs/spec/hardware-report.md").read_text()


def at_reference(scale: int = 1, **changes: int) -> Figures:
    parts: dict[str, dict[str, int]] = {}
    for (part, name), measure in MEASURES.items():
        value = measure.reference // scale if measure.less_is_better else measure.reference * scale
        parts.setdefault(part, {})[name] = changes.get(name, value)
    return Figures(parts, 1_767_225_600_000, bytes(32))


def test_a_machine_that_just_reaches_every_reference_has_a_thousand_points_and_is_a_community_machine() -> None:
    assert (score_of(at_reference()).points, score_of(at_reference()).tier) == (1000, "community")
    assert (score_of(at_reference(2)).points, score_of(at_reference(2)).tier) == (2000, "enterprise")


def test_a_single_weak_part_pulls_a_machine_down() -> None:
    slow = score_of(at_reference(4, flush_99=200_000))
    assert slow.figures["disk.flush_99"] == 100
    assert slow.points == 608
    assert slow.tier == "dev"


def test_too_much_of_one_thing_makes_up_for_nothing() -> None:
    assert points_of(10**18, MEASURES[("disk", "random_read")]) == 4000
    assert points_of(0, MEASURES[("disk", "random_read")]) == 1
    assert points_of(0, MEASURES[("disk", "flush_99")]) == 4000


def test_what_is_missing_is_named_and_leaves_the_machine_unrated() -> None:
    figures = at_reference()
    parts = {part: dict(values) for part, values in figures.parts.items() if part != "network"}
    found = score_of(Figures(parts, 1, bytes(32)))
    assert found.tier == "unrated"
    assert found.missing == ("network.download", "network.upload")
    assert found.points == 1000
    assert score_of(Figures({}, 1, bytes(32))).points == 0


def test_every_measure_is_in_the_catalog_and_in_the_specification() -> None:
    for (part, name), measure in MEASURES.items():
        assert name in CATALOG[part]
        assert f"| `{part}.{name}` | {measure.reference:,} | {measure.weight} |" in SPEC
    for part, known in CATALOG.items():
        for name, (unit, _) in known.items():
            assert f"| `{part}.{name}` | {unit or '-'} |" in SPEC


def test_figures_are_read_as_they_were_written_and_nothing_else_is() -> None:
    figures = at_reference()
    assert decode_figures(figures.encode()) == figures
    good = figures.as_object()
    wrong: list[Callable[[dict[str, object]], object]] = [
        lambda value: value | {"v": 2},
        lambda value: value | {"more": 1},
        lambda value: value | {"parts": {"engine": {}}},
        lambda value: value | {"parts": {"memory": {"colour": 1}}},
        lambda value: value | {"parts": {"memory": {"all": -1}}},
        lambda value: value | {"parts": {"memory": {"all": True}}},
        lambda value: value | {"parts": {"memory": [1]}},
        lambda value: value | {"parts": [1]},
        lambda value: value | {"fingerprint": bytes(31)},
        lambda _value: [],
    ]
    for change in wrong:
        with pytest.raises(FormatError) as caught:
            figures_from_object(change(dict(good)))
        assert caught.value.code == "format.figures"


def test_kept_figures_are_joined_part_by_part_and_those_of_another_machine_go(tmp_path: Path) -> None:
    path = tmp_path / "hardware" / "figures.cbor"
    assert read_kept(path) is None
    keep(path, Figures({"memory": {"all": 1}, "disk": {"file": 2}}, 1, bytes(32)))
    joined = keep(path, Figures({"memory": {"all": 3}}, 2, bytes(32)))
    assert joined.parts == {"memory": {"all": 3}, "disk": {"file": 2}}
    assert read_kept(path) == joined
    other = Figures({"memory": {"all": 4}}, 3, b"\1" * 32)
    assert keep(path, other) == other


def test_the_fingerprint_changes_with_the_hardware_and_not_with_a_start(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("proc/cpuinfo", "processor: 0\nmodel name\t: Some CPU @ 2 GHz\ncpu MHz: 2001\n")
    write("proc/meminfo", "MemTotal: 8050000 kB\nMemFree: 1 kB\n")
    write("sys/devices/system/cpu/online", "0-3\n")
    write("sys/block/sda/size", "1000\n")
    write("sys/block/sda/device/model", "Disk A\n")
    first = fingerprint(tmp_path, "x86_64")
    assert components(tmp_path, "x86_64")["threads"] == 4
    write("proc/cpuinfo", "processor: 0\nmodel name\t: Some CPU @ 2 GHz\ncpu MHz: 3512\n")
    write("proc/meminfo", "MemTotal: 8050064 kB\nMemFree: 77 kB\n")
    assert fingerprint(tmp_path, "x86_64") == first
    write("proc/meminfo", "MemTotal: 16100000 kB\n")
    more_memory = fingerprint(tmp_path, "x86_64")
    write("sys/block/sda/device/model", "Disk B\n")
    assert len({first, more_memory, fingerprint(tmp_path, "x86_64"), fingerprint(tmp_path, "aarch64")}) == 4
    assert "serial" not in json.dumps(components(tmp_path, "x86_64"))
