"""Where updates find things, how patient they are, and when the machine may be restarted: ``/etc/bpci/updates.toml``.

Every key has a value of its own, so that a machine without the file is updated like one with it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bpci_node.errors import UsageError
from bpci_node.runtime.table import TableReader

DEFAULT_FILE = Path("/etc/bpci/updates.toml")
MAX_FILE_BYTES = 65_536
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIMES = tuple(f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(0, 60, 5))


@dataclass(frozen=True, slots=True)
class Window:
    """When the machine may be restarted."""

    days: tuple[str, ...] = DAYS
    """Of :data:`DAYS`: those on which the window begins."""
    begins: str = "03:00"
    """Local time, a multiple of five minutes."""
    minutes: int = 120
    """How long it lasts, 15 to 1,440."""
    time_zone: str = "UTC"
    """Name in the time zone database."""
    reboot: bool = True
    """Whether a restart that updates ask for is carried out in it."""

    def is_open(self, now_s: float) -> bool:
        """Tell whether Unix time ``now_s`` lies in a window."""
        now = datetime.fromtimestamp(now_s, tz=ZoneInfo(self.time_zone))
        hour, minute = (int(part) for part in self.begins.split(":"))
        for back in (0, 1):
            day = now.date() - timedelta(days=back)
            begins = datetime(day.year, day.month, day.day, hour, minute, tzinfo=now.tzinfo)
            # In Unix time, since a day on which clocks change has 23 or 25 hours.
            since = now_s - begins.timestamp()
            if DAYS[day.weekday()] in self.days and 0 <= since < self.minutes * 60:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an update needs to know of this machine."""

    prefix: Path = Path("/opt/bpci")
    """Link to the version in use."""
    state: Path = Path("/var/lib/bpci/update")
    """Journal, history, downloads."""
    config: Path = Path("/etc/bpci/node.toml")
    """The node's configuration."""
    installer: Path = Path("/usr/lib/bpci/install-prefix")
    """Builds a version from a wheelhouse."""
    unit: str = "bpci-node.service"
    """The node's unit."""
    keys: tuple[Path, ...] = (Path("/usr/share/bpci/release-keys"), Path("/etc/bpci/release-keys"))
    """Directories of trusted release keys."""
    metrics: Path = Path("/var/lib/prometheus/node-exporter")
    """Directory of node_exporter's text files; left alone where there is none."""
    ready_seconds: int = 120
    """How long a new version may take to say that it is ready."""
    answer_seconds: int = 60
    """How long it may then take to answer as the former one did."""
    settle_seconds: int = 15
    """How long it must then go on serving, without a restart."""
    drain_seconds: int = 900
    """How long is waited for auctions to end before the node is stopped all the same."""
    window: Window = field(default_factory=Window)


def load_settings(path: Path = DEFAULT_FILE) -> Settings:
    """Read the settings at ``path``; without a file, the defaults.

    Raises:
        UsageError: ``config.file``, ``config.syntax``, ``config.key``, ``config.value``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        value = tomllib.loads(data.decode() if len(data) <= MAX_FILE_BYTES else "= too long")
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="config.file", file=str(path)) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}", code="config.syntax", file=str(path)) from error
    top, usual = TableReader(str(path), "", value), Settings()
    top.integer("v", 1, 1)
    place, gate = top.table("place"), top.table("gate")
    settings = Settings(
        prefix=place.path("prefix", usual.prefix),
        state=place.path("state", usual.state),
        config=place.path("config", usual.config),
        installer=place.path("installer", usual.installer),
        unit=place.text("unit", usual.unit),
        keys=tuple(Path(item) for item in place.texts("keys", 8, "/.{0,200}")) or usual.keys,
        metrics=place.path("metrics", usual.metrics),
        ready_seconds=gate.integer("ready_seconds", 5, 3600, usual.ready_seconds),
        answer_seconds=gate.integer("answer_seconds", 1, 3600, usual.answer_seconds),
        settle_seconds=gate.integer("settle_seconds", 1, 3600, usual.settle_seconds),
        drain_seconds=gate.integer("drain_seconds", 0, 86_400, usual.drain_seconds),
        window=_window(top.table("window")),
    )
    for reader in (place, gate, top):
        reader.done()
    return settings


def _window(reader: TableReader) -> Window:
    usual = Window()
    window = Window(
        days=reader.texts("days", 7, "|".join(DAYS)) or usual.days,
        begins=reader.text("begins", usual.begins),
        minutes=reader.integer("minutes", 15, 1440, usual.minutes),
        time_zone=reader.text("time_zone", usual.time_zone),
        reboot=reader.flag("reboot", default=usual.reboot),
    )
    reader.done()
    if window.begins not in _TIMES:
        reader.wrong("begins", 'a time such as "03:00", in steps of five minutes')
    try:
        ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reader.wrong("time_zone", 'the name of a time zone, such as "Europe/Paris"')
    return window
