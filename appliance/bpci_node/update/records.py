"""What updates remember: how far the running one came, what is installed, and what became of those before.

Each file is replaced whole and is durable on return, so that a power cut leaves one record or the next. They are read
as strictly as what comes from outside, though only root writes here.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bpci_node.errors import FormatError, StorageError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.json_text import read_json
from bpci_node.store.durable_file import replace_file, sync_path

Verdict = dict[str, Any]
"""What became of an update or a restart, JSON types."""

MAX_BYTES = 1 << 20
KEEP_HISTORY = 200
"""Verdicts that are kept."""
_PREFIX_FORM = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TEXT_FORM = re.compile(r"[^\x00-\x1f\x7f]{0,2000}")
_HEX_FORM = re.compile(r"(?:[0-9a-f]{64})?")


def plain(text: str) -> str:
    """Return ``text`` as a record can hold it: without control characters, which programs' words may have."""
    return " ".join(re.split(r"[\x00-\x20\x7f]+", text)).strip()


class Phase(StrEnum):
    """How far an update came; each is written before what it names begins."""

    INSTALLING = "installing"
    """The new version is put beside the running one; nothing that runs is touched."""
    SWITCHING = "switching"
    """The node is stopped and the link changes."""
    PROVING = "proving"
    """The new version has to show that it serves."""
    RETURNING = "returning"
    """It did not: the former one comes back."""
    CONFIRMED = "confirmed"
    """It did: only tidying is left."""


@dataclass(frozen=True, slots=True)
class Version:
    """One installed version."""

    prefix: str
    """Name of its directory beside the link."""
    version: str
    """Three numbers."""
    sequence: int = 0
    """Of its release; 0 for what no bundle brought."""
    digest: str = ""
    """Of its manifest, hex; empty likewise."""
    formats: tuple[int, int] = (0, 0)
    """Of database and auction journal; zeros when not known."""

    def as_map(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "prefix": self.prefix,
            "version": self.version,
            "sequence": self.sequence,
            "digest": self.digest,
            "formats": list(self.formats),
        }

    @classmethod
    def from_map(cls, value: Any) -> Version:
        """Read one; raises FormatError (``update.record``)."""
        names = ("prefix", "version", "sequence", "digest", "formats")
        fields = Fields(value, names, what="an installed version", code="update.record")
        formats = fields.items("formats", 2)
        if len(formats) != 2 or not all(type(item) is int for item in formats):
            raise fields.wrong("needs two numbers in 'formats'")
        return cls(
            fields.text("prefix", _PREFIX_FORM, "a directory's name"),
            fields.text("version", _TEXT_FORM, "text"),
            fields.integer("sequence"),
            fields.text("digest", _HEX_FORM, "a digest"),
            (formats[0], formats[1]),
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """The update that is under way."""

    phase: Phase
    former: Version
    """What ran when it began."""
    coming: Version
    """What it brings; its directory is not known while it is being installed."""
    began_ms: int
    was_running: bool = False
    """Whether the node ran, so that it is to run again."""
    has_copy: bool = False
    """Whether the databases were copied because the new version changes their form."""
    is_served: bool = False
    """Whether the new version may have served, so that what it acknowledged would be lost with the copy."""
    reason: str = ""
    """Why it goes back."""
    before: dict[str, Any] = field(default_factory=dict)
    """What the node said of itself before."""

    def as_map(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "v": 1,
            "phase": self.phase.value,
            "former": self.former.as_map(),
            "coming": self.coming.as_map(),
            "began_ms": self.began_ms,
            "was_running": self.was_running,
            "has_copy": self.has_copy,
            "is_served": self.is_served,
            "reason": self.reason,
            "before": self.before,
        }

    @classmethod
    def from_map(cls, value: Any) -> Journal:
        """Read one; raises FormatError (``update.record``)."""
        names = (
            "v", "phase", "former", "coming", "began_ms", "was_running", "has_copy", "is_served", "reason", "before",
        )  # fmt: skip
        fields = Fields(value, names, what="an update's journal", code="update.record")
        fields.version()
        phase, before = fields.raw("phase"), fields.raw("before")
        if phase not in list(Phase) or type(before) is not dict:
            raise fields.wrong("has no phase, or nothing of before")
        return cls(
            Phase(phase),
            Version.from_map(fields.raw("former")),
            Version.from_map(fields.raw("coming")),
            fields.integer("began_ms"),
            fields.flag("was_running"),
            fields.flag("has_copy"),
            fields.flag("is_served"),
            fields.text("reason", _TEXT_FORM, "text"),
            before,
        )


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed, and how far releases came here."""

    highest: int = 0
    """Greatest sequence that ever proved itself here."""
    highest_digest: str = ""
    """Of that release."""
    current: Version | None = None
    former: Version | None = None
    """The one before, which is kept."""
    has_copy: bool = False
    """Whether the databases as they were before the current one are kept, too."""

    def as_map(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "v": 1,
            "highest": self.highest,
            "highest_digest": self.highest_digest,
            "current": None if self.current is None else self.current.as_map(),
            "former": None if self.former is None else self.former.as_map(),
            "has_copy": self.has_copy,
        }

    @classmethod
    def from_map(cls, value: Any) -> Installed:
        """Read it; raises FormatError (``update.record``)."""
        names = ("v", "highest", "highest_digest", "current", "former", "has_copy")
        fields = Fields(value, names, what="the record of updates", code="update.record")
        fields.version()
        return cls(
            fields.integer("highest"),
            fields.text("highest_digest", _HEX_FORM, "a digest"),
            None if fields.is_null("current") else Version.from_map(fields.raw("current")),
            None if fields.is_null("former") else Version.from_map(fields.raw("former")),
            fields.flag("has_copy"),
        )


class Records:
    """The files of one state directory."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; it is made when something is written."""
        self.directory = directory
        self._journal, self._installed = directory / "journal.json", directory / "installed.json"
        self._history = directory / "history.json"

    def journal(self) -> Journal | None:
        """Return the update that is under way, ``None`` if there is none.

        Raises:
            StorageError: it can't be read (``update.record``).
        """
        value = self._read(self._journal)
        return None if value is None else self._parsed(self._journal, Journal.from_map, value)

    def put_journal(self, journal: Journal) -> Journal:
        """Write how far the update came, and return it."""
        self._write(self._journal, journal.as_map())
        return journal

    def end_journal(self) -> None:
        """Say that no update is under way."""
        self._journal.unlink(missing_ok=True)
        sync_path(self.directory)

    def installed(self) -> Installed:
        """Return what is installed; raises StorageError (``update.record``)."""
        value = self._read(self._installed)
        return Installed() if value is None else self._parsed(self._installed, Installed.from_map, value)

    def put_installed(self, installed: Installed) -> None:
        """Write what is installed."""
        self._write(self._installed, installed.as_map())

    def history(self) -> list[dict[str, Any]]:
        """Return what became of updates, the oldest first; raises StorageError (``update.record``)."""
        value = self._read(self._history)
        if value is None:
            return []
        if type(value) is not list or not all(type(item) is dict for item in value):
            raise _unreadable(self._history)
        return value

    def add_verdict(self, verdict: dict[str, Any]) -> None:
        """Add to the history; the same verdict of the same update is written once, however often it is told."""
        history = self.history()
        key = ("kind", "began_ms", "to")
        if history and all(history[-1].get(name) == verdict.get(name) for name in key):
            history.pop()
        kept = [*history, verdict][-KEEP_HISTORY:]
        while len(kept) > 1 and len(_encoded(kept)) > MAX_BYTES:  # many changed packages in each: the oldest go
            del kept[0]
        self._write(self._history, kept)

    def _write(self, path: Path, value: Any) -> None:
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, _encoded(value), mode=0o644)

    def _read(self, path: Path) -> Any:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path) from error
        with os.fdopen(descriptor, "rb") as file:
            try:
                return read_json(file.read(MAX_BYTES + 1), max_bytes=MAX_BYTES)
            except (OSError, FormatError) as error:
                raise _unreadable(path) from error

    def _parsed(self, path: Path, parse: Any, value: Any) -> Any:
        try:
            return parse(value)
        except FormatError as error:
            raise _unreadable(path) from error


def _encoded(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _unreadable(path: Path) -> StorageError:
    return StorageError(
        f"{path} can't be read",
        code="update.record",
        hint="Move it away; what runs is what the link /opt/bpci names.",
    )
