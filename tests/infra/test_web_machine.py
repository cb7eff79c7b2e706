"""What the owner does in a browser, on the native machine: front server, helper, and the units that it starts."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.conftest import Owned
from tests.infra.container import ROOT, Container
from tests.infra.native import Play
from tests.infra.test_console import comes
from tests.infra.test_web import AT_REST, PASSWORD, signed_in, visit

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

UNITS = ROOT / "ansible/roles/web/files/usr/lib/systemd/system"
WAIT_SECONDS = 300
TRIAL = {
    "mode": "static", "interface": "probe0", "address": "192.0.2.5/24", "gateway": "192.0.2.1", "dns": "192.0.2.1",
    "address6": "", "gateway6": "",
}  # fmt: skip
ADDRESSES = itertools.count(1)
SHIM = """#!/bin/sh
# Stands before the real one while a test runs: the machine of the tests must not go down.
case "$*" in *reboot* | *poweroff*) echo "$*" >>/run/asked ;; *) exec /usr/bin/systemctl "$@" ;; esac
"""


@pytest.fixture(scope="module")
def otto(owned: Owned) -> Iterator[str]:
    """An owner whose password at the sign-in is not the login password of the machine."""
    add = "bpci access add otto --role owner --password-file - --json"
    owned.machine.run(f"printf '%s\\n' '{PASSWORD}' | {add}")
    # A new address makes a new certificate, and that a restart of the front server: here when a test asks for it.
    follow = "bpci-web-certificate.path bpci-web-certificate.timer"
    owned.machine.run(f"systemctl start bpci-nginx.service && systemctl stop {follow}", seconds=120)
    owned.machine.run(AT_REST, seconds=300)
    yield "otto"
    owned.machine.run(f"systemctl start {follow}; bpci access remove otto --yes")


def seen(owned: Owned, *steps: tuple[Any, ...], name: str = "otto") -> list[Any]:
    """Sign in, take ``steps`` and sign out; from an address of its own, since each may sign in ten times a minute."""
    return signed_in(owned, *steps, name=name, password=PASSWORD, source=f"127.0.7.{next(ADDRESSES)}")


def acted(owned: Owned, name: str, **fields: str) -> str:
    """Send a form of the page with the login password, and return what the page says then."""
    form = {"password": owned.owner.password} | fields
    said = seen(owned, ("POST", f"/machine/{name}", form), ("GET", "/machine"))
    assert said[0][0] == 303, said[0]
    return str(said[1][2])


def ended(owned: Owned, lane: str) -> dict[str, Any]:
    """Wait until what was begun has ended, and return its record."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        found: dict[str, Any] = json.loads(owned.machine.run(f"cat /run/bpci-act/{lane}.json"))
        if found["state"] == "ended":
            return found
        assert time.monotonic() < end, found
        time.sleep(0.5)


def results(owned: Owned, what: str) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in owned.machine.run("cat /var/lib/bpci/web/access/actions.log").splitlines()]
    return [(row["who"], row["result"]) for row in rows if row["what"] == what]


def test_the_helper_may_do_no_more_than_it_needs_and_what_it_starts_is_well_formed(play: Play) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager"]
    done = subprocess.run([*command, str(UNITS / "bpci-act@.service")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]
    names = ["bpci-act.socket", "bpci-act@one.service", "bpci-act-run@repair.service"]
    command = ["systemd-analyze", "verify", f"--root={play.root}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (play.root / "etc/systemd/system/bpci-services.target.wants/bpci-act.socket").is_symlink()


def test_the_socket_is_for_the_web_face_and_nobody_else_is_answered(owned: Owned) -> None:
    machine = owned.machine
    assert machine.run("stat -c '%a %U %G' /run/bpci-act.sock /run/bpci-act").split("\n")[:2] == [
        "660 root bpci-web",
        "700 root root",
    ]
    ask = (
        "import socket,sys; s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect('/run/bpci-act.sock'); "
        's.sendall(b\'{"v":1,"act":"state","password":"","values":{}}\\n\'); print(s.makefile().read())'
    )
    machine.run(f"cat >/run/ask.py <<'E'\n{ask}\nE\nchmod 644 /run/ask.py")
    as_user = "setpriv --reuid {} --regid {} --init-groups /opt/bpci/bin/python /run/ask.py 2>&1"
    assert json.loads(machine.run(as_user.format("bpci-web", "bpci-web")))["owner"] == owned.owner.name
    assert "PermissionError" in machine.run(as_user.format("bpci", "bpci"), status=1)
    # Who gets at the socket by its group is still not the web face.
    other = "setpriv --reuid bpci --regid bpci-web --clear-groups /opt/bpci/bin/python /run/ask.py"
    assert json.loads(machine.run(other))["problem"]["code"] == "access.peer"


def test_the_owner_reads_logs_and_others_do_not_even_see_the_page(owned: Owned, otto: str) -> None:
    machine = owned.machine
    machine.run(
        "printf 'a \\033[31mred\\033[0m <b>line</b>\\n<i>plain</i>\\n' | systemd-cat -t probe && journalctl --sync"
    )
    said = seen(
        owned,
        ("GET", "/"),
        ("POST", "/machine/logs", {"unit": "bpci-node", "lines": "50"}),
    )
    assert 'href="/machine"' in said[0][2]
    assert said[1][0] == 200
    assert "<pre" in said[1][2]
    said = seen(owned, ("POST", "/machine/logs", {"unit": "", "lines": "500"}))
    assert "\033" not in said[0][2]
    assert "<b>line" not in said[0][2]
    assert "&lt;i&gt;plain&lt;/i&gt;" in said[0][2]
    for name, role in (("vic", "viewer"), ("ole", "operator")):
        add = f"bpci access add {name} --role {role} --password-file - --json"
        machine.run(f"printf '%s\\n' '{PASSWORD}' | {add}")
        said = seen(
            owned,
            ("GET", "/"),
            ("GET", "/machine"),
            ("POST", "/machine/logs", {"unit": "", "lines": "5"}),
            ("POST", "/machine/plan", {}),
            ("POST", "/machine/repair", {"password": owned.owner.password}),
            ("POST", "/machine/restart", {"password": owned.owner.password}),
            ("GET", "/machine/bundle"),
            name=name,
        )
        assert 'href="/machine"' not in said[0][2]
        assert [item[0] for item in said[1:]] == [403] * 6
        machine.run(f"bpci access remove {name} --yes")
    assert results(owned, "machine.repair")[-2:] == [("vic", "access.role"), ("ole", "access.role")]
    assert not machine.run("ls /run/bpci-act/repair.json 2>/dev/null", status=None)


def test_a_wrong_password_does_nothing_and_the_sign_ins_own_is_a_wrong_one(owned: Owned, otto: str) -> None:
    machine = owned.machine
    kept = machine.run("cat /etc/bpci/settings.toml")
    shown = acted(owned, "timezone", zone="Europe/Paris", password=PASSWORD)
    assert "not the password of the machine" in shown
    assert results(owned, "machine.timezone") == [(otto, "begun"), (otto, "access.password")]
    # Nine in a row, the last one just now however long this takes: the right one has to wait as well.
    machine.run("grep -q '^.1,' /run/bpci-act/wrong.json && echo '[9, 1e12]' >/run/bpci-act/wrong.json")
    assert "too many wrong passwords" in acted(owned, "timezone", zone="Europe/Paris")
    assert results(owned, "machine.timezone")[-1] == (otto, "limit.sign_in")
    assert machine.run("cat /etc/bpci/settings.toml") == kept
    journal = machine.run("journalctl --quiet --no-pager -t bpci-act -t bpci-web")
    assert PASSWORD not in journal
    assert owned.owner.password not in journal
    machine.run("rm /run/bpci-act/wrong.json")


def test_keyboard_and_time_zone_are_set_and_nonsense_is_told(owned: Owned, otto: str) -> None:
    assert "The time zone is set." in acted(owned, "timezone", zone="Europe/Lisbon")
    assert "Europe/Lisbon" in owned.machine.run("readlink /etc/localtime")
    assert "The keyboard&#39;s layout is set." in acted(owned, "keyboard", layout="fr")
    assert 'XKBLAYOUT="fr"' in owned.machine.run("cat /etc/default/keyboard")
    assert "there is no time zone Moon" in acted(owned, "timezone", zone="Moon")
    assert results(owned, "machine.timezone")[-1] == (otto, "host.act")
    assert "this did not work" in acted(owned, "keyboard", layout="--help")
    acted(owned, "timezone", zone="UTC")


def test_a_network_is_tried_taken_back_and_kept(owned: Owned, otto: str, wired: Container) -> None:
    kept = wired.run("cat /etc/bpci/settings.toml")
    assert "come into force" in acted(owned, "try", **TRIAL)
    comes(wired, lambda text: "192.0.2.5" in text, "the new address is not there")
    assert ended(owned, "network")["status"] == 0
    assert wired.run("systemctl is-active bpci-network-trial.timer").strip() == "active"
    said = seen(owned, ("GET", "/machine"))[0][2]
    assert "New settings are on trial" in said
    acted(owned, "restore")
    comes(wired, lambda text: "192.0.2.5" not in text, "the new address is still there")
    assert ended(owned, "network")["act"] == "restore"
    assert wired.run("cat /etc/bpci/settings.toml") == kept
    acted(owned, "try", **TRIAL)
    comes(wired, lambda text: "192.0.2.5" in text, "the new address is not there")
    ended(owned, "network")
    # From the new address, by its new certificate, in a session of its own.
    wired.run("systemctl start bpci-web-certificate.service", seconds=120)
    wired.run(AT_REST, seconds=300)
    steps = (
        ("POST", "/sign-in", {"name": otto, "password": PASSWORD}),
        ("GET", "/machine"),
        ("POST", "/machine/confirm", {"password": owned.owner.password}),
        ("GET", "/machine"),
    )
    assert "are kept" in visit(owned, *steps, host="192.0.2.5")[3][2]
    assert "192.0.2.5/24" in wired.run("cat /etc/bpci/settings.toml")
    assert "this did not work: no network settings are on trial" in acted(owned, "confirm")
    said = acted(owned, "look")
    assert "The network was looked at." in said
    assert "192.0.2.5" in said


def test_what_does_not_fit_is_told_on_the_page(owned: Owned, otto: str) -> None:
    acted(owned, "try", **(TRIAL | {"address": "192.0.2.5"}))
    assert ended(owned, "network")["status"] == 2
    said = seen(owned, ("GET", "/machine"))[0][2]
    assert "--address needs its prefix length" in said


def test_the_passphrase_of_a_network_is_written_down_nowhere_else(owned: Owned, otto: str) -> None:
    """The machine has no radio, so the command refuses; by then it has been through everything that could keep it."""
    secret = "hidden behind 8 walls"
    form = {"mode": "wifi", "interface": "wlan7", "ssid": "Attic", "country": "de", "passphrase": secret}
    acted(owned, "try", **form)
    assert ended(owned, "network")["status"] != 0
    owned.machine.run("bpci machine network restore")
    left = "journalctl --quiet --no-pager; cat /run/bpci-act/* /var/lib/bpci/web/access/actions.log; ls /run/bpci-act"
    shown = owned.machine.run(left)
    assert "Attic" in shown
    assert secret not in shown
    assert "network.request" not in shown


def test_a_repair_shows_what_it_would_do_and_survives_the_end_of_everything_before_it(owned: Owned, otto: str) -> None:
    machine = owned.machine
    machine.run("chmod 755 /var/lib/bpci/node")
    acted(owned, "plan")
    plan = ended(owned, "plan")
    assert "this would be done" in plan["output"], plan
    assert machine.run("stat -c %a /var/lib/bpci/node").strip() == "755"
    said = seen(owned, ("GET", "/machine"))[0][2]
    assert "this would be done" in said
    assert 'action="/machine/repair"' in said
    assert "The repair goes on" in acted(owned, "repair")
    machine.run("systemctl kill --signal=KILL bpci-web.service; systemctl stop 'bpci-act@*.service'")
    repair = ended(owned, "repair")
    assert "lost: nothing" in repair["output"], repair
    assert machine.run("stat -c %a /var/lib/bpci/node").strip() != "755"


def test_a_support_bundle_is_made_fetched_and_holds_no_secret(owned: Owned, otto: str) -> None:
    assert "being made" in acted(owned, "support")
    assert ended(owned, "support")["status"] == 0
    said = seen(owned, ("GET", "/machine"), ("GET", "/machine/bundle"))
    assert "Fetch bpci-support.tar.gz" in said[0][2]
    assert said[1][0] == 200
    assert said[1][1]["content-disposition"] == 'attachment; filename="bpci-support.tar.gz"'
    # The third step after signing in and looking for the form.
    held = owned.machine.run("cmp /run/visit-3 /run/bpci-act/support.tar.gz && tar -tzf /run/visit-3").split()
    assert {"bpci-support/doctor.txt", "bpci-support/journal/bpci.txt"} <= set(held)
    whole = owned.machine.run("tar -xzOf /run/visit-3 | tr -d '\\0'; rm /run/visit-*")
    assert "bpci-node.service" in whole
    assert owned.owner.password not in whole
    assert results(owned, "machine.bundle") == [(otto, "done")]


def test_a_restart_drains_the_node_and_then_asks_the_service_manager(owned: Owned, otto: str) -> None:
    """What the machine runs for it is looked at: a container that goes down takes the other tests with it."""
    machine = owned.machine
    machine.run(f"cat >/usr/local/sbin/systemctl <<'E'\n{SHIM}E\nchmod 755 /usr/local/sbin/systemctl")
    try:
        assert "The machine restarts" in acted(owned, "restart")
        restarted = ended(owned, "power")
        assert (restarted["act"], restarted["status"]) == ("restart", 0)
        assert "letting the auctions end" in restarted["output"]
        assert "The machine goes off" in acted(owned, "poweroff")
        assert ended(owned, "power")["act"] == "poweroff"
    finally:
        machine.run("rm /usr/local/sbin/systemctl")
        seen(owned, ("POST", "/actions/resume", {"about": ""}))
    assert machine.run("cat /run/asked; rm /run/asked").splitlines() == ["--no-block reboot", "--no-block poweroff"]


def test_nothing_is_left_running_or_failed(owned: Owned) -> None:
    assert owned.machine.run("systemctl list-units --plain --no-legend --state=failed 'bpci-act*'").strip() == ""
    owned.machine.run(
        "for _ in $(seq 100); do systemctl list-units --plain --no-legend 'bpci-act*.service' | grep -q . || exit 0; "
        "sleep 0.2; done; systemctl list-units 'bpci-act*'; exit 1"
    )
