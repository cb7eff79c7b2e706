"""``bpci backup``: make, prove and restore encrypted backups of this machine's node."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.output import Progress, emit, fields, is_interactive, json_option, say, table
from bpci_node.errors import StorageError, UsageError

if TYPE_CHECKING:
    from bpci_node.runtime.backup.config import BackupConfig
    from bpci_node.runtime.backup.work import Backups
    from bpci_node.runtime.config import NodeConfig
    from bpci_node.setup.system import System

_root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/"),
    help="Work on the machine whose files lie below this directory, as from a rescue system.",
)
_phrase_option = click.option(
    "--phrase-file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Recovery phrase, - for standard input; needed once where set-up kept no backup key.",
)
_snapshot_option = click.option(
    "--snapshot",
    default="latest",
    show_default=True,
    metavar="ID|TIME",
    help="Beginning of an id (8 digits or more), or a time: the newest backup that is not later.",
)


@click.group("backup")
def command() -> None:
    """Make, prove and restore encrypted backups of this machine's node. They need root.

    The key is derived from the recovery phrase: with the phrase and the repository alone a clean machine comes back.
    """


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
@_phrase_option
@_root_option
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

    system = _system(root)
    if repository.startswith("/") and not Path(repository).parent.is_dir():
        raise UsageError(
            f"there is no directory {Path(repository).parent}", code="usage.file", hint="Mount the disk first."
        )
    settings = BackupConfig(
        repository=repository,
        credentials=credentials,
        ssh_key=ssh_key,
        known_hosts=known_hosts,
        ssh_port=ssh_port,
        append_only=append_only,
    )
    text = config.dump(settings)
    settings = config.parse(text, source="the options")
    key = _key(system, phrase_file, keep=True)
    backups = Backups(settings, key, root=root, say=_teller()[0])
    is_new = False
    try:
        backups.restic.probe()
    except NotFoundError:
        backups.restic.create()
        is_new = True
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
@_root_option
@json_option
def now(*, root: Path, as_json: bool) -> None:
    """Make a backup now, while the node runs, and thin out the older ones.

    \b
    Example:
      sudo bpci backup now
    """
    system = _system(root)
    tell, finish = _teller()
    try:
        found = _backups(system, root, tell).save(_node(system))
    finally:
        finish()
    emit(
        found,
        as_json,
        lambda data: f"backup {data['snapshot'][:8]}: {_size(data['total_bytes'])}, block {data['height']}",
    )


@command.command("list")
@_root_option
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
        for item in _backups(_system(root), root, say).restic.snapshots()
    ]
    emit(found, as_json, _render_list)


@command.command("drill")
@_snapshot_option
@_root_option
@json_option
def drill(*, snapshot: str, root: Path, as_json: bool) -> None:
    """Restore a backup into a scratch place and prove it: files, every row, state root, blocks, bundles.

    The scratch place goes afterwards. Exit status 1 if the backup does not hold.

    \b
    Examples:
      sudo bpci backup drill
      sudo bpci backup drill --snapshot 2026-05-04T12:00 --json
    """
    tell, finish = _teller()
    try:
        found = _backups(_system(root), root, tell).drill(snapshot=snapshot)
    finally:
        finish()
    emit(
        found,
        as_json,
        lambda data: (
            f"backup {data['snapshot'][:8]} of {_moment(data['made_ms'])} holds: block {data['height']},"
            f" {data['blocks']} blocks and {data['bundles']} bundles proved"
        ),
    )


@command.command("prune")
@_root_option
@json_option
def prune(*, root: Path, as_json: bool) -> None:
    """Let go of the backups that need not stay ([retention] in /etc/bpci/backup.toml).

    \b
    Example:
      sudo bpci backup prune
    """
    tell, finish = _teller()
    backups = _backups(_system(root), root, tell)
    try:
        backups.thin_out()
    finally:
        finish()
    left = len(backups.restic.snapshots())
    emit({"backups": left}, as_json, lambda data: f"{data['backups']} backups stay")


@command.command("status")
@_root_option
@json_option
def status(*, root: Path, as_json: bool) -> int:
    """Show the last backup, the last drill and what failed since. Exit status 1 if something did, or none was made.

    \b
    Examples:
      sudo bpci backup status
      sudo bpci backup status --json
    """
    from bpci_node.runtime.backup import config, state

    system = _system(root)
    settings = config.load(system.path(config.PATH))
    memory = state.load(root)
    found = {"repository": settings.repository, "append_only": settings.append_only} | memory.as_json()
    emit(found, as_json, _render_status)
    return 1 if memory.failures or memory.backup is None else 0


@command.command("restore")
@_snapshot_option
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the whole backup there to look at it, and change nothing else.",
)
@click.option(
    "--take-over-ledger",
    is_flag=True,
    help="A ledger that this node makes itself: its earlier machine is gone, and nobody has later blocks.",
)
@_phrase_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@_root_option
@json_option
def restore(
    *,
    snapshot: str,
    target: Path | None,
    take_over_ledger: bool,
    phrase_file: Path | None,
    yes: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Put a backup in the place of this machine's node, which must not run.

    The backup is proved first; what is here is moved aside. The node gets a higher instance number, and seals nothing
    until the ledger has it ('bpci node register'). A clean machine is restored by 'bpci setup'.

    \b
    Examples:
      sudo systemctl stop bpci-node && sudo bpci backup restore --snapshot 2026-05-04T12:00
      sudo bpci backup restore --to /root/look
    """
    from bpci_node.runtime.backup.work import Backups

    system = _system(root)
    tell, finish = _teller()
    key = _key(system, phrase_file, keep=False)
    backups = Backups(_settings(system), key, root=root, say=tell)
    try:
        if target is not None:
            found = _extract(backups, snapshot, target)
        else:
            found = _replace(system, backups, snapshot, takes_over=take_over_ledger, yes=yes, finish=finish)
    finally:
        finish()
    emit(found, as_json, fields)


def _extract(backups: Backups, snapshot: str, target: Path) -> dict[str, Any]:
    import shutil

    if target.exists():
        raise UsageError(f"{target} is there already", code="usage.file", hint="Name a directory that is not.")
    with backups.fetched(snapshot) as (tree, chosen, proof):
        partial = target.with_name(target.name + ".partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(tree, partial)
            partial.rename(target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise StorageError(f"cannot write {target}: {error.strerror}", code="storage.write") from error
        return {"snapshot": chosen.id, "directory": str(target), "height": proof.height}


def _replace(
    system: System, backups: Backups, snapshot: str, *, takes_over: bool, yes: bool, finish: Callable[[], None]
) -> dict[str, Any]:
    from bpci_node.runtime.backup import restoring
    from bpci_node.setup.restoring import raise_instance, registered_instance

    node = _node(system)
    state_dir = system.path(str(node.state_dir))
    restoring.require_stopped(state_dir)
    with backups.fetched(snapshot) as (tree, chosen, proof):
        restoring.require_restorable(proof.manifest, state_dir, takes_over=takes_over)
        instance = 1 + max(node.node.instance, proof.instance, registered_instance(system, node, proof.manifest))
        finish()
        if not yes:
            question = f"Replace this machine's node by the backup of {_moment(proof.manifest.made_ms)}?"
            if not is_interactive():
                raise UsageError("nobody can be asked here", code="usage.call", hint="--yes answers.")
            click.confirm(question, abort=True, err=True)
        # First the number: a node that is started in between must not go on as the earlier instance.
        raise_instance(system, instance)
        old = restoring.put_in_place(tree, proof.manifest, state_dir, now_ms=time.time_ns() // 1_000_000)
        put = restoring.put_carried(tree, system.root)
    return {
        "snapshot": chosen.id,
        "height": proof.height,
        "instance": instance,
        "earlier_state": None if old is None else str(old),
        "configuration": put,
        "next": "sudo systemctl start bpci-node && sudo bpci node register",
    }


def _system(root: Path) -> System:
    from bpci_node.setup.system import System

    # The unit that makes backups is not root, and may do what is asked for here.
    if root == Path("/") and not os.access("/etc/bpci/keys", os.R_OK | os.X_OK, effective_ids=True):
        raise UsageError("backups read what root alone may read", code="usage.root", hint="sudo bpci backup ...")
    return System(root)


def _settings(system: System) -> BackupConfig:
    from bpci_node.runtime.backup import config

    return config.load(system.path(config.PATH))


def _node(system: System) -> NodeConfig:
    from bpci_node.runtime.config import load
    from bpci_node.setup.machine import NODE_CONFIG

    return load(system.path(NODE_CONFIG))


def _backups(system: System, root: Path, tell: Callable[[str], None]) -> Backups:
    from bpci_node.runtime.backup.work import Backups

    return Backups(_settings(system), _key(system, None, keep=False), root=root, say=tell)


def _key(system: System, phrase_file: Path | None, *, keep: bool) -> bytes:
    """Return the backup key: the one that is kept, or the one of a phrase."""
    from bpci_node.primitives.derivation import derive_keys
    from bpci_node.setup import keystore

    if phrase_file is None:
        if not keystore.is_there(system, keystore.BACKUP_KEY):
            raise UsageError(
                "this machine keeps no backup key yet",
                code="backup.no_key",
                hint="sudo bpci backup init --to PLACE --phrase-file -",
            )
        return keystore.open_key(system, keystore.BACKUP_KEY)
    with click.open_file(str(phrase_file)) as file:
        key = derive_keys(file.read(4096)).backup_key
    if keep:
        keystore.keep(system, keystore.BACKUP_KEY, key)
    return key


def _teller() -> tuple[Callable[[str], None], Callable[[], None]]:
    """Return what shows progress, and what clears it: one line on a terminal, lines elsewhere without repetition."""
    progress = Progress()
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        head = text.partition(":")[0]
        if is_interactive():
            progress.update(text)
        elif head != last:
            say(text)
        last = head

    return tell, progress.finish


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, tz=UTC):%Y-%m-%d %H:%M} UTC"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _render_list(found: list[dict[str, Any]]) -> str:
    if not found:
        return "no backups yet"
    return table(
        [[item["id"][:8], _moment(item["time_ms"]), item["host"]] for item in found], ["id", "made", "machine"]
    )


def _render_status(data: dict[str, Any]) -> str:
    backup, drilled = data["backup"], data["drill"]
    shown = {
        "repository": data["repository"] + (" (append-only)" if data["append_only"] else ""),
        "last backup": f"{_moment(backup['time_ms'])}, block {backup['height']}" if backup else "none yet",
        "last drill": f"{_moment(drilled['time_ms'])}, block {drilled['height']} proved" if drilled else "none yet",
    }
    for kind, failure in data["failures"].items():
        shown[f"{kind.upper()} FAILED"] = f"{_moment(failure['time_ms'])}: {failure['message']} ({failure['code']})"
    return fields(shown)
