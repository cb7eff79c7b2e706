"""The wizard line by line, for a screen reader, a braille line or a teletype: no cursor moves, nothing is redrawn.

The same draft, order of screens, checks and steps as the drawn wizard's; only the asking is different. Each question
ends its line with what is taken for an empty answer. ``<`` goes back and keeps what was typed, ``?`` says the keys
again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from bpci_node.errors import BpciError
from bpci_node.primitives.derivation import new_phrase
from bpci_node.setup import disks, encryption, trial, wifi
from bpci_node.setup.disks import booted_from_removable
from bpci_node.setup.forms import check_ssh_key
from bpci_node.setup.hardware import hold_against, local_checks
from bpci_node.setup.interfaces import default_gateway, list_interfaces, preflight
from bpci_node.setup.journal import Journal
from bpci_node.setup.machine import try_keyboard
from bpci_node.setup.places import LAYOUTS
from bpci_node.setup.plan import plan_of, review
from bpci_node.setup.run import Event, carry_out
from bpci_node.setup.steps import steps_for, summary
from bpci_node.setup.system import System
from bpci_node.setup.turn import Turn, goes_on
from bpci_tui import flow, questions
from bpci_tui.applying import make_run, planned, result_rows, take_up
from bpci_tui.asking import KEYS, AgainError, Asking, BackError, Terminal
from bpci_tui.draft import Draft
from bpci_tui.joining import ADDRESS_SECONDS, TRIAL_SECONDS, try_network
from bpci_tui.questions import Problem, in_words
from bpci_tui.services import Services

LEFT = 130
NONE = "-"
"""Takes back what may be left out: no password, passphrase or place is as short."""


class PlainWizard(Asking):
    """Asks line by line; :meth:`run` returns the exit status of ``bpci setup``."""

    def __init__(self, services: Services, terminal: Terminal | None = None) -> None:
        super().__init__(terminal or Terminal())
        self.services = services
        self.draft = Draft()
        self.offers_disk = booted_from_removable(services.system)
        self.encryption = encryption.offer(services.system)
        self.draft.is_encrypted = encryption.state(services.system) != "none"
        self._result: dict[str, Any] = {}
        self._told = ""

    def run(self) -> int:
        """Go through all questions; 0 when set-up is done, 1 when another console has the turn, 130 when left."""
        if not self.services.turn.take():
            holder = self.services.turn.holder()
            self.say(f"Set-up runs on {holder.console if holder else 'another console'}. Finish it there.")
            return 1
        try:
            return self._go()
        except (KeyboardInterrupt, EOFError):
            self.say("Left. What is done stays done; 'sudo bpci setup --plain' goes on.")
            return LEFT
        finally:
            self.services.turn.give_up()

    def _go(self) -> int:
        self.say(f"BPCI Community OS, set-up in plain lines. {KEYS}")
        if interrupted := take_up(self.draft, self.services.system):
            self.say(f"An earlier run stopped: {interrupted}. Its answers are kept, and what is done stays.")
        name = "apply" if goes_on(self.services.system) else "welcome"
        while True:
            self.say("")
            self.say(flow.place(name, offers_disk=self.offers_disk, encryption=self.encryption))
            by = 1
            try:
                getattr(self, f"_{name}")()
            except BackError as error:
                by = error.by
            if name == "done":
                return 0
            names = flow.screens(self.draft, offers_disk=self.offers_disk, encryption=self.encryption)
            name = names[max(0, names.index(name) + by)]

    def _welcome(self) -> None:
        self.say("This machine becomes a BPCI node. Nothing is written before you have seen and agreed to all of it.")
        self.draft.keymap = self._choose("Keyboard layout", LAYOUTS, self.draft.keymap)
        if self.services.turn.console.removeprefix("tty").isdigit():
            try_keyboard(self.services.system, self.draft.keymap)
        self._fill({"timezone": "Time zone"}, lambda: questions.check_places(self.draft, self.services.system))

    def _hardware(self) -> None:
        if self.draft.report is None:
            given = self.services.checks
            self.draft.checks = local_checks() if given is None else local_checks(given)
            self.say("Measuring this machine ...")
            self.draft.report = hold_against(
                self.services.system, self.draft.checks, "community", lambda _step: None, offers_disk=self.offers_disk
            )
        for item in self.draft.report.results:
            need = f"; {item.requirement}" if item.verdict in ("fail", "warn") else ""
            self.say(f"{item.title}: {item.verdict.value}, {item.text}{need}")
        self.say(questions.verdict(self.draft.report))
        if self._ask("Press Enter to go on, or type again to measure again", "").lower() == "again":
            self.draft.report = None
            raise AgainError

    def _network(self) -> None:
        system, draft = self.services.system, self.draft
        cards = list_interfaces(system)
        for line in preflight(cards, default_gateway(system)):
            self.say(line)
        ways = [*questions.WAYS, *([questions.WIFI_WAY] if any(item.is_wireless for item in cards) else [])]
        draft.network_mode = self._choose("Address", ways, draft.network_mode)
        fields = {"hostname": "Machine's name"}
        if draft.network_mode == "static":
            draft.interface = draft.interface or next((item.name for item in cards), "")
            fields = {
                "interface": "Interface",
                "address": "Address with prefix length",
                "gateway": "Gateway",
                "dns": "Name servers",
            } | fields
        self._fill(fields, lambda: questions.check_link(draft))
        if draft.network_mode == "static":
            self._try(0.0)

    def _wifi(self) -> None:
        system, draft = self.services.system, self.draft
        cards = [item.name for item in list_interfaces(system) if item.is_wireless]
        draft.interface = next(iter(cards), "")
        self._take("wifi_country", "Country, two letters")
        draft.wifi_country = draft.wifi_country.upper()
        try:
            for station in wifi.scan(system, draft.interface):
                if station.security != "other":
                    self.say(station.label)
        except BpciError as error:
            self.say(in_words(error))
        self._fill(
            {"wifi_ssid": "Network's name", "wifi_passphrase": "Passphrase, empty for none"},
            lambda: questions.check_air(draft),
        )
        self._try(ADDRESS_SECONDS)

    def _try(self, wait: float) -> None:
        """Try the network before going on with it."""
        system = self.services.system
        try:
            found = try_network(system, self.draft.network_answers(), self.say, wait=wait)
        except BpciError as error:
            self.say(f"Not yet: {in_words(error)}")
            raise AgainError from error
        try:
            shown = ", ".join(found) or "no address yet"
            self._ask(f"It is in force: {shown}. Press Enter within {TRIAL_SECONDS} s to keep it", "")
        except BackError:
            trial.restore(system)
            raise
        if not trial.hold(system):
            self.say("Not yet: the time was over, and the settings before are in force again.")
            raise AgainError

    def _disk(self) -> None:
        offered = disks.candidates(self.services.system)
        if small := disks.too_small(self.services.system):
            self.say(f"Not offered: {'; '.join(small)}")
        options = [("", "Stay on the removable medium"), *((item.name, item.label) for item in offered)]
        chosen = self._choose("Disk", options, self.draft.disk.name if self.draft.disk else "")
        self.draft.disk = next((item for item in offered if item.name == chosen), None)
        if self.draft.disk is not None:
            self.say(f"EVERYTHING on {self.draft.disk.label} is going to be erased.")
            self._fill({"disk_typed": "Its size, to confirm"}, lambda: questions.check_disk(self.draft))

    def _encryption(self) -> None:
        draft, system = self.draft, self.services.system
        self.say("Encrypted data are opened by this machine's TPM, or by a recovery key. It can't be chosen later.")
        options = [("no", "not encrypted"), ("yes", "encrypted")]
        draft.encrypt = self._choose("Data", options, "yes" if draft.encrypt else "no") == "yes"
        if draft.encrypt and draft.disk is None:
            try:
                encryption.request_and_restart(system)
            except BpciError as error:
                self.say(f"Not yet: {in_words(error)}")
                raise AgainError from error
            self.say("The machine restarts. Set-up begins again, on encrypted data.")
            raise SystemExit(0)

    def _diskkey(self) -> None:
        draft = self.draft
        if not draft.disk_key:
            draft.disk_key = encryption.new_recovery_key(self.services.entropy)
            draft.groups = self.services.groups()
        self.say("Write down the recovery key of the disk. It is shown now and never again.")
        for number, group in enumerate(draft.disk_key.split("-"), start=1):
            self.say(f"{number} {group}")
        self._ask("Press Enter when you have written it down", "")

    def _diskconfirm(self) -> None:
        draft = self.draft

        def check() -> Problem | None:
            draft.typed_groups = [self._ask(f"Group {position}", "") for position in draft.groups]
            return questions.check_groups(draft)

        self._until(check)

    def _owner(self) -> None:
        draft = self.draft
        self.say("One account owns this machine. Without an SSH key SSH stays closed.")
        self._fill(
            {
                "owner": "Login name",
                "password": "Password",
                "repeated": "Password again",
                "web_password": "Web password, empty for the same",
            },
            lambda: questions.check_owner(draft),
        )
        self.say("An SSH key is one line; medium takes those of the file bpci/authorized_keys on one.")
        while line := self._ask(f"SSH public key, or Enter ({len(draft.ssh_keys)} so far)", ""):
            try:
                lines = questions.keys_on_media(self.services.system) if line.lower() == "medium" else [line]
                for item in lines:
                    check_ssh_key(item)
            except BpciError as error:
                self.say(f"Not yet: {in_words(error)}")
                continue
            draft.ssh_keys += [item for item in lines if item not in draft.ssh_keys]
        draft.hash_passwords()

    def _identity(self) -> None:
        if not self.draft.kept_did:
            questions.choose_identity(self.draft, self._choose("Identity", questions.IDENTITIES, self.draft.identity))
            return
        self._ask(f"{questions.KEPT_IDENTITY[1]}: {self.draft.kept_did}. Press Enter to go on", "")

    def _phrase(self) -> None:
        draft = self.draft
        if not draft.phrase:
            draft.phrase = new_phrase(self.services.entropy(32))
            draft.positions = self.services.positions()
        self.say("Write these 24 words down, in their order. They are shown now and never again.")
        for number, word in enumerate(draft.phrase.split(), start=1):
            self.say(f"{number} {word}")
        self._ask("Press Enter when you have written them down", "")

    def _confirm(self) -> None:
        draft = self.draft

        def check() -> Problem | None:
            draft.confirmed = [self._ask(f"Word {position}", "") for position in draft.positions]
            return questions.check_words(draft)

        self._until(check)

    def _until(self, check: Callable[[], Problem | None]) -> None:
        """Ask again until what was written down is right."""
        while (problem := check()) is not None:
            self.say(f"Not yet: {problem[1].replace('Escape', '<')}")

    def _restore(self) -> None:
        draft = self.draft
        self._fill({"restored": "Recovery phrase, 24 words"}, lambda: questions.check_phrase(draft))
        self._fill({"repository": "Place of a backup, empty for none"}, lambda: questions.check_repository(draft))
        if draft.repository:
            title = "If that backup is of a ledger of its own"
            draft.take_over_ledger = self._choose(title, questions.OWN_LEDGER, questions.own_ledger(draft)) == "take"

    def _node(self) -> None:
        draft = self.draft
        draft.node_name = draft.node_name or draft.hostname
        self._take("node_name", "Node's name")
        draft.node_type = self._choose("Type", questions.TYPES, draft.node_type)
        while True:
            draft.profile = self._choose("Hardware profile", questions.PROFILES, draft.profile)
            problem = questions.check_node(draft, self.services.system, offers_disk=self.offers_disk)
            if problem is None:
                return
            self.say(f"Not yet: {problem[1]}")
            if problem[0] == "name":
                self._take("node_name", "Node's name")

    def _join(self) -> None:
        draft = self.draft
        draft.join = self._choose("Ledger", questions.LEDGERS, draft.join)
        fields = {"devnet": {"ledger_name": "Ledger's name"}, "url": {"registry_url": "Address"}}.get(draft.join, {})
        self._fill(fields, lambda: questions.check_ledger(draft))
        draft.network = None
        if draft.join == "devnet":
            return
        try:
            found, where = questions.find_network(draft, self.services.system)
        except BpciError as error:
            self.say(f"Not yet: {in_words(error)}")
            self._join()
            return
        for line in questions.network_lines(found, where):
            self.say(line)
        self._ask("Compare this with what its operator has told you. Press Enter to join it", "")
        draft.network = found

    def _review(self) -> None:
        draft = self.draft
        plan = plan_of(draft.answers(), network=draft.network, disk=draft.disk.name if draft.disk else "")
        for label, value in review(plan, disk_label=draft.disk.label if draft.disk else ""):
            self.say(f"{label}: {value}")
        while self._ask("Nothing is written yet. Type yes to write it, or < to go back", "").lower() != "yes":
            pass

    def _apply(self) -> None:
        plan = planned(self.services, self.draft)
        while True:
            self.services.turn.note(is_writing=True)
            try:
                run = make_run(self.services, self.draft, plan, self._tell)
                carry_out(run, steps_for(plan), partial(self._watch, run.journal))
                self._result = dict(summary(run))
            except BpciError as error:
                self.services.turn.note(is_writing=False)
                self.say(f"FAILED: {in_words(error)}")
                self._ask("Press Enter to try again, or < to change an answer", "")
                continue
            self.draft.phrase = self.draft.restored = self.draft.password = self.draft.repeated = ""
            return

    def _tell(self, text: str) -> None:
        """Say what a long step is doing, without its percentage."""
        before, self._told = self._told, re.sub(r"^\d+ % ", "", text)
        if self._told != before:
            self.say(self._told)

    def _watch(self, journal: Journal, event: Event) -> None:
        if event.state == "begins":
            self.say(f"{event.position} of {event.total}: {event.step.title}")
        elif event.step.id == "keys" and event.state in ("done", "skipped"):
            self.draft.kept_did = str(journal.results["did"])  # from here on nobody needs the phrase

    def _done(self) -> None:
        if self._result.get("restart"):
            with suppress(BackError):
                self._ask("The system is on its disk now. Take the medium out, then press Enter to restart", "")
            self.services.system.attempt("systemctl", "--no-block", "reboot")
            return
        self.say("This node is set up and registered.")
        for label, value in result_rows(self._result):
            self.say(f"{label}: {value}")
        with suppress(EOFError, BackError):  # on a console the next program clears the screen
            self._ask("Press Enter to finish", "")

    def _fill(self, fields: dict[str, str], check: Callable[[], Problem | None]) -> None:
        """Ask for fields of the draft, then again for those that are wrong."""
        for name, label in fields.items():
            self._take(name, label)
        while (problem := check()) is not None:
            self.say(f"Not yet: {problem[1]}")
            wrong = [name for name in fields if name.removeprefix("wifi_").startswith(problem[0])]
            if problem[0] in ("password", "repeated"):
                wrong = ["password", "repeated"]
            for name in wrong or fields:
                self._take(name, fields[name])

    def _take(self, name: str, label: str) -> None:
        is_secret = "password" in name or name in ("repeated", "restored", "wifi_passphrase")
        # A secret that was refused is no default for the next try.
        before = "" if name in ("password", "repeated") else str(getattr(self.draft, name))
        may_be_left_out = name in ("web_password", "wifi_passphrase", "repository")
        if name == "password" and self.draft.password_hash:
            label += ", empty for the one before"
        elif before and may_be_left_out:
            label += f"; {NONE} for none"
        answer = self._ask(label, before, secret=is_secret)
        setattr(self.draft, name, "" if may_be_left_out and answer == NONE else answer)


def run_plain(system: System, turn: Turn, *, on_console: bool) -> int:
    """Ask line by line on this terminal until set-up is done; return the exit status."""
    terminal = Terminal() if sys.stdin.isatty() else Terminal(read_secret=input)
    return PlainWizard(Services(system, turn, on_console=on_console), terminal).run()
