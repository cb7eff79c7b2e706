"""Wi-Fi meets a radio: the kernel's own stack and real access points, in simulated air (:mod:`tests.infra.air`)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image.qemu import Machine, overlay
from tests.infra import air
from tests.infra.air import ATTIC, CELLAR, POINTS, PORCH, RADIO, Point
from tests.infra.appliance import Appliance, Owner, medium_for

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]

PATIENCE = 300
"""How long something may take on a busy machine that emulates, seconds."""


@pytest.fixture(scope="module")
def homely(lab: Path, image: Path) -> Iterator[Appliance]:
    """A machine of its own, set up over its cable, with a radio among three access points."""
    directory = lab / "wifi"
    owner = Owner(directory)
    medium = medium_for(owner)
    machine = Machine(directory, [overlay(image, directory / "disk.qcow2", size="16G"), medium])
    appliance = Appliance(machine, owner)
    with machine.running():
        machine.console.wait_for(r"BPCI-SETUP-DONE", 1500, said=True)
        appliance.wait(900)
        air.put_up(appliance)
        yield appliance
        machine.power_off()


def shown(appliance: Appliance, *options: str) -> dict[str, Any]:
    """Return what the machine tells its owner of its network."""
    command = " ".join(["bpci machine network show --json", *options])
    answer: dict[str, Any] = json.loads(appliance.sudo(f"{command} || [ $? = 1 ]", timeout=PATIENCE))
    return answer


def radio(appliance: Appliance) -> dict[str, Any]:
    """Return what it tells of its radio."""
    return next(item for item in shown(appliance)["interfaces"] if item["name"] == RADIO)


def addresses(appliance: Appliance, interface: str) -> list[str]:
    """Return the IPv4 addresses of an interface, as the kernel has them."""
    rows = json.loads(appliance.run(f"ip -json -4 address show dev {interface}"))
    return [entry["local"] for row in rows for entry in row.get("addr_info", [])]


def wait_for_address(appliance: Appliance, point: Point) -> None:
    """Wait until the radio has an address of this access point's network."""
    deadline = time.monotonic() + PATIENCE
    while not any(item.startswith(point.network) for item in addresses(appliance, RADIO)):
        if time.monotonic() > deadline:
            pytest.fail(appliance.sudo(f"journalctl -b --no-pager -n 60 -u wpa_supplicant@{RADIO} -u systemd-networkd"))
        time.sleep(2)


def try_(appliance: Appliance, point: Point, passphrase: str, *, seconds: int) -> None:
    """Begin a trial; the passphrase comes on standard input."""
    how = "--passphrase-stdin" if point.passphrase else "--open"
    command = f"bpci machine network try --wifi {point.ssid} --country DE {how} --seconds {seconds}"
    appliance.sudo(command, stdin=f"{passphrase}\n".encode() if point.passphrase else b"", timeout=PATIENCE)


def check_that_the_cable_is_as_before(appliance: Appliance) -> None:
    """Check that nothing of a trial is left, and that the machine has the address that it had."""
    assert addresses(appliance, RADIO) == []
    assert "10.0.2.15" in appliance.run("ip -4 -o address show scope global")
    assert "10.0.2.2" in appliance.run("ip route get 192.0.2.1")
    assert appliance.sudo("ls /run/bpci-network /run/systemd/network").split() == [
        "/run/bpci-network:", "lock", "/run/systemd/network:",
    ]  # fmt: skip
    assert appliance.run(f"systemctl is-active wpa_supplicant@{RADIO} || true").strip() == "inactive"
    assert appliance.failed_units() == ""


def test_the_networks_in_the_air_are_listed_with_security_and_signal(homely: Appliance) -> None:
    deadline, found = time.monotonic() + PATIENCE, {}
    while len(found) < len(POINTS) and time.monotonic() < deadline:  # a card may miss one that is there
        heard = shown(homely, "--wifi")["wifi"]
        found |= {item["ssid"]: item for item in heard}
    assert {name: item["security"] for name, item in found.items()} == {point.ssid: point.security for point in POINTS}
    assert {item["interface"] for item in found.values()} == {RADIO}
    assert all(-90 < item["signal_dbm"] < 0 for item in found.values()), found


@pytest.mark.parametrize("point", [ATTIC, CELLAR], ids=lambda point: point.security)
def test_a_wrong_passphrase_is_said(homely: Appliance, point: Point) -> None:
    try_(homely, point, f"{point.passphrase} or so", seconds=3600)
    deadline, said = time.monotonic() + PATIENCE, ""
    while said != "the passphrase is wrong" and time.monotonic() < deadline:
        said = radio(homely).get("trouble", "")
    homely.sudo("bpci machine network restore")
    assert said == "the passphrase is wrong"
    check_that_the_cable_is_as_before(homely)


def test_what_nobody_confirms_is_taken_back_by_the_machine_itself(homely: Appliance) -> None:
    try_(homely, ATTIC, ATTIC.passphrase, seconds=60)
    deadline = time.monotonic() + PATIENCE
    while homely.sudo("ls /run/bpci-network").split() != ["lock"]:
        assert time.monotonic() < deadline
        time.sleep(2)
    check_that_the_cable_is_as_before(homely)


@pytest.mark.parametrize("point", [CELLAR, PORCH], ids=lambda point: point.security)
def test_what_is_joined_and_not_wanted_is_given_up(homely: Appliance, point: Point) -> None:
    try_(homely, point, point.passphrase, seconds=3600)
    wait_for_address(homely, point)
    homely.sudo("bpci machine network restore")
    check_that_the_cable_is_as_before(homely)


@pytest.fixture(scope="module")
def joined(homely: Appliance) -> Appliance:
    """The machine, whose owner has joined a network and kept it."""
    try_(homely, ATTIC, ATTIC.passphrase, seconds=3600)
    wait_for_address(homely, ATTIC)
    homely.sudo("bpci machine network confirm")
    wait_for_address(homely, ATTIC)
    return homely


def check_that_it_is_joined(appliance: Appliance) -> None:
    """Check that radio and cable both work, and that the way out is the cable's."""
    wait_for_address(appliance, ATTIC)
    assert "dev enp" in appliance.run("ip route get 192.0.2.1")
    assert f"{ATTIC.network}1 dev {RADIO}" in appliance.run("ip route show default")
    appliance.run(f"ping -c 3 -W 10 -I {RADIO} {ATTIC.network}1")
    assert appliance.failed_units() == ""


def test_what_is_kept_outlives_the_network_service_and_a_restart(joined: Appliance) -> None:
    check_that_it_is_joined(joined)
    joined.sudo("systemctl restart systemd-networkd.service")
    check_that_it_is_joined(joined)
    joined.reboot()
    check_that_it_is_joined(joined)


def test_the_passphrase_is_in_no_log_no_argument_and_no_file_that_others_read(joined: Appliance) -> None:
    places = "/etc /var /run /home /root /tmp /boot /data"
    # The patterns come from a file, because what stands in an argument is in the audit log.
    found = joined.sudo(
        f"grep -rlaF -D skip -f {air.SECRET} {places} --exclude-dir=air 2>/dev/null || true", timeout=900
    ).split()
    assert found
    assert {Path(name).name for name in found} == {"settings.toml", f"wpa_supplicant-{RADIO}.conf"}, found
    assert set(joined.sudo(f"stat -c %U:%a {' '.join(found)}").split()) == {"root:600"}
    for said in ("journalctl --output=export --all", "ps -eo args"):
        assert joined.sudo(f"{said} | grep -caF -f {air.SECRET} || true", timeout=900).strip() == "0"


def test_a_radio_that_software_has_switched_off_is_switched_on_by_looking_for_networks(joined: Appliance) -> None:
    switches = f"/sys/class/net/{RADIO}/phy80211/rfkill*/soft"
    joined.sudo(f"for switch in {switches}; do echo 1 >$switch; done")
    assert joined.run(f"cat {switches}").split() == ["1"]
    deadline, found = time.monotonic() + PATIENCE, set()
    while ATTIC.ssid not in found and time.monotonic() < deadline:  # its own network being looked for keeps it busy
        found = {item["ssid"] for item in shown(joined, "--wifi")["wifi"]}
    assert joined.run(f"cat {switches}").split() == ["0"]
    check_that_it_is_joined(joined)


def test_a_stick_that_is_pulled_and_put_in_again_joins_by_itself(joined: Appliance) -> None:
    joined.sudo("systemctl stop 'air*.service'; ip netns delete street; modprobe -r mac80211_hwsim")
    assert RADIO not in joined.run("ls /sys/class/net")
    joined.sudo("systemctl start air.service")
    check_that_it_is_joined(joined)


def test_a_root_that_was_replaced_joins_in_its_first_boot(joined: Appliance) -> None:
    joined.sudo(
        f"systemctl disable wpa_supplicant@{RADIO}; rm /etc/wpa_supplicant/wpa_supplicant-{RADIO}.conf "
        "/etc/systemd/network/10-bpci.network /etc/bpci-machine.sha256"
    )
    joined.reboot()
    check_that_it_is_joined(joined)
