"""Every kind of command in one life of a ledger: what holds in any order, and in any process."""

import os
import random
import subprocess
import sys
from copy import copy
from pathlib import Path

import pytest

from bpci_node.chain.machine import Machine
from tests.unit.chain.test_every_kind import Story


@pytest.fixture(scope="module")
def story(economy, society, guild, house):
    return Story(economy, society, guild, house)


STOP = "registry.deactivate"
"""It comes last: after it nothing else would happen."""


def resumed(story):
    """The same story on a machine of its own."""
    other, machine = copy(story), story.machine
    other.machine = Machine(
        machine.genesis, entries=machine.state.entries(), height=machine.height, time_ms=machine.time_ms
    )
    return other


@pytest.mark.parametrize("seed", range(8))
def test_all_kinds_in_any_order_lose_and_make_nothing(story, conserved, seed):
    chosen, told = random.Random(seed), resumed(story)  # noqa: S311 - repeatable
    machine, passed = told.machine, 0
    others = [kind for kind in told.bodies if kind != STOP]
    for kind in [*chosen.sample(others, len(others)), STOP]:
        repeated = [told.make(kind)] * chosen.randint(1, 2)
        block = machine.finalize(machine.height + 1, machine.time_ms + 1000, repeated)
        machine.commit()
        passed += block.results[0].error is None
        assert all(result.error for result in block.results[1:])
        conserved(machine)
    # Some exclude each other, such as leaving a set and working in it; most don't.
    assert passed > len(others) // 2


REPLAY = """
import random
import sys
from bpci_node.chain.genesis import decode_genesis
from bpci_node.chain.machine import Machine
genesis, height, time_ms, entries, *blocks = sys.stdin.read().split("\\n")
entries = [tuple(bytes.fromhex(item) for item in pair.split(":")) for pair in entries.split()]
random.shuffle(entries)  # in another order each time
machine = Machine(decode_genesis(bytes.fromhex(genesis)), entries=entries, height=int(height), time_ms=int(time_ms))
for commands in blocks:
    commands = [bytes.fromhex(item) for item in commands.split()]
    block = machine.finalize(machine.height + 1, machine.time_ms + 1000, commands)
    machine.commit()
    print(block.state_root.hex(), *(result.encode().hex() for result in block.results))
"""


def test_all_kinds_come_to_the_same_roots_and_results_in_processes_with_other_hash_seeds_and_orders(story):
    chosen = random.Random(3)  # noqa: S311 - repeatable
    told, blocks, roots = resumed(story), [], []
    others = [kind for kind in told.bodies if kind != STOP]
    machine, order = told.machine, chosen.sample(others * 2, 2 * len(others))
    begun = [machine.genesis.encode().hex(), str(machine.height), str(machine.time_ms)]
    begun.append(" ".join(f"{key.hex()}:{value.hex()}" for key, value in machine.state.entries()))
    while order:
        commands = [told.make(order.pop()) for _ in range(min(chosen.randrange(1, 6), len(order)))]
        block = machine.finalize(machine.height + 1, machine.time_ms + 1000, commands)
        machine.commit()
        blocks.append(" ".join(item.hex() for item in commands))
        roots.append(block.state_root.hex())
    outputs = set()
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", REPLAY],
            input="\n".join([*begun, *blocks]),
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3] / "appliance")},
        )
        outputs.add(done.stdout)
    (output,) = outputs
    assert [line.split()[0] for line in output.splitlines()] == roots
    assert len(set(roots)) > len(roots) // 2
