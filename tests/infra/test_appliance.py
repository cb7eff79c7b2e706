"""The built image, booted and set up by keystrokes: what its owner has, and what nobody else has."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner, did_of, public_key_of
from image.boot import BLOCKS, BPCI
from tests.infra.appliance import Appliance
from tests.infra.conftest import CLOSED, OPEN, Registry

pytestmark = [pytest.mark.infra, pytest.mark.usefixtures("awake"), pytest.mark.timeout(3600)]

MOUNTS = {
    "/home": "nodev,nosuid",
    "/var/log": "nodev,noexec,nosuid",
    "/var/log/audit": "nodev,noexec,nosuid",
    "/var/tmp": "nodev,nosuid",
    "/tmp": "nodev,nosuid",
    "/dev/shm": "nodev,noexec,nosuid",
    "/var/lib/bpci": "nodev,nosuid",
    "/etc/bpci": "nodev,noexec,nosuid",
}
"""What may not be on a file system, at the least (CIS 1.1)."""
SERVICES = ("auditd", "fail2ban", "bpci-nginx", "bpci-prometheus", "bpci-alertmanager", "bpci-node-exporter")
SCRAPED = """
import json, time, urllib.request
for attempt in range(90):
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:9090/prometheus/api/v1/query?query=up", timeout=60)
        up = {row["metric"]["job"]: row["value"][1] for row in json.load(answer)["data"]["result"]}
    except OSError as error:
        up = {"nobody": str(error)}
    if up and set(up.values()) == {"1"}:
        break
    time.sleep(2)
print(json.dumps(up))
"""
"""Runs in the machine: waits until Prometheus has read everything that it reads."""
LEAST_AVAILABLE_MIB = 512
DRIVERS = ["r8169", "igc", "e1000e", "ahci", "nvme", "xhci_pci", "usbhid", "i915", "tpm_tis"]


def bpci(*arguments: str, status: int = 0) -> str:
    result = subprocess.run([BPCI, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == status, f"{arguments}: {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_the_wizard_led_to_a_registered_node(appliance: Appliance, registry: Registry) -> None:
    status = appliance.status()
    assert status["node"]["registered"]
    found = json.loads(bpci("registry", "show", appliance.did, "--node", registry.url, "--json"))
    assert found["node"]["node_key"] == "0x" + public_key_of(appliance.did).hex()


def test_the_words_that_were_shown_give_the_node_its_keys(appliance: Appliance) -> None:
    assert did_of(LocalSigner(derive_keys(appliance.phrase).node).public_key) == appliance.did


def test_the_phrase_is_written_nowhere(appliance: Appliance) -> None:
    words = " ".join(appliance.phrase.split()[:6])
    # Not as an argument: what root is asked to run is recorded.
    given = appliance.machine.ssh(
        "cat >/tmp/words", user=appliance.owner.name, key=appliance.owner.key, stdin=f"{words}\n".encode()
    )
    assert given.returncode == 0
    assert appliance.sudo("grep -lF -f /tmp/words /tmp/words").strip() == "/tmp/words"
    found = appliance.sudo("grep -rIlF -f /tmp/words /etc /var /home /run /data /root 2>/dev/null || true")
    assert found.strip() == ""


def test_it_started_with_secure_boot_on(appliance: Appliance) -> None:
    variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    assert appliance.run(f"od -An -t u1 {variable}").split()[-1] == "1"
    assert "[integrity]" in appliance.sudo("cat /sys/kernel/security/lockdown")


def test_no_unit_failed(appliance: Appliance) -> None:
    assert appliance.failed_units() == ""


def test_the_node_runs_as_its_own_user_in_a_tight_sandbox(appliance: Appliance) -> None:
    host = appliance.host()
    service = host.service("bpci-node")
    assert service.is_running
    assert service.is_enabled
    exposure = appliance.run("systemd-analyze security --no-pager bpci-node.service | tail -n 1")
    assert float(re.search(r"(\d+\.\d+)", exposure)[1]) <= 2.0  # type: ignore[index]
    assert host.process.get(user="bpci", comm="bpci")


def test_only_the_node_the_web_face_and_ssh_listen(appliance: Appliance) -> None:
    appliance.sudo("systemctl start bpci-nginx.service")  # set-up starts it and does not wait for it
    listening = appliance.run("ss -Hltun | awk '{print $1, $5}'").split("\n")
    outside = {line for line in listening if line and not re.search(r" (127\.|\[::1\]|\S*%lo)", line)}
    ports = {line.rsplit(":", 1)[1] for line in outside if line.startswith("tcp")}
    assert ports == {"22", "443", "8545"}
    assert "Status: active" in appliance.sudo("ufw status")


def test_the_web_face_shows_a_certificate_of_the_machine_s_own_authority(appliance: Appliance) -> None:
    authority = appliance.sudo("cat /var/lib/bpci/web/tls/ca.pem")
    url = f"https://127.0.0.1:{appliance.machine.ports[443]}/sign-in"
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(url, timeout=60)
    answer = httpx.get(url, verify=ssl.create_default_context(cadata=authority), timeout=120)
    assert answer.status_code == 200


def test_what_watches_and_records_has_begun_with_set_up(appliance: Appliance) -> None:
    """Set-up starts these and does not wait for them."""
    are_active = " && ".join(f"systemctl is-active -q {name}" for name in SERVICES)
    show = f"systemctl status --no-pager {' '.join(SERVICES)}; exit 1"
    appliance.sudo(f"for _ in $(seq 240); do {are_active} && exit 0; sleep 1; done; {show}")
    assert "sshd" in appliance.sudo("fail2ban-client status")
    assert re.search(r"^enabled 2$", appliance.sudo("auditctl -s"), re.MULTILINE), "recording, and locked"


def test_what_watches_and_records_has_waited_for_an_owner(appliance: Appliance) -> None:
    complete = int(appliance.sudo("stat -c %Y /var/lib/bpci/setup/complete"))
    for name in (*SERVICES, "unattended-upgrades"):
        show = f"systemctl show --value --property=InactiveExitTimestamp {name}.service"
        assert int(appliance.run(f'date -d "$({show})" +%s')) >= complete, name


def test_prometheus_reads_the_node_and_the_machine(appliance: Appliance) -> None:
    up = json.loads(appliance.run(f"python3 - <<'E'\n{SCRAPED}E", timeout=400))
    assert up
    assert set(up.values()) == {"1"}, up


def test_file_systems_hold_what_hardening_forbids_them(appliance: Appliance) -> None:
    for place, options in MOUNTS.items():
        found = set(appliance.run(f"findmnt -rno OPTIONS --mountpoint {place} | tail -n 1").strip().split(","))
        assert set(options.split(",")) <= found, place


def test_two_gigabytes_hold_everything_that_runs(appliance: Appliance, lab: Path) -> None:
    figures = appliance.run("free -m; ps -eo rss,comm --sort=-rss | head -n 15")
    (lab / "memory.txt").write_text(figures)
    total, available = re.findall(r"^Mem: +(\d+).* (\d+)$", figures, re.MULTILINE)[0]
    assert int(total) <= 2048
    assert int(available) >= LEAST_AVAILABLE_MIB, figures
    assert "Out of memory" not in appliance.sudo("journalctl -k --no-pager -o cat")


def test_a_node_whose_cable_was_out_answers_again(appliance: Appliance) -> None:
    machine = appliance.machine
    machine.plug(plugged=False)
    machine.console.wait_until(lambda: not appliance.answers(), "silence without a cable", 60)
    time.sleep(5)  # longer than the network service takes a cable for one that is only loose
    machine.plug()
    machine.console.wait_until(appliance.answers, "the node's API, with the cable in again", 240)
    machine.wait_for_ssh(user=appliance.owner.name, key=appliance.owner.key, timeout=240)
    assert "Lost carrier" in appliance.sudo("journalctl -b -u systemd-networkd --no-pager -o cat")
    assert appliance.failed_units() == ""


def test_no_password_but_the_owner_s_opens_anything(appliance: Appliance) -> None:
    shadow = appliance.sudo("cat /etc/shadow").splitlines()
    with_password = {line.split(":")[0] for line in shadow if not re.match(r"[^:]*:[!*]", line)}
    assert with_password == {appliance.owner.name}


def test_drivers_of_real_machines_are_in_the_image(appliance: Appliance) -> None:
    appliance.run(f"/sbin/modprobe --dry-run --all {' '.join(DRIVERS)}")


def test_real_transactions_are_replayed_sealed_and_verified_outside(
    appliance: Appliance, registry: Registry, tmp_path: Path
) -> None:
    blocks = [str(block) for block in BLOCKS]
    replayed = json.loads(bpci("mempool", "replay", *blocks, "--node", appliance.url, "--batch", "16", "--json"))
    assert replayed["accepted"] + replayed["duplicates"] > 1000
    sealed = appliance.machine.ssh(
        "bpci mempool seal --target eip155:1 --out -", user=appliance.owner.name, key=appliance.owner.key
    )
    assert sealed.returncode == 0, sealed.stderr
    bundle = tmp_path / "bundle.cbor"
    bundle.write_bytes(sealed.stdout)
    bpci("bundle", "verify", str(bundle), "--signer", appliance.did)
    bpci("bundle", "verify", str(bundle), "--network", str(registry.network_file))
    bpci("bundle", "verify", str(bundle), status=3)
    bundle.write_bytes(sealed.stdout[:-70] + bytes([sealed.stdout[-70] ^ 1]) + sealed.stdout[-69:])
    bpci("bundle", "verify", str(bundle), "--signer", appliance.did, status=1)


def test_the_data_partition_has_grown_to_the_disk(appliance: Appliance) -> None:
    size = int(appliance.run("df --output=size -B1 /data | tail -n 1"))
    assert size > 5 * 2**30


def test_the_other_root_is_written_and_booted_with_data_intact(appliance: Appliance) -> None:
    before = appliance.status()
    machine_id = appliance.run("cat /etc/machine-id")
    # Some 20,000 files, each of which the audit of the owner's session records: ten minutes beside another machine.
    appliance.sudo("/usr/lib/bpci/slot write b --from-running", timeout=1500)
    appliance.sudo("/usr/lib/bpci/slot use b")
    appliance.reboot()
    assert "bpci.slot=b" in appliance.run("cat /proc/cmdline")
    assert appliance.run("cat /etc/machine-id") == machine_id
    after = appliance.status()
    assert after["node"] == before["node"]
    assert after["targets"]["eip155:1"]["count"] == before["targets"]["eip155:1"]["count"]
    assert appliance.failed_units() == ""


@pytest.fixture(scope="module")
def forgiven(appliance: Appliance) -> None:
    """From here on this host knocks where it may not come in: the machine would count that, and shut it out."""
    appliance.sudo("fail2ban-client set sshd addignoreip 10.0.2.2")


@pytest.mark.usefixtures("forgiven")
def test_ssh_takes_the_owner_s_key_and_nothing_else(appliance: Appliance) -> None:
    policy = appliance.sudo("sshd -T")
    assert "passwordauthentication no" in policy
    assert "permitrootlogin no" in policy
    assert "kbdinteractiveauthentication no" in policy
    root = appliance.machine.ssh("true", user="root", key=appliance.owner.key)
    assert root.returncode == 255


@pytest.mark.usefixtures("forgiven")
def test_nothing_of_the_build_is_left(appliance: Appliance, image: Path) -> None:
    found = appliance.sudo(
        "ls -d /root/.ssh/authorized_keys /root/.ansible /etc/cloud /var/lib/cloud /var/lib/apt/lists/*Packages* "
        "/etc/ssh/ssh_host_* 2>/dev/null || true"
    )
    assert found.strip() == ""
    keys = list((image.parent.parent / "cache").glob("seed-*/build-key"))
    assert keys
    for key in keys:
        assert appliance.machine.ssh("true", user="root", key=key).returncode == 255


def said(appliance: Appliance, port: int, seconds: float) -> bytes:
    """Ask a port from outside the machine, and return what it says within so many seconds: nothing if it is closed."""
    try:
        with socket.create_connection(("127.0.0.1", appliance.machine.ports[port]), seconds) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(5)
    except (TimeoutError, ConnectionResetError):
        return b""


def test_impossible_addresses_are_recorded_though_the_firewall_has_its_own_settings(appliance: Appliance) -> None:
    names = "net.ipv4.conf.all.log_martians net.ipv4.conf.default.log_martians"
    assert appliance.run(f"/usr/sbin/sysctl -n {names}").split() == ["1", "1"]


@pytest.mark.usefixtures("forgiven")
def test_from_outside_three_ports_answer_and_no_other_even_if_somebody_listens(appliance: Appliance) -> None:
    listener = "/usr/bin/python3 -m http.server --directory /usr/share/doc 8000"
    appliance.sudo(f"systemd-run --quiet --collect --unit=listener {listener}")
    appliance.sudo("for _ in $(seq 120); do ss -Hltn 'sport = :8000' | grep -q . && exit 0; sleep 1; done; exit 1")
    with ThreadPoolExecutor() as threads:
        open_ports = threads.map(lambda port: said(appliance, port, 60), OPEN)
        closed_ports = threads.map(lambda port: said(appliance, port, 8), CLOSED)
        assert list(open_ports) == [b"SSH-2", b"HTTP/", b"HTTP/"]
        assert list(closed_ports) == [b""] * len(CLOSED)
    # the way there is open: it is the machine that refuses
    appliance.sudo("ufw allow 8000/tcp")
    assert said(appliance, 8000, 60) == b"HTTP/"
    appliance.sudo("ufw delete allow 8000/tcp; systemctl stop listener")
