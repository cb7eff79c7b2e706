"""Asking this machine's TPM for a quote, by the distribution's ``tpm2-tools``.

The attestation key is derived by the TPM from its own seed each time, so nothing is stored, and it stays the same until
the owner of the machine clears the TPM. Nothing of the TPM is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.host.quote import MAX_PART, PCRS, Quote

DEVICE = Path("/dev/tpmrm0")
TCTI = "TPM2TOOLS_TCTI"
"""The tools' own variable for another way to a TPM."""
SECONDS = 60
_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
_CERTIFICATES = ("0x1c00002", "0x1c0000a")
"""Where makers leave the certificate of an RSA and of an ECC endorsement key (TCG EK Credential Profile, 2.2.1.4)."""


def tpm_way() -> str | None:
    """Return how this machine's TPM is reached, as the tools name it; ``None`` without one."""
    named = os.environ.get(TCTI)
    return named or (f"device:{DEVICE}" if DEVICE.exists() else None)


def make_quote(way: str, digest: bytes) -> Quote:
    """Let the TPM vouch for a digest.

    Args:
        way: as :func:`tpm_way` returns it.
        digest: 32 bytes.
    Raises:
        HostError: the tools are not installed, or the TPM refuses (``host.tpm``).
    """
    with tempfile.TemporaryDirectory(prefix="bpci-tpm-") as place:
        directory = Path(place)
        _run(way, directory, "tpm2_createprimary", "-Q", "-C", "e", "-g", "sha256", "-G", "ecc256:ecdsa-sha256:null",
             "-a", _ATTRIBUTES, "-c", "key.context", "-o", "key", "-f", "tpmt")  # fmt: skip
        registers = ",".join(map(str, PCRS))
        _run(way, directory, "tpm2_quote", "-Q", "-c", "key.context", "-l", f"sha256:{registers}", "-q", digest.hex(),
             "-g", "sha256", "-m", "message", "-s", "signature", "-o", "pcrs", "-F", "values")  # fmt: skip
        return Quote(
            key=_read(directory / "key"),
            message=_read(directory / "message"),
            signature=_read(directory / "signature"),
            pcrs=_read(directory / "pcrs"),
            certificate=_maker_s_word(way, directory),
        )


def _maker_s_word(way: str, directory: Path) -> bytes | None:
    """Return the maker's certificate, ``None`` where the TPM holds none: virtual ones often do not."""
    for place in _CERTIFICATES:
        try:
            _run(way, directory, "tpm2_nvread", "-Q", place, "-o", "certificate")
        except HostError:
            continue
        data = _read(directory / "certificate")
        # The room for it may be larger than the certificate, which says its own length.
        if len(data) > 4 and data[:2] == b"\x30\x82":
            return data[: 4 + int.from_bytes(data[2:4])]
    return None


def _run(way: str, directory: Path, *command: str) -> None:
    path = shutil.which(command[0])
    if path is None:
        raise HostError(
            f"{command[0]} is not installed", code="host.tpm", hint="Install the distribution's package tpm2-tools."
        )
    try:
        found = subprocess.run(
            [path, *command[1:]],
            cwd=directory,
            env=os.environ | {TCTI: way},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"the TPM does not answer {command[0]}", code="host.tpm", hint="Try again.") from error
    if found.returncode != 0:
        lines = found.stderr.decode(errors="replace").strip().splitlines()
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no reason given")
        shown = "".join(char for char in reason if char.isprintable())[:200]
        raise HostError(
            f"the TPM refuses {command[0]}: {shown}", code="host.tpm", hint="Run it as root; the firmware may lock it."
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PART)
    except OSError as error:
        raise HostError(f"the TPM's answer can't be read: {error.strerror}", code="host.tpm") from error
