"""``bpci backup``: make, prove and restore encrypted backups of this machine's node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bpci_node.cli import backup_restore
from bpci_node.cli.backup_machine import (
    find_backups,
    find_key,
    find_system,
    make_teller,
    moment_of,
    phrase_option,
    read_node,
    read_settings,
    root_option,
    snapshot_option,
)
from bpci_node.cli.output import emit, fields, json_option, say, table
from bpci_node.errors import UsageError


@click.group("backup")
def command() -> None:
    """Make, prove and restore encrypted backups of this machine's node. They need root.

    The key is derived from the recovery phrase: with the phrase and the repository alone a clean machine comes back.
    """


command.add_command(backup_restore.command)


@command.command("init")
@click.option("--to", "repository", required=True, metavar="PLACE", help="A directory, sftp:, rest: or s3: address.")
@click.option(
    "--credentials", type=click.Path(path_type=Path), metavar="FILE", help="NAME=VALUE lines for the server, mode 0600."
)
@click.option("--ssh-key", type=click.Path(path_type=Path), metavar="FILE", help="For sftp: private key.")
@click.option(
    "--known-hosts", type=click.Path(path_type=Path), metavar="FILE", help="For sftp: the server's host keys."
)
@click.option("--ssh-port", type=click.IntRange(1, 65535), default=22, show_default=True, help="For sftp: port.")
@click.option("--append-only", is_flag=True, help="The server lets nothing be removed, and thins out itself.")
@phrase_option
@root_option
@json_option
def init(
    *,
    repository: str,
    credentials: Path | None,
    ssh_key: Path | None,
    known_hosts: Path | None,
    ssh_port: int,
    append_only: bool,
    phrase_file: Path | None,
    root: Path,
    as_json: bool,
) -> None:
    """Say where backups go: make a repository there, or take one up that this owner's phrase opens.

    What was set before for retention, sending and drills stays. Nothing changes here unless the repository opens.

    \b
    Examples:
      sudo bpci backup init --to /mnt/disk/bpci
      sudo bpci backup init --to rest:https://backup.example/attic --credentials /etc/bpci/backup/server --append-only
      sudo bpci backup init --to sftp:bpci@nas:/backup/attic --ssh-key /etc/bpci/backup/id \\
        --known-hosts /etc/bpci/backup/known_hosts
    """
    from bpci_node.errors import NotFoundError
    from bpci_node.runtime.backup import config
    from bpci_node.runtime.backup.config import BackupConfig
    from bpci_node.runtime.backup.work import Backups
    from bpci_node.setup import keystore

    system = find_system(root)
    if repository.startswith("/") and not Path(repository).parent.is_dir():
        raise UsageError(
            f"there is no directory {Path(repository).parent}", code="usage.file", hint="Mount the disk first."
        )
    former = read_settings(system) if system.exists(config.PATH) else BackupConfig(repository)
    settings = replace(
        former,
        repository=repository,
        credentials=credentials,
        ssh_key=ssh_key,
        known_hosts=known_hosts,
        ssh_port=ssh_port,
        append_only=append_only,
    )
    text = config.dump(settings)
    settings = config.parse(text, source="the options")
    key = find_key(system, phrase_file)
    backups = Backups(settings, key, root=root, say=make_teller()[0])
    is_new = False
    try:
        backups.restic.probe()
    except NotFoundError:
        backups.restic.create()
        is_new = True
    if phrase_file is not None:
        # Not before: a wrong phrase must not take away the key of the backups that are made.
        keystore.keep(system, keystore.BACKUP_KEY, key)
    system.write(config.PATH, text, config.MODE)
    found = {"repository": settings.repository, "new": is_new, "backups": len(backups.restic.snapshots())}
    emit(
        found,
        as_json,
        lambda data: (
            f"{'made' if data['new'] else 'took up'} the repository {data['repository']}; a backup is made every day"
        ),
    )


@command.command("now")
@root_option
@json_option
def now(*, root: Path, as_json: bool) -> None:
    """Make a backup now, while the node runs, and thin out the older ones.

    \b
    Example:
      sudo bpci backup now
    """
    system = find_system(root)
    tell, finish = make_teller()
    try:
        found = find_backups(system, root, tell).save(read_node(system))
    finally:
        finish()
    emit(
        found,
        as_json,
        lambda data: f"backup {data['snapshot'][:8]}: {_size(data['total_bytes'])}, block {data['height']}",
    )


@command.command("list")
@root_option
@json_option
def list_backups(*, root: Path, as_json: bool) -> None:
    """List the backups in the repository, oldest first.

    \b
    Examples:
      sudo bpci backup list
      sudo bpci backup list --json
    """
    found = [
        {"id": item.id, "time_ms": item.time_ms, "host": item.host}
        for item in find_backups(find_system(root), root, say).restic.snapshots()
    ]
    emit(found, as_json, _render_list)


@command.command("drill")
@snapshot_option
@root_option
@json_option
def drill(*, snapshot: str, root: Path, as_json: bool) -> None:
    """Restore a backup into a scratch place and prove it: files, every row, state root, blocks, bundles.

    The scratch place goes afterwards. Exit status 1 if the backup does not hold.

    \b
    Examples:
      sudo bpci backup drill
      sudo bpci backup drill --snapshot 2026-05-04T12:00 --json
    """
    tell, finish = make_teller()
    try:
        found = find_backups(find_system(root), root, tell).drill(snapshot=snapshot)
    finally:
        finish()
    emit(
        found,
        as_json,
        lambda data: (
            f"backup {data['snapshot'][:8]} of {moment_of(data['made_ms'])} holds: block {data['height']},"
            f" {data['blocks']} blocks and {data['bundles']} bundles proved"
        ),
    )


@command.command("prune")
@root_option
@json_option
def prune(*, root: Path, as_json: bool) -> None:
    """Let go of the backups that need not stay ([retention] in /etc/bpci/backup.toml).

    \b
    Example:
      sudo bpci backup prune
    """
    tell, finish = make_teller()
    backups = find_backups(find_system(root), root, tell)
    try:
        backups.thin_out()
    finally:
        finish()
    left = len(backups.restic.snapshots())
    emit({"backups": left}, as_json, lambda data: f"{data['backups']} backups stay")


@command.command("status")
@root_option
@json_option
def status(*, root: Path, as_json: bool) -> int:
    """Show the last backup, the last drill and what failed since. Exit status 1 if something did, or none was made.

    \b
    Examples:
      sudo bpci backup status
      sudo bpci backup status --json
    """
    from bpci_node.runtime.backup import config, state

    system = find_system(root)
    settings = config.load(system.path(config.PATH))
    memory = state.load(root)
    found = {"repository": settings.repository, "append_only": settings.append_only} | memory.as_json()
    emit(found, as_json, _render_status)
    return 1 if memory.failures or memory.backup is None else 0


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _render_list(found: list[dict[str, Any]]) -> str:
    if not found:
        return "no backups yet"
    return table(
        [[item["id"][:8], moment_of(item["time_ms"]), item["host"]] for item in found], ["id", "made", "machine"]
    )


def _render_status(data: dict[str, Any]) -> str:
    backup, drilled = data["backup"], data["drill"]
    shown = {
        "repository": data["repository"] + (" (append-only)" if data["append_only"] else ""),
        "last backup": f"{moment_of(backup['time_ms'])}, block {backup['height']}" if backup else "none yet",
        "last drill": f"{moment_of(drilled['time_ms'])}, block {drilled['height']} proved" if drilled else "none yet",
    }
    for kind, failure in data["failures"].items():
        shown[f"{kind.upper()} FAILED"] = f"{moment_of(failure['time_ms'])}: {failure['message']} ({failure['code']})"
    return fields(shown)
