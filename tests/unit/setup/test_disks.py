import pytest

from bpci_node.errors import UsageError
from bpci_node.setup.disks import (
    Candidate,
    booted_from_removable,
    candidates,
    choose,
    is_confirmed,
    size_text,
    too_small,
)
from tests.unit.setup.simulated import SimulatedMachine

SAMSUNG = Candidate("nvme0n1", "Samsung SSD 980", 1_000_204_886_016, "NVMe", "S64DNX0R")
OTHER = Candidate("sdb", "Samsung SSD 980", 500_107_862_016, "SSD", "S64DNX0S")


def test_internal_disks_are_offered_largest_first_and_the_boot_medium_never(machine: SimulatedMachine) -> None:
    machine.boot_from_stick(("sdb", "Old SSD", 240), ("nvme0n1", "Samsung SSD 980", 1000), ("sdc", "Tiny", 8))
    assert booted_from_removable(machine.system)
    assert [disk.name for disk in candidates(machine.system)] == ["nvme0n1", "sdb"]
    assert too_small(machine.system) == ["Tiny, 8 GB: smaller than 16 GB"]


def test_a_machine_that_is_no_appliance_is_never_offered_a_disk(machine: SimulatedMachine) -> None:
    machine.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000))
    (machine.root / "usr/share/bpci/appliance").unlink()
    assert not booted_from_removable(machine.system)


@pytest.mark.parametrize(
    "wanted", ["S64DNX0R", "Samsung SSD 980:1000", "samsung ssd 980:1 TB", "Samsung SSD 980:1000GB"]
)
def test_a_disk_is_named_by_serial_or_by_model_and_size(wanted: str) -> None:
    assert choose([SAMSUNG, OTHER], wanted) == SAMSUNG


@pytest.mark.parametrize("wanted", ["Samsung SSD 980", "Samsung SSD 980:750", "nvme0n1", "S64"])
def test_a_name_that_means_no_disk_lists_those_that_are_there(wanted: str) -> None:
    with pytest.raises(UsageError, match="does not mean exactly one disk") as caught:
        choose([SAMSUNG, OTHER], wanted)
    assert "Samsung SSD 980:1 TB (serial S64DNX0R)" in str(caught.value.hint)


def test_twin_disks_are_told_apart_by_serial_only() -> None:
    twin = Candidate("sdc", OTHER.model, OTHER.size_bytes, "SSD", "S64DNX0T")
    with pytest.raises(UsageError):
        choose([OTHER, twin], "Samsung SSD 980:500")
    assert choose([OTHER, twin], "S64DNX0T") == twin


@pytest.mark.parametrize("typed", ["1 TB", "1tb", "1000 GB", "1000", "samsung  SSD 980"])
def test_size_or_model_confirms(typed: str) -> None:
    assert is_confirmed(SAMSUNG, typed)


@pytest.mark.parametrize("typed", ["", " ", "1", "100", "yes", "500 GB", "Samsung", "10 TB"])
def test_anything_else_does_not_confirm(typed: str) -> None:
    assert not is_confirmed(SAMSUNG, typed)


def test_sizes_read_as_they_are_printed_on_the_disk() -> None:
    assert size_text(1_000_204_886_016) == "1 TB"
    assert size_text(1_920_383_410_176) == "1.9 TB"
    assert size_text(500_107_862_016) == "500 GB"
