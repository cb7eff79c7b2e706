"""``/etc/bpci/backup.toml``: where backups go and how long they stay. Form: ``docs/backup.md``.

Invariants: unknown keys are errors; no secret stands in this file (a password in an address is refused), but in a file
of its own that root alone may read.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tomli_w

from bpci_node.errors import AccessError, UsageError
from bpci_node.host.restic import Place, Retention
from bpci_node.runtime.table import TableReader

PATH = "/etc/bpci/backup.toml"
MODE = 0o600
MAX_BYTES = 64 * 1024

_REPOSITORY = (
    r"/[^\x00-\x1f]{1,500}|sftp:[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:[^\x00-\x1f@]{1,500}|(rest|s3):https?://[^\s@]{1,500}"
)
_EXPECTED = "a directory, sftp:USER@HOST:/PATH, rest:https://HOST/PATH or s3:https://HOST/BUCKET, without a password"
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "REST_USERNAME",
    "REST_PASSWORD",
)


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """Everything that the owner decides about backups."""

    repository: str
    """A directory, or a server, in restic's words."""
    credentials: Path | None = None
    """File of ``NAME=VALUE`` lines for the server."""
    ssh_key: Path | None = None
    """Private key with which the server of an ``sftp:`` repository is entered."""
    known_hosts: Path | None = None
    """Host keys of that server."""
    ssh_port: int = 22
    append_only: bool = False
    """Whether the server lets nothing be removed; then snapshots are thinned out on its side."""
    upload_kib: int = 0
    """Most KiB per second that are sent; 0: no limit."""
    retention: Retention = field(default_factory=lambda: Retention(last=3, daily=7, weekly=5, monthly=12))
    check_percent: int = 5
    """Share of the data that a scheduled drill reads again."""


def parse(text: str, *, source: str) -> BackupConfig:
    """Read the configuration from its text.

    Raises:
        UsageError: ``config.syntax``, ``config.key``, ``config.value``; the message names file and key.
    """
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{source} is not TOML: {error}", code="config.syntax", file=source) from error
    reader = TableReader(source, "", value)
    reader.integer("v", 1, 1)
    repository = value.get("repository")
    if isinstance(repository, str) and not re.fullmatch(_REPOSITORY, repository):
        # The value is not shown: a password may stand in it.
        raise UsageError(f"{source}: repository must be {_EXPECTED}", code="config.value", file=source)
    sftp, kept = reader.table("sftp"), reader.table("retention")
    config = BackupConfig(
        repository=reader.text("repository", None, _REPOSITORY, _EXPECTED),
        credentials=reader.optional_path("credentials"),
        ssh_key=sftp.optional_path("key"),
        known_hosts=sftp.optional_path("known_hosts"),
        ssh_port=sftp.integer("port", 1, 65535, 22),
        append_only=reader.flag("append_only", default=False),
        upload_kib=reader.integer("upload_kib", 0, 10**9, 0),
        retention=Retention(
            last=kept.integer("last", 1, 1000, 3),
            daily=kept.integer("daily", 0, 1000, 7),
            weekly=kept.integer("weekly", 0, 1000, 5),
            monthly=kept.integer("monthly", 0, 1000, 12),
        ),
        check_percent=reader.integer("check_percent", 1, 100, 5),
    )
    for table in (sftp, kept, reader):
        table.done()
    if config.repository.startswith("sftp:") and (config.ssh_key is None or config.known_hosts is None):
        raise UsageError(
            f"{source}: an sftp: repository needs sftp.key and sftp.known_hosts", code="config.key", file=source
        )
    return config


def dump(config: BackupConfig) -> str:
    """Return the text of the file, every key written out."""
    value: dict[str, Any] = {
        "v": 1,
        "repository": config.repository,
        "append_only": config.append_only,
        "upload_kib": config.upload_kib,
        "check_percent": config.check_percent,
    }
    if config.credentials is not None:
        value["credentials"] = str(config.credentials)
    kept = config.retention
    value["retention"] = {"last": kept.last, "daily": kept.daily, "weekly": kept.weekly, "monthly": kept.monthly}
    if config.ssh_key is not None and config.known_hosts is not None:
        value["sftp"] = {
            "key": str(config.ssh_key),
            "known_hosts": str(config.known_hosts),
            "port": config.ssh_port,
        }
    return tomli_w.dumps(value)


def place_of(config: BackupConfig, root: Path = Path("/")) -> Place:
    """Return where the repository is, with the credentials of its file.

    Args:
        root: top of the tree in which the configuration's paths lie; a directory's own path is taken as it is.
    Raises:
        UsageError: the credentials can't be read or have another form (``config.file``, ``config.value``).
        AccessError: others may read them (``backup.credentials``).
    """
    secrets = {} if config.credentials is None else _credentials(root / str(config.credentials).lstrip("/"))
    repository = config.repository
    user, password = secrets.pop("REST_USERNAME", ""), secrets.pop("REST_PASSWORD", "")
    hidden = dict(secrets)
    if repository.startswith("rest:") and user:
        scheme, _, rest = repository.removeprefix("rest:").partition("://")
        repository = f"rest:{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"
        # Beside the environment that restic reads, so that what it says can be cleared of them.
        hidden |= {"BPCI_REST_PASSWORD": password or user, "BPCI_REST_QUOTED": quote(password or user, safe="")}
    options: list[str] = []
    if config.upload_kib:
        options += ["--limit-upload", str(config.upload_kib)]
    if repository.startswith("sftp:"):
        options += ["-o", "sftp.command=" + _ssh(config, root)]
    return Place(repository, config.repository, hidden, tuple(options))


def _ssh(config: BackupConfig, root: Path) -> str:
    key, hosts = (root / str(path).lstrip("/") for path in (config.ssh_key, config.known_hosts))
    target = config.repository.removeprefix("sftp:").partition(":")[0]
    return (
        f"ssh -F /dev/null -p {config.ssh_port} -i {key} -o IdentitiesOnly=yes -o BatchMode=yes"
        f" -o StrictHostKeyChecking=yes -o UserKnownHostsFile={hosts} -o ConnectTimeout=20"
        f" -o ServerAliveInterval=15 {target} -s sftp"
    )


def _credentials(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise AccessError(
                f"others may read the credentials in {path}", code="backup.credentials", hint=f"chmod 0600 {path}"
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"cannot read the credentials {path}: {reason}", code="config.file") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        name, mark, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not mark or name not in _CREDENTIALS or not value:
            raise UsageError(
                f"{path}: line {number} is not NAME=VALUE with one of {', '.join(_CREDENTIALS)}", code="config.value"
            )
        found[name] = value
    return found


def load(path: Path) -> BackupConfig:
    """Read the configuration at ``path``.

    Raises:
        UsageError: it is not there (``backup.unconfigured``), or as :func:`parse`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path} is longer than {MAX_BYTES} bytes", code="config.syntax")
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise UsageError(
            "this machine makes no backups yet",
            code="backup.unconfigured",
            hint="sudo bpci backup init --to /mnt/disk/bpci",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="config.file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", code="config.syntax") from error
    return parse(text, source=str(path))
