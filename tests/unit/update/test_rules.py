from dataclasses import replace

import pytest

from bpci_node.errors import RefusedError
from bpci_node.update.bundle import Release
from bpci_node.update.manifest import Manifest
from bpci_node.update.records import Installed, Version
from bpci_node.update.rules import Here, require_fit
from scripts.update_vectors import manifest

HERE = Here(Version("bpci-a", "0.1.0"), Installed(), "debian-12-x86_64", "3.11", (2, 2), 1_795_000_000)


def release(**changes: object) -> Release:
    found: Manifest = replace(manifest(), **changes)  # type: ignore[arg-type]
    return Release(found, b"\x01" * 32, "key", (), 100)


def test_a_release_for_this_machine_fits() -> None:
    require_fit(release(), HERE)
    known = Installed(highest=7, highest_digest="01" * 32)
    require_fit(release(), replace(HERE, installed=known))  # the same one again, after a rollback


@pytest.mark.parametrize(
    ("changes", "here", "code"),
    [
        ({}, {"now_s": 1_800_000_000}, "update.expired"),
        ({}, {"now_s": 1_789_000_000}, "update.future"),
        ({}, {"platform": "ubuntu-22.04-x86_64"}, "update.platform"),
        ({}, {"python": "3.12"}, "update.python"),
        ({}, {"installed": Installed(highest=8)}, "update.downgrade"),
        ({}, {"installed": Installed(highest=7, highest_digest="02" * 32)}, "update.downgrade"),
        ({}, {"running": Version("bpci-a", "0.2.0")}, "update.not_newer"),
        ({}, {"running": Version("bpci-a", "0.10.0")}, "update.not_newer"),
        ({"minimum": "0.1.5"}, {}, "update.minimum"),
        ({"formats": (1, 2)}, {}, "update.formats"),
        ({"formats": (3, 1)}, {}, "update.formats"),
    ],
)
def test_a_release_that_does_not_fit_is_refused_with_its_reason(
    changes: dict[str, object], here: dict[str, object], code: str
) -> None:
    with pytest.raises(RefusedError) as raised:
        require_fit(release(**changes), replace(HERE, **here))  # type: ignore[arg-type]
    assert raised.value.code == code
