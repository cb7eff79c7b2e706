"""The wizard line by line."""

import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from bpci_node.network.client import NodeClient
from bpci_node.setup import trial
from bpci_node.setup.turn import COMPLETE, JOURNAL, Turn
from bpci_tui.asking import Terminal
from bpci_tui.draft import Draft
from bpci_tui.plain import LEFT, PlainWizard
from tests.unit.setup.conftest import KEY, PASSWORD
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.tui.driving import services_of

TO_OWNER = ("german", "Europe/Berlin", "", "", "")
"""Layout, time zone, hardware, address, machine's name."""
OWNER = ("ada", PASSWORD, PASSWORD, "", KEY, "")
REST = ("", "", "abandon", "abandon", "art", "Attic", "hybrid", "dev", "1", "home", "yes")
"""Identity, phrase written down, three words, node, type, profile, ledger, its name, review."""


def go(machine: SimulatedMachine, *typed: str | Callable[[], str]) -> tuple[int, str, list[str]]:
    """Answer with these lines; return status, what was said, and the prompts that asked without echo."""
    waiting, said, hidden = iter(typed), list[str](), list[str]()

    def read(prompt: str) -> str:
        said.append(prompt)
        try:
            answer = next(waiting)
            return answer() if callable(answer) else answer
        except StopIteration:
            raise EOFError from None

    def read_secret(prompt: str) -> str:
        hidden.append(prompt)
        return read(prompt)

    services = services_of(machine, Turn(machine.system, "ttyS0"))
    status = PlainWizard(services, Terminal(read, read_secret, said.append)).run()
    return status, "\n".join(said), hidden


def test_lines_lead_from_the_first_question_to_a_registered_node(machine: SimulatedMachine) -> None:
    status, said, hidden = go(machine, *TO_OWNER, *OWNER, *REST)
    assert status == 0, said
    assert machine.system.exists(COMPLETE)
    assert "This node is set up and registered." in said
    assert said.endswith("Press Enter to finish: ")
    assert "Step 8 of 9 · Review" in said
    assert "\x1b" not in said
    assert PASSWORD not in said
    assert [prompt.split(":")[0] for prompt in hidden] == [
        "Password",
        "Password again",
        "Web password, empty for the same",
    ]
    with NodeClient(machine.url) as client:
        assert client.status()["node"]["name"] == "Attic"
    assert machine.system.path("/etc/localtime").readlink().as_posix().endswith("Europe/Berlin")


def test_nothing_is_written_when_one_leaves_before_the_review(machine: SimulatedMachine) -> None:
    status, said, _ = go(machine, *TO_OWNER, *OWNER, *REST[:-1], "no", "YES please")
    assert status == LEFT
    assert "Nothing is written yet" in said
    assert not machine.system.exists("/etc/bpci")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (("martian",), "type a number from 1 to 22"),
        (("1", "Mars/Olympus"), "no such time zone"),
        ((*TO_OWNER[:4], "Attic!"), "A machine's name has"),
        ((*TO_OWNER, "ada", PASSWORD, "other", ""), "The two passwords are not the same"),
        ((*TO_OWNER, *OWNER[:4], "ssh-dss AAAA"), "not an SSH public key"),
        ((*TO_OWNER, *OWNER, "", "", "zebra", "abandon", "art"), "not word 3. < shows the words again"),
        ((*TO_OWNER, *OWNER, "2", "zebra zebra"), "this one has 2"),
        ((*TO_OWNER, *OWNER, *REST[:8], "3", "http://127.0.0.1:9", "<"), "refused the connection"),
    ],
    ids=["layout", "zone", "name", "passwords", "key", "word", "phrase", "registry"],
)
def test_a_wrong_answer_is_said_and_asked_for_again(
    machine: SimulatedMachine, typed: Sequence[str], answer: str
) -> None:
    status, said, _ = go(machine, *typed)
    assert status == LEFT
    assert answer.lower() in said.lower()


def test_one_goes_back_with_a_sign_and_finds_what_one_typed(machine: SimulatedMachine) -> None:
    _, said, _ = go(machine, *TO_OWNER[:4], "attic", "<", "1", "?")
    assert "Machine's name [attic]" in said
    assert said.count("goes back") == 2


def test_a_fixed_address_is_tried_and_taken_back_when_one_goes_back(machine: SimulatedMachine) -> None:
    way = ("static", "eth0", "192.0.2.5/24", "192.0.2.1", "9.9.9.9", "attic")
    go(machine, *TO_OWNER[:3], *way, "<")
    assert machine.ran("systemd-run")
    assert not machine.system.exists("/run/systemd/network/05-bpci-trial.network")
    go(machine, *TO_OWNER[:3], *way, "")
    assert machine.system.exists("/run/systemd/network/05-bpci-trial.network")
    assert machine.ran("systemctl", "stop", "bpci-network-trial.timer")


STATIC = ("static", "eth0", "192.0.2.5/24", "192.0.2.1", "9.9.9.9", "attic")


def test_a_network_that_is_not_taken_is_asked_for_again_at_once(machine: SimulatedMachine) -> None:
    machine.failing["networkctl reload"] = "no such unit"
    _, said, _ = go(machine, *TO_OWNER[:3], *STATIC, "", "")
    assert said.count("· Network") == 2
    assert said.count("· Hardware") == 1
    assert "Address with prefix length [192.0.2.5/24]" in said


def test_enter_after_the_trial_has_ended_keeps_nothing(machine: SimulatedMachine) -> None:
    def too_late() -> str:
        assert trial.restore(machine.system)
        return ""

    _, said, _ = go(machine, *TO_OWNER[:3], *STATIC, too_late)
    assert "the time was over" in said
    assert said.count("· Network") == 2
    assert "· Owner" not in said


def test_the_hardware_is_judged_and_measured_again(machine: SimulatedMachine) -> None:
    _, said, _ = go(machine, *TO_OWNER[:2], "again")
    assert said.count("Measuring this machine") == 2
    assert said.count("This machine can be a community node") == 2


def test_what_may_be_left_out_can_be_taken_back(machine: SimulatedMachine) -> None:
    back = ("ada", PASSWORD, PASSWORD, "another password", "", "<")
    _, said, _ = go(machine, *TO_OWNER, *back, "", "", "", "-", "", "<", "", "", "", "", "", "<")
    assert "Web password, empty for the same; - for none [as typed before]" in said
    assert said.count("Password, empty for the one before") == 2
    assert said.splitlines().count("Web password, empty for the same: ") == 2


def test_keys_of_a_medium_are_offered(machine: SimulatedMachine) -> None:
    _, said, _ = go(machine, *TO_OWNER, *OWNER[:4], "medium", KEY, KEY, "")
    assert "There is no file bpci/authorized_keys on a medium" in said
    assert "(1 so far)" in said
    assert "(2 so far)" not in said


def test_after_a_failure_the_keys_stay_and_no_words_are_shown_again(machine: SimulatedMachine) -> None:
    machine.failing["useradd"] = "useradd: invalid user name"
    _, said, _ = go(machine, *TO_OWNER, *OWNER, *REST, "<", "<", "<", "<", "<")
    assert "FAILED: " in said
    assert said.count("Write these 24 words down") == 1
    assert "keys are at rest on this machine already: did:key:z6Mk" in said


def test_a_journal_that_can_not_be_read_stands_in_nobodys_way(machine: SimulatedMachine) -> None:
    machine.system.write(JOURNAL, '{"torn')
    status, said, _ = go(machine, *TO_OWNER, *OWNER, *REST)
    assert (status, "the journal of set-up can't be read" in said) == (0, True), said


def test_a_web_password_of_its_own_counts_beside_a_password_that_stays() -> None:
    draft = Draft(password_hash="kept", web_password_hash="")
    draft.hash_passwords()
    assert (draft.password_hash, draft.web_password_hash) == ("kept", "")
    draft.web_password = PASSWORD
    draft.hash_passwords()
    assert draft.password_hash == "kept"
    assert draft.web_password_hash not in ("", "kept")


def test_a_second_person_is_told_where_set_up_runs(machine: SimulatedMachine) -> None:
    other = Turn(machine.system, "tty1")
    assert other.take()
    try:
        status, said, _ = go(machine)
    finally:
        other.give_up()
    assert (status, said) == (1, "Set-up runs on tty1. Finish it there.")


def test_the_lines_need_no_screen_library() -> None:
    code = "import sys; import bpci_tui.plain; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
