"""A node that comes back from a backup: in set-up, on a clean machine; and what ``bpci backup restore`` must know.

What it signs from then on contradicts nothing that was signed before the backup or after it: see
:mod:`bpci_node.runtime.backup.restoring`, and the number of the instance that is raised here.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from bpci_node.errors import HostError, ProofError, UsageError
from bpci_node.network import file as network_file
from bpci_node.runtime.config import NodeConfig, parse
from bpci_node.setup import keystore, ledger, node_files
from bpci_node.setup.machine import NODE_CONFIG
from bpci_node.setup.run import Run, Step
from bpci_node.setup.system import System

if TYPE_CHECKING:
    from bpci_node.runtime.backup.config import BackupConfig
    from bpci_node.runtime.backup.contents import Manifest

# What proves a backup is imported when one is restored: most set-ups have none, and their first screen waits for this.


def registered_instance(system: System, node: NodeConfig, manifest: Manifest) -> int:
    """Return the instance that the network has registered of the backup's node; 0 for an own ledger.

    Raises:
        UnreachableError: no node of the network answers, so it can't be told (``unreachable.registry``).
        BpciError: the network file is none, or an answer does not hold.
    """
    if node.ledger.network_file is None or not manifest.node_key:
        return 0
    data = system.read(str(node.ledger.network_file)) or b""
    with ledger.reach_network(network_file.parse(data)) as client:
        record = ledger.registered_record(client, bytes.fromhex(manifest.node_key))
    return 0 if record is None else int(record["instance"])


def raise_instance(system: System, instance: int) -> None:
    """Write the number of this instance into the node's configuration, and leave everything else as it stands.

    Raises:
        UsageError: the configuration has no place for it (``config.value``).
        StorageError: ``storage.read``, ``storage.write``.
    """
    text = (system.read(NODE_CONFIG) or b"").decode()
    changed, count = re.subn(r"(?m)^(\s*instance\s*=\s*)\d+[ \t]*$", rf"\g<1>{instance}", text)
    if count == 0:
        changed, count = re.subn(r"(?m)^(\[node\][ \t]*)$", rf"\g<1>\ninstance = {instance}", text)
    if count != 1 or parse(changed, source=NODE_CONFIG).node.instance != instance:
        raise UsageError(
            f"{NODE_CONFIG} has no [node] table in which instance could be set",
            code="config.value",
            hint=f"Set instance = {instance} in [node], and try again.",
        )
    mode = system.path(NODE_CONFIG).stat().st_mode & 0o777
    system.write(NODE_CONFIG, changed, mode)


def _restore(run: Run) -> None:
    from bpci_node.runtime.backup import restoring  # noqa: PLC0415 - see above
    from bpci_node.runtime.backup.work import Backups, require_same_owner  # noqa: PLC0415

    answers, system = run.plan.answers.restore, run.system
    settings = _settings(system, answers.repository)
    backups = Backups(settings, keystore.open_key(system, keystore.BACKUP_KEY), root=system.root, say=run.say)
    state_dir = system.path(node_files.STATE_DIR)
    with backups.fetched(answers.snapshot) as (tree, chosen, proof):
        require_same_owner(proof, run.signer().public_key)
        _require_same_ledger(run, proof.manifest)
        restoring.require_restorable(proof.manifest, state_dir, takes_over=answers.take_over_ledger)
        earlier = int(run.journal.results.get("instance", 0))
        run.journal.results["instance"] = max(earlier, proof.instance + 1)
        run.journal.save()
        restoring.put_in_place(tree, proof.manifest, state_dir, now_ms=time.time_ns() // 1_000_000)
        restoring.put_carried(tree, system.root)
    run.journal.results["restored"] = {"snapshot": chosen.id, "height": proof.height}


def _restored(run: Run) -> bool:
    return "restored" in run.journal.results


def _settings(system: System, repository: str) -> BackupConfig:
    """Return the configuration of backups: the one that is there, if it names this repository, else a new one."""
    from bpci_node.runtime.backup import config as backup_config  # noqa: PLC0415

    path = system.path(backup_config.PATH)
    if path.exists() and (kept := backup_config.load(path)).repository == repository:
        return kept
    text = backup_config.dump(backup_config.BackupConfig(repository))
    made = backup_config.parse(text, source="restore.repository")
    system.write(backup_config.PATH, text, backup_config.MODE)
    return made


def _require_same_ledger(run: Run, manifest: Manifest) -> None:
    mark, is_own = manifest.ledger, run.plan.answers.join.mode == "devnet"
    if not mark.id:
        return
    if mark.is_own != is_own:
        raise HostError(
            f"the backup's ledger {mark.id[:40]} was {'made by its own machine' if mark.is_own else 'followed'},"
            f" and the answers say {run.plan.answers.join.mode}",
            code="host.ledger",
            hint="Answer as on the earlier machine, or leave the backup out.",
        )
    if not is_own:
        network = network_file.parse(run.system.read(node_files.NETWORK) or b"")
        if network.ledger_id != mark.id:
            raise ProofError(
                f"the backup is of a node of another ledger, {mark.id[:40]}",
                code="backup.identity",
                hint="Join that network, or leave the backup out.",
            )


RESTORE = Step("restore", "Take the backup over", _restore, _restored, "'sudo bpci backup list' shows the backups.")
