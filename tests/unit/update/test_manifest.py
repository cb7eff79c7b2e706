from dataclasses import replace

import pytest

from bpci_node.errors import FormatError
from bpci_node.update.manifest import Manifest, Wheel
from scripts.update_vectors import manifest


def test_a_manifest_reads_back_as_it_was() -> None:
    found = manifest()
    assert Manifest.decode(found.encode()) == found
    assert found.project.pin.startswith("bpci_community_os==0.2.0 --hash=sha256:")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "0.2"},
        {"version": "0.2.0rc1"},
        {"version": "00.2.0"},
        {"sequence": 0},
        {"python": "3.9"},
        {"platforms": ()},
        {"platforms": ("debian-12-x86_64", "debian-12-x86_64")},
        {"platforms": ("../x",)},
        {"expires_s": 1_790_000_000},
        {"expires_s": 1_790_000_000 + 401 * 86_400},
        {"formats": (0, 2)},
        {"installed_bytes": 0},
        {"notes": "escape \x1b[31m"},
        {"dependencies": (manifest().project,)},
        {"project": Wheel("bpci..x-1-py3-none-any.whl", 1, bytes(32))},
        {"project": Wheel(".bpci-1-py3-none-any.whl", 1, bytes(32))},
        {"project": Wheel("a/bpci-1-py3-none-any.whl", 1, bytes(32))},
        {"project": Wheel("bpci-1-py3-none-any.tar.gz", 1, bytes(32))},
        {"project": Wheel("bpci-1-py3-none-any.whl", 2**40, bytes(32))},
        {"project": Wheel("bpci-1-py3-none-any.whl", 1, bytes(31))},
    ],
    ids="-".join,
)
def test_a_manifest_of_another_form_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(FormatError) as raised:
        Manifest.decode(replace(manifest(), **changes).encode())  # type: ignore[arg-type]
    assert raised.value.code == "update.manifest"
