"""The page of the machine: its forms, before the helper of a machine in a directory."""
# ruff: noqa: F811 - a fixture that comes from another file

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpci_node.gateway.web.app import WebFace, web_app
from bpci_node.gateway.web.desk import Desk
from bpci_node.gateway.web.helper import MachineHelper
from bpci_node.gateway.web.pages import Pages
from bpci_node.gateway.web.sources import Sources
from bpci_node.gateway.web.upkeep import TOLD
from bpci_node.setup.acts import record
from bpci_node.setup.acts.commands import BUNDLE
from bpci_node.setup.acts.request import ACTS
from bpci_node.setup.acts.runner import carry_out
from tests.unit.gateway.web.test_app import FROM_HERE, Client, desk, results, send, sign_in  # noqa: F401
from tests.unit.setup.acts.machine import PASSWORD, Machine

FORMS = re.compile(r'<form action="(/machine/[a-z]+)" method="post">(.*?)</form>', re.DOTALL)
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202eevil"


@pytest.fixture
def machine() -> Iterator[Machine]:
    # A Unix socket's path has at most 108 characters.
    with tempfile.TemporaryDirectory(prefix="m") as directory:
        yield Machine(Path(directory))


@pytest.fixture
def client(desk: Desk, machine: Machine, tmp_path: Path) -> Iterator[Client]:
    nowhere = Sources(tmp_path / "none.sock", tls=tmp_path, textfiles=tmp_path, alerts="http://127.0.0.1:1")
    path = machine.system.path("/act.sock")
    face = WebFace(desk, Pages("attic"), nowhere, MachineHelper(path))
    with asyncio.Runner() as runner, machine.listening(path):
        yield Client(web_app(face), runner)
        runner.run(nowhere.close())


def says(machine: Machine, text: str, status: int = 0) -> None:
    """Let what is started say this, and end."""
    program = (sys.executable, "-c", f"import sys; sys.stdout.buffer.write({text.encode()!r}); sys.exit({status})")
    machine.starts = lambda lane: (carry_out(machine.directory, lane, program=program, pauses=False), None)[1]


def started(machine: Machine) -> list[str]:
    return [call[-1] for call in machine.calls if call[:2] == ("systemctl", "start")]


@pytest.mark.parametrize("name", ["bob", "eve"])
def test_who_is_no_owner_neither_sees_it_nor_does_anything(
    client: Client,
    desk: Desk,
    machine: Machine,
    name: str,
) -> None:
    sign_in(client, name)
    assert "/machine" not in client.get("/password").text
    assert [client.get(path).status_code for path in ("/machine", "/machine/bundle")] == [403, 403]
    for act in (*TOLD, "logs"):
        assert send(client, f"/machine/{act}", password=PASSWORD, lines="5").status_code == 403, act
    assert {item[2] for item in results(desk)[1:]} == {"access.role"}
    assert machine.calls == []


def test_every_act_has_a_form_and_those_that_change_something_ask_for_the_password(
    client: Client, machine: Machine
) -> None:
    for lane in ("plan", "repair", "power"):
        done = record.begun({"power": "restart"}.get(lane, lane)).ended(0, "said")
        record.write(machine.directory, lane, done)
    (machine.system.root / "sys/class/net/wlan0/wireless").mkdir(parents=True)
    (machine.system.root / "sys/class/net/wlan0/device").mkdir()
    sign_in(client, "ada")
    text = client.get("/machine").text
    forms = FORMS.findall(text)
    there = {path.rpartition("/")[2] for path, _ in forms}
    assert there == {*TOLD, "logs"} - {"confirm", "restore"}, "those are there while something is on trial"
    for path, body in forms:
        assert "form_token" in body
        needs = ACTS[path.rpartition("/")[2]].needs_password
        assert ('type="password"' in body and 'name="password"' in body) == needs, path
    assert len(re.findall(r' id="([^"]+)"', text)) == len(set(re.findall(r' id="([^"]+)"', text)))
    assert "reset" in text
    assert "<script" not in text


def test_a_wrong_password_is_told_and_recorded_and_kept_nowhere(
    client: Client,
    desk: Desk,
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sign_in(client, "ada")
    assert send(client, "/machine/restart", password="wrong horse battery").status_code == 303
    assert "not the password of the machine" in client.get("/machine").text
    assert results(desk)[-2:] == [("ada", "machine.restart", "begun"), ("ada", "machine.restart", "access.password")]
    send(client, "/machine/restart", password=PASSWORD)
    assert "too many wrong passwords" in client.get("/machine").text
    assert results(desk)[-1] == ("ada", "machine.restart", "limit.sign_in")
    assert started(machine) == []
    assert "horse" not in caplog.text
    assert "horse" not in "".join(path.read_text() for path in desk.directory.iterdir() if "account" not in path.name)


def test_a_time_zone_is_set_and_one_that_is_refused_is_told(client: Client, desk: Desk, machine: Machine) -> None:
    sign_in(client, "ada")
    says(machine, "the time zone is UTC\n")
    reply = send(client, "/machine/timezone", zone=" UTC ", password=PASSWORD)
    assert reply.headers["location"] == "/machine#places"
    assert "The time zone is set." in client.get("/machine").text
    says(machine, "error: there is no time zone Moon on this machine\nhint: other\n", status=3)
    send(client, "/machine/timezone", zone="Moon", password=PASSWORD)
    assert "there is no time zone Moon" in client.get("/machine").text
    assert results(desk)[-1] == ("ada", "machine.timezone", "host.act")


def test_what_a_repair_would_do_stands_before_the_repair(client: Client, machine: Machine) -> None:
    sign_in(client, "ada")
    assert 'action="/machine/repair"' not in client.get("/machine").text
    says(machine, "files.mode: this would be done\n  - close it\n", status=1)
    send(client, "/machine/plan")
    text = client.get("/machine").text
    assert "this would be done" in text
    assert 'action="/machine/repair"' in text
    assert 'class="bad"' not in text, "findings are no failure"
    says(machine, "lost: nothing")
    send(client, "/machine/repair", password=PASSWORD)
    assert "lost: nothing" in client.get("/machine").text
    assert started(machine) == ["bpci-act-run@plan.service", "bpci-act-run@repair.service"]


def test_what_programs_say_is_text_on_the_page(client: Client, machine: Machine) -> None:
    sign_in(client, "ada")
    says(machine, HOSTILE)
    send(client, "/machine/look")
    whole = machine.run
    machine.system = type(machine.system)(
        machine.system.root,
        lambda argv, given: (
            type(whole(argv, given))(0, HOSTILE.encode(), "") if argv[0] == "journalctl" else whole(argv, given)
        ),
    )
    pages = [client.get("/machine"), send(client, "/machine/logs", unit="", lines="5")]
    for page in pages:
        assert page.status_code == 200
        assert "&lt;script&gt;alert(1)" in page.text
        assert "<span class=hidden>U+202E</span>evil" in page.text
        assert "\x1b" not in page.text


def test_logs_are_of_a_unit_and_bounded(client: Client, desk: Desk, machine: Machine) -> None:
    sign_in(client, "ada")
    reply = send(client, "/machine/logs", unit=" bpci-node ", lines="500")
    assert reply.status_code == 200
    assert 'value="bpci-node"' in reply.text
    assert any("--unit=bpci-node" in call for call in machine.calls)
    for unit, lines, code in (("", "501", "usage.lines"), ("", "²", "usage.lines"), ("--root=/", "5", "format.act")):
        assert send(client, "/machine/logs", unit=unit, lines=lines).headers["location"] == "/machine#logs"
        assert results(desk)[-1] == ("ada", "machine.logs", code)
    assert send(client, "/machine/logs").headers["location"] == "/machine#logs"


def test_the_log_of_actions_names_the_network_and_not_its_passphrase(
    client: Client,
    desk: Desk,
    machine: Machine,
) -> None:
    sign_in(client, "ada")
    says(machine, "on trial")
    form = {"mode": "wifi", "ssid": "Attic", "country": "de", "passphrase": "a long secret", "password": PASSWORD}
    assert send(client, "/machine/try", **form).headers["location"] == "/machine#network"
    text = (desk.directory / "actions.log").read_text()
    assert '"about":"wifi Attic"' in text
    assert "secret" not in text
    assert "a long secret" not in client.get("/machine").text


def test_the_bundle_is_a_file_to_keep(client: Client, desk: Desk, machine: Machine) -> None:
    sign_in(client, "ada")
    assert "not_found.bundle" in client.get("/machine/bundle").text
    data = os.urandom(200_000)
    machine.system.write(BUNDLE, data)
    record.write(machine.directory, "support", record.begun("support").ended(0, "made"))
    assert 'href="/machine/bundle"' in client.get("/machine").text
    reply = client.get("/machine/bundle")
    assert reply.content == data
    assert reply.headers["content-disposition"] == 'attachment; filename="bpci-support.tar.gz"'
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert results(desk)[-1] == ("ada", "machine.bundle", "done")


def test_forms_are_checked_as_all_are(client: Client, desk: Desk, machine: Machine) -> None:
    sign_in(client, "ada")
    before = results(desk)
    found = re.search(r'form_token" value="([0-9a-f]{64})"', client.get("/password").text)
    assert found
    genuine = {"form_token": found[1], "password": PASSWORD}
    for path in ("/machine/restart", "/machine/logs"):
        assert client.post(path, data=genuine, headers={"Origin": "https://evil"}).status_code == 403
        assert client.post(path, data={"password": PASSWORD}, headers=FROM_HERE).status_code == 403
    assert send(client, "/machine/reset", password=PASSWORD).status_code == 404
    assert send(client, "/machine/bundle", password=PASSWORD).status_code == 404
    assert results(desk) == before
    assert started(machine) == []


def test_a_machine_without_a_helper_is_shown_as_such(client: Client, machine: Machine) -> None:
    machine.system.path("/act.sock").unlink()
    sign_in(client, "ada")
    page = client.get("/machine")
    assert page.status_code == 200
    assert "the machine does not answer" in page.text
