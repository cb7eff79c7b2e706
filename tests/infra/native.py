"""The appliance at native speed: its roles in a root tree, and that tree as a machine whose first process is systemd.

What a kernel, firmware and a boot loader decide is seen in the booted image alone (``appliance``); everything else is
the same here, in seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.container import CACHE, ROOT, Container, Copy

FACTS = Path(__file__).parent / "facts"
ANSWERS = """v = 1
[machine]
hostname = "native"
[network]
mode = "dhcp"
[owner]
name = "owner"
password = "{password}"
ssh_keys = ["{key}"]
[identity]
mode = "create"
[node]
name = "native"
hardware_profile = "dev"
[join]
mode = "devnet"
"""


def appliance_base() -> Path:
    """Return the root tree that the image starts from: its packages, and nothing of ours."""
    command = [str(ROOT / "image" / "build.sh"), "--base"]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    CACHE.mkdir(parents=True, exist_ok=True)
    return Path(found)


def copy_ours(root: Path) -> None:
    """Put the image's own files into ``root``, as the build does."""
    command = '. "$0/image/lib.sh"; copy_ours "$0/image/rootfs" "$1"; mkdir -p "$1/data" "$1/boot/efi"'
    subprocess.run(["bash", "-euc", command, str(ROOT), str(root)], check=True)


@contextmanager
def kernel_in(root: Path) -> Iterator[None]:
    """The file systems of a running kernel, which programs in a chroot look for."""
    mounts = {"proc": "proc", "sys": "sysfs", "dev": "devtmpfs"}
    for name, kind in mounts.items():
        subprocess.run(["mount", "-t", kind, kind, str(root / name)], check=True)
    (root / "run/systemd/resolve").mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for name in mounts:
            subprocess.run(["umount", str(root / name)], check=True)


@dataclass(frozen=True, slots=True)
class Ran:
    changed: int
    output: str

    def changed_tasks(self) -> list[str]:
        """Names of the tasks that changed something, or would."""
        return re.findall(r"^TASK \[(.*?)\] \*+\n(?:(?!TASK).*\n)*?changed:", self.output, re.MULTILINE)


class Play:
    """The play as the image build runs it, on a root instead of a machine."""

    def __init__(self, copy: Copy, wheelhouse: Path, directory: Path) -> None:
        self.copy, self.root, self.wheelhouse, self.directory = copy, copy.root, wheelhouse, directory
        self.inventory = directory / "inventory.yml"
        target = {"ansible_connection": "community.general.chroot", "ansible_host": str(copy.root)}
        self.inventory.write_text(json.dumps({"all": {"hosts": {"appliance": target}}}))

    def run(self, *options: str, facts: str | None = None) -> Ran:
        """Run the play.

        Args:
            facts: name of recorded facts to believe instead of asking the root.
        """
        environment = os.environ | {"ANSIBLE_NOCOLOR": "1", "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
        if facts is not None:
            environment |= {"ANSIBLE_FACTS_MODULES": "recorded", "ANSIBLE_LIBRARY": str(self.directory)}
            answer = {"changed": False, "ansible_facts": json.loads((FACTS / f"{facts}.json").read_text())}
            (self.directory / "recorded.sh").write_text(f"#!/bin/sh\n# WANT_JSON\ncat <<'E'\n{json.dumps(answer)}\nE\n")
        command = ["ansible-playbook", "-i", str(self.inventory), "-e", "base_appliance=true"]
        command += ["-e", f"node_wheelhouse={self.wheelhouse}", *options, "site.yml"]
        done = subprocess.run(
            command, cwd=ROOT / "ansible", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        found = re.search(r"changed=(\d+)", done.stdout.rpartition("PLAY RECAP")[2])
        assert found
        return Ran(int(found[1]), done.stdout)


def in_root(play: Play, *command: str, status: int = 0) -> str:
    done = subprocess.run(["chroot", play.root, *command], capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def set_up(machine: Container, *, name: str, password: str, key: str) -> dict[str, Any]:
    """Go through set-up unattended, with a ledger of its own, and return what it said."""
    answers = ANSWERS.format(password=password, key=key).replace('"owner"', f'"{name}"')
    machine.run(f"umask 077; cat >/run/answers.toml <<'END'\n{answers}END")
    said = machine.run(
        "bpci setup --answers /run/answers.toml --json; status=$?; rm /run/answers.toml; exit $status", seconds=300
    )
    found: dict[str, Any] = json.loads(said)
    return found
