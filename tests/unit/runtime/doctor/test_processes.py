"""Units, ports, clock and memory."""

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.errors import FormatError, HostError
from bpci_node.host.kernel_clock import KernelClock
from bpci_node.host.listeners import Holder, bind_failure, holder_of
from bpci_node.host.pressure import Pressure, read_kills, read_pressure
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.host.units import read_units
from bpci_node.runtime.config import ApiSection, NodeConfig
from bpci_node.runtime.doctor import clock, memory, port, unit
from bpci_node.runtime.doctor.patient import MACHINE_STATE, Patient
from bpci_node.runtime.doctor.registry import Answer
from bpci_node.setup.system import Finished, System
from bpci_node.store.database import DirectoryLock
from tests.unit.runtime.doctor.conftest import Commands

FAILED = b"""[{"unit":"bpci-node.service","load":"loaded","active":"failed","sub":"failed","description":"BPCI node"},
{"unit":"nginx.service","load":"loaded","active":"failed","sub":"failed","description":"A web server"}]"""


def managed(tmp_path: Path, config: NodeConfig, answers: dict[str, Finished]) -> tuple[System, NodeConfig, Commands]:
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    commands = Commands(answers)
    return System(tmp_path / "root", commands), replace(config, state_dir=MACHINE_STATE), commands


def test_failed_units_are_found_and_ours_are_restarted(
    tmp_path: Path, config: NodeConfig, patient: Callable[..., Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = b"LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=watchdog\nNRestarts=6\n"
    system, own, commands = managed(
        tmp_path,
        config,
        {"systemctl list-units": Finished(0, FAILED, ""), "systemctl show": Finished(0, shown, "")},
    )
    who = patient(system=system, config=own, status={}, pid=1)
    issues = unit.NODE_UNIT.examine(who).issues
    assert [(item.code, item.subject, item.verdict) for item in issues] == [
        ("unit.failed", "bpci-node.service", Verdict.FAIL),
        ("unit.failed", "nginx.service", Verdict.WARN),
        ("unit.restarts", "bpci-node.service", Verdict.WARN),
    ]
    monkeypatch.setattr(unit, "is_root", lambda: True)
    repair = unit.NODE_UNIT.repairs["unit.failed"]
    assert repair.plan(who, issues[0])[1] == "systemctl restart bpci-node.service"
    assert repair.plan(who, issues[1]) == ()  # what is not ours is its owner's to restart
    commands.calls.clear()
    assert repair.carry_out(who, issues[0]).done == ("restarted bpci-node.service",)
    assert commands.calls[-1] == "systemctl is-active --quiet bpci-node.service"
    commands.answers["systemctl is-active"] = Finished(3, b"", "")
    with pytest.raises(HostError):
        repair.carry_out(who, issues[0])


def test_what_is_no_list_of_units_is_refused() -> None:
    for data in (b"", b"{}x", b'[{"unit": 1}]', b"[" * 100_000):
        with pytest.raises(FormatError):
            read_units(data)


def test_a_node_that_does_not_run_and_one_that_hangs_are_told_apart(patient: Callable[..., Patient]) -> None:
    def codes(**changes: object) -> list[str]:
        return [issue.code for issue in unit.NODE_UNIT.examine(patient(**changes)).issues]

    assert codes() == ["unit.stopped"]
    assert codes(pid=os.getpid()) == ["unit.silent"]
    assert codes(pid=os.getpid(), status={}) == []


def test_who_may_not_look_does_not_say_that_nobody_is_there(
    patient: Callable[..., Patient], config: NodeConfig
) -> None:
    DirectoryLock(config.state_dir).release()
    config.state_dir.chmod(0)
    looked_at = patient()
    user = os.geteuid()
    if user == 0:  # who may look everywhere
        os.seteuid(65_534)
    try:
        with pytest.raises(CouldNotTellError):
            unit.NODE_UNIT.examine(looked_at)
    finally:
        os.seteuid(user)


def test_a_port_that_is_really_taken_names_who_has_it(patient: Callable[..., Patient], config: NodeConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        taken = replace(config, api=ApiSection("127.0.0.1", number))
        issue = port.PORT.examine(patient(config=taken)).issues[0]
        assert issue.code == "port.taken"
        assert f"pid {os.getpid()}" in issue.what
        assert holder_of(number) == Holder(holder_of(number).name, os.getpid())  # type: ignore[union-attr]
        assert not port.PORT.examine(patient(config=taken, pid=os.getpid())).issues
    assert bind_failure("127.0.0.1", number) is None
    assert not port.PORT.examine(patient(config=taken)).issues


def test_an_address_that_this_machine_does_not_have_is_named(
    patient: Callable[..., Patient], config: NodeConfig
) -> None:
    foreign = replace(config, api=ApiSection("192.0.2.1", 20_000))
    assert port.PORT.examine(patient(config=foreign)).issues[0].code == "port.address"
    assert "another user" in port.judge("::", 80, errno.EADDRINUSE, None)[0].what


def steered(*, is_it: bool = True) -> Callable[[], KernelClock]:
    return lambda: KernelClock(synchronized=is_it, max_error_us=1)


def test_a_clock_is_wrong_when_most_registries_or_the_token_say_so() -> None:
    far, near = Answer("a", None, 60_000, 100), Answer("b", None, 10, 100)

    def codes(*answers: Answer, is_steered: bool = True, token_is_ahead: bool = False) -> list[str]:
        found = clock.judge(is_steered=is_steered, answers=answers, token_is_ahead=token_is_ahead)
        return [issue.code for issue in found]

    assert codes() == []
    assert codes(far) == ["clock.wrong"]
    assert codes(far, near) == []
    assert codes(far, far, near) == ["clock.wrong"]
    assert codes(Answer("c", FormatError("x"), 60_000, 0)) == []
    assert codes(Answer("slow", None, 60_000, 60_000)) == []
    assert codes(token_is_ahead=True) == ["clock.wrong"]
    assert codes(is_steered=False) == ["clock.free"]


def test_the_kernel_or_the_service_manager_says_whether_the_clock_is_steered(patient: Callable[..., Patient]) -> None:
    assert clock.CLOCK.examine(patient(kernel_clock=steered())).text == "steered"
    assert clock.CLOCK.examine(patient(kernel_clock=steered(is_it=False))).issues[0].code == "clock.free"
    asked = System(runner=Commands({"timedatectl": Finished(0, b"yes\n", "")}))
    assert clock.CLOCK.examine(patient(kernel_clock=None, system=asked)).text == "steered"
    absent = System(runner=Commands({"timedatectl": Finished(127, b"", "not found")}))
    with pytest.raises(CouldNotTellError):
        clock.CLOCK.examine(patient(kernel_clock=None, system=absent))


def test_chrony_names_the_source_that_it_follows(patient: Callable[..., Patient]) -> None:
    line = b"C0000201,time.example,2,1700000000.5,0.000001,0.0,0.0,1.0,0.0,0.0,0.01,0.001,64.2,Normal\n"
    follows = System(runner=Commands({"chronyc": Finished(0, line, "")}))
    assert clock.CLOCK.examine(patient(system=follows)).text == "steered by time.example"
    lost = b"00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"
    alone = System(runner=Commands({"chronyc": Finished(0, lost, "")}))
    found = clock.CLOCK.examine(patient(system=alone, kernel_clock=steered(is_it=False)))
    assert found.text == "not steered: chrony follows no source"
    assert found.issues[0].code == "clock.free"


def test_the_time_daemon_that_is_there_sets_the_clock(
    tmp_path: Path, config: NodeConfig, patient: Callable[..., Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "is_root", lambda: True)
    system, own, commands = managed(tmp_path, config, {})
    who = patient(system=system, config=own, kernel_clock=steered(is_it=False))
    issue = clock.judge(is_steered=False, answers=(), token_is_ahead=False)[0]
    repair = clock.CLOCK.repairs[issue.code]
    assert "the clock jumps" in repair.plan(who, issue)[-1]
    repair.carry_out(who, issue)
    assert commands.calls[-1] == "chronyc makestep"
    commands.answers["chronyc waitsync"] = Finished(1, b"", "no answer")
    commands.calls.clear()
    with pytest.raises(HostError):
        repair.carry_out(who, issue)
    assert "chronyc makestep" not in commands.calls
    commands.answers["systemctl cat"] = Finished(1, b"", "No files found")
    assert repair.plan(who, issue) == ()


def test_pressure_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text("some avg10=0.00 avg60=21.50 avg300=0.00 total=1\nfull avg10=0.00 avg60=3.09 avg300=0.00 total=0\n")
    assert read_pressure(path) == Pressure(215, 30)
    path.write_text("low 0\noom 3\noom_kill 2\n")
    assert read_pressure(path) is None
    assert read_kills(path) == 2
    assert read_kills(tmp_path / "absent") == 0


@pytest.mark.parametrize(
    ("pressure", "available", "kills", "found"),
    [
        (None, None, 0, []),
        (Pressure(199, 99), (5, 100), 0, []),
        (Pressure(200, 0), None, 0, [("memory.pressure", Verdict.WARN)]),
        (Pressure(200, 100), None, 0, [("memory.pressure", Verdict.FAIL)]),
        (None, (4, 100), 0, [("memory.low", Verdict.WARN)]),
        (None, None, 1, [("memory.killed", Verdict.WARN)]),
    ],
)
def test_memory_is_judged_by_what_waits_for_it(
    pressure: Pressure | None, available: tuple[int, int] | None, kills: int, found: list[tuple[str, Verdict]]
) -> None:
    assert [(issue.code, issue.verdict) for issue in memory.judge(pressure, available, kills)] == found


def test_this_machine_s_memory_can_be_told(patient: Callable[..., Patient], tmp_path: Path) -> None:
    assert "% left" in memory.MEMORY.examine(patient()).text
    with pytest.raises(CouldNotTellError):
        memory.MEMORY.examine(patient(system=System(tmp_path)))
