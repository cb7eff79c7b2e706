import os
import signal
from pathlib import Path

import pytest

from bpci_node.setup.console import Progress, follow, is_main_console, take_first_turn
from bpci_node.setup.system import System
from bpci_node.setup.turn import COMPLETE, JOURNAL, Turn, goes_on, is_complete


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_only_one_console_has_the_turn_and_the_others_know_which(system: System) -> None:
    first, second = Turn(system, "tty1"), Turn(system, "ttyS0")
    assert first.take()
    assert first.take()
    assert not second.take()
    holder = second.holder()
    assert holder is not None
    assert (holder.console, holder.pid, holder.is_writing) == ("tty1", os.getpid(), False)
    assert first.holder() is None
    first.note(is_writing=True)
    assert not second.ask_to_leave()
    first.give_up()
    assert second.holder() is None
    assert second.take()
    second.give_up()


def test_the_holder_is_asked_by_a_signal(system: System) -> None:
    first, second = Turn(system, "tty1"), Turn(system, "ttyS0")
    asked = []
    before = signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    try:
        first.take()
        assert second.ask_to_leave()
        signal.sigtimedwait([], 0.1)
    finally:
        signal.signal(signal.SIGUSR1, before)
        first.give_up()
    assert asked == [True]


def test_a_file_that_says_nonsense_lets_nobody_take_over(system: System) -> None:
    first, second = Turn(system, "tty1"), Turn(system, "ttyS0")
    first.take()
    (system.root / "run/bpci-setup/turn").write_text("{")
    assert not second.ask_to_leave()
    first.give_up()


@pytest.mark.parametrize(
    ("active", "terminal", "is_main"),
    [("tty0 ttyS0", "ttyS0", True), ("tty0 ttyS0", "tty1", False), ("ttyS0 tty0", "tty1", True), ("", "tty1", True)],
)
def test_the_last_console_of_the_kernel_is_the_main_one(
    system: System, active: str, terminal: str, *, is_main: bool
) -> None:
    system.write("/sys/class/tty/console/active", active + "\n")
    assert is_main_console(system, terminal) is is_main


def test_the_other_consoles_leave_the_first_turn_to_the_main_one_and_follow_it(system: System) -> None:
    system.write("/sys/class/tty/console/active", "tty0 ttyS0\n")
    main, other = Turn(system, "ttyS0"), Turn(system, "tty1")
    assert take_first_turn(system, main)
    assert not take_first_turn(system, other)
    progress = Progress(system)
    progress.line("[setup] 1/11 first")
    main.give_up()
    shown: list[str] = []
    follow(system, other, shown.append)
    assert shown == ["[setup] 1/11 first"]


def test_a_machine_that_is_set_up_gives_no_turn(system: System) -> None:
    system.write(COMPLETE, "")
    assert is_complete(system)
    assert not take_first_turn(system, Turn(system, "tty1"))


@pytest.mark.parametrize(("text", "way"), [("{}", ""), ('{"goes_on": "wizard"}', "wizard"), ("{", ""), ("[]", "")])
def test_how_set_up_goes_on_is_read_from_the_journal(system: System, text: str, way: str) -> None:
    system.write(JOURNAL, text)
    assert goes_on(system) == way


def test_without_a_journal_nothing_goes_on(system: System) -> None:
    assert goes_on(system) == ""
