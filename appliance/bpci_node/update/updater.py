"""One update from bundle to verdict, and the way back from every step of it.

Invariants: what runs is either the former version or the new one, each whole, whatever is cut off at whatever moment;
what comes next is written down before it begins; an update that did not prove itself is undone by the same version
that began it (``recover``, at the next boot or the next update); the databases go back only if nobody can have been
given a receipt since.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from bpci_node.errors import BpciError, HostError, RefusedError
from bpci_node.runtime.config import NodeConfig, load
from bpci_node.update import bundle, databases, health, machine, prefix
from bpci_node.update.bundle import Release
from bpci_node.update.draining import drain, resume
from bpci_node.update.lock import alone
from bpci_node.update.metrics import write_metrics
from bpci_node.update.records import Installed, Journal, Phase, Records, Verdict, Version, plain
from bpci_node.update.release_key import KeyRing, load_ring, remember
from bpci_node.update.room import disk_named, require_room
from bpci_node.update.rules import Here, require_fit
from bpci_node.update.service import Service
from bpci_node.update.settings import Settings


class Updater:
    """Updates the node of one machine."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        """Take the places, and who hears of each step before it begins."""
        self.settings, self._tell = settings, tell
        self.records = Records(settings.state)
        self.service = Service(settings.unit)
        self.is_returning = False
        """Whether the former version is being brought back, which nothing but a kill should cut off."""

    # Looking

    def ring(self) -> KeyRing:
        """Return the release keys that are trusted here.

        Raises:
            BpciError: as :func:`~bpci_node.update.release_key.load_ring`.
        """
        return load_ring(self.settings.keys, self.settings.state / "keys")

    def running(self) -> Version:
        """Return the version to which the prefix leads.

        Raises:
            HostError: none that can be updated (``update.prefix``).
        """
        name = prefix.linked(self.settings)
        found = machine.version_at(self.settings.prefix.with_name(name))
        if found is None:
            raise HostError(
                f"the version in {name} is not complete", code="update.prefix", hint="Run the installer again."
            )
        known = self.records.installed().current
        return known if known is not None and known.prefix == name else replace(found, formats=databases.FORMATS)

    def require_fit(self, release: Release) -> None:
        """Check that a release may be installed here, now, and that there is room.

        Raises:
            RefusedError: it may not (``update.*``).
            HostError: no room (``update.space``), or nothing that can be updated (``update.prefix``).
        """
        running = self.running()
        directory = self.settings.prefix.with_name(running.prefix)
        python = machine.python_version(machine.python_of(directory))
        require_fit(
            release,
            Here(
                running,
                self.records.installed(),
                machine.platform_name(),
                python,
                databases.FORMATS,
                time.time_ns() // 1_000_000_000,
            ),
        )
        require_room(self.settings, self._config(), release)

    def _config(self) -> NodeConfig | None:
        return load(self.settings.config) if self.settings.config.exists() else None

    def alone(self) -> AbstractContextManager[None]:
        """Keep other updates out while the context lasts.

        Raises:
            RefusedError: one is under way (``update.busy``).
            HostError: who calls may not write where updates are remembered (``update.root``).
        """
        return alone(self.settings.state)

    # Forward

    @disk_named()
    def apply(self, path: Path) -> Verdict:
        """Install the bundle at ``path``, prove it, and keep it or go back; return the verdict. To be called alone.

        Raises:
            BpciError: the bundle does not hold, does not fit, or could not be installed; what runs was not touched.
        """
        self.recover(at_boot=False)
        release = bundle.read_release(path, self.ring())
        running, manifest = self.running(), release.manifest
        if self.records.installed().current == running and running.digest == release.digest.hex():
            return self._verdict(running, running, _now_ms(), "unchanged", "it is installed already")
        self.require_fit(release)
        self._tell("checking every wheel")
        bundle.verify_payload(path, release)
        coming = Version("new", manifest.version, manifest.sequence, release.digest.hex(), manifest.formats)
        journal = self.records.put_journal(Journal(Phase.INSTALLING, running, coming, _now_ms()))
        try:
            coming = replace(coming, prefix=self._install(path, release, running).name)
            was_running = self.service.condition().is_running
            before = self._before() if was_running else None
            if was_running:
                drain(self._config(), self.settings.drain_seconds, self._tell)
        except (BpciError, OSError) as error:
            self._abandon(journal, error.message if isinstance(error, BpciError) else str(error.strerror))
            raise
        except KeyboardInterrupt:
            self._abandon(journal, "it was interrupted")
            raise
        journal = replace(
            journal, coming=coming, was_running=was_running, before={} if before is None else before.as_map()
        )
        return self._change(journal, before, release)

    def _install(self, path: Path, release: Release, running: Version) -> Path:
        wheels = self.settings.state / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        self._tell("unpacking the bundle")
        bundle.unpack(path, release, wheels)
        self._tell(f"installing version {release.manifest.version} beside {running.version}")
        python = machine.python_of(self.settings.prefix.with_name(running.prefix))
        target = prefix.install_beside(self.settings, wheels, python)
        shutil.rmtree(wheels)
        self._tell("trying its command")
        why = prefix.try_out(target, self.settings.config, release.manifest.version)
        if why:
            if target.name != running.prefix:
                shutil.rmtree(target, ignore_errors=True)
            raise HostError(
                f"the new version can't be used: {why}", code="update.broken", hint="Nothing that runs was touched."
            )
        return target

    def _abandon(self, journal: Journal, why: str) -> None:
        resume(self._config())
        shutil.rmtree(self.settings.state / "wheels", ignore_errors=True)
        prefix.drop_incomplete(self.settings)
        self._end(self._verdict(journal.former, journal.coming, journal.began_ms, "not_installed", why))

    def _before(self) -> health.Seen | None:
        config = self._config()
        try:
            return None if config is None else health.look(config)
        except BpciError as error:
            self._tell(f"the node does not answer as it is: {error.message}")
            return None

    def _change(self, journal: Journal, before: health.Seen | None, release: Release) -> Verdict:
        """Stop the node, change the link, start it, and hold it against before."""
        journal = self.records.put_journal(replace(journal, phase=Phase.SWITCHING))
        config, why = self._config(), ""
        migrates = journal.coming.formats != journal.former.formats
        try:
            if journal.was_running:
                self._tell("stopping the node")
                self.service.stop()
            if migrates and config is not None:
                self._tell("copying the databases, whose form the new version changes")
                # The copy of an earlier change of form gives way to this one.
                self.records.put_installed(replace(self.records.installed(), has_copy=False))
                databases.copy_away(config.state_dir, self.settings.state)
                journal = replace(journal, has_copy=True)
            self._tell("changing the link")
            prefix.link_to(self.settings, journal.coming.prefix)
            # From here on nobody knows after a power cut whether the new version has served.
            journal = replace(journal, phase=Phase.PROVING, is_served=journal.was_running)
            self.records.put_journal(journal)
            if journal.was_running and config is not None:
                self._tell("starting the new version")
                ready_before = self.service.condition().ready_at
                why = self.service.start(self.settings.ready_seconds)
                if not why:
                    self._tell("asking the node from outside")
                    why = self._gate(config, before, journal)
                elif self._never_ready(ready_before):
                    journal = self.records.put_journal(replace(journal, is_served=False))
            if not why:
                # Before it counts as installed, so that a power cut can't leave a key trusted that was replaced.
                remember(self.settings.state / "keys", release.successors)
        except (BpciError, OSError) as error:
            why = error.message if isinstance(error, BpciError) else f"the disk failed: {error.strerror}"
        except KeyboardInterrupt:
            why = "it was interrupted"
        if why:
            return self._go_back(journal, why, at_boot=False)
        self._tell("it holds")
        return self._finish(self.records.put_journal(replace(journal, phase=Phase.CONFIRMED)))

    def _never_ready(self, before: int) -> bool:
        """Stop what did not become ready in time; tell whether it never did, so that nobody got a receipt from it.

        The service manager starts it again and again, so that being up at one moment says nothing.
        """
        seen = {self.service.condition().ready_at}
        self.service.stop()
        return seen | {self.service.condition().ready_at} == {before}

    def _gate(self, config: NodeConfig, before: health.Seen | None, journal: Journal) -> str:
        return health.await_health(
            config,
            self.service,
            before,
            version=journal.coming.version,
            answer_seconds=self.settings.answer_seconds,
            settle_seconds=self.settings.settle_seconds,
            tell=self._tell,
        )

    def _finish(self, journal: Journal) -> Verdict:
        """Tidy up after an update that holds, or that can't be undone; it may be repeated."""
        installed, coming = self.records.installed(), journal.coming
        is_newest = coming.sequence >= installed.highest
        self.records.put_installed(
            Installed(
                coming.sequence if is_newest else installed.highest,
                coming.digest if is_newest else installed.highest_digest,
                coming,
                journal.former,
                journal.has_copy,
            )
        )
        if not journal.has_copy:
            databases.drop_copy(self.settings.state)
        self._tell("taking older versions away")
        prefix.keep_only(self.settings, (journal.former.prefix, coming.prefix))
        outcome = "kept" if journal.reason else "installed"
        return self._end(self._verdict(journal.former, coming, journal.began_ms, outcome, journal.reason))

    # Back

    def _go_back(self, journal: Journal, why: str, *, at_boot: bool) -> Verdict:
        """Bring the former version back; it may be repeated. At boot the node is not running yet."""
        self.is_returning, why = True, plain(why)
        if journal.has_copy and journal.is_served:
            reason = (
                f"{why}; not undone by itself, because the databases have a new form and may hold what was"
                " acknowledged since: 'bpci update rollback --with-copy' would lose that"
            )
            journal = self.records.put_journal(replace(journal, phase=Phase.CONFIRMED, reason=reason[:2000]))
            if journal.was_running and not at_boot:
                self.service.start(self.settings.ready_seconds)
            return self._finish(journal)
        journal = self._returning(journal, why)
        self._tell(f"going back to version {journal.former.version}: {why}")
        config = self._config()
        if not at_boot:
            self.service.stop()
        if journal.has_copy and config is not None and databases.is_kept(self.settings.state):
            self._tell("putting the databases back")
            databases.put_back(config.state_dir, self.settings.state)
            # From here on the former version may acknowledge: they must never be put back again.
            journal = self.records.put_journal(replace(journal, has_copy=False))
        prefix.link_to(self.settings, journal.former.prefix)
        self._tell("the link is as it was")
        if journal.was_running and not at_boot:
            failure = self.service.start(self.settings.ready_seconds)
            if failure:
                why = f"{why}; and the former version does not serve either: {failure}"
        installed = self.records.installed()
        if journal.reason == _WISH:
            installed = replace(installed, current=journal.former, former=journal.coming, has_copy=False)
            self.records.put_installed(installed)
        if not installed.has_copy:
            databases.drop_copy(self.settings.state)
        shutil.rmtree(self.settings.state / "wheels", ignore_errors=True)
        outcome = "returned" if why == _WISH else "rolled_back"
        return self._end(self._verdict(journal.former, journal.coming, journal.began_ms, outcome, why))

    def _returning(self, journal: Journal, why: str) -> Journal:
        """Write down that it goes back, and that databases do so only if the link had changed."""
        has_copy = journal.has_copy and journal.phase in (Phase.PROVING, Phase.RETURNING)
        journal = replace(journal, phase=Phase.RETURNING, has_copy=has_copy, reason=why[:2000])
        try:
            return self.records.put_journal(journal)
        except OSError:
            # What stands there leads back as well, unless databases are to go back, too.
            if has_copy:
                raise
            return journal

    @disk_named()
    def roll_back(self, *, with_copy: bool) -> Verdict:
        """Bring back the version before the one that runs, at the owner's wish. To be called alone.

        Args:
            with_copy: put the databases back as they were, where their form has changed; what was acknowledged since
                is lost.
        Raises:
            RefusedError: there is none (``update.no_former``), or it can't read the databases (``update.formats``).
        """
        self.recover(at_boot=False)
        installed, running = self.records.installed(), self.running()
        former = installed.former
        if former is None or former.prefix == running.prefix or self._is_gone(former):
            raise RefusedError(
                "there is no version before the one that runs",
                code="update.no_former",
                hint="See 'bpci update status'.",
            )
        migrated = former.formats != running.formats
        has_copy = installed.has_copy and databases.is_kept(self.settings.state)
        if migrated and not (with_copy and has_copy):
            raise RefusedError(
                f"version {former.version} can't read the databases that {running.version} has written",
                code="update.formats",
                hint="With --with-copy they go back, too, and what was acknowledged since is lost."
                if has_copy
                else "Update to a newer version instead.",
            )
        was_running = self.service.condition().is_running
        if was_running:
            drain(self._config(), self.settings.drain_seconds, self._tell)
        journal = Journal(Phase.RETURNING, former, running, _now_ms(), was_running, has_copy=migrated, reason=_WISH)
        self.records.put_journal(journal)
        return self._go_back(journal, _WISH, at_boot=False)

    def _is_gone(self, version: Version) -> bool:
        return machine.version_at(self.settings.prefix.with_name(version.prefix)) is None

    @disk_named()
    def recover(self, *, at_boot: bool) -> Verdict | None:
        """Bring an update that was cut off to its end; return the verdict, ``None`` if there was none.

        Raises:
            StorageError: its journal can't be read (``update.record``).
            HostError: the service manager does not answer (``update.service``).
        """
        journal = self.records.journal()
        if journal is None:
            return None
        self._tell(f"an update was cut off while it was {journal.phase.value}")
        why = "it was cut off (power, crash or kill) before the new version had proved itself"
        if journal.phase is Phase.INSTALLING:
            shutil.rmtree(self.settings.state / "wheels", ignore_errors=True)
            prefix.drop_incomplete(self.settings)
            resume(self._config())
            return self._end(self._verdict(journal.former, journal.coming, journal.began_ms, "interrupted", why))
        if journal.phase is Phase.CONFIRMED:
            return self._finish(journal)
        # A node that was started by hand meanwhile is brought up again as well.
        runs = not at_boot and self.service.condition().is_running
        journal = replace(journal, was_running=journal.was_running or runs)
        return self._go_back(journal, journal.reason or why, at_boot=at_boot)

    # Telling

    def _verdict(self, former: Version, coming: Version, began_ms: int, outcome: str, why: str) -> Verdict:
        return {
            "kind": "update",
            "began_ms": began_ms,
            "ended_ms": _now_ms(),
            "from": former.version,
            "to": coming.version,
            "sequence": coming.sequence,
            "outcome": outcome,
            "reason": why[:2000],
        }

    def _end(self, verdict: Verdict) -> Verdict:
        self.records.add_verdict(verdict)
        self.records.end_journal()
        self.is_returning = False
        with suppress(OSError):
            write_metrics(self.settings)
        return verdict


_WISH = "the owner wanted the version before"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
