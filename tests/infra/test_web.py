"""The web face on the appliance at native speed: TLS by its own authority, sign-in, roles, limits, the log."""

from __future__ import annotations

import json
import re
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import Owned
from tests.infra.container import ROOT
from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

UNITS = ("bpci-web", "bpci-nginx", "bpci-web-certificate")
FILES = ROOT / "ansible/roles/web/files"
CA = "/var/lib/bpci/web/tls/ca.pem"
PASSWORD = "four random words here"
BROWSER = """
import json, ssl, sys
import httpx
base, source, ca, steps = json.loads(sys.stdin.read())
transport = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=ca), local_address=source)
said = []
with httpx.Client(base_url=base, transport=transport, timeout=120, trust_env=False) as client:
    form = ""
    for method, path, data, more in steps:
        headers = {"Origin": base} if method == "POST" else {}
        data = data if data is None else data | {"form_token": form}
        reply = client.request(method, path, data=data, headers=headers | more)
        if 'name="form_token" value="' in reply.text:
            form = reply.text.split('name="form_token" value="')[1][:64]
        with open(f"/run/visit-{len(said)}", "wb") as file:
            file.write(reply.content)
        said.append([reply.status_code, dict(reply.headers), reply.text])
print(json.dumps(said))
"""
"""Runs in the machine, whose root has no browser: steps with one cookie jar, and what was said to each.

The bodies are left in files as they came: /run/visit-N, from 0 on."""
CROWD = """
import asyncio, json, ssl, sys
import httpx
base, source, ca, count = json.loads(sys.stdin.read())
async def ask():
    secure, limits = ssl.create_default_context(cafile=ca), httpx.Limits(max_connections=16)
    transport = httpx.AsyncHTTPTransport(verify=secure, local_address=source, limits=limits)
    async with httpx.AsyncClient(base_url=base, transport=transport, timeout=120, trust_env=False) as client:
        asked = [client.post("/sign-in", headers={"Origin": base}) for _ in range(count)]
        return [reply.status_code for reply in await asyncio.gather(*asked)]
print(json.dumps(asyncio.run(ask())))
"""
"""The same, many at once."""
AT_REST = """for _ in $(seq 600); do
  systemctl list-jobs --no-legend | grep -Eq 'bpci-(nginx|web-certificate)' ||
    { systemctl is-active -q bpci-nginx && ss -Hltn 'sport = :443' | grep -q . && exit 0; }
  sleep 0.2
done
systemctl status --no-pager bpci-nginx; systemctl list-jobs; exit 1"""
"""Waits until no restart of the front server is under way: the certificate's service asks for one, and goes on."""


def visit(
    owned: Owned, *steps: tuple[Any, ...], host: str = "127.0.0.1", source: str | None = None
) -> list[tuple[int, dict[str, str], str]]:
    rows = [[method, path, (rest or [None])[0], (rest[1:] or [{}])[0]] for method, path, *rest in steps]
    given = json.dumps([f"https://{host}", source, CA, rows])
    command = f"cat >/run/visit.py <<'E'\n{BROWSER}E\n/opt/bpci/bin/python /run/visit.py <<'E'\n{given}\nE"
    return [tuple(item) for item in json.loads(owned.machine.run(command, seconds=300))]


def signed_in(
    owned: Owned, *steps: tuple[Any, ...], name: str = "", password: str = "", source: str | None = None
) -> list[Any]:
    """Sign in, take ``steps`` and sign out; return what was said to the steps."""
    who = {"name": name or owned.owner.name, "password": password or owned.owner.password}
    ways = ("POST", "/sign-in", who), ("GET", "/password"), *steps, ("POST", "/sign-out", {})
    said = visit(owned, *ways, source=source)
    assert (said[0][0], said[0][1].get("location")) == (303, "/"), said[0]
    return said[2:-1]


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_may_do_more_than_it_needs(unit: str) -> None:
    path = FILES / f"usr/lib/systemd/system/{unit}.service"
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_units_are_well_formed_and_wait_for_the_owner(play: Play) -> None:
    names = [f"{unit}.service" for unit in UNITS] + ["bpci-web.socket", "bpci-web-certificate.timer"]
    command = ["systemd-analyze", "verify", f"--root={play.root}", *names, "bpci-web-certificate.path"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    wants = {path.name for path in (play.root / "etc/systemd/system/bpci-services.target.wants").iterdir()}
    assert {"bpci-web.socket", "bpci-nginx.service", "bpci-web-certificate.timer", "bpci-web-certificate.path"} <= wants
    assert in_root(play, "systemctl", "is-enabled", "nginx.service", status=1).strip() == "masked"


def test_the_jail_catches_refused_sign_ins_and_nothing_else(play: Play, tmp_path: Path) -> None:
    lines = [
        'sign-in refused from 192.0.2.66: access.sign_in "ada"',
        'sign-in refused from 2001:db8::66: limit.sign_in "sign-in refused from 192.0.2.1: x"',
    ]
    innocent = ['action 3 ["sign-in refused from 192.0.2.2: access.sign_in", "none"] ab', "nobody is signed in"]
    innocent += ['sign-in refused from 192.0.2.3: limit.busy "ada"']
    head = "Nov 22 02:16:38 native bpci-web[506]: "
    log = play.root / "run/bpci-web-jail.log"
    log.write_text("".join(f"{head}{line}\n" for line in [*lines, *innocent]))
    filters = "/etc/fail2ban/filter.d/bpci-web.conf"
    said = in_root(play, "fail2ban-regex", "--print-all-matched", "/run/bpci-web-jail.log", filters)
    log.unlink()
    assert re.search(r"Lines: 5 lines, 0 ignored, 2 matched, 3 missed", said), said


def test_only_those_ports_are_open(owned: Owned) -> None:
    owned.machine.run("systemctl start bpci-nginx.service", seconds=120)  # set-up starts it and does not wait for it
    listening = owned.machine.run("ss -Hltn | awk '{ print $4 }'").split()
    outside = {item.rpartition(":")[2] for item in listening if not item.startswith(("127.", "[::1]"))}
    assert outside <= {"22", "443", "8545"}
    assert "443" in outside
    processes = owned.machine.run("ps -C nginx -o user=").split()
    assert processes
    assert set(processes) == {"www-data"}


def test_nobody_gets_in_without_a_session(owned: Owned) -> None:
    paths = ("/", "/prometheus/", "/alerts/", "/console/", "/api/v1/status", "/metrics", "/log", "/ca.pem")
    said = visit(owned, *(("GET", path) for path in paths))
    assert [item[0] for item in said] == [303, 303, 303, 303, 401, 401, 303, 200]
    for status, headers, _ in said[:-1]:
        assert headers["strict-transport-security"] == "max-age=63072000"
        assert headers["server"] == "nginx", "without its version"
        assert status == 401 or headers["location"].endswith("/sign-in")
    assert said[-1][2] == owned.machine.run(f"cat {CA}")


def test_what_strangers_send_is_not_kept(owned: Owned) -> None:
    """What does not fit into the front server's buffers would go into a file, and that is memory."""
    long = {"x": "y" * 20_000}
    assert [item[0] for item in visit(owned, ("POST", "/log", long), ("POST", "/api/v1/entries", long))] == [413, 401]


def test_the_authority_is_the_one_that_set_up_has_named(owned: Owned) -> None:
    shown = owned.machine.run(f"openssl x509 -in {CA} -noout -fingerprint -sha256").strip().partition("=")[2]
    assert shown == owned.result["web"]["fingerprint"]
    assert owned.machine.run("cat /var/lib/bpci/web/tls/ca.fingerprint").strip() == shown
    assert owned.machine.run("stat -c '%a %U' /var/lib/bpci/web/tls/ca.key").strip() == "600 root"


def test_old_protocols_are_refused(owned: Owned) -> None:
    for option, status in (("-tls1_1", 1), ("-tls1_2", 0), ("-tls1_3", 0)):
        command = f"openssl s_client -connect 127.0.0.1:443 -CAfile {CA} -verify_return_error {option} </dev/null"
        owned.machine.run(f"{command} >/dev/null 2>&1", status=status)


def test_the_owner_signs_in_with_the_password_of_set_up(owned: Owned) -> None:
    dashboard, status, metrics = signed_in(owned, ("GET", "/"), ("GET", "/api/v1/status"), ("GET", "/metrics"))
    assert (dashboard[0], status[0], metrics[0]) == (200, 200, 200)
    assert owned.result["did"] in dashboard[2]
    assert owned.result["web"]["fingerprint"] in dashboard[2]
    assert json.loads(status[2])["node"]["did"] == owned.result["did"]
    assert "bpci_" in metrics[2]


def test_roles_are_enforced_all_the_way(owned: Owned) -> None:
    for name, role in (("vera", "viewer"), ("olga", "operator")):
        add = f"bpci access add {name} --role {role} --password-file - --json"
        owned.machine.run(f"printf '%s\\n' '{PASSWORD}' | {add}")
    steps = (
        ("GET", "/"),
        ("GET", "/log"),
        ("GET", "/console/"),
        ("POST", "/api/v1/entries/lookup", {}),
        ("POST", "/actions/token", {"about": ""}),
        ("POST", "/accounts/remove", {"name": owned.owner.name}),
    )
    said = signed_in(owned, *steps, name="vera", password=PASSWORD)
    assert [item[0] for item in said] == [200, 403, 403, 403, 403, 403]
    said = signed_in(owned, *steps, name="olga", password=PASSWORD)
    assert [item[0] for item in said[:2]] == [200, 200]
    assert said[2][0] in (200, 502), "passed on, whether the console in the browser is there or not"
    assert said[3][0] == 415, "the node's own answer to a body that it does not take"
    assert [item[0] for item in said[4:]] == [303, 403]
    rows = [json.loads(line) for line in owned.machine.run("cat /var/lib/bpci/web/access/actions.log").splitlines()]
    done = [(row["who"], row["what"], row["result"]) for row in rows]
    assert ("vera", "token", "access.role") in done
    assert ("olga", "token", "done") in done
    assert "holds" in owned.machine.run("bpci access log --verify")


def test_a_killed_service_leaves_a_whole_log_and_nobody_signed_in(owned: Owned) -> None:
    signed_in(owned, ("GET", "/"))
    owned.machine.run("systemctl kill --signal=KILL bpci-web.service")
    assert [item[0] for item in signed_in(owned, ("GET", "/log"))] == [200]
    owned.machine.run("bpci access log --verify")


def test_a_changed_record_is_noticed(owned: Owned) -> None:
    log = "/var/lib/bpci/web/access/actions.log"
    owned.machine.run(
        f"mkdir -m 700 /run/forged && cp {log} /run/forged/ && sed -i '1s/done/gone/' /run/forged/actions.log"
    )
    owned.machine.run("bpci access log --verify --dir /run/forged", status=1)


def renewed(owned: Owned, condition: str) -> None:
    """Let the certificate follow the addresses; whoever runs already may have looked before they changed."""
    again = f"systemctl start bpci-web-certificate.service; {condition} && exit 0; sleep 0.5"
    owned.machine.run(f"for _ in $(seq 60); do {again}; done; exit 1", seconds=300)
    owned.machine.run(AT_REST, seconds=300)


def test_another_address_is_named_by_a_new_certificate(owned: Owned) -> None:
    owned.machine.run("ip link add web7 type bridge && ip address add 192.0.2.77/24 dev web7 && ip link set web7 up")
    names = "openssl x509 -in /var/lib/bpci/web/tls/web.pem -noout -ext subjectAltName"
    try:
        renewed(owned, f"{names} | grep -q 192.0.2.77")
        assert visit(owned, ("GET", "/sign-in"), host="192.0.2.77")[0][0] == 200
    finally:
        owned.machine.run("ip link delete web7")
        renewed(owned, f"! {names} | grep -q 192.0.2.77")
    owned.machine.run("/bin/sh /usr/lib/bpci/web-certificate due", status=1)


def test_a_certificate_made_by_hand_is_given_to_the_front_server(owned: Owned) -> None:
    shown = "openssl x509 -noout -fingerprint -sha256"
    owned.machine.run("bpci access certificate --renew --force", seconds=120)
    made = owned.machine.run(f"{shown} -in /var/lib/bpci/web/tls/web.pem")
    renewed(owned, "! /bin/sh /usr/lib/bpci/web-certificate due")
    served = owned.machine.run(f"openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | {shown}")
    assert served == made


def test_too_many_sign_ins_are_answered_with_429(owned: Owned) -> None:
    """From an address of its own, so that no other test's owner is held up; 415, since it sends no form."""
    owned.machine.run(AT_REST, seconds=300)
    given = json.dumps(["https://127.0.0.1", "127.0.0.9", CA, 30])
    command = f"cat >/run/crowd.py <<'E'\n{CROWD}E\n/opt/bpci/bin/python /run/crowd.py <<'E'\n{given}\nE"
    said = json.loads(owned.machine.run(command, seconds=300))
    assert set(said) == {415, 429}, said
    assert said.count(415) < 20, "a burst of six, and one more each six seconds"


def test_a_place_with_a_limit_of_its_own_keeps_that_of_all_requests(play: Play) -> None:
    """What a location names takes the place of what its server names. Source: ngx_http_limit_req_module, limit_req."""
    text = (play.root / "etc/nginx/bpci.conf").read_text()
    places = re.findall(r"^    location ([^{]+) \{(.*?)^    \}", text, re.MULTILINE | re.DOTALL)
    limited = {name: re.findall(r"limit_req zone=(\w+)", body) for name, body in places if "limit_req " in body}
    assert limited == {"= /sign-in": ["all", "sign_in"]}
    assert "limit_req zone=all burst=60 nodelay;" in text.partition("location")[0]


def test_addresses_of_one_household_are_counted_as_one(play: Play) -> None:
    """A /64 network of IPv6, however many zeros its text leaves out, and a single address of IPv4."""
    text = (play.root / "etc/nginx/bpci.conf").read_text()
    found = re.search(
        r'map \$binary_remote_addr \$source \{\s*default \$binary_remote_addr;\s*"~([^"]+)" \$network;', text
    )
    assert found
    pattern = re.compile(found[1].replace("\\z", "\\Z").encode())  # the end of a text, as Python calls it

    def counted(address: str) -> bytes:
        match = pattern.search(ip_address(address).packed)
        return match["network"] if match else ip_address(address).packed

    for pair in (
        ("fd00::a:0:0:1", "fd00::b:c:d:e"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1"),
        ("fe80::a", "fe80::1b"),
    ):
        assert len({counted(address) for address in pair}) == 1, pair
    for pair in (("fd00:0:0:1::1", "fd00:0:0:2::1"), ("192.0.2.10", "192.0.2.11"), ("10.0.0.10", "10.10.10.10")):
        assert len({counted(address) for address in pair}) == 2, pair
