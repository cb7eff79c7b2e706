"""The signatures of a block's commands, checked on every core before the commands are executed one after the other.

Checking an Ed25519 signature is a third of what a command costs, and the library lets go of the interpreter meanwhile.
What is found to hold is a fact about a key, a message and a signature, whatever the state says of them; what is not
found to hold is checked again, and refused, where the command is executed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from bpci_node.chain.command import SignedCommand
from bpci_node.chain.draft import Held
from bpci_node.errors import BpciError
from bpci_node.primitives.keys import public_key_of, verify_signature

MOST_THREADS = 8
LEAST_COMMANDS = 16
"""Fewer are executed sooner than threads are woken."""


def check_ahead(commands: Sequence[SignedCommand]) -> frozenset[Held]:
    """Return those of the senders' Ed25519 signatures that hold by the keys that they name."""
    if len(commands) < LEAST_COMMANDS:
        return frozenset()
    threads = _threads()
    share = -(-len(commands) // _count())
    parts = [commands[start : start + share] for start in range(0, len(commands), share)]
    return frozenset(held for found in threads.map(_held, parts) for held in found)


def _held(commands: Sequence[SignedCommand]) -> list[Held]:
    found = []
    for command in commands:
        first = command.signatures[0]
        try:
            held = Held(public_key_of(first.key_id), command.digest, first.sig[:64])
            verify_signature(*held)
        except BpciError:
            continue
        found.append(held)
    return found


def _count() -> int:
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_count(), thread_name_prefix="signatures")
