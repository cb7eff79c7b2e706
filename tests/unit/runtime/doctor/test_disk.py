import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.host.space import Space, read_space
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.doctor.disk import DISK, judge
from bpci_node.runtime.doctor.issue import Issue
from bpci_node.runtime.doctor.patient import Patient
from tests.unit.runtime.doctor.conftest import in_mount_namespace, may_mount

GB = 10**9
ROOMY = Space(Path("/data"), 1, 100 * GB, 50 * GB, GB, 1000, 500, is_read_only=False)


def codes(issues: list[Issue]) -> list[str]:
    return [issue.code for issue in issues]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"available_bytes": 0}, ["disk.full"]),
        ({"available_bytes": 2 * GB - 1}, ["disk.full"]),
        ({"available_bytes": 2 * GB}, ["disk.nearly_full"]),
        ({"available_bytes": 5 * GB}, []),
        ({"size_bytes": 2 * GB, "available_bytes": 99 * 10**6}, ["disk.full"]),
        ({"size_bytes": GB // 2, "available_bytes": 99 * 10**6}, []),
        ({"available_files": 19}, ["disk.files"]),
        ({"files": 0, "available_files": 0}, []),
        ({"is_read_only": True, "available_bytes": 0}, ["disk.read_only"]),
    ],
)
def test_room_is_judged_by_share_and_size(changes: dict[str, int], found: list[str]) -> None:
    assert codes(judge(replace(ROOMY, **changes), "data", is_state=True)) == found


def test_a_read_only_system_is_as_it_should_be() -> None:
    assert not judge(replace(ROOMY, is_read_only=True, available_bytes=0), "the system", is_state=False)


def test_a_path_that_is_not_there_yet_counts_where_it_will_be(tmp_path: Path) -> None:
    assert read_space(tmp_path / "a" / "b").path == tmp_path


FULL = """
import json, os
from pathlib import Path
from bpci_node.runtime.config import *
from bpci_node.runtime.doctor.disk import DISK
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.setup.system import System
state = Path("/mnt/state")
state.mkdir()
partial = state / "damaged-1.partial"
partial.mkdir()
(partial / "node.db").write_bytes(bytes(3 << 20))
(state / "damaged-0").mkdir()
(state / "damaged-0" / "node.db").write_bytes(b"kept")
(state / "node.db").write_bytes(b"kept too")
try:
    with (state / "filling").open("wb") as file:
        while True:
            file.write(bytes(1 << 16)); file.flush()
except OSError as error:
    assert error.errno == 28
config = NodeConfig(state, NodeSection("n"), owner=OwnerSection(Path("/mnt/owner.sock")),
                    targets=(TargetSection("eip155:1", 1, 1),))
patient = Patient(System(), config, None, None)
def seen():
    return [issue for issue in DISK.examine(patient).issues if issue.subject.startswith("/mnt")]
before = seen()
repair = DISK.repairs[before[0].code]
plan = repair.plan(patient, before[0])
held = Patient(System(), config, None, 1)
held_plan = repair.plan(held, before[0])
outcome = repair.carry_out(patient, before[0])
print(json.dumps({"before": [i.code for i in before], "plan": plan, "held": held_plan, "done": outcome.done,
    "after": [i.code for i in seen()], "left": sorted(str(p.relative_to(state)) for p in state.rglob("*"))}))
"""


@pytest.mark.skipif(not may_mount(), reason="mounting needs root, and a kernel that lets it")
def test_a_file_system_that_is_really_full_is_found_and_gets_room_again() -> None:
    done = in_mount_namespace("mount -t tmpfs -o size=16m none /mnt", FULL)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["before"] == ["disk.full"]
    assert found["plan"] == ["remove /mnt/state/damaged-1.partial, 0 GB, left unfinished"]
    assert found["held"] == []  # somebody works in the directory: what looks unfinished may be under way
    assert found["done"][0] == "removed /mnt/state/damaged-1.partial"
    assert found["after"] == []
    assert found["left"] == ["damaged-0", "damaged-0/node.db", "filling", "node.db"]


@pytest.mark.skipif(not may_mount(), reason="mounting needs root, and a kernel that lets it")
def test_a_file_system_that_became_read_only_is_found() -> None:
    code = FULL.split("partial =", maxsplit=1)[0] + (
        'config = NodeConfig(state, NodeSection("n"), owner=OwnerSection(Path("/mnt/owner.sock")))\n'
        'os.system("mount -o remount,ro /mnt")\n'
        "print([i.code for i in DISK.examine(Patient(System(), config, None, None)).issues])"
    )
    done = in_mount_namespace("mount -t tmpfs -o size=16m none /mnt", code)
    assert "disk.read_only" in done.stdout, done.stderr


def test_this_machine_can_be_looked_at(patient: Callable[..., Patient], config: NodeConfig) -> None:
    assert "file systems" in DISK.examine(patient()).text
    assert "file systems" in DISK.examine(patient(config=None)).text
