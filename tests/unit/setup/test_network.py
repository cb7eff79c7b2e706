import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from bpci_node.errors import HostError, UsageError
from bpci_node.setup import networking, preflight, settings, trial, wifi
from bpci_node.setup.answers import Answers, NetworkAnswers
from bpci_node.setup.answers_file import from_document
from bpci_node.setup.forms import check_network
from bpci_node.setup.journal import Journal
from bpci_node.setup.local_steps import LINK
from bpci_node.setup.places import is_zone, zones
from bpci_node.setup.plan import in_words, plan_from_object, plan_of
from bpci_node.setup.run import Run
from bpci_node.setup.settings import settings_of
from bpci_node.setup.system import System
from tests.unit.setup.simulated import AIR, SimulatedMachine

SECRET = "hidden behind 8 walls"
STATIC = NetworkAnswers(
    "static", "eth0", "192.0.2.5/24", "192.0.2.1", ("9.9.9.9",), address6="2001:db8::5/64", gateway6="fe80::1"
)
WIFI = NetworkAnswers(interface="wlan0", wifi_ssid='At"tic\\', wifi_country="DE", wifi_passphrase=SECRET)


@pytest.fixture
def home(machine: SimulatedMachine, answers: Answers) -> SimulatedMachine:
    """A machine that was set up."""
    machine.system.write(settings.PATH, settings.dump(settings_of(answers)), 0o600)
    machine.calls.clear()
    return machine


def set_network(machine: SimulatedMachine) -> NetworkAnswers:
    kept = settings.load(machine.system)
    assert kept is not None
    return kept.network


def test_the_networks_in_the_air_are_read_strongest_first_each_name_once() -> None:
    found = [(item.ssid, item.signal_dbm, item.security) for item in wifi.parse_scan(AIR)]
    assert found == [("Attic", -42, "WPA2"), ("company", -50, "other"), ("Café guest", -80, "open")]


def test_a_passphrase_that_could_pass_for_a_comment_is_written_as_its_key() -> None:
    text = wifi.supplicant_file(replace(WIFI, wifi_ssid="IEEE", wifi_passphrase='"#quote" # {'))
    assert "quote" not in text
    assert len(text.split("psk=")[1].split()[0]) == 64


def test_a_card_that_can_not_listen_says_so(machine: SimulatedMachine) -> None:
    machine.failing["iw dev wlan0 scan"] = "command failed: Network is down (-100)"
    with pytest.raises(HostError, match="Network is down") as caught:
        wifi.scan(machine.system, "wlan0")
    assert caught.value.code == "host.wifi"


def test_wifi_puts_the_passphrase_into_files_of_root_and_nowhere_else(home: SimulatedMachine) -> None:
    trial.keep(home.system, WIFI)
    holding = [path for path in home.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert {str(path.relative_to(home.root)) for path in holding} == {
        "etc/bpci/settings.toml",
        "etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in holding)
    assert not any(SECRET in word for argv, _ in home.calls for word in argv)
    assert SECRET not in repr(WIFI)
    assert SECRET not in in_words(WIFI)
    assert home.ran("systemctl", "enable", "wpa_supplicant@wlan0.service")
    assert set_network(home) == WIFI
    assert networking.network_is_set(home.system, WIFI)


def test_leaving_wifi_takes_its_file_away_and_leaves_a_strangers(home: SimulatedMachine) -> None:
    trial.keep(home.system, WIFI)
    home.system.write("/etc/wpa_supplicant/wpa_supplicant-wlan9.conf", "network={}\n", 0o600)
    trial.keep(home.system, NetworkAnswers())
    assert home.ran("systemctl", "disable", "--now", "wpa_supplicant@wlan0.service")
    assert not home.system.exists("/etc/wpa_supplicant/wpa_supplicant-wlan0.conf")
    assert home.system.exists("/etc/wpa_supplicant/wpa_supplicant-wlan9.conf")
    assert not home.system.exists(networking.NETWORK_UNIT)


def test_both_families_stand_in_the_unit() -> None:
    text = networking.network_file(STATIC)
    assert "Address=192.0.2.5/24\nGateway=192.0.2.1\nAddress=2001:db8::5/64\nGateway=fe80::1\nDNS=9.9.9.9" in text


def test_a_plan_with_wifi_survives_the_journal(document: dict[str, Any]) -> None:
    document["network"] = {
        "interface": "wlan0", "wifi_ssid": "Attic", "wifi_country": "DE", "wifi_passphrase": SECRET
    }  # fmt: skip
    plan = plan_of(from_document(document, source="a"))
    assert plan_from_object(json.loads(json.dumps(plan.as_object() | {}))) == plan
    assert plan.answers.network.wifi_passphrase == SECRET


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"wifi_passphrase": "short"}, "wifi_passphrase"),
        ({"wifi_passphrase": "x" * 65}, "wifi_passphrase"),
        ({"wifi_country": "de"}, "wifi_country"),
        ({"wifi_ssid": "x" * 33}, "wifi_ssid"),
        ({"wifi_ssid": "a\nb"}, "wifi_ssid"),
        ({"interface": ""}, "interface"),
        ({"mode": "static", "address": "192.0.2.5/24", "address6": "192.0.2.6/24"}, "address6"),
        ({"mode": "static", "address": "192.0.2.5/24", "gateway6": "fe80::1"}, "gateway6"),
        ({"mode": "static", "address": "2001:db8::5/64", "address6": "2001:db8::6/64"}, "address6"),
    ],
)
def test_what_does_not_fit_names_the_field_and_not_the_secret(change: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_network(replace(WIFI, **change))
    assert caught.value.details["key"] == key
    assert not {SECRET, "short"} & set(caught.value.message.split())


def test_a_trial_is_in_force_below_run_alone_with_its_timer_armed_first(home: SimulatedMachine) -> None:
    before = {path: path.read_bytes() for path in (home.root / "etc").rglob("*") if path.is_file()}
    trial.begin(home.system, STATIC, 60)
    names = [argv[0] for argv, _ in home.calls]
    assert names.index("systemd-run") < names.index("networkctl")
    assert home.ran("systemd-run", "--quiet", "--collect", "--unit=bpci-network-trial", "--on-active=60")
    assert "192.0.2.5/24" in home.system.read_text(trial.TRIAL_UNIT)
    assert {path: path.read_bytes() for path in (home.root / "etc").rglob("*") if path.is_file()} == before
    on = trial.current(home.system)
    assert on is not None
    assert on.network == STATIC
    assert 0 < on.seconds_left <= 60


def test_a_trial_that_nobody_confirms_leaves_nothing(home: SimulatedMachine) -> None:
    trial.begin(home.system, WIFI, 60)
    assert home.system.path("/run/bpci-network/wlan0.conf").stat().st_mode & 0o777 == 0o600
    assert trial.restore(home.system)
    assert [path.name for path in (home.root / "run").rglob("*") if path.is_file()] == ["lock"]
    assert home.ran("systemctl", "stop", "wpa_supplicant@wlan0.service")
    assert set_network(home) == NetworkAnswers()
    assert not trial.restore(home.system)


def test_a_confirmed_trial_is_in_the_settings_and_can_not_be_taken_back(home: SimulatedMachine) -> None:
    trial.begin(home.system, STATIC, 60)
    assert trial.confirm(home.system) == STATIC
    assert set_network(home) == STATIC
    assert networking.network_is_set(home.system, STATIC)
    assert not trial.restore(home.system)
    assert home.ran("systemctl", "stop", "bpci-network-trial.timer")
    with pytest.raises(UsageError, match="no network settings are on trial"):
        trial.confirm(home.system)


def test_confirming_that_is_cut_short_after_the_settings_stays_confirmed(
    home: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.begin(home.system, STATIC, 60)

    def dies(_system: System) -> None:
        raise SystemExit

    monkeypatch.setattr(trial, "_take_back", dies)
    with pytest.raises(SystemExit):
        trial.confirm(home.system)
    monkeypatch.undo()
    assert trial.restore(home.system)  # what the timer does
    assert networking.network_is_set(home.system, STATIC)
    assert set_network(home) == STATIC


def test_settings_that_the_system_refuses_are_taken_back_at_once(home: SimulatedMachine) -> None:
    home.failing["networkctl reconfigure"] = "Interface eth0 not found."
    with pytest.raises(HostError, match="Interface eth0 not found"):
        trial.begin(home.system, STATIC, 60)
    assert trial.current(home.system) is None
    assert not home.system.exists(trial.TRIAL_UNIT)


def test_a_trial_without_a_timer_does_not_begin(home: SimulatedMachine) -> None:
    home.failing["systemd-run"] = "Failed to connect to bus"
    with pytest.raises(HostError, match="Failed to connect to bus"):
        trial.begin(home.system, STATIC, 60)
    assert not home.system.exists(trial.TRIAL_UNIT)


def test_in_set_up_what_was_tried_is_held_until_the_next_start(machine: SimulatedMachine) -> None:
    trial.begin(machine.system, STATIC, 60)
    trial.hold(machine.system)
    on = trial.current(machine.system)
    assert on is not None
    assert on.ends == 0
    assert machine.ran("systemctl", "stop", "bpci-network-trial.timer")


def test_set_up_writes_down_what_was_held_and_ends_the_trial(machine: SimulatedMachine, answers: Answers) -> None:
    trial.begin(machine.system, STATIC, 60)
    trial.hold(machine.system)
    plan = plan_of(replace(answers, network=STATIC))
    run = Run(machine.system, plan, Journal(machine.system, plan), address_seconds=0.0)
    LINK.do(run)
    assert networking.network_is_set(machine.system, STATIC)
    assert trial.current(machine.system) is None
    assert not machine.system.exists(trial.TRIAL_UNIT)
    assert LINK.holds(run)


def codes(found: list[preflight.Finding]) -> list[str]:
    return [item.code for item in found if not item.is_well]


def test_the_look_goes_from_the_cable_outwards_and_stops_where_nothing_more_can_be_told(
    machine: SimulatedMachine,
) -> None:
    assert codes(preflight.look(machine.system)) == []
    assert [item.code for item in preflight.look(machine.system)] == ["link", "address", "gateway", "clock"]
    machine.addresses = []
    assert codes(preflight.look(machine.system)) == ["address"]
    machine.system.write("/sys/class/net/eth0/carrier", "0\n")
    trouble = preflight.first_trouble(preflight.look(machine.system))
    assert trouble is not None
    assert trouble.line.startswith("No cable is in")


def test_a_clock_from_before_the_software_is_wrong_and_a_proxy_is_said(machine: SimulatedMachine) -> None:
    assert codes(preflight.look(machine.system, now=lambda: 86_400.0)) == ["clock"]
    machine.system.write("/etc/environment", "https_proxy=http://192.0.2.9:3128\n")
    found = preflight.look(machine.system)
    assert [item.code for item in found if item.code == "proxy"] == ["proxy"]
    assert codes(found) == []


class _Answers(BaseHTTPRequestHandler):
    body, date = b'{"ledger": {}}', 0.0

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Date", formatdate(time.time() + self.date, usegmt=True))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_arguments: object) -> None:
        pass


class _LogInPage(_Answers):
    body = b"<html>Welcome to our hotel</html>"


class _Later(_Answers):
    date = 3600.0


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_registry_is_told_from_a_log_in_page_a_wrong_port_and_a_wrong_clock(machine: SimulatedMachine) -> None:
    with serving(_Answers) as url:
        assert codes(preflight.look(machine.system, url)) == []
    trouble = preflight.first_trouble(preflight.look(machine.system, url))
    assert trouble is not None
    assert "no node listens" in trouble.text
    with serving(_LogInPage) as url:
        assert "is not a node" in preflight.look(machine.system, url)[-1].text
    with serving(_Later) as url:
        found = preflight.look(machine.system, url)
        assert codes(found) == ["clock"]
        assert "behind the registry's" in found[-1].text


def test_a_name_that_is_not_found_is_said(machine: SimulatedMachine) -> None:
    found = preflight.look(machine.system, "http://node.invalid:8545")
    assert codes(found) == ["names"]


def test_time_zones_are_the_ones_of_this_machine() -> None:
    system = System()
    names = zones(system)
    if not names[1:]:
        pytest.skip("this machine has no list of time zones")
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"} <= set(names)
    assert is_zone(system, "Europe/Berlin")
    assert not is_zone(system, "Europe")
    assert not is_zone(system, "../../../etc/passwd")
