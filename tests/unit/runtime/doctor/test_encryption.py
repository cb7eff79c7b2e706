from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.runtime.doctor.encryption import ENCRYPTION
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.setup.encryption import STATE
from bpci_node.setup.system import System


@pytest.mark.parametrize(
    ("opened", "codes"), [("", []), ("new", []), ("tpm", []), ("recovery", ["encryption.tpm"])], ids=str
)
def test_a_tpm_that_refused_at_this_start_is_noticed(
    patient: Callable[..., Patient], tmp_path: Path, opened: str, codes: list[str]
) -> None:
    system = System(tmp_path)
    if opened:
        system.write(STATE, f"{opened}\n")
    found = ENCRYPTION.examine(patient(system=system))
    assert [issue.code for issue in found.issues] == codes
    assert found.text
