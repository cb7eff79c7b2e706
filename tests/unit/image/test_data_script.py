"""What the initial RAM disk's script decides before it touches the data partition, by its own functions."""

import subprocess
from pathlib import Path

import pytest

from bpci_node.setup.encryption import PLACES

SCRIPT = (
    Path(__file__).parents[3] / "image/rootfs/usr/share/initramfs-tools/scripts/local-bottom/bpci-data"
).read_text()
FUNCTIONS = SCRIPT[SCRIPT.index("# is_encrypted:") : SCRIPT.index("slot=a\n")]
LUKS2 = b"LUKS\xba\xbe\x00\x02"


def holds(expression: str, **variables: object) -> bool:
    """Tell what the shell makes of one of the script's functions."""
    settings = "".join(f"{name}={value}\n" for name, value in variables.items())
    return subprocess.run(["/bin/sh", "-uc", f"{FUNCTIONS}{settings}{expression}"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("head", "expected"),
    [(LUKS2, True), (bytes(8), False), (b"", False), (b"\x00LUKS", False), (b"LUK", False)],
    ids=["luks", "file system", "empty", "shifted", "short"],
)
def test_a_partition_is_encrypted_if_it_begins_so(tmp_path: Path, head: bytes, *, expected: bool) -> None:
    partition = tmp_path / "partition"
    partition.write_bytes(head)
    assert holds("is_encrypted", data=partition) == expected


def test_a_file_system_is_not_taken_for_encrypted(tmp_path: Path) -> None:
    partition = tmp_path / "partition"
    subprocess.run(["mke2fs", "-q", "-F", str(partition), "4M"], check=True)
    assert not holds("is_encrypted", data=partition)


@pytest.mark.parametrize("place", PLACES)
def test_a_partition_that_holds_something_is_not_made_anew(tmp_path: Path, place: str) -> None:
    for name in PLACES:
        (tmp_path / "data" / name.lstrip("/")).mkdir(parents=True)
    assert holds("holds_nothing", root=tmp_path)
    (tmp_path / "data" / place.lstrip("/") / "something").touch()
    assert not holds("holds_nothing", root=tmp_path)
