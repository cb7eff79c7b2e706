import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bpci_node.errors import FormatError
from bpci_node.host import certificates
from bpci_node.host.certificates import renew, show

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ADDRESSES = ["192.0.2.7", "2001:db8::7"]


def test_what_was_made_is_current_until_a_third_is_left(tmp_path: Path) -> None:
    assert renew(tmp_path, "attic", ADDRESSES, now=NOW)
    first = (tmp_path / "ca.pem").read_bytes()
    assert not renew(tmp_path, "attic", ADDRESSES, now=NOW + timedelta(days=59))
    assert renew(tmp_path, "attic", ADDRESSES, now=NOW + timedelta(days=61))
    assert (tmp_path / "ca.pem").read_bytes() == first


def test_it_names_every_name_and_address(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    names = show(tmp_path).names
    assert set(names) == {"attic", "attic.local", "localhost", "127.0.0.1", "::1", *ADDRESSES}
    assert (tmp_path / "web.names").read_text().split() == list(names)


def test_another_address_makes_another_certificate_by_the_same_authority(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    before = show(tmp_path)
    assert renew(tmp_path, "attic", ["192.0.2.8"], now=NOW)
    assert show(tmp_path).fingerprint == before.fingerprint
    assert "192.0.2.8" in show(tmp_path).names


def test_another_host_name_makes_another_authority(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    before = show(tmp_path).fingerprint
    assert renew(tmp_path, "cellar", ADDRESSES, now=NOW)
    assert show(tmp_path).fingerprint != before
    assert show(tmp_path).fingerprint == (tmp_path / "ca.fingerprint").read_text().strip()


def test_a_clock_that_was_years_off_leaves_the_authority_and_a_certificate_for_today(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    before = show(tmp_path).fingerprint
    for away in (timedelta(days=7 * 365), timedelta(days=-5 * 365)):
        assert renew(tmp_path, "attic", ADDRESSES, now=NOW + away)
        assert renew(tmp_path, "attic", ADDRESSES, now=NOW), "what was made then is of no use today"
        for name in ("ca.pem", "web.pem"):
            found = x509.load_pem_x509_certificate((tmp_path / name).read_bytes())
            assert found.not_valid_before_utc < NOW < found.not_valid_after_utc
    assert show(tmp_path).fingerprint == before


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    for name in ("ca.key", "web.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_power_cut_between_key_and_certificate_is_mended(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    (tmp_path / "web.names").unlink()
    assert renew(tmp_path, "attic", ADDRESSES, now=NOW)


def test_a_power_cut_between_the_authority_s_key_and_certificate_is_mended(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    other = tmp_path / "other"
    renew(other, "attic", ADDRESSES, now=NOW)
    (other / "ca.key").replace(tmp_path / "ca.key")
    assert renew(tmp_path, "attic", ADDRESSES, now=NOW)
    command = ["openssl", "verify", "-no_check_time", "-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "web.pem")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_certificate_that_the_disk_has_spoilt_is_made_anew_and_an_authority_is_not(tmp_path: Path) -> None:
    renew(tmp_path, "attic", ADDRESSES, now=NOW)
    fingerprint = show(tmp_path).fingerprint
    (tmp_path / "web.pem").write_bytes(bytes(1000))
    assert renew(tmp_path, "attic", ADDRESSES, now=NOW)
    assert show(tmp_path).fingerprint == fingerprint
    (tmp_path / "ca.pem").write_bytes(bytes(1000))
    with pytest.raises(FormatError):
        renew(tmp_path, "attic", ADDRESSES, now=NOW)


def test_openssl_believes_it_for_this_machine_and_for_no_other_site(tmp_path: Path) -> None:
    real = datetime.now(UTC)
    renew(tmp_path, "attic", ADDRESSES, now=real)

    def check(*options: str) -> int:
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(tmp_path / "ca.pem")]
        done = subprocess.run([*command, *options, str(tmp_path / "web.pem")], capture_output=True, check=False)
        return done.returncode

    assert check("-verify_hostname", "attic.local") == 0
    assert check("-verify_ip", "192.0.2.7") == 0
    assert check("-verify_ip", "192.0.2.9") != 0
    # Somebody who has the authority's key makes a certificate for another site: no browser believes it.
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    other = tmp_path / "other"
    other.mkdir()
    for name in ("ca.pem", "ca.key"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    certificates._make_certificate(other, ("bank.example",), real)
    command = ["openssl", "verify", "-CAfile", str(tmp_path / "ca.pem"), str(other / "web.pem")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "permitted subtree violation" in done.stderr + done.stdout
    assert authority.extensions.get_extension_for_class(x509.NameConstraints).critical


def test_what_is_no_certificate_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        show(tmp_path)
    assert caught.value.code == "tls.file"
    (tmp_path / "ca.pem").write_text("nothing")
    (tmp_path / "ca.key").write_text("nothing")
    with pytest.raises(FormatError):
        renew(tmp_path, "attic", [], now=NOW)
