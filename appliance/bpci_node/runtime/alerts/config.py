"""Who is told: ``/etc/bpci/alerts.toml``, read strictly.

A secret stands in a file of its own, which only its owner may read; this file names it. What would carry a secret in
clear text to another machine is refused.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bpci_node.chain.endpoint import is_endpoint
from bpci_node.errors import UsageError
from bpci_node.runtime.table import TableReader

SEVERITIES: Final = ("info", "warning", "critical")
"""How urgent an alert is, the least urgent first."""
MOST = 8
"""Receivers of one kind, at most."""
MAX_FILE_BYTES = 65_536
MAX_SECRET_BYTES = 4_096

_NAME = r"[a-z][a-z0-9-]{0,31}"
_MAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}"
_SERVER = r"[A-Za-z0-9.:-]{1,253}"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class _Reader:
    """What somebody reads."""

    name: str
    least: str
    """Least severity that is sent there."""


@dataclass(frozen=True, slots=True)
class Mail(_Reader):
    """A mailbox, or several that get the same letter."""

    to: tuple[str, ...]
    sender: str
    server: str
    """Host of the SMTP server."""
    port: int
    security: str
    """``starttls``, ``tls`` from the first byte on, or ``none``."""
    user: str | None
    password: str | None

    kind = "mail"


@dataclass(frozen=True, slots=True)
class Webhook(_Reader):
    """A URL that takes Alertmanager's own JSON by POST."""

    url: str
    token: str | None
    """Sent as ``Authorization: Bearer``."""

    kind = "webhook"


@dataclass(frozen=True, slots=True)
class Ntfy(_Reader):
    """A topic on a server of ntfy, which shows messages on telephones."""

    url: str
    topic: str
    token: str | None

    kind = "ntfy"


@dataclass(frozen=True, slots=True)
class DeadMan:
    """A URL that is fetched while all is well: who runs it says so when the pings stop."""

    url: str
    every_minutes: int

    kind = "dead-man"
    name = "switch"


Receiver = Mail | Webhook | Ntfy | DeadMan


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """The whole file."""

    repeat_hours: int
    """After how many hours an alert that goes on is said again."""
    mail: tuple[Mail, ...] = ()
    webhook: tuple[Webhook, ...] = ()
    ntfy: tuple[Ntfy, ...] = ()
    dead_man: DeadMan | None = None

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        """All of them, in the order of the file's kinds."""
        return (*self.mail, *self.webhook, *self.ntfy, *(() if self.dead_man is None else (self.dead_man,)))


def receiver_id(receiver: Receiver) -> str:
    """Return the name under which Alertmanager and the relay know a receiver, such as ``mail:owner``."""
    return f"{receiver.kind}:{receiver.name}"


def load(path: Path) -> AlertsConfig:
    """Read the file at ``path`` and the secrets that it names.

    Raises:
        UsageError: it can't be read, or others may read it (``alerts.file``); a secret's file is missing, open to
            others or empty (``alerts.secret``); a wrong key or value (``config.*``).
    """
    data = _read_private(path, MAX_FILE_BYTES, "alerts.file", "See docs/monitoring.md for what stands in it.")
    return parse(data, source=str(path))


def parse(data: bytes, *, source: str) -> AlertsConfig:
    """Read the file's content.

    Args:
        source: what messages call the file.
    Raises:
        UsageError: as :func:`load`.
    """
    try:
        value = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "Mend the line it names."
        raise UsageError(f"{source} is not TOML: {error}", code="config.syntax", hint=hint) from error
    reader = TableReader(source, "", value)
    reader.integer("v", 1, 1)
    config = AlertsConfig(
        repeat_hours=reader.integer("repeat_hours", 1, 168, 12),
        mail=tuple(_mail(item) for item in _tables(reader, "mail")),
        webhook=tuple(_webhook(item) for item in _tables(reader, "webhook")),
        ntfy=tuple(_ntfy(item) for item in _tables(reader, "ntfy")),
        dead_man=_dead_man(reader.table("dead_man")) if "dead_man" in value else None,
    )
    reader.table("dead_man")
    reader.done()
    for kind in ("mail", "webhook", "ntfy"):
        names = [item.name for item in getattr(config, kind)]
        if len(set(names)) != len(names):
            reader.wrong(kind, "tables whose names differ")
    return config


def _tables(reader: TableReader, key: str) -> list[TableReader]:
    found = reader.tables(key)
    if len(found) > MOST:
        reader.wrong(key, f"at most {MOST} tables")
    return found


def _common(reader: TableReader) -> tuple[str, str]:
    name = reader.text("name", None, _NAME, "a name of lower-case letters, digits and hyphens")
    return name, reader.choice("least", "warning", SEVERITIES)


def _mail(reader: TableReader) -> Mail:
    name, least = _common(reader)
    to = reader.texts("to", 10, _MAIL)
    if not to:
        reader.wrong("to", "at least one address")
    mail = Mail(
        name=name,
        least=least,
        to=to,
        sender=reader.text("from", None, _MAIL, "an address"),
        server=reader.text("server", None, _SERVER, "the name or address of an SMTP server"),
        port=reader.integer("port", 1, 65535, 587),
        security=reader.choice("security", "starttls", ("starttls", "tls", "none")),
        user=reader.text("user", "", r"[\x21-\x7e]{0,256}", "a user's name") or None,
        password=_secret(reader, "password_file"),
    )
    if (mail.user is None) != (mail.password is None):
        reader.wrong("user", "given together with password_file")
    if mail.security == "none" and mail.password is not None and mail.server not in _LOOPBACK:
        reader.wrong("security", "starttls or tls, since a password is sent")
    reader.done()
    return mail


def _webhook(reader: TableReader) -> Webhook:
    name, least = _common(reader)
    webhook = Webhook(name, least, *_url_and_token(reader))
    reader.done()
    return webhook


def _ntfy(reader: TableReader) -> Ntfy:
    name, least = _common(reader)
    url, token = _url_and_token(reader)
    topic = reader.text("topic", None, r"[A-Za-z0-9_-]{1,64}", "a topic of letters, digits, _ and -")
    reader.done()
    return Ntfy(name, least, url, topic, token)


def _dead_man(reader: TableReader) -> DeadMan:
    switch = DeadMan(_url(reader), reader.integer("every_minutes", 1, 60, 5))
    reader.done()
    return switch


def _url(reader: TableReader) -> str:
    url = reader.text("url", None, r"https?://[\x21-\x7e]{1,2000}", "an http or https URL")
    try:
        parts = urlsplit(url)
        has_host = parts.hostname is not None and parts.port != 0
    except ValueError:
        reader.wrong("url", "an http or https URL")
    if not has_host or not is_endpoint(f"{parts.scheme}://{parts.netloc.lower()}") or parts.fragment:
        reader.wrong("url", "an http or https URL with a host, and without user and fragment")
    return url


def _url_and_token(reader: TableReader) -> tuple[str, str | None]:
    url, token = _url(reader), _secret(reader, "token_file")
    if token is not None and url.startswith("http:") and urlsplit(url).hostname not in _LOOPBACK:
        reader.wrong("url", "an https URL, since a token is sent")
    return url, token


def _secret(reader: TableReader, key: str) -> str | None:
    """Return the one line of the file that ``key`` names, ``None`` if it names none."""
    path = reader.optional_path(key)
    if path is None:
        return None
    hint = "It holds the secret in one line, belongs to root and has mode 0600."
    try:
        secret = _read_private(path, MAX_SECRET_BYTES, "alerts.secret", hint).decode("ascii").strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret or not secret.isprintable():
        raise UsageError(f"{path} does not hold a secret in one line", code="alerts.secret", hint=hint)
    return secret


def _read_private(path: Path, most: int, code: str, hint: str) -> bytes:
    """Return the content of a file that nobody but its owner, who is root or who asks, may read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{path} is not a file", code=code, hint=hint)
            if found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
                raise UsageError(f"others may read or write {path}", code=code, hint=f"chmod 0600 {path}")
            data = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code=code, hint=hint) from error
    if len(data) > most:
        raise UsageError(f"{path} is longer than {most} bytes", code=code, hint=hint)
    return data
