"""A ledger in memory that implements the real storage interface, and a registry with a few nodes."""

from dataclasses import dataclass, field

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.challenge import issue_challenge
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.registration import FLAGS, NodeRegistration
from bpci_node.consensus.embedded import Sequencer
from bpci_node.errors import StorageError
from bpci_node.primitives.keys import LocalSigner

BIRTH_MS = 1_767_225_600_000


class MemoryStore:
    """What a disk would hold; ``broken`` makes the next append fail as a full disk would."""

    def __init__(self):
        self.blocks, self.entries, self.events, self.broken = [], {}, [], False

    def append_block(self, height, block, commands, results, writes, *, events=()):
        if self.broken:
            raise StorageError("the disk is full", code="storage.full")
        if height != len(self.blocks) + 1:
            raise StorageError("out of order", code="storage.height")
        self.blocks.append((block, list(commands), list(results)))
        self.events += [(subject, height, position, number) for subject, position, number in events]
        for key, value in writes.items():
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value

    def load_state(self):
        return iter(dict(self.entries).items())

    def last_block(self):
        return self.blocks[-1][0] if self.blocks else None

    def block(self, height):
        return self.blocks[height - 1][0] if 1 <= height <= len(self.blocks) else None

    def origin(self):
        return None

    def commands(self, height):
        return self.blocks[height - 1][1] if 1 <= height <= len(self.blocks) else []

    def results(self, height):
        return self.blocks[height - 1][2] if 1 <= height <= len(self.blocks) else []

    def copy(self):
        other = MemoryStore()
        other.blocks, other.entries = list(self.blocks), dict(self.entries)
        return other


def signer_of(number):
    return LocalSigner(number.to_bytes(32, "big"))


@dataclass
class Town:
    registry: LocalSigner = field(default_factory=lambda: signer_of(1))
    store: MemoryStore = field(default_factory=MemoryStore)
    now_ms: int = BIRTH_MS + 1000

    @property
    def genesis(self):
        return Genesis(name="testnet", registry_key=self.registry.public_key, time_ms=BIRTH_MS)

    def signer(self, number):
        return signer_of(number)

    def sequencer(self, store=None, guard=None):
        return Sequencer(self.genesis, self.registry, store or self.store, guard)

    def registration(self, number, instance=0):
        signer = signer_of(number)
        challenge, challenge_sig = issue_challenge(
            self.registry,
            ledger_id=self.genesis.ledger_id,
            node_key=signer.public_key,
            now_ms=self.now_ms,
            nonce16=bytes(16),
        )
        return NodeRegistration(
            node_type="bpi-community",
            node_key=signer.public_key,
            flags=dict.fromkeys(FLAGS, False),
            capabilities=(),
            endpoints=(),
            report_digest=bytes(32),
            challenge=challenge,
            challenge_sig=challenge_sig,
            instance=instance,
        ).as_body()

    def command(self, number, kind="registry.register_node", body=None, nonce=0):
        signer = signer_of(number)
        command = Command(
            ledger_id=self.genesis.ledger_id,
            sender=account_id_of(signer.public_key),
            nonce=nonce,
            expires_height=100,
            kind=kind,
            body=self.registration(number) if body is None else body,
        )
        return sign_command(signer, command).encode()


@pytest.fixture
def town():
    return Town()
