"""Wi-Fi: what radio and ``wpa_supplicant`` say, in plain words. The lines were written by them; see tests/infra."""

from dataclasses import replace

import pytest

from bpci_node.errors import HostError
from bpci_node.setup import networking, settings, trial, wifi
from bpci_node.setup.answers import Answers, NetworkAnswers
from bpci_node.setup.interfaces import list_interfaces
from bpci_node.setup.settings import settings_of
from bpci_node.setup.system import Finished
from bpci_tui.joining import try_network
from tests.unit.setup.simulated import SimulatedMachine

WIFI = NetworkAnswers(interface="wlan0", wifi_ssid="Attic", wifi_country="DE", wifi_passphrase="hidden behind 8 walls")
BUSY = "command failed: Device or resource busy (-16)"
STARTED = "Successfully initialized wpa_supplicant"
TRYING = "wlan0: SME: Trying to authenticate with 02:00:00:00:01:00 (SSID='Attic' freq=2412 MHz)"
ASSOCIATED = "wlan0: Associated with 02:00:00:00:01:00"
JOINED = "wlan0: CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:01:00 completed [id=0 id_str=]"
LOST = "wlan0: CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:01:00 reason=15"
WRONG_KEY = 'wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="Attic" auth_failures=1 duration=10 reason=WRONG_KEY'
SAE = "wlan0: CTRL-EVENT-AUTH-REJECT 02:00:00:00:02:00 auth_type=3 auth_transaction=2 status_code="
FULL = "wlan0: CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:01:00 status_code=17"


@pytest.fixture
def radio(machine: SimulatedMachine, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> SimulatedMachine:
    """A machine with a radio that was set up."""
    monkeypatch.setattr(wifi, "SCAN_PAUSE_SECONDS", 0.0)
    machine.add_radio()
    machine.system.write(settings.PATH, settings.dump(settings_of(answers)), 0o600)
    return machine


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], ""),
        ([STARTED], "no station of that name is heard"),
        ([STARTED, TRYING, ASSOCIATED], ""),
        ([STARTED, TRYING, ASSOCIATED, JOINED], ""),
        ([STARTED, TRYING, ASSOCIATED, LOST, WRONG_KEY], "the passphrase is wrong"),
        ([STARTED, TRYING, ASSOCIATED, LOST, WRONG_KEY, TRYING, ASSOCIATED, LOST], "the passphrase is wrong"),
        ([STARTED, TRYING, SAE + "1", TRYING], "the passphrase is wrong"),
        ([STARTED, TRYING, SAE + "15"], "the passphrase is wrong"),
        ([STARTED, TRYING, SAE + "17"], "the station refuses this machine"),
        ([STARTED, TRYING, FULL], "the station refuses this machine"),
        ([STARTED, TRYING, WRONG_KEY, TRYING, JOINED], ""),
        ([STARTED, TRYING, JOINED, LOST], "the connection was lost"),
        ([STARTED, TRYING, JOINED, LOST, TRYING, JOINED], ""),
        ([STARTED, "rfkill: WLAN soft blocked"], "its radio is switched off"),
        ([STARTED, "rfkill: WLAN soft blocked", "rfkill: WLAN unblocked"], "no station of that name is heard"),
    ],
    ids=[
        "silence", "not heard", "on the way", "joined", "wrong", "wrong again", "SAE wrong", "SAE proof wrong",
        "SAE full", "full", "put right", "lost", "found again", "switched off", "switched on",
    ],
)  # fmt: skip
def test_the_log_says_what_keeps_it_from_its_network(lines: list[str], told: str) -> None:
    assert wifi.parse_log("\n".join(lines)) == told


def test_only_what_runs_now_is_believed(radio: SimulatedMachine) -> None:
    assert wifi.trouble(radio.system, "wlan0") == ""
    radio.radio_log = [STARTED, TRYING, LOST, WRONG_KEY]
    assert wifi.trouble(radio.system, "wlan0") == "the passphrase is wrong"


def test_a_wizard_whose_passphrase_is_wrong_says_so_and_takes_it_back(radio: SimulatedMachine) -> None:
    radio.radio_log = [STARTED, TRYING, LOST, WRONG_KEY]
    radio.radio_addresses = ["192.0.2.9"]  # of the network before, which is not joined any more
    with pytest.raises(HostError, match="gave no address within 0 s: the passphrase is wrong") as caught:
        try_network(radio.system, WIFI, lambda _: None, wait=0.0)
    assert caught.value.code == "host.no_wifi"
    assert trial.current(radio.system) is None
    radio.join_radio("192.0.2.9")
    assert try_network(radio.system, WIFI, lambda _: None, wait=0.0) == ["192.0.2.9/24"]


def test_a_radio_that_has_not_found_its_key_yet_is_not_joined(radio: SimulatedMachine) -> None:
    path = radio.root / "sys/class/net/wlan0"
    (path / "carrier").write_text("1\n")
    (path / "operstate").write_text("dormant\n")
    assert [item.has_link for item in list_interfaces(radio.system)] == [True, False]
    (path / "operstate").write_text("up\n")
    assert [item.has_link for item in list_interfaces(radio.system)] == [True, True]


def test_a_card_that_is_busy_is_asked_again_and_then_what_it_has_heard_counts(
    radio: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = radio.run, [2]

    def run(argv: tuple[str, ...], stdin: bytes) -> Finished:
        if argv == ("iw", "dev", "wlan0", "scan") and left[0]:
            left[0] -= 1
            return Finished(240, b"", BUSY)
        return real(argv, stdin)

    monkeypatch.setattr(radio, "run", run)
    assert [item.ssid for item in wifi.scan(radio.system, "wlan0")] == ["Attic", "company", "Café guest"]
    assert not radio.ran("iw", "dev", "wlan0", "scan", "dump")
    left[0] = 1000
    assert [item.ssid for item in wifi.scan(radio.system, "wlan0")] == ["Attic", "company", "Café guest"]
    assert radio.ran("iw", "dev", "wlan0", "scan", "dump")


def test_a_radio_that_software_has_switched_off_is_switched_on(radio: SimulatedMachine) -> None:
    switch = radio.root / "sys/class/net/wlan0/phy80211/rfkill0"
    for act in (
        lambda: wifi.scan(radio.system, "wlan0"),
        lambda: trial.begin(radio.system, WIFI, 60),
        lambda: trial.keep(radio.system, WIFI),
    ):
        (switch / "soft").write_text("1\n")
        act()
        assert (switch / "soft").read_text() == "0"


def test_a_radio_that_a_switch_has_silenced_is_told_before_anything_is_changed(radio: SimulatedMachine) -> None:
    (radio.root / "sys/class/net/wlan0/phy80211/rfkill0/hard").write_text("1\n")
    before = settings.load(radio.system)
    for act in (
        lambda: wifi.scan(radio.system, "wlan0"),
        lambda: trial.begin(radio.system, WIFI, 60),
        lambda: trial.keep(radio.system, WIFI),
    ):
        with pytest.raises(HostError, match="switched off by a switch") as caught:
            act()
        assert caught.value.code == "host.wifi"
    assert trial.current(radio.system) is None
    assert settings.load(radio.system) == before


def test_a_cable_goes_before_wifi() -> None:
    assert "[DHCPv4]\nClientIdentifier=mac\nRouteMetric=2048" in networking.network_file(WIFI)
    assert "[IPv6AcceptRA]\nRouteMetric=2048" in networking.network_file(WIFI)
    assert "Metric" not in networking.network_file(replace(WIFI, wifi_ssid="", interface="eth0"))


def test_a_new_root_joins_in_its_first_boot(radio: SimulatedMachine) -> None:
    radio.failing["systemctl is-active --quiet systemd-networkd.service"] = ""
    networking.set_network(radio.system, WIFI)
    assert radio.ran("systemctl", "--no-block", "start", "wpa_supplicant@wlan0.service")
    assert not radio.ran("systemctl", "restart", "wpa_supplicant@wlan0.service")


def test_a_stick_that_is_put_in_later_joins_by_itself(radio: SimulatedMachine) -> None:
    networking.set_network(radio.system, WIFI)
    link = radio.root / "etc/systemd/system/sys-subsystem-net-devices-wlan0.device.wants/wpa_supplicant@wlan0.service"
    assert str(link.readlink()) == "/lib/systemd/system/wpa_supplicant@.service"
    networking.set_network(radio.system, NetworkAnswers())
    assert not link.is_symlink()
