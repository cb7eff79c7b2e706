"""The console on the native machine: networks on trial with the real service manager, and what asks for a password."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pexpect
import pytest

from bpci_node.setup import wifi
from bpci_node.setup.answers import NetworkAnswers
from tests.infra.conftest import Owned
from tests.infra.container import Container

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

NEW = "--interface probe0 --address 192.0.2.5/24 --address6 2001:db8:7::5/64 --gateway 192.0.2.1"
WAIT_SECONDS = 90
"""How long systemd-networkd may take on a busy machine."""


def comes(machine: Container, holds: Callable[[str], bool], what: str) -> str:
    """Wait until the addresses of the test's interface are as they should be, and return them."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        shown = machine.run("ip -json address show probe0")
        if holds(shown):
            return shown
        assert time.monotonic() < end, f"{what}, after {WAIT_SECONDS} s: {shown}"
        time.sleep(0.5)


def test_an_address_on_trial_is_gone_when_nobody_confirms_it(wired: Container) -> None:
    kept = wired.run("cat /etc/bpci/settings.toml")
    # The process that began it has ended by now, as after a session that was cut.
    wired.run(f"bpci machine network try {NEW} --no-wait --seconds 10 </dev/null")
    comes(wired, lambda text: "192.0.2.5" in text and "2001:db8:7::5" in text, "the new addresses are not there")
    assert json.loads(wired.run("bpci machine network show --json", status=None))["trial"]["mode"] == "static"
    comes(wired, lambda text: "192.0.2.5" not in text, "the new address is still there")
    assert wired.run("cat /etc/bpci/settings.toml") == kept
    assert not wired.run(
        "ls /run/systemd/network 2>/dev/null; ls /etc/systemd/network/10-bpci.network 2>/dev/null", status=None
    )


def test_a_confirmed_address_stays_and_is_in_the_settings(wired: Container) -> None:
    wired.run(f"bpci machine network try {NEW} --no-wait --seconds 600 </dev/null")
    comes(wired, lambda text: "192.0.2.5" in text, "the new address is not there")
    wired.run("bpci machine network confirm")
    assert "inactive" in wired.run("systemctl is-active bpci-network-trial.timer", status=None)
    assert "192.0.2.5/24" in wired.run("cat /etc/systemd/network/10-bpci.network /etc/bpci/settings.toml")
    comes(wired, lambda text: "192.0.2.5" in text, "the new address is gone")
    # Nothing is left to take back.
    assert "nothing was on trial" in wired.run("bpci machine network restore 2>&1")


@pytest.mark.parametrize("secret", ["hidden behind 8 walls", "", "ab" * 32, '"#quote" # {'], ids=["a", "b", "c", "d"])
def test_wpa_supplicant_reads_what_is_written_for_it(owned: Owned, secret: str) -> None:
    network = NetworkAnswers(interface="wlan0", wifi_ssid='At"tic', wifi_country="DE", wifi_passphrase="x" * 8)
    text = wifi.supplicant_file(replace(network, wifi_passphrase=secret))
    owned.machine.run(f"cat > /run/probe.conf <<'END'\n{text}END")
    said = owned.machine.run("wpa_supplicant -Dwired -inone -c /run/probe.conf 2>&1", status=None)
    assert "Failed to read or parse configuration" not in said
    assert "none" in said  # it went on to look for the interface


def test_the_network_page_and_the_owners_password_stand_before_every_action(owned: Owned) -> None:
    entered = ["--target", str(owned.machine.leader), "--all", "/usr/bin/env", "-i", "TERM=vt220"]
    entered += [*owned.machine.environment, "/usr/lib/bpci/console-tty", "console"]
    child = pexpect.spawn("nsenter", entered, dimensions=(24, 80), encoding="utf-8", timeout=WAIT_SECONDS)
    try:
        child.expect("what the owner may do")
        child.send("n")
        child.expect("no network address|has the address|No cable")
        child.send("a")
        child.expect("Each asks for the owner's password")
        child.send("4")
        child.expect(f"Password of {owned.owner.name}: ")
        child.sendline("not the password")
        child.expect(f"Password of {owned.owner.name}: ")
        child.sendline(owned.owner.password)
        child.expect("Keyboard layout")
        child.sendline("de")
        child.expect("Time zone")
        child.sendline("Europe/Berlin")
        child.expect("Enter goes back")
    finally:
        child.close(force=True)
    assert "Europe/Berlin" in owned.machine.run("readlink /etc/localtime")
    assert 'XKBLAYOUT="de"' in owned.machine.run("cat /etc/default/keyboard")


def test_the_pages_for_a_browser_start_when_asked_for_and_are_for_owner_and_operator(owned: Owned) -> None:
    machine = owned.machine
    assert machine.run("systemctl is-active bpci-web-console.socket").strip() == "active"
    ask = (
        "import sys, http.client as h; c = h.HTTPConnection('127.0.0.1', 8087, timeout=60); "
        "c.request('GET', sys.argv[1], headers={'X-Bpci-Role': sys.argv[2]}); r = c.getresponse(); "
        "print(r.status, r.read().decode())"
    )
    shown = machine.run(f'/opt/bpci/bin/python -c "{ask}" /console/ owner', seconds=120)
    assert shown.startswith("200 ")
    assert owned.result["did"] in shown
    assert machine.run(f'/opt/bpci/bin/python -c "{ask}" /console/ viewer', seconds=120).startswith("403 ")
    # The doctor sees the same from within the sandbox as from without.
    assert "can&#x27;t be written" not in machine.run(f'/opt/bpci/bin/python -c "{ask}" /console/doctor owner')


def test_the_support_bundle_of_a_real_machine_holds_no_secret_of_it(owned: Owned) -> None:
    machine = owned.machine
    machine.run("bpci support bundle --out /root/support.tar.gz", seconds=180)
    whole = machine.run("tar -xzOf /root/support.tar.gz | tr -d '\\0'; rm /root/support.tar.gz", seconds=60)
    assert "bpci-node.service" in whole
    assert "[api]" in whole
    assert owned.owner.password not in whole
    settings = machine.run("cat /etc/bpci/settings.toml")
    hashes = [line.split('"')[1] for line in settings.splitlines() if "password_hash" in line]
    assert hashes
    for secret in hashes:
        assert secret not in whole
    seeds = machine.run("for f in /etc/bpci/keys/*; do base64 -w0 $f; echo; done").split()
    assert seeds
    for seed in seeds:
        assert seed not in whole
