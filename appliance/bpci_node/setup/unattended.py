"""Set-up without questions: from an answers file to a registered node, one line at a time.

The same plan and the same steps as the wizard's. Lines go to the console that runs it, and to a file under ``/run``
from which the machine's other consoles show them; the recovery phrase of a new identity goes to the first only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.errors import HostError, UsageError
from bpci_node.host.check import Check
from bpci_node.host.checks import ALL
from bpci_node.network import file as network_file
from bpci_node.primitives.derivation import new_phrase
from bpci_node.setup import disks, encryption, journal, keystore
from bpci_node.setup.answers import Answers
from bpci_node.setup.plan import Plan, plan_of
from bpci_node.setup.run import Event, Run, carry_out
from bpci_node.setup.steps import steps_for, summary
from bpci_node.setup.system import System


@dataclass(frozen=True, slots=True)
class Teller:
    """Where the lines of an unattended run go."""

    line: Callable[[str], None]
    """Takes one line of progress; never a secret."""
    phrase: Callable[[str], None]
    """Shows the recovery phrase, once, to the person at this console."""
    disk_key: Callable[[str], None]
    """Shows the recovery key of the disk, once, to the same person."""


def make_plan(system: System, answers: Answers, read_beside: Callable[[str], bytes]) -> Plan:
    """Return the plan of ``answers``: the network file read, the disk found.

    Args:
        read_beside: returns the content of a file named in the answers.
    Raises:
        UsageError: the file can't be read, or ``disk.install_to`` means no disk, or several.
        FormatError: it is not a network file.
    """
    network = None
    if answers.join.network_file:
        network = network_file.parse(read_beside(answers.join.network_file))
    disk = ""
    # On the disk that it was installed to, the same answers mean: stay here.
    if answers.install_to and disks.booted_from_removable(system):
        disk = disks.choose(disks.candidates(system), answers.install_to).name
    return plan_of(answers, network=network, disk=disk)


def set_up(
    system: System, plan: Plan, phrase: str, teller: Teller, *, checks: Sequence[Check] = ALL, **options: Any
) -> dict[str, Any]:
    """Carry ``plan`` out and return what it ended with (:func:`bpci_node.setup.steps.summary`).

    Args:
        phrase: the recovery phrase to restore; empty: the keys that are at rest, or a new identity.
        options: further fields of :class:`bpci_node.setup.run.Run`.
    Raises:
        BpciError: what a step ran into; running again goes on there.
    """
    if plan.answers.identity.mode == "restore" and not phrase and not keystore.is_there(system, keystore.NODE_KEY):
        raise HostError(
            "the recovery phrase is needed again: its keys were not put to rest before set-up was interrupted",
            code="host.phrase",
            hint="Start set-up again with the phrase.",
        )
    is_encrypted = encryption.state(system)
    if plan.answers.encrypt and not plan.disk and is_encrypted == "none":
        encryption.request(system)
        teller.line("the next start encrypts the data partition; set-up begins again after it")
        return {"v": 1, "restart": True, "encrypts": True}
    kept = journal.begin(system, plan)
    disk_key = ""
    if plan.answers.encrypt and (plan.disk or is_encrypted == "new"):
        encryption.check_tpm(system)
        disk_key = encryption.new_recovery_key(os.urandom)
        teller.disk_key(disk_key)
    if not phrase and (plan.disk or not keystore.is_there(system, keystore.NODE_KEY)):
        phrase = new_phrase(os.urandom(32))
        teller.phrase(phrase)
    run = Run(system, plan, kept, phrase, disk_key, checks=checks, way="unattended", **options)
    said = ""

    def say(text: str) -> None:
        nonlocal said
        if text != said:
            said = text
            teller.line(f"      {text}")

    def watch(event: Event) -> None:
        place = f"{event.position}/{event.total}"
        if event.state == "begins":
            teller.line(f"{place} {event.step.title}")
        elif event.state == "skipped":
            teller.line(f"{place} {event.step.title}: done before")

    run.say = say
    carry_out(run, steps_for(plan), watch)
    return summary(run)


def phrase_lines(phrase: str) -> list[str]:
    """Return the phrase as six lines of four numbered words."""
    words = phrase.split()
    cells = [f"{number:>2} {word:<10}" for number, word in enumerate(words, start=1)]
    return ["  ".join(cells[row : row + 4]).rstrip() for row in range(0, len(cells), 4)]


def read_from(files: dict[str, bytes], source: str) -> Callable[[str], bytes]:
    """Return a reader of the files of one medium."""

    def read(name: str) -> bytes:
        found = files.get(name.lower())
        if found is None:
            raise UsageError(
                f"{source}: join.network_file: there is no {name} beside the answers",
                code="usage.file",
                hint="Put the network file into the same directory.",
            )
        return found

    return read
