"""A support bundle: what a helper needs to know about this machine, and nothing that one must not know.

An archive of text files, each gathered by one harmless command or read from one file of a fixed list, and each passed
through :mod:`bpci_node.setup.redaction`. Files of keys, credentials and databases are never put in; what they hold is
looked for in everything else.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bpci_node import __version__
from bpci_node.errors import StorageError
from bpci_node.setup.redaction import forms_of, is_secret_name, redact
from bpci_node.setup.system import System

MAX_TEXT = 4 << 20
"""Longest text of one file, characters; of a longer one the end is kept."""
MAX_SECRET = 1 << 16
ALERTS = "/etc/bpci/alerts.toml"
_PLACES = re.compile(r"""://[^/\s"']+/([^\s"']+)|\btopic\s*=\s*["']([^"']+)""")
COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("system/kernel.txt", ("uname", "-a")),
    ("system/uptime.txt", ("uptime",)),
    ("system/memory.txt", ("free", "-m")),
    ("system/disks.txt", ("df", "-hT")),
    ("system/inodes.txt", ("df", "-i")),
    ("system/block-devices.txt", ("lsblk", "-o", "NAME,SIZE,TYPE,FSTYPE,MOUNTPOINTS,MODEL")),
    ("system/processes.txt", ("ps", "-eo", "pid,user,rss,pcpu,etime,comm", "--sort=-rss")),
    ("system/packages.txt", ("dpkg-query", "-W", "-f", "${Package} ${Version}\n")),
    ("units/failed.txt", ("systemctl", "--no-pager", "--plain", "--failed")),
    ("units/all.txt", ("systemctl", "--no-pager", "--plain", "list-units", "--all")),
    ("units/timers.txt", ("systemctl", "--no-pager", "--plain", "list-timers", "--all")),
    ("units/node.txt", ("systemctl", "--no-pager", "show", "bpci-node.service")),
    ("journal/bpci.txt", ("journalctl", "--no-pager", "--no-hostname", "--lines=5000", "--unit=bpci-*")),
    ("journal/warnings.txt", ("journalctl", "--no-pager", "--no-hostname", "--lines=3000", "--priority=warning")),
    ("journal/kernel.txt", ("journalctl", "--no-pager", "--no-hostname", "--lines=2000", "--dmesg")),
    ("network/addresses.txt", ("ip", "address")),
    ("network/routes.txt", ("ip", "route", "show", "table", "all")),
    ("network/names.txt", ("resolvectl", "--no-pager", "status")),
    ("network/links.txt", ("networkctl", "--no-pager", "status", "--all")),
    ("network/listening.txt", ("ss", "-ltnu")),
    ("clock.txt", ("chronyc", "-n", "tracking")),
)
"""What is run, and the file that its output goes to."""
FILES = (
    "/etc/os-release",
    "/etc/bpci/*.toml",
    "/etc/bpci/network.json",
    "/etc/systemd/network/*.network",
    "/etc/systemd/system/bpci-*.service.d/*.conf",
    "/var/lib/bpci/setup/journal.json",
    "/var/log/apt/history.log",
)
"""What is read; directories of keys are none of them."""
SECRETS = (
    "/etc/bpci/keys/*",
    "/etc/bpci/**/*.key",
    "/etc/bpci/**/*.cred",
    "/etc/bpci/**/*password*",
    "/etc/bpci/**/*token*",
    "/etc/bpci/**/*secret*",
    "/etc/credstore*/*",
    "/etc/wpa_supplicant/*.conf",
    "/run/bpci-network/*.conf",
    "/var/lib/systemd/credential.secret",
)
"""Files whose content is looked for in everything that is put in."""


def gather(system: System, doctor: Callable[[], str], environment: dict[str, str] | None = None) -> dict[str, str]:
    """Return the bundle's files by name, without secrets.

    Args:
        doctor: returns what the doctor finds, as text.
        environment: of this process; its secrets are looked for.
    """
    found = {"versions.txt": f"bpci {__version__}\nmade {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n"}
    for name, command in COMMANDS:
        done = system.runner(command, b"")
        said = done.output.decode(errors="replace")
        found[name] = said if not done.status else f"{said}\n(exit status {done.status}: {done.errors})\n"
    for pattern in FILES:
        for path in sorted(system.root.glob(pattern.lstrip("/"))):
            found[f"files/{path.relative_to(system.root)}"] = _text_of(path)
    found["doctor.txt"] = doctor()
    values = secrets_of(system, dict(os.environ) if environment is None else environment)
    return {name: redact(text[-MAX_TEXT:], values) for name, text in found.items()}


def secrets_of(system: System, environment: dict[str, str]) -> set[str]:
    """Return what this machine keeps as secrets, in every form in which it may stand in a text."""
    found: set[str] = set()
    for pattern in SECRETS:
        for path in system.root.glob(pattern.lstrip("/")):
            data = _bytes_of(path)
            found |= forms_of(data)
            if path.suffix == ".conf":
                found -= {line for line in found if "=" not in line}
                found |= _quoted(data)
    for name, value in environment.items():
        if any(word in name.upper() for word in ("PASS", "SECRET", "TOKEN", "KEY", "PHRASE", "CREDENTIAL")):
            found |= forms_of(value.encode())
    return found | _settings(system) | _places(system)


def pack(files: dict[str, str]) -> bytes:
    """Return the archive (tar, gzip) of ``files``, below one directory."""
    made = int(time.time())
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=made) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w") as tar,
    ):
        for name, text in sorted(files.items()):
            data = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"bpci-support/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, made
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def write(path: Path, data: bytes) -> None:
    """Write the archive, readable by its owner alone.

    Raises:
        StorageError: ``storage.write``.
    """
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", code="storage.write") from error


def _settings(system: System) -> set[str]:
    """Return the secrets of the configuration: a service may have said them in the journal."""
    found: set[str] = set()
    for path in system.root.glob("etc/bpci/*.toml"):
        try:
            found |= _named(tomllib.loads(_text_of(path)), is_secret=False)
        except (tomllib.TOMLDecodeError, RecursionError):
            continue  # what can't be read can't be told by value; place and form remain
    return found


def _places(system: System) -> set[str]:
    """Return what stands behind the hosts of those who are told of alerts: who knows such a place may write there."""
    places = _PLACES.findall(_text_of(system.path(ALERTS)))
    return {form for place in places for value in place for form in forms_of(value.encode())}


def _named(value: Any, *, is_secret: bool) -> set[str]:
    if isinstance(value, dict):
        return {form for name, item in value.items() for form in _named(item, is_secret=is_secret_name(name))}
    if isinstance(value, list):
        return {form for item in value for form in _named(item, is_secret=is_secret)}
    if not isinstance(value, str):
        return set()
    within = re.search(r"://[^/\s@]*:([^/\s@]+)@", value)
    return (forms_of(value.encode()) if is_secret else set()) | (forms_of(within[1].encode()) if within else set())


def _quoted(data: bytes) -> set[str]:
    """Return the values between quotation marks of a Wi-Fi configuration."""
    lines = data.decode(errors="replace").splitlines()
    values = [line.partition("=")[2].strip().strip('"') for line in lines if line.strip().startswith(("psk=", "sae_"))]
    return {form for value in values for form in forms_of(value.encode())}


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET)
    except OSError:
        return b""


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_TEXT))
            return file.read().decode(errors="replace")
    except OSError as error:
        return f"(not read: {error.strerror})\n"
