"""All examinations, in the order in which they are carried out: what others depend on comes first."""

from __future__ import annotations

from bpci_node.runtime.doctor.clock import CLOCK
from bpci_node.runtime.doctor.database import DATABASE
from bpci_node.runtime.doctor.disk import DISK
from bpci_node.runtime.doctor.encryption import ENCRYPTION
from bpci_node.runtime.doctor.follower import FOLLOWER
from bpci_node.runtime.doctor.guard import GUARD
from bpci_node.runtime.doctor.hardware import HARDWARE
from bpci_node.runtime.doctor.keys import KEYS
from bpci_node.runtime.doctor.memory import MEMORY
from bpci_node.runtime.doctor.port import PORT
from bpci_node.runtime.doctor.registry import REGISTRY
from bpci_node.runtime.doctor.sealing import SEALING
from bpci_node.runtime.doctor.state_directory import STATE_DIRECTORY
from bpci_node.runtime.doctor.token import TOKEN
from bpci_node.runtime.doctor.unit import NODE_UNIT

EXAMINATIONS = (
    DISK,
    ENCRYPTION,
    MEMORY,
    STATE_DIRECTORY,
    KEYS,
    DATABASE,
    PORT,
    NODE_UNIT,
    CLOCK,
    REGISTRY,
    GUARD,
    TOKEN,
    FOLLOWER,
    SEALING,
    HARDWARE,
)
