"""Figures that no exporter gives: health of disks, ends of certificates. Written as files that node_exporter reads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cryptography import x509

from bpci_node.errors import FormatError, HostError, StorageError
from bpci_node.host.smart import DiskHealth, read_health, read_scan
from bpci_node.store.durable_file import replace_file

TEXTFILES = Path("/var/lib/prometheus/node-exporter")
CERTIFICATES = Path("/var/lib/bpci/web/tls")
"""Where the certificates of the web front lie."""
_SECONDS = 60
_MAX_CERTIFICATE_BYTES = 65_536

Run = Callable[[Sequence[str]], bytes]
"""Runs a command and returns its standard output, whatever its status: smartctl's status is a set of warnings."""


def collect_disks(run: Run) -> list[DiskHealth]:
    """Ask every disk that smartctl finds.

    Raises:
        HostError: smartctl is not there, or hangs (``host.smart``).
        FormatError: its answer can't be read (``format.smart``).
    """
    found = []
    for device, kind in read_scan(run(["smartctl", "--scan", "--json"])):
        answer = run(["smartctl", "--json", "--info", "--health", "--attributes", "--device", kind, device])
        try:
            found.append(read_health(answer))
        except FormatError:
            # A device that knows nothing of SMART, such as a stick, must not hide the others.
            found.append(DiskHealth(device, None, None))
    return found


def run_smartctl(command: Sequence[str]) -> bytes:
    """Run smartctl for real.

    Raises:
        HostError: it is not there, or hangs (``host.smart``).
    """
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, timeout=_SECONDS, check=False).stdout
    except FileNotFoundError as error:
        raise HostError("smartctl is not installed", code="host.smart", hint="Install smartmontools.") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"smartctl did not end in {_SECONDS} s", code="host.smart") from error


def collect_certificates(directory: Path) -> dict[str, int]:
    """Return when each certificate in ``directory`` ends, Unix seconds, by its file's name.

    Raises:
        FormatError: one can't be read as a certificate (``format.certificate_file``).
        StorageError: one can't be read at all (``storage.read``).
    """
    found = {}
    for path in sorted([*directory.glob("*.crt"), *directory.glob("*.pem")]):
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_CERTIFICATE_BYTES)
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}", code="storage.read") from error
        if b"-----BEGIN CERTIFICATE-----" not in data:
            continue
        try:
            ends = [int(item.not_valid_after_utc.timestamp()) for item in x509.load_pem_x509_certificates(data)]
        except ValueError as error:
            raise FormatError(f"{path} is not a certificate", code="format.certificate_file") from error
        found[path.stem] = min(ends)
    return found


def disks_text(disks: Iterable[DiskHealth]) -> bytes:
    """Return the file of what disks say, in Prometheus's text form."""
    known = list(disks)
    wear = {disk.device: disk.wear_percent for disk in known if disk.wear_percent is not None}
    health = {disk.device: int(disk.is_healthy) for disk in known if disk.is_healthy is not None}
    return _metric("bpci_disk_wear_percent", "Life of a disk that is used up", "device", wear) + _metric(
        "bpci_disk_health_ok", "1 while a disk calls itself healthy", "device", health
    )


def certificates_text(ends: Mapping[str, int]) -> bytes:
    """Return the file of when certificates end, in Prometheus's text form."""
    return _metric("bpci_certificate_expiry_timestamp_seconds", "When a certificate ends", "name", ends)


def write(directory: Path, name: str, text: bytes) -> None:
    """Put a file in place for node_exporter, whole.

    Raises:
        StorageError: it can't be written (``storage.write``).
    """
    try:
        replace_file(directory / name, text, mode=0o644)
    except OSError as error:
        raise StorageError(f"cannot write to {directory}: {error.strerror}", code="storage.write") from error


def _metric(name: str, text: str, label: str, values: Mapping[str, int]) -> bytes:
    lines = [f"# HELP {name} {text}.", f"# TYPE {name} gauge"]
    for key, value in sorted(values.items()):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'{name}{{{label}="{escaped}"}} {value}')
    return ("\n".join(lines) + "\n").encode()
