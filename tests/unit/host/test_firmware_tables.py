from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bpci_node.host.firmware_tables import _structures, installed_memory_bytes

GIB = 1 << 30
END = bytes([127, 4, 0, 0, 0, 0])


def test_all_modules_are_summed(tree: Any, module_table: Callable[..., bytes]) -> None:
    tree.write("sys/firmware/dmi/tables/DMI", module_table(4096) + module_table(8192) + END)
    assert installed_memory_bytes(tree.root) == 12 * GIB


def test_modules_above_32_gib_use_the_extended_field(tree: Any, module_table: Callable[..., bytes]) -> None:
    tree.write("sys/firmware/dmi/tables/DMI", module_table(65536) + END)
    assert installed_memory_bytes(tree.root) == 64 * GIB


def test_structures_of_old_firmware_without_the_later_fields_count(
    tree: Any, module_table: Callable[..., bytes]
) -> None:
    tree.write("sys/firmware/dmi/tables/DMI", module_table(2048, technology=None) + END)
    assert installed_memory_bytes(tree.root) == 2 * GIB


def test_persistent_memory_and_empty_slots_do_not_count(tree: Any, module_table: Callable[..., bytes]) -> None:
    tree.write(
        "sys/firmware/dmi/tables/DMI", module_table(8192, technology=7) + module_table(0) + module_table(1024) + END
    )
    assert installed_memory_bytes(tree.root) == GIB


def test_without_tables_or_without_sizes_nothing_is_claimed(tree: Any, module_table: Callable[..., bytes]) -> None:
    assert installed_memory_bytes(tree.root) is None
    tree.write("sys/firmware/dmi/tables/DMI", module_table(0) + END)
    assert installed_memory_bytes(tree.root) is None


@given(st.binary(max_size=400))
def test_damaged_tables_end_the_walk_and_raise_nothing(table: bytes) -> None:
    for kind, body in _structures(table):
        assert kind != 127
        assert len(body) >= 4
