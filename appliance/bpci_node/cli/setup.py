"""``bpci setup``: the wizard, an answers file, and what the machine's consoles start."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.output import emit, fields, json_option, say
from bpci_node.cli.root import need_root
from bpci_node.errors import BpciError, UsageError

if TYPE_CHECKING:
    from bpci_node.setup.answers import Answers
    from bpci_node.setup.console import Progress
    from bpci_node.setup.media import Medium
    from bpci_node.setup.plan import Plan
    from bpci_node.setup.system import System
    from bpci_node.setup.turn import Turn


@click.command("setup")
@click.option("--answers", type=click.Path(path_type=Path), metavar="FILE", help="Answer from a file, ask nothing.")
@click.option("--console", is_flag=True, help="What the machine's consoles start: looks for answers on media first.")
@click.option("--plain", is_flag=True, help="Ask line by line, for a screen reader: nothing is drawn.")
@click.option("--dry-run", is_flag=True, help="With --answers: check them and show the plan, write nothing.")
@json_option
def command(*, answers: Path | None, console: bool, plain: bool, dry_run: bool, as_json: bool) -> int:
    """Set this machine up: in the wizard, or from an answers file.

    Interrupted, it goes on where it stopped when it is started again. Exit status: 0 set up, 1 a step failed,
    2 the answers are wrong, 3 something outside could not be reached.

    \b
    Examples:
      sudo bpci setup
      sudo bpci setup --plain
      bpci setup --answers answers.toml --dry-run
      sudo bpci setup --answers answers.toml
    """
    from bpci_node.setup.system import System
    from bpci_node.setup.turn import Turn, is_complete

    if (dry_run or as_json) and answers is None:
        raise UsageError("--dry-run and --json go with --answers FILE", code="usage.options")
    system = System()
    if answers is not None and dry_run:
        return _show_plan(system, answers, as_json=as_json)
    need_root("set-up changes the machine, so it needs root", hint="sudo bpci setup")
    if is_complete(system):
        if console:
            return 0
        raise UsageError(
            "this machine is set up already",
            code="usage.complete",
            hint="To go through it again: sudo rm /var/lib/bpci/setup/complete, then sudo bpci setup.",
        )
    from bpci_node.setup.console import terminal_name

    turn = Turn(system, terminal_name())
    if answers is not None:
        return _from_file(system, turn, answers, as_json=as_json)
    if plain:
        from bpci_tui.plain import run_plain

        return run_plain(system, turn, on_console=console)
    return _on_console(system, turn) if console else _wizard(system, turn, on_console=False)


def _wizard(system: System, turn: Turn, *, on_console: bool = True) -> int:
    from bpci_tui.app import run_wizard

    return run_wizard(system, turn, on_console=on_console)


def _show_plan(system: System, path: Path, *, as_json: bool) -> int:
    from bpci_node.setup.answers_file import load
    from bpci_node.setup.plan import review
    from bpci_node.setup.steps import steps_for

    plan = _plan(system, load(path), path)
    steps = [step.title for step in steps_for(plan)]
    data = {"v": 1, "plan": dict(review(plan)), "steps": steps}
    emit(data, as_json, lambda _: fields(dict(review(plan))) + "\n\n" + "\n".join(steps))
    return 0


def _plan(system: System, answers: Answers, path: Path) -> Plan:
    from bpci_node.setup.unattended import make_plan

    def read_beside(name: str) -> bytes:
        beside = path.parent / name
        try:
            return beside.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {beside}: {error.strerror}", code="usage.file") from error

    return make_plan(system, answers, read_beside)


def _from_file(system: System, turn: Turn, path: Path, *, as_json: bool) -> int:
    """Go through unattended with a file that was named; lines on standard error, the result on standard output."""
    from bpci_node.setup.answers_file import load
    from bpci_node.setup.console import DONE, FAILED, INSTALLED, RESTARTS
    from bpci_node.setup.unattended import Teller, phrase_lines, set_up

    if not turn.take():
        holder = turn.holder()
        raise UsageError(
            f"set-up runs on {holder.console if holder else 'another console'}",
            code="usage.turn",
            hint="Finish it there.",
        )
    turn.note(is_writing=True)

    def show_phrase(phrase: str) -> None:
        say("Recovery phrase, shown once and kept nowhere. Write it down:\n\n" + "\n".join(phrase_lines(phrase)) + "\n")

    answers = load(path)

    def show_disk_key(key: str) -> None:
        say(f"Recovery key of the disk, shown once and kept nowhere. Write it down:\n\n{key}\n")

    teller = Teller(lambda text: say(f"[setup] {text}"), show_phrase, show_disk_key)
    try:
        done = set_up(system, _plan(system, answers, path), answers.identity.phrase, teller)
    except BpciError as error:
        if not as_json:
            click.echo(f"{FAILED} {json.dumps(_failure(error))}")
        raise
    word = RESTARTS if done.get("encrypts") else INSTALLED if done.get("restart") else DONE
    emit(done, as_json, lambda data: f"{word} {json.dumps(data)}")
    return 0


def _on_console(system: System, turn: Turn) -> int:
    """Go through unattended if a medium answers everything, else show the wizard."""
    from bpci_node.setup import console
    from bpci_node.setup.media import ANSWERS
    from bpci_node.setup.turn import goes_on, is_complete

    # The screen library draws on standard error, which a unit may have connected to the journal.
    os.dup2(1, 2)
    way = goes_on(system)
    medium = next((item for item in console.scan(system) if ANSWERS in item.files), None) if not way else None
    if medium is not None and _open_for_keys(system, medium):
        medium = None
    if way == "unattended" or medium is not None:
        if console.take_first_turn(system, turn):
            done = _unattended(system, turn, medium)
            turn.give_up()
            return done
        console.follow(system, turn, console.show)
        if is_complete(system):
            return 0
    return _wizard(system, turn)


def _open_for_keys(system: System, medium: Medium) -> bool:
    """Open SSH to the wizard if the medium carries nothing but SSH keys; tell whether it does."""
    from bpci_node.setup import guest
    from bpci_node.setup.answers_file import read_document, seed_keys
    from bpci_node.setup.console import show
    from bpci_node.setup.media import ANSWERS

    source = f"{ANSWERS} on {medium.device}"
    try:
        keys = seed_keys(read_document(medium.files[ANSWERS], source=source), source=source)
        if keys:
            guest.open_ssh(system, keys)
    except UsageError:
        return False  # the unattended run reads it again, and says what is wrong
    except BpciError as error:
        show(f"SSH could not be opened: {error.message}")
        return True
    return bool(keys)


def _unattended(system: System, turn: Turn, medium: Medium | None) -> int:
    from bpci_node.setup.console import DONE, FAILED, INSTALLED, RESTARTS, Progress, show

    progress = Progress(system)
    try:
        turn.note(is_writing=True)
        done = _go_on(system, progress) if medium is None else _from_medium(system, medium, progress)
    except BpciError as error:
        progress.line(f"{FAILED} {json.dumps(_failure(error))}")
        turn.note(is_writing=False)
        turn.give_up()
        show("Press Enter for the wizard; what is done already stays done.")
        sys.stdin.readline()
        return _wizard(system, turn)
    if done.get("encrypts"):
        progress.line(f"{RESTARTS} {json.dumps(done)}")
        system.run("systemctl", "--no-block", "reboot")
    elif done.get("restart"):
        progress.line(f"{INSTALLED} {json.dumps(done)}")
        progress.line("[setup] switching off: take the medium out, then switch on again")
        system.run("systemctl", "--no-block", "poweroff")
    else:
        progress.line(f"{DONE} {json.dumps(done)}")
    return 0


def _from_medium(system: System, medium: Medium, progress: Progress) -> dict[str, Any]:
    from bpci_node.setup.answers_file import from_document, read_document
    from bpci_node.setup.media import ANSWERS, forget_answers
    from bpci_node.setup.unattended import make_plan, read_from, set_up

    source = f"{ANSWERS} on {medium.device}"
    progress.line(f"[setup] answers found: {source}")
    answers = from_document(read_document(medium.files[ANSWERS], source=source), source=source)
    plan = make_plan(system, answers, read_from(medium.files, source))
    done = set_up(system, plan, answers.identity.phrase, _teller(progress))
    if done.get("encrypts"):
        return done  # they are needed once more
    gone = forget_answers(system, medium.device)
    progress.line(f"[setup] the answers are {'deleted from' if gone else 'STILL ON'} {medium.device}")
    return done


def _go_on(system: System, progress: Progress) -> dict[str, Any]:
    from bpci_node.setup import journal
    from bpci_node.setup.unattended import set_up

    kept = journal.load(system)
    if kept is None or kept.plan is None:
        raise UsageError("there is nothing to go on with", code="usage.journal", hint="Start set-up again.")
    progress.line("[setup] going on from this disk")
    return set_up(system, kept.plan, "", _teller(progress))


def _teller(progress: Progress) -> Any:
    from bpci_node.setup.console import show
    from bpci_node.setup.unattended import Teller, phrase_lines

    def show_phrase(phrase: str) -> None:
        show("Recovery phrase of this node, shown once and kept nowhere. Write it down:\n")
        show("\n".join(phrase_lines(phrase)) + "\n")

    def show_disk_key(key: str) -> None:
        show(f"Recovery key of the disk, shown once and kept nowhere. Write it down:\n\n{key}\n")

    return Teller(lambda text: progress.line(f"[setup] {text}"), show_phrase, show_disk_key)


def _failure(error: BpciError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hint": error.hint or ""}
