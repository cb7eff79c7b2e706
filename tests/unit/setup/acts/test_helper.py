"""The helper on a machine in a directory: who asks, the password, the throttle, and what becomes of an act."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checks
from hypothesis import strategies as st

from bpci_node.errors import BpciError
from bpci_node.setup import settings
from bpci_node.setup.acts import helper, record
from bpci_node.setup.acts.commands import BUNDLE
from bpci_node.setup.acts.guard import LONGEST_SECONDS
from bpci_node.setup.acts.request import LANES, MAX_ANSWER, Request
from bpci_node.setup.acts.runner import carry_out, request_path
from bpci_node.setup.system import Finished, System
from tests.unit.setup.acts.machine import HASH, PASSWORD, Machine

ECHO = (sys.executable, "-c", "import sys; print(sys.argv[1:], sys.stdin.read())")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def code(answer: dict[str, Any]) -> str:
    return str(answer["problem"]["code"])


def test_the_kernel_says_who_asks(machine: Machine) -> None:
    answer, _ = machine.send(Request("state").encode(), users={os.getuid() + 1})
    assert code(answer) == "access.peer"
    assert machine.ask("state")["owner"] == "ada"


@given(data=st.binary(max_size=200))
@checks(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_any_bytes_get_an_answer_and_start_nothing(machine: Machine, data: bytes) -> None:
    machine.calls.clear()
    answer, _ = machine.send(data + b"\n")
    assert code(answer).startswith("format.")
    assert machine.calls == []


def test_a_line_that_never_ends_is_cut_off(machine: Machine) -> None:
    assert code(machine.send(b"x" * 9000)[0]) == "format.act"
    assert code(machine.send(b'{"v":1')[0]) == "format.act"
    assert code(machine.send(b"")[0]) == "format.act"


def test_a_wrong_password_starts_nothing_and_each_further_one_waits_longer(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    assert code(machine.ask("repair", password="wrong horse")) == "access.password"
    assert not any(call[:2] == ("systemctl", "start") for call in machine.calls)
    waits = []
    for _ in range(9):
        answer = machine.ask("repair", password=PASSWORD)
        assert code(answer) == "limit.sign_in", "the right one has to wait as well"
        waits.append(answer["problem"]["details"]["retry_after_seconds"])
        machine.now += waits[-1] + 1
        assert code(machine.ask("repair", password="wrong horse")) == "access.password"
    assert waits == sorted(waits)
    assert waits[-1] <= LONGEST_SECONDS + 1
    machine.now += waits[-1] + 1
    assert machine.ask("repair", password=PASSWORD)["run"]["state"] == "cut", "no unit was there to run it"
    assert code(machine.ask("repair", password="wrong horse")) == "access.password", "and the count began anew"
    assert "horse" not in caplog.text


def test_an_interrupted_check_counts(machine: Machine) -> None:
    """Whoever cuts the connection before the answer has had a try."""
    machine.guard()._take()
    with pytest.raises(BpciError, match="too many"):
        machine.guard().check(PASSWORD)


def test_a_locked_account_and_a_machine_without_an_owner_have_no_password(machine: Machine) -> None:
    for text in (f"ada:!{HASH}:1:::", "ada::1:::", "ada", "", f"adah:{HASH}:1:::"):
        machine.system.write("/etc/shadow", text)
        machine.now += 1000
        assert code(machine.ask("repair", password="")) == "host.owner"
    machine.system.remove(settings.PATH)
    machine.now += 1000
    assert code(machine.ask("repair", password=PASSWORD)) == "host.owner"


def test_logs_are_read_without_a_password_and_by_arguments_that_are_no_options(machine: Machine) -> None:
    assert machine.ask("logs", {"unit": "bpci-*"}, lines=7)["text"] == "a \x1b[31mline\n"
    assert machine.calls[-1][-1] == "--unit=bpci-*"
    assert "--lines=7" in machine.calls[-1]


def test_an_act_is_carried_out_by_another_unit_and_its_end_is_told(machine: Machine) -> None:
    machine.starts = lambda lane: (carry_out(machine.directory, lane, program=ECHO, pauses=False), None)[1]
    run = machine.ask("keyboard", {"layout": "de"}, PASSWORD)["run"]
    assert (run["act"], run["state"], run["status"]) == ("keyboard", "ended", 0)
    assert run["output"] == "['machine', 'keyboard', '--', 'de']"
    assert machine.ask("state")["runs"]["places"] == run
    assert not request_path(machine.directory, "places").exists()


def test_passwords_and_passphrases_are_in_no_record(machine: Machine) -> None:
    seen: list[str] = []

    def starts(lane: str) -> None:
        seen.append(request_path(machine.directory, lane).read_text())
        assert request_path(machine.directory, lane).stat().st_mode & 0o777 == 0o600
        silent = (sys.executable, "-c", "import sys; print(len(sys.stdin.read()), 'secret' in str(sys.argv))")
        carry_out(machine.directory, lane, program=silent, pauses=False)

    machine.starts = starts
    values = dict.fromkeys(("interface", "address", "gateway", "dns", "address6", "gateway6"), "")
    values |= {"mode": "wifi", "ssid": "Attic", "country": "de", "passphrase": "a secret"}
    machine.ask("try", values, PASSWORD)
    found = record.read(machine.directory, "network")
    assert found is not None
    assert found.output == "9 False"
    assert PASSWORD not in seen[0]
    left = "".join(path.read_text() for path in machine.directory.iterdir())
    assert PASSWORD not in left
    assert "secret" not in left


def test_two_of_a_kind_do_not_run_at_once(machine: Machine) -> None:
    machine.active = "activating"
    assert code(machine.ask("repair", password=PASSWORD)) == "limit.act"
    machine.active = "inactive"
    assert "run" in machine.ask("repair", password=PASSWORD)


def test_what_was_killed_is_shown_as_cut_off(machine: Machine) -> None:
    record.write(machine.directory, "repair", record.begun("repair"))
    assert machine.ask("state")["runs"]["repair"]["state"] == "cut"
    machine.active = "activating"
    assert machine.ask("state")["runs"]["repair"]["state"] == "running"


def test_much_that_is_said_is_kept_to_its_end(machine: Machine) -> None:
    request_path(machine.directory, "repair").write_bytes(Request("repair").encode())
    loud = (sys.executable, "-c", "print('x' * 300_000, 'the end \\udc1b\\x1b'.encode('utf-8', 'replace').decode())")
    assert carry_out(machine.directory, "repair", program=loud, pauses=False) == 0
    found = record.read(machine.directory, "repair")
    assert found is not None
    assert len(found.output) <= record.MAX_OUTPUT
    assert "the end" in found.output


def test_whatever_was_said_the_answer_has_its_bounds(machine: Machine) -> None:
    for lane in LANES:
        record.write(machine.directory, lane, record.begun("plan").ended(0, "\x01" * record.MAX_OUTPUT))
    answering = machine.helper({os.getuid()})
    answer = answering._answer(Request("state"))
    assert len(answer["runs"]) == len(LANES)
    assert len(json.dumps(answer)) < MAX_ANSWER
    assert 6 * helper.MAX_LOG < MAX_ANSWER


def test_a_disk_that_takes_nothing_is_told(machine: Machine) -> None:
    shutil.rmtree(machine.directory)
    assert code(machine.ask("repair", password=PASSWORD)) == "storage.write"


def test_a_program_that_is_not_there_is_told(machine: Machine) -> None:
    request_path(machine.directory, "repair").write_bytes(Request("repair").encode())
    assert carry_out(machine.directory, "repair", program=("/nowhere/bpci",), pauses=False) == 127


def test_nothing_runs_that_was_not_asked_for(machine: Machine) -> None:
    with pytest.raises(BpciError, match="nothing was asked for"):
        carry_out(machine.directory, "repair")
    request_path(machine.directory, "repair").write_bytes(Request("restart").encode())
    with pytest.raises(BpciError, match="another lane"):
        carry_out(machine.directory, "repair")


def test_a_bundle_is_handed_out_when_it_is_finished_and_for_an_hour(machine: Machine) -> None:
    assert code(machine.ask("bundle")) == "not_found.bundle"
    data = os.urandom(300_000)
    machine.system.write(BUNDLE, data)
    assert code(machine.ask("bundle")) == "not_found.bundle", "nobody has said that it is whole"
    done = record.begun("support").ended(0, "")
    record.write(machine.directory, "support", done)
    answer, rest = machine.send(Request("bundle").encode())
    assert answer["bytes"] == len(data)
    assert rest == data
    old = record.Record("support", "ended", 1, 1 + done.ended_ms - helper.BUNDLE_SECONDS * 1000 - 10_000)
    record.write(machine.directory, "support", old)
    assert machine.ask("state")["bundle"] == 0
    assert not machine.system.exists(BUNDLE)


def test_a_unit_that_can_not_be_started_leaves_nothing_behind(machine: Machine) -> None:
    whole = machine.run

    def fails(argv: Sequence[str], stdin: bytes) -> Finished:
        return Finished(1, b"", "no such unit") if "start" in argv else whole(argv, stdin)

    machine.system = System(machine.system.root, fails)
    assert code(machine.ask("repair", password=PASSWORD)) == "host.command"
    assert record.read(machine.directory, "repair") is None
    assert not request_path(machine.directory, "repair").exists()
