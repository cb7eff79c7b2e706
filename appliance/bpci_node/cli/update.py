"""``bpci update``: a new version from a signed bundle, proved before it is kept; and the way back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.output import Progress, emit, fields, is_interactive, json_option, require_person, say, table
from bpci_node.errors import BpciError, HostError, RefusedError

if TYPE_CHECKING:
    from bpci_node.update.bundle import Release
    from bpci_node.update.updater import Updater

SETTINGS = Path("/etc/bpci/updates.toml")
_GOOD = ("installed", "unchanged", "returned")

settings_option = click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    default=SETTINGS,
    show_default=True,
    help="Places, patience and maintenance window; may be missing.",
)
ca_option = click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Believe this authority alone when fetching.",
)


class _Group(click.Group):
    """A group whose first argument may be a bundle, which then is applied."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read ``bpci update FILE`` as ``bpci update apply FILE``."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["apply", *args]
        return super().parse_args(ctx, args)


@click.group("update", cls=_Group)
def command() -> None:
    """Update the node of this machine from a signed bundle, or go back to the version before.

    'bpci update FILE' and 'bpci update https://...' are short for 'bpci update apply'. A new version is installed
    beside the running one, started, asked from outside and watched; if it does not serve as the former one did, that
    one comes back by itself, and the verdict says why. Nothing is unpacked before both signatures hold.

    \b
    Examples:
      sudo bpci update https://updates.example.org/bpci-0.2.0.update
      bpci update check bpci-0.2.0.update
      bpci update status --json
    """


@command.command("apply")
@click.argument("source", metavar="FILE|URL")
@ca_option
@settings_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def apply(*, source: str, ca: Path | None, settings: Path, yes: bool, as_json: bool) -> int:
    """Install a bundle, prove it, keep it or go back. Needs root.

    Exit status: 0 it runs (or ran already), 1 it was not installed or was undone, 3 it could not be fetched.

    \b
    Examples:
      sudo bpci update apply bpci-0.2.0.update
      sudo bpci update apply https://updates.example.org/bpci-0.2.0.update --yes --json
    """
    updater = _updater(settings)
    with updater.alone(), _held_together(updater):
        path, release = _find(updater, source, ca)
        if not yes and not as_json and is_interactive():
            say(_render_release(_release_map(release)))
            if not click.confirm("Install it? The node restarts once.", err=True):
                say("left as it is")
                return 1
        verdict = updater.apply(path)
        if path.parent == updater.settings.state / "download" and verdict["outcome"] in _GOOD:
            path.unlink(missing_ok=True)
    emit(verdict, as_json, _render_verdict)
    return 0 if verdict["outcome"] in _GOOD else 1


@command.command("check")
@click.argument("source", metavar="FILE|URL")
@ca_option
@settings_option
@json_option
def check(*, source: str, ca: Path | None, settings: Path, as_json: bool) -> int:
    """Check a bundle's signatures and wheels, and whether it fits this machine; install nothing.

    From a URL it is fetched, which needs root; 'apply' does not fetch it again. Exit status 1 if it does not hold or
    does not fit.

    \b
    Examples:
      bpci update check bpci-0.2.0.update
      sudo bpci update check https://updates.example.org/bpci-0.2.0.update --json
    """
    from bpci_node.update.bundle import verify_payload

    updater = _updater(settings)
    path, release = _find(updater, source, ca)
    verify_payload(path, release)
    refused: BpciError | None = None
    try:
        updater.require_fit(release)
    except BpciError as error:
        refused = error
    found = _release_map(release) | {"fits": refused is None, "refused": refused.as_problem() if refused else None}
    emit(found, as_json, _render_release)
    return 0 if refused is None else 1


@command.command("status")
@settings_option
@json_option
def status(*, settings: Path, as_json: bool) -> int:
    """Show what runs, what came before, what became of the last update. Exit status 1 if that failed.

    \b
    Example:
      bpci update status --json
    """
    from bpci_node.update.metrics import FAILED, REBOOT_MARK

    updater = _updater(settings)
    installed, journal = updater.records.installed(), updater.records.journal()
    history = updater.records.history()
    updates = [item for item in history if item["kind"] == "update"]
    running = updater.running()
    former = installed.former
    found = {
        "version": running.version,
        "prefix": running.prefix,
        "sequence": running.sequence,
        "former": None if former is None or former.prefix == running.prefix else former.version,
        "under_way": None if journal is None else journal.phase.value,
        "last": updates[-1] if updates else None,
        "reboot_required": REBOOT_MARK.exists(),
        "keys": [
            {"id": key_id.hex(), "name": key.name}
            for key_id, key in sorted(updater.ring().trusted.items(), key=lambda pair: pair[1].name)
        ],
    }
    emit(found, as_json, _render_status)
    return 1 if journal is not None or (updates and updates[-1]["outcome"] in FAILED) else 0


@command.command("rollback")
@click.option("--with-copy", is_flag=True, help="Put the databases back, too; what was acknowledged since is lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings_option
@json_option
def rollback(*, with_copy: bool, yes: bool, settings: Path, as_json: bool) -> int:
    """Go back to the version before the one that runs. Needs root.

    \b
    Examples:
      sudo bpci update rollback
      sudo bpci update rollback --yes --json
    """
    updater = _updater(settings)
    if not yes:
        require_person(as_json=as_json)
        lost = " Everything that the node acknowledged since the update will be lost." if with_copy else ""
        if not click.confirm(f"Go back to the former version?{lost}", err=True):
            return 1
    with updater.alone(), _held_together(updater):
        verdict = updater.roll_back(with_copy=with_copy)
    emit(verdict, as_json, _render_verdict)
    return 0 if verdict["outcome"] in _GOOD else 1


@command.command("history")
@settings_option
@json_option
def history(*, settings: Path, as_json: bool) -> None:
    """List what became of updates and restarts, the newest last.

    \b
    Example:
      bpci update history --json
    """
    emit({"history": _updater(settings).records.history()}, as_json, _render_history)


@command.command("recover")
@settings_option
@json_option
def recover(*, settings: Path, as_json: bool) -> None:
    """Bring an update that was cut off to its end; needs root. Runs by itself at boot, before the node.

    \b
    Example:
      sudo bpci update recover
    """
    updater = _updater(settings)
    with updater.alone():
        verdict = updater.recover(at_boot=not _is_up(updater))
    emit({"verdict": verdict}, as_json, lambda data: _render_verdict(data["verdict"]) if verdict else "nothing to do")


@command.command("window")
@settings_option
@json_option
def window(*, settings: Path, as_json: bool) -> None:
    """Restart the node or the machine if package updates ask for it and the window is open. Run by a timer; needs root.

    The auctions end first. The window is in /etc/bpci/updates.toml.

    \b
    Example:
      sudo bpci update window
    """
    from bpci_node.update.restarts import keep_window

    updater = _updater(settings)
    try:
        with updater.alone():
            done = keep_window(updater.settings, say)
    except RefusedError as error:
        if error.code != "update.busy":
            raise
        done = "busy"  # an update of the node comes first; the timer comes again
    emit({"done": done}, as_json, lambda data: str(data["done"]))


@command.command("report")
@settings_option
@json_option
def report(*, settings: Path, as_json: bool) -> int:
    """Say what a planned restart of the machine has brought: packages, kernel, failed units, the node, how long.

    Run after boot; needs root. Later the same stands in 'bpci update history'. Exit status 1 if something is not well.

    \b
    Examples:
      sudo bpci update report
      bpci update history --json
    """
    from bpci_node.update.restarts import report as report_restart

    updater = _updater(settings)
    with updater.alone():
        verdict = report_restart(updater.settings, say)
    emit({"report": verdict}, as_json, lambda _: "no restart was planned" if verdict is None else verdict["summary"])
    return 0 if verdict is None or verdict["outcome"] == "well" else 1


def _updater(path: Path) -> Updater:
    from bpci_node.update.settings import load_settings
    from bpci_node.update.updater import Updater

    return Updater(load_settings(path), say)


def _is_up(updater: Updater) -> bool:
    """Tell whether the node runs, so that it has to be stopped before anything of it changes."""
    try:
        return updater.service.condition().is_running
    except HostError:
        return False


def _find(updater: Updater, source: str, ca: Path | None) -> tuple[Path, Release]:
    """Return a bundle's path and what it is, fetching it first if it is a URL."""
    from bpci_node.update.bundle import read_release
    from bpci_node.update.fetch import Source, fetch

    if "://" not in source:
        path = Path(source)
        return path, read_release(path, updater.ring())
    progress = Progress()

    def show(here: int, of: int) -> None:
        progress.update(f"fetching: {here >> 20} of {of >> 20} MiB, {100 * here // of} %")

    directory = updater.settings.state / "download"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError("only root may fetch an update", code="update.root", hint="Run it with sudo.") from error
    try:
        path = fetch(Source(source, ca), directory, updater.ring(), updater.require_fit, show)
    finally:
        progress.finish()
    return path, read_release(path, updater.ring())


@contextmanager
def _held_together(updater: Updater) -> Iterator[None]:
    """Let a closed terminal change nothing, and a termination lead back like an interruption by hand, but once."""

    def interrupt(_number: int, _frame: object) -> None:
        if not updater.is_returning:
            raise KeyboardInterrupt

    former = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _release_map(release: Release) -> dict[str, Any]:
    manifest = release.manifest
    return {
        "version": manifest.version,
        "sequence": manifest.sequence,
        "digest": release.digest.hex(),
        "key": release.key_name,
        "issued": _day(manifest.issued_s),
        "expires": _day(manifest.expires_s),
        "platforms": list(manifest.platforms),
        "python": manifest.python,
        "minimum": manifest.minimum,
        "bytes": release.total_bytes,
        "notes": manifest.notes,
    }


def _render_release(data: dict[str, Any]) -> str:
    shown = {
        "version": f"{data['version']} (release {data['sequence']})",
        "signed by": data["key"],
        "issued": f"{data['issued']}, expires {data['expires']}",
        "for": f"{', '.join(data['platforms'])}, Python {data['python']}, from version {data['minimum']} on",
        "size": f"{data['bytes'] >> 20} MiB",
    }
    if data.get("refused"):
        shown["NOT HERE"] = data["refused"]["title"]
    return fields(shown) + (f"\n\n{data['notes']}" if data["notes"] else "")


def _render_verdict(data: dict[str, Any]) -> str:
    words = {
        "installed": "version {to} runs, and serves as {from} did",
        "unchanged": "version {to} is installed already",
        "returned": "version {from} is back",
        "rolled_back": "version {to} was undone, {from} is back: {reason}",
        "interrupted": "the update to {to} was cut off; {from} is what runs",
        "not_installed": "version {to} was not installed: {reason}",
        "kept": "version {to} is installed and NOT WELL: {reason}",
    }
    return words.get(data["outcome"], "{outcome}: {reason}").format(**data)


def _render_status(data: dict[str, Any]) -> str:
    shown = {
        "version": f"{data['version']} (release {data['sequence'] or 'of the installation'}, {data['prefix']})",
        "before it": data["former"] or "none is kept",
        "last": "no update yet" if data["last"] is None else _render_verdict(data["last"]),
        "trusted keys": ", ".join(f"{key['name']} ({key['id'][:16]})" for key in data["keys"]) or "none",
    }
    if data["under_way"]:
        shown["UNDER WAY"] = f"an update is {data['under_way']}, or was cut off"
    if data["reboot_required"]:
        shown["restart"] = "packages want the machine to be restarted"
    return fields(shown)


def _render_history(data: dict[str, Any]) -> str:
    rows = [[_minute(item["ended_ms"]), item["kind"], _line(item)] for item in data["history"]]
    return table(rows, ["when (UTC)", "what", "outcome"]) if rows else "nothing yet"


def _line(item: dict[str, Any]) -> str:
    return _render_verdict(item) if item["kind"] == "update" else str(item.get("summary", item["outcome"]))


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d}"


def _minute(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, tz=UTC):%Y-%m-%d %H:%M}"
