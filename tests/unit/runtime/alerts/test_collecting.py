from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

from bpci_node.errors import FormatError, StorageError
from bpci_node.host.smart import DiskHealth, read_health, read_scan
from bpci_node.runtime.alerts.collecting import (
    certificates_text,
    collect_certificates,
    collect_disks,
    disks_text,
    write,
)

NVME = {
    "device": {"name": "/dev/nvme0", "type": "nvme"},
    "smart_status": {"passed": True},
    "nvme_smart_health_information_log": {
        "percentage_used": 103,
        "available_spare": 100,
        "available_spare_threshold": 10,
    },
}
SATA = {
    "device": {"name": "/dev/sda", "type": "sat"},
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "table": [
            {"id": 177, "name": "Wear_Leveling_Count", "value": 93},
            {"id": 202, "name": "Unknown_Attribute", "value": 1},
        ]
    },
}
STICK = {"device": {"name": "/dev/sdb", "type": "scsi"}, "smartctl": {"exit_status": 4}}


def answers(*disks: dict[str, object]) -> dict[str, bytes]:
    return {disk["device"]["name"]: json.dumps(disk).encode() for disk in disks}  # type: ignore[index]


def test_wear_and_health_are_read_from_both_kinds_of_disk() -> None:
    assert read_health(json.dumps(NVME).encode()) == DiskHealth("/dev/nvme0", is_healthy=True, wear_percent=103)
    assert read_health(json.dumps(SATA).encode()) == DiskHealth("/dev/sda", is_healthy=True, wear_percent=7)
    assert read_health(json.dumps(STICK).encode()) == DiskHealth("/dev/sdb", is_healthy=None, wear_percent=None)


def test_a_disk_without_spare_blocks_is_not_healthy() -> None:
    log = NVME["nvme_smart_health_information_log"] | {"available_spare": 9}  # type: ignore[operator]
    worn = NVME | {"nvme_smart_health_information_log": log}
    assert read_health(json.dumps(worn).encode()).is_healthy is False


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"device":{"name":"x"},"smart_status":7}', b"{" * 4000])
def test_another_answer_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        read_health(data)
    assert caught.value.code == "format.smart"


def test_a_disk_that_says_nothing_hides_no_other() -> None:
    scan = {"devices": [{"name": name, "type": "auto"} for name in ("/dev/sdx", "/dev/nvme0")]}
    known = answers(NVME) | {"/dev/sdx": b"no JSON"}

    def run(command: Sequence[str]) -> bytes:
        return json.dumps(scan).encode() if "--scan" in command else known[command[-1]]

    found = collect_disks(run)
    assert [disk.device for disk in found] == ["/dev/sdx", "/dev/nvme0"]
    families = {family.name: family for family in text_string_to_metric_families(disks_text(found).decode())}
    assert [sample.value for sample in families["bpci_disk_wear_percent"].samples] == [103]
    assert families["bpci_disk_health_ok"].samples[0].labels == {"device": "/dev/nvme0"}
    assert read_scan(b'{"smartctl":{}}') == []


def certificate(days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box")])
    end = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=days)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(end - timedelta(days=90)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_the_first_end_in_a_file_of_certificates_counts(tmp_path: Path) -> None:
    (tmp_path / "web.pem").write_bytes(certificate(30) + certificate(10))
    (tmp_path / "key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    (tmp_path / "names.txt").write_bytes(b"box\n")
    found = collect_certificates(tmp_path)
    assert found == {"web": int(datetime(2030, 1, 11, tzinfo=UTC).timestamp())}
    text = certificates_text(found).decode()
    assert f'bpci_certificate_expiry_timestamp_seconds{{name="web"}} {found["web"]}' in text
    assert collect_certificates(tmp_path / "absent") == {}


def test_a_broken_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "web.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(FormatError) as caught:
        collect_certificates(tmp_path)
    assert caught.value.code == "format.certificate_file"
    assert "web.crt" in caught.value.message


def test_files_of_figures_are_put_in_place_whole(tmp_path: Path) -> None:
    write(tmp_path, "bpci_tls.prom", certificates_text({'a"b\\': 5}))
    assert (tmp_path / "bpci_tls.prom").stat().st_mode & 0o777 == 0o644
    families = list(text_string_to_metric_families((tmp_path / "bpci_tls.prom").read_text()))
    assert families[0].samples[0].labels == {"name": 'a"b\\'}
    with pytest.raises(StorageError):
        write(tmp_path / "absent", "bpci_tls.prom", b"")
