"""The native machine: what the other tests of it stand on."""

from __future__ import annotations

import pytest

from tests.infra.conftest import Owned

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]


def test_it_starts_whole_and_is_set_up(owned: Owned) -> None:
    assert owned.machine.run("systemctl is-active bpci-node.service").strip() == "active"
    assert owned.machine.run("systemctl --failed --plain --no-legend").strip() == ""
    assert owned.result["did"].startswith("did:key:z")
