"""A data disk that is filled to the last byte: who still gets in, what the node says, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.infra.conftest import Owned

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

PLACES = ("var/lib/bpci", "var/log", "home", "etc/bpci")
"""What the appliance binds from its data partition and a full disk may hurt."""
NODE = "http://127.0.0.1:8545"
BLOCKS = "/srv/bpci/data/mainnet/block-2447600"
SIZE = 400 * 2**20


def until_it_answers(owned: Owned) -> None:
    owned.machine.run(
        "for i in $(seq 120); do bpci node status >/dev/null 2>&1 && exit; sleep 0.5; done; exit 1", seconds=120
    )


def moved(owned: Owned, script: str) -> None:
    """Run ``script`` for each of the places, as ``$p``, while nobody writes there."""
    owned.machine.run(f"systemctl stop bpci-node; set -e; for p in {' '.join(PLACES)}; do {script}; done", seconds=120)
    owned.machine.run("systemctl restart systemd-journald; systemctl start bpci-node", seconds=120)
    until_it_answers(owned)


@pytest.fixture(scope="module")
def small(owned: Owned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owned]:
    """The machine with a data partition of 400 MiB, made as the image build makes it."""
    file = tmp_path_factory.mktemp("small") / "disk.img"
    with file.open("wb") as opened:
        opened.truncate(SIZE)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(file)], check=True, capture_output=True, text=True
    ).stdout.strip()
    made = f". /usr/lib/bpci/layout.sh; data_file_system /small {SIZE >> 20}; mkdir -p /data; mount /small /data"
    try:
        owned.machine.run(f"mknod /small b 7 {device.removeprefix('/dev/loop')}; {made}")
        moved(owned, "mkdir -p $(dirname /data/$p); cp -a /$p /data/$p; mount --bind /data/$p /$p")
        yield owned
        moved(owned, "umount -l /$p; rm -rf /$p; cp -a /data/$p /$p")
        owned.machine.run("umount -l /data; rm /small")
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)


def replay(owned: Owned, block: str, *options: str, status: int = 0) -> dict[str, object]:
    command = f"bpci mempool replay {BLOCKS}{block}.json.gz --node {NODE} --batch 8 --json {' '.join(options)} 2>&1"
    answer: dict[str, object] = json.loads(owned.machine.run(command, status=status, seconds=180))
    return answer


def test_a_disk_filled_to_the_last_byte_stops_the_node_and_nobody_else(small: Owned) -> None:
    machine, name, password = small.machine, small.owner.name, small.owner.password
    before = machine.run("systemctl show bpci-node.service -p NRestarts")
    assert replay(small, "0", "--receipts", "/run/receipts.jsonl")["refused"] == {}

    # the owner's files take all that is not kept for root, and then root takes that
    machine.run(f"su {name} -c 'dd if=/dev/zero of=/home/{name}/films bs=64k'", status=1)
    kept = json.loads(machine.run("bpci disk status --json"))["reserved_bytes"]
    assert kept > SIZE // 200
    machine.run("dd if=/dev/zero of=/data/last bs=4k; sync; echo more >/data/last-byte", status=1)

    refused = replay(small, "1", status=1)
    assert refused["code"] == "storage.full"
    assert refused["hint"]
    assert machine.run("systemctl is-active bpci-node.service").strip() == "active"
    assert machine.run(f"su - {name} -c 'echo in'").strip() == "in"
    sudo = f"su - {name} -c \"sudo -S -p '' id -u\""
    assert machine.run(f"{sudo} <<'END'\n{password}\nEND").strip() == "0"
    found = json.loads(machine.run("bpci doctor disk --json", status=1))
    assert "disk.full" in {issue["code"] for result in found["results"] for issue in result["issues"]}
    # how much it can free here decides its exit status; that it can do its work at all is what counts
    mended = json.loads(machine.run("bpci doctor disk --fix --yes --json 2>/dev/null", status=None, seconds=120))
    assert [repair["state"] for repair in mended["repairs"] if repair["code"] == "disk.full"] == ["done"]

    machine.run(f"rm /home/{name}/films /data/last /data/last-byte")
    until_it_answers(small)
    assert replay(small, "1")["refused"] == {}
    held = json.loads(machine.run(f"bpci mempool check-receipts /run/receipts.jsonl --node {NODE} --json"))
    assert (held["broken"], held["pooled"]) == ([], held["receipts"])
    machine.run(
        "systemctl stop bpci-node.service; bpci doctor database; systemctl start bpci-node.service", seconds=180
    )
    until_it_answers(small)
    assert machine.run("systemctl show bpci-node.service -p NRestarts") == before


def test_the_journal_has_a_cap(owned: Owned) -> None:
    settings = owned.machine.run("systemd-analyze cat-config systemd/journald.conf")
    assert "SystemMaxUse=500M" in settings.splitlines()
