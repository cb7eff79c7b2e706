from collections.abc import Callable
from typing import Any

import pytest

from bpci_node.host.check import Check
from bpci_node.host.checks.trust import SECURE_BOOT, TPM
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE
from bpci_node.host.result import Verdict
from bpci_node.host.runner import run_check


def verdicts(check: Check, tree: Any) -> list[str]:
    return [run_check(check, tree.context(), profile).verdict.value for profile in (DEV, COMMUNITY, ENTERPRISE)]


def test_a_tpm_of_version_2_passes(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    assert verdicts(TPM, tree) == ["pass", "pass", "pass"]
    assert run_check(TPM, tree.context(), COMMUNITY).text == "TPM 2.0"


def test_an_older_or_missing_tpm_weighs_as_the_profile_says(tree: Any) -> None:
    assert verdicts(TPM, tree) == ["pass", "warn", "fail"]
    tree.tpm("1")
    assert verdicts(TPM, tree) == ["pass", "warn", "fail"]
    assert run_check(TPM, tree.context(), COMMUNITY).measured == "1.2"


def test_a_tpm_on_an_old_kernel_is_known_by_its_description(tree: Any) -> None:
    tree.write("sys/class/tpm/tpm0/device/description", "TPM 2.0 Device")
    assert run_check(TPM, tree.context(), ENTERPRISE).verdict is Verdict.PASS


def test_a_tpm_that_does_not_tell_its_version_is_unknown(tree: Any) -> None:
    tree.write("sys/class/tpm/tpm0/dev", "10:224")
    assert run_check(TPM, tree.context(), COMMUNITY).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("setup", "measured"), [(0, "off"), (1, "setup-mode")])
def test_secure_boot_that_is_off_is_told_apart_from_missing_keys(tree: Any, setup: int, measured: str) -> None:
    tree.secure_boot(on=False, setup=bool(setup))
    result = run_check(SECURE_BOOT, tree.context(), COMMUNITY)
    assert (result.measured, result.verdict) == (measured, Verdict.WARN)


def test_secure_boot_that_is_on_passes(tree: Any) -> None:
    tree.secure_boot(on=True)
    assert run_check(SECURE_BOOT, tree.context(), COMMUNITY).verdict is Verdict.PASS


def test_a_machine_without_uefi_says_so(machine: Callable[[str], Any]) -> None:
    result = run_check(SECURE_BOOT, machine("arm_board").context(), COMMUNITY)
    assert (result.measured, result.text) == ("no-uefi", "not started through UEFI")


def test_firmware_without_the_variable_has_no_secure_boot(tree: Any) -> None:
    tree.write("sys/firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c", b"\x07\0\0\0\0\0")
    assert run_check(SECURE_BOOT, tree.context(), COMMUNITY).measured == "unsupported"


def test_variables_that_are_not_mounted_leave_it_unknown(tree: Any) -> None:
    (tree.root / "sys/firmware/efi").mkdir(parents=True)
    assert run_check(SECURE_BOOT, tree.context(), COMMUNITY).verdict is Verdict.UNKNOWN
