from pathlib import Path

import pytest

from bpci_node.host import measure_memory as memory
from bpci_node.host.measure_memory import measure_memory
from bpci_node.host.measure_miner import measure_miner
from bpci_node.host.measure_processor import measure_processor, temperature, throttle_events
from bpci_node.host.result import CouldNotTellError


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def silent(_text: str) -> None:
    pass


def test_a_processor_without_sensors_has_figures_without_heat(tmp_path: Path) -> None:
    found = measure_processor(0.1, silent, tmp_path)
    assert set(found) == {"threads", "single", "first", "sustained", "seconds"}
    assert min(found["threads"], found["single"], found["first"], found["sustained"]) > 0


def test_the_hottest_sensor_of_the_processor_counts_and_a_disk_s_does_not(tmp_path: Path) -> None:
    assert temperature(tmp_path) is None
    write(tmp_path, "sys/class/hwmon/hwmon0/name", "nvme")
    write(tmp_path, "sys/class/hwmon/hwmon0/temp1_input", "99000")
    write(tmp_path, "sys/class/hwmon/hwmon1/name", "coretemp")
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_input", "61000")
    write(tmp_path, "sys/class/hwmon/hwmon1/temp2_input", "64000")
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "x86_pkg_temp")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "63000")
    assert temperature(tmp_path) == 64000


def test_slowing_down_for_heat_is_counted_over_all_processors(tmp_path: Path) -> None:
    assert throttle_events(tmp_path) is None
    for number in range(3):
        write(tmp_path, f"sys/devices/system/cpu/cpu{number}/thermal_throttle/core_throttle_count", str(number))
    assert throttle_events(tmp_path) == 3
    assert measure_processor(0.0, silent, tmp_path)["throttled"] == 0


def test_memory_is_copied_in_blocks_that_leave_most_of_it_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_threads", lambda: 8)
    write(tmp_path, "proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 262144 kB")
    found = measure_memory(0.01, silent, tmp_path)
    assert found["threads"] * 2 * found["block"] <= 64 << 20
    assert found["single"] > 0
    assert found["all"] > 0


def test_too_little_memory_is_not_measured(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 65536 kB")
    with pytest.raises(CouldNotTellError):
        measure_memory(0.01, silent, tmp_path)


def test_a_miner_s_work_is_really_done_and_counted() -> None:
    found = measure_miner(0.01, silent)
    assert set(found) == {"mx_verkle_buckets", "mx_verkle_proofs", "auction_windows_per_sec"}
    assert found["mx_verkle_buckets"] > 0
