"""``bpci backup restore``: a proved backup in the place of this machine's node, or beside it to look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.backup_machine import (
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
from bpci_node.cli.output import emit, fields, json_option, require_person
from bpci_node.errors import BpciError, StorageError, UsageError

if TYPE_CHECKING:
    from bpci_node.runtime.backup.work import Backups
    from bpci_node.setup.system import System


@click.command("restore")
@snapshot_option
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
@phrase_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@root_option
@json_option
def command(
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

    system = find_system(root)
    tell, finish = make_teller()
    key = find_key(system, phrase_file)
    backups = Backups(read_settings(system), key, root=root, say=tell)
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

    node = read_node(system)
    state_dir = system.path(str(node.state_dir))
    restoring.require_stopped(state_dir)
    with backups.fetched(snapshot) as (tree, chosen, proof):
        restoring.require_restorable(proof.manifest, state_dir, takes_over=takes_over)
        instance = 1 + max(node.node.instance, proof.instance, registered_instance(system, node, proof.manifest))
        finish()
        if not yes:
            question = f"Replace this machine's node by the backup of {moment_of(proof.manifest.made_ms)}?"
            require_person()
            click.confirm(question, abort=True, err=True)
        # First the number: a node that is started in between must not go on as the earlier instance.
        before = _inode(state_dir)
        raise_instance(system, instance)
        try:
            old = restoring.put_in_place(tree, proof.manifest, state_dir, now_ms=time.time_ns() // 1_000_000)
        except BpciError:
            if before is not None and _inode(state_dir) == before:
                # Nothing was replaced: what is here goes on as what it was, and need not be registered again.
                raise_instance(system, node.node.instance)
            raise
        put = restoring.put_carried(tree, system.root)
    return {
        "snapshot": chosen.id,
        "height": proof.height,
        "instance": instance,
        "earlier_state": None if old is None else str(old),
        "configuration": put,
        "next": "sudo systemctl start bpci-node && sudo bpci node register",
    }


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.is_dir() else None
