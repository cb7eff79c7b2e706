"""What a restored machine must know of the ledger before it goes on: which instance of its identity is registered."""

from __future__ import annotations

import re

from bpci_node.errors import UsageError
from bpci_node.network import file as network_file
from bpci_node.runtime.backup.contents import Manifest
from bpci_node.runtime.config import NodeConfig, parse
from bpci_node.setup import ledger
from bpci_node.setup.machine import NODE_CONFIG
from bpci_node.setup.system import System


def registered_instance(system: System, node: NodeConfig, manifest: Manifest) -> int:
    """Return the instance that the network has registered of the backup's node; that of the backup for an own ledger.

    Raises:
        UnreachableError: no node of the network answers, so it can't be told (``unreachable.registry``).
        BpciError: the network file is none, or an answer does not hold.
    """
    if node.ledger.network_file is None or not manifest.node_key:
        return manifest.instance
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
