import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.widgets import Input

from bpci_node.network.client import NodeClient
from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner, did_of
from bpci_node.setup.answers import RestoreAnswers
from bpci_node.setup.trial import TRIAL_UNIT, restore
from bpci_node.setup.turn import COMPLETE, JOURNAL, Turn
from bpci_tui.app import Wizard
from tests.unit.setup.conftest import CHECKS, KEY, PASSWORD, PHRASE
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.tui.driving import Hands, drive

MakeWizard = Callable[..., Wizard]


def written(machine: SimulatedMachine) -> list[str]:
    """Return the files that set-up has written, but for those under ``/run``."""
    before = ("usr", "sys", "proc", "run", "n")
    found = (path.relative_to(machine.root) for path in machine.root.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] not in before)


def test_enter_leads_from_the_first_screen_to_a_registered_node(
    make_wizard: MakeWizard, machine: SimulatedMachine
) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_review()
        assert written(machine) == ["etc/hosts", "etc/passwd"]  # nothing before the review is agreed to
        await hands.press("enter")
        await hands.sees("This node is set up and registered")
        shown = await hands.sees("http://192.0.2.7:8545")
        assert did_of(LocalSigner(derive_keys(PHRASE).node).public_key) in shown
        await hands.press("enter")

    assert drive(make_wizard(), acts) == 0
    assert machine.system.exists(COMPLETE)
    with NodeClient(machine.url) as client:
        assert client.status()["node"]["registered"]
    for path in machine.root.rglob("*"):
        if path.is_file() and not path.is_relative_to(machine.node_directory):
            assert PHRASE.strip().encode() not in path.read_bytes()
            assert PASSWORD.encode() not in path.read_bytes()


def test_every_screen_has_its_place_in_the_title_line(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_review()
        titles = []
        for _ in range(9):
            titles.append(hands.text().splitlines()[0].split("OS")[1].strip())
            await hands.press("escape")
        assert titles == [
            "Step 8 of 9 · Review",
            "Step 7 of 9 · Ledger",
            "Step 6 of 9 · Node",
            "Step 5 of 9 · Identity",
            "Step 5 of 9 · Identity",
            "Step 5 of 9 · Identity",
            "Step 4 of 9 · Owner",
            "Step 3 of 9 · Network",
            "Step 2 of 9 · Hardware",
        ]

    drive(make_wizard(), acts)


def test_going_back_keeps_what_was_typed(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_owner()
        await hands.press("a", "d", "a", "tab")
        await hands.type(PASSWORD)
        await hands.press("escape")
        await hands.sees("· Network")
        await hands.press("enter")
        await hands.sees("· Owner")
        screen = hands.pilot.app.screen
        assert screen.query_one("#owner", Input).value == "ownerada"
        assert screen.query_one("#password", Input).value == PASSWORD

    drive(make_wizard(), acts)


def test_no_line_is_longer_than_the_screen_and_the_keys_are_on_the_last_one(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_review()
        for _ in range(10):
            lines = hands.text().splitlines()
            assert len(lines) == 24
            assert max(map(len, lines)) <= 80
            assert "Enter" in lines[-1]
            await hands.press("escape")

    drive(make_wizard(), acts)


def test_ssh_keys_are_added_one_line_at_a_time(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_owner()
        await hands.press("enter")
        await hands.type(PASSWORD)
        for character in PASSWORD:
            await hands.press("space" if character == " " else character)
        await hands.press("tab", "tab")
        await hands.type("not a key")
        await hands.sees("not an SSH public key")
        hands.pilot.app.screen.query_one("#key", Input).value = ""
        await hands.type(KEY)
        await hands.sees("Added")
        await hands.press("enter")
        await hands.sees("· Identity")
        assert hands.pilot.app.draft.ssh_keys == [KEY]  # type: ignore[attr-defined]

    drive(make_wizard(), acts)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("correct horse", "are not the same"),
        ("", "are not the same"),
    ],
)
def test_two_different_passwords_do_not_pass(make_wizard: MakeWizard, typed: str, answer: str) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_owner()
        await hands.press("enter")
        await hands.type(PASSWORD)
        await hands.type(typed)
        await hands.sees(answer)
        await hands.sees("· Owner")

    drive(make_wizard(), acts)


def test_a_phrase_that_was_not_written_down_is_noticed(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_identity()
        await hands.press("enter")
        await hands.sees("Write these 24 words")
        await hands.press("enter")
        await hands.type("zebra")
        await hands.sees("not word 3")
        await hands.press("escape")
        await hands.sees("24 art")  # the same words again

    drive(make_wizard(), acts)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("abandon zebra", "this one has 2"),
        ("abandon " * 23 + "xylophon", "Word 24"),
        ("abandon " * 24, "checksum is wrong"),
    ],
)
def test_a_wrong_recovery_phrase_says_what_is_wrong_with_it(
    make_wizard: MakeWizard, machine: SimulatedMachine, typed: str, answer: str
) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_identity()
        await hands.press("down", "enter")
        await hands.sees("Type the 24 words")
        await hands.type(typed)
        await hands.sees(answer)
        await hands.sees("· Identity")

    drive(make_wizard(), acts)
    assert written(machine) == ["etc/hosts", "etc/passwd"]


def test_a_phrase_is_restored_from_the_beginnings_of_its_words(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_identity()
        await hands.press("down", "enter")
        await hands.sees("Type the 24 words")
        await hands.type("aban " * 23 + "art")
        await hands.sees("· Node")
        assert hands.pilot.app.draft.phrase == PHRASE.strip()  # type: ignore[attr-defined]

    drive(make_wizard(), acts)


def test_a_restored_identity_goes_on_from_a_backup(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_identity()
        await hands.press("down", "enter")
        await hands.sees("Type the 24 words")
        await hands.press("tab")
        await hands.press(*"/media/stick/backups", "tab", "down", "shift+tab", "shift+tab")
        await hands.type("aban " * 23 + "art")
        await hands.sees("· Node")
        wanted = RestoreAnswers("/media/stick/backups", "latest", take_over_ledger=True)
        assert hands.pilot.app.draft.answers().restore == wanted  # type: ignore[attr-defined]

    drive(make_wizard(), acts)


def test_an_unreachable_registry_does_not_let_one_on(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_node()
        await hands.press("enter")
        await hands.sees("· Ledger")
        await hands.press("down", "down", "tab")
        await hands.type("http://127.0.0.1:9")
        await hands.sees("refused the connection")
        await hands.press("enter")
        await hands.sees("refused the connection")
        await hands.sees("· Ledger")

    drive(make_wizard(), acts)


def test_a_network_is_shown_before_it_is_joined(
    make_wizard: MakeWizard, machine: SimulatedMachine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = SimulatedMachine(tmp_path_factory.mktemp("m"))

    async def found(hands: Hands) -> None:
        await hands.to_review()
        await hands.press("enter")
        await hands.sees("set up and registered")

    async def acts(hands: Hands) -> None:
        await hands.to_node()
        await hands.press("enter")
        await hands.sees("· Ledger")
        await hands.press("down", "down", "tab")
        await hands.type(other.url)
        shown = await hands.sees("Enter joins it")
        assert "did:key:" in shown
        await hands.press("enter")
        await hands.sees("· Review")

    try:
        from bpci_tui.services import Services

        drive(
            Wizard(
                Services(
                    other.system,
                    Turn(other.system, "tty1"),
                    checks=CHECKS,
                    entropy=bytes,
                    positions=lambda: (3, 11, 24),
                    run_options=other.run_options,
                )
            ),
            found,
        )
        drive(make_wizard(), acts)
    finally:
        other.stop()


def test_wifi_is_joined_before_going_on_and_kept_at_the_end(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    machine.add_radio()

    async def acts(hands: Hands) -> None:
        for title in ("Keyboard layout", "Checks finished", "Way out"):
            await hands.sees(title)
            await hands.press(*(("down", "down") if title == "Way out" else ()), "enter")
        await hands.sees("Attic WPA2")
        await hands.type("de")
        await hands.sees("Which network?")
        await hands.press("enter")
        await hands.sees("> Passphrase")
        machine.failing["systemctl restart wpa_supplicant@wlan0"] = "the radio is off"
        await hands.type("hidden behind 8 walls")
        await hands.sees("the radio is off")
        machine.failing.clear()
        machine.join_radio("192.0.2.9")
        await hands.press("enter")
        await hands.sees("· Owner")

    drive(make_wizard(), acts)
    assert "psk" in machine.system.read_text("/run/bpci-network/wlan0.conf")
    assert not machine.system.exists("/etc/wpa_supplicant")
    assert not any("hidden behind" in word for argv, _ in machine.calls for word in argv)


def test_a_fixed_address_is_in_force_before_it_is_kept(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    async def acts(hands: Hands) -> None:
        for title in ("Keyboard layout", "Checks finished"):
            await hands.sees(title)
            await hands.press("enter")
        await hands.sees("Way out")
        await hands.press("down", "tab", "tab")
        await hands.type("192.0.2.5/24")
        await hands.sees("Enter keeps it")
        assert machine.system.exists(TRIAL_UNIT)
        await hands.press("escape")
        await hands.sees("· Hardware")
        assert not machine.system.exists(TRIAL_UNIT)
        await hands.press("enter")
        await hands.sees("Way out")
        await hands.press("enter")
        await hands.sees("Enter keeps it")
        await hands.press("enter")
        await hands.sees("· Owner")
        assert machine.system.exists(TRIAL_UNIT)

    drive(make_wizard(), acts)


def test_enter_after_the_time_of_a_trial_tries_again(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    async def acts(hands: Hands) -> None:
        for title in ("Keyboard layout", "Checks finished"):
            await hands.sees(title)
            await hands.press("enter")
        await hands.sees("Way out")
        await hands.press("down", "tab", "tab")
        await hands.type("192.0.2.5/24")
        await hands.sees("Enter keeps it")
        assert restore(machine.system)
        await hands.press("enter")
        for _ in range(1000):
            if machine.system.exists(TRIAL_UNIT):
                break
            await hands.pilot.pause(0.02)
        assert "· Network" in await hands.sees("Enter keeps it")
        assert machine.system.exists(TRIAL_UNIT)

    drive(make_wizard(), acts)


def test_a_disk_that_is_too_small_is_named_and_not_offered(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    machine.boot_from_stick(("sdb", "Old SSD", 8))

    async def acts(hands: Hands) -> None:
        for title in ("Keyboard layout", "Checks finished", "Way out"):
            await hands.sees(title)
            await hands.press("enter")
        shown = await hands.sees("Step 4 of 10 · Disk")
        assert "Not offered: Old SSD, 8 GB: smaller than 16 GB" in shown
        assert shown.count("( )") == 0

    drive(make_wizard(), acts)


def test_a_disk_is_erased_only_after_its_size_was_typed(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    machine.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000))

    async def acts(hands: Hands) -> None:
        for title in ("Keyboard layout", "Checks finished", "Way out"):
            await hands.sees(title)
            await hands.press("enter")
        await hands.sees("· Disk")
        await hands.press("down", "enter")
        await hands.type("500 GB")
        await hands.sees("to confirm")
        await hands.sees("· Disk")
        hands.pilot.app.screen.query_one("#confirm", Input).value = ""
        await hands.type("1 TB")
        await hands.sees("· Owner")
        await hands.press("enter")
        await hands.type(PASSWORD)
        await hands.type(PASSWORD)
        await hands.sees("· Identity")
        await hands.press("enter")
        await hands.sees("Write these")
        await hands.press("enter")
        for word in ("abandon", "abandon", "art"):
            await hands.type(word)
        await hands.sees("· Node")
        await hands.press("enter")
        await hands.sees("· Ledger")
        await hands.press("enter")
        await hands.sees("EVERYTHING ON IT IS ERASED")
        await hands.press("enter")
        await hands.sees("Take the medium out")
        await hands.press("enter")

    assert drive(make_wizard(), acts) == 0
    assert machine.ran("systemctl", "--no-block", "reboot")
    assert not machine.system.exists(COMPLETE)


def test_a_failed_step_can_be_tried_again(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    machine.failing["useradd"] = "useradd: cannot lock /etc/passwd; try again later."

    async def acts(hands: Hands) -> None:
        await hands.to_review()
        await hands.press("enter")
        await hands.sees("cannot lock /etc/passwd")
        await hands.sees("Choose another login name")
        machine.failing.clear()
        await hands.press("enter")
        await hands.sees("set up and registered")

    drive(make_wizard(), acts)


def test_after_a_failure_an_answer_can_be_changed(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    machine.failing["useradd"] = "useradd: invalid user name"

    async def acts(hands: Hands) -> None:
        await hands.to_review()
        await hands.press("enter")
        await hands.sees("invalid user name")
        await hands.press("escape")
        await hands.sees("· Review")
        for _ in range(4):
            await hands.press("escape")
        await hands.sees("· Owner")
        machine.failing.clear()
        await hands.type("2")
        await hands.sees("are at rest on this machine already")
        for title in ("· Node", "· Ledger", "· Review"):
            await hands.press("enter")
            await hands.sees(title)
        await hands.sees("owner2")
        await hands.press("enter")
        await hands.sees("set up and registered")

    drive(make_wizard(), acts)


def test_an_interrupted_run_goes_on_with_its_answers_and_its_identity(
    make_wizard: MakeWizard, machine: SimulatedMachine
) -> None:
    machine.failing["systemctl restart"] = "Job for bpci-node.service failed."

    async def first(hands: Hands) -> None:
        await hands.to_review()
        await hands.press("enter")
        await hands.sees("bpci-node.service failed")

    async def second(hands: Hands) -> None:
        await hands.sees("An earlier run stopped")
        await hands.press("enter")
        await hands.sees("Checks finished")
        await hands.press("enter")
        for title in ("· Network", "· Owner", "· Identity", "· Node", "· Ledger", "· Review"):
            await hands.sees(title)
            await hands.press("enter")
        shown = await hands.sees("set up and registered")
        assert did_of(LocalSigner(derive_keys(PHRASE).node).public_key) in shown

    wizard = make_wizard()
    drive(wizard, first)
    assert machine.system.exists(JOURNAL)
    wizard.services.turn.give_up()  # as when the power goes
    machine.failing.clear()
    drive(make_wizard("tty1"), second)
    assert machine.system.exists(COMPLETE)


@pytest.fixture
def elsewhere(machine: SimulatedMachine) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the turn, and lets go when it is asked to."""
    program = (
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "from bpci_node.setup.system import System\n"
        "from bpci_node.setup.turn import Turn\n"
        f"turn = Turn(System(Path({str(machine.root)!r})), 'tty1')\n"
        "signal.signal(signal.SIGUSR1, lambda *_: turn.give_up())\n"
        "assert turn.take()\n"
        "for line in sys.stdin:\n"
        "    turn.note(is_writing=line.strip() == 'write')\n"
        "    print('noted', flush=True)\n"
    )
    appliance = Path(__file__).parents[3] / "appliance"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(appliance)},
    )
    tell(process, "ask")
    yield process
    process.kill()
    process.communicate()


def tell(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "noted\n"


def test_a_second_console_says_where_set_up_runs_and_can_take_over(
    make_wizard: MakeWizard, elsewhere: subprocess.Popen[str]
) -> None:
    async def acts(hands: Hands) -> None:
        await hands.sees("Set-up runs on tty1")
        await hands.press("enter")
        await hands.sees("nothing is written yet")
        tell(elsewhere, "write")
        await hands.sees("writes what was agreed to")
        await hands.press("t")
        await hands.sees("taken over when that has ended")
        tell(elsewhere, "ask")
        await hands.sees("nothing is written yet")
        await hands.press("t")
        await hands.sees("Keyboard layout")
        await hands.press("enter")
        await hands.sees("· Hardware")

    drive(make_wizard(), acts)


def test_when_set_up_completes_elsewhere_this_console_ends(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    async def acts(hands: Hands) -> None:
        await hands.sees("Keyboard layout")
        machine.system.write(COMPLETE, "")
        end = time.monotonic() + 10
        while hands.pilot.app.return_value is None and time.monotonic() < end:
            await hands.pilot.pause(0.05)

    assert drive(make_wizard(), acts) == 0


def test_a_fault_of_ours_shows_no_variable(make_wizard: MakeWizard, capsys: pytest.CaptureFixture[str]) -> None:
    wizard = make_wizard()

    async def acts(hands: Hands) -> None:
        await hands.to_owner()
        await hands.press("enter")
        await hands.type(PASSWORD)
        wizard.screen.say = lambda _text: (_ for _ in ()).throw(RuntimeError("a fault"))  # type: ignore[attr-defined]
        await hands.press("enter")
        await hands.pilot.pause(0.2)

    with pytest.raises(RuntimeError, match="a fault"):
        drive(wizard, acts)
    said = capsys.readouterr()
    assert "RuntimeError" in said.out + said.err
    assert PASSWORD not in said.out + said.err
