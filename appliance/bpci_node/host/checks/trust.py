"""What the hardware offers to keep keys and to vouch for the boot: a TPM, and UEFI Secure Boot."""

from __future__ import annotations

from bpci_node.host.check import PASS, Check, wish, without
from bpci_node.host.context import Context, read_text
from bpci_node.host.profiles import Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement

_GLOBAL_VARIABLES = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # UEFI specification 2.10, section 3.3


def _measure_tpm(context: Context) -> Measured:
    devices = sorted(context.path("sys/class/tpm").glob("tpm[0-9]*"))
    if not devices:
        return Measured("none", "", "none")
    # The file came with Linux 5.5; a device of an older version describes itself instead.
    major = read_text(devices[0] / "tpm_version_major")
    if major is None and "2.0" in (read_text(devices[0] / "device/description") or ""):
        major = "2"
    version = {"2": "2.0", "1": "1.2"}.get(major or "")
    if version is None:
        raise CouldNotTellError("there is one, but it does not tell its version")
    return Measured(version, "", f"TPM {version}", {"devices": [device.name for device in devices]})


def _require_tpm(profile: Profile) -> Requirement:
    return wish(profile.tpm, "TPM 2.0")


def _judge_tpm(measured: Measured, profile: Profile) -> Judgement:
    if measured.value == "2.0":
        return PASS
    return without(
        profile.tpm,
        "Switch on the TPM (fTPM, PTT) in the firmware set-up; without it keys are sealed to the disk only.",
    )


TPM = Check("tpm", "TPM", _measure_tpm, _require_tpm, _judge_tpm)


def _measure_secure_boot(context: Context) -> Measured:
    if not context.path("sys/firmware/efi").is_dir():
        return Measured("no-uefi", "", "not started through UEFI")
    secure, setup = _variable(context, "SecureBoot"), _variable(context, "SetupMode")
    if secure is None:
        if context.path("sys/firmware/efi/efivars").is_dir() and any(
            context.path("sys/firmware/efi/efivars").iterdir()
        ):
            return Measured("unsupported", "", "firmware has none")
        raise CouldNotTellError("the firmware's variables can't be read", "Mount efivarfs, or run the check as root.")
    if secure == 1:
        return Measured("on", "", "on")
    return Measured("setup-mode", "", "off, no keys enrolled") if setup == 1 else Measured("off", "", "off")


def _variable(context: Context, name: str) -> int | None:
    """Return the one byte of a boolean UEFI variable; four bytes of attributes stand before it."""
    try:
        data = context.path(f"sys/firmware/efi/efivars/{name}-{_GLOBAL_VARIABLES}").read_bytes()
    except OSError:
        return None
    return data[4] if len(data) == 5 else None


def _require_secure_boot(profile: Profile) -> Requirement:
    return wish(profile.secure_boot, "on")


def _judge_secure_boot(measured: Measured, profile: Profile) -> Judgement:
    if measured.value == "on":
        return PASS
    hint = "Switch Secure Boot on in the firmware set-up; this system starts with it."
    if measured.value == "no-uefi":
        hint = (
            "Switch the firmware from legacy (CSM) to UEFI boot; boards without UEFI can't vouch for what they start."
        )
    if measured.value == "setup-mode":
        hint = "Restore the factory keys in the firmware set-up, then switch Secure Boot on."
    return without(profile.secure_boot, hint)


SECURE_BOOT = Check("secure_boot", "Secure Boot", _measure_secure_boot, _require_secure_boot, _judge_secure_boot)
