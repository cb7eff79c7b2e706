"""A machine that was set up, with the means its owner has: an SSH key and a password."""

from __future__ import annotations

import json
import secrets
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import testinfra
import tomli_w

from image.boot import DEVELOPMENT_ANSWERS, complete
from image.qemu import Machine, ssh_options, volume


@dataclass(slots=True)
class Owner:
    """Whose machine it is."""

    directory: Path
    name: str = "owner"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.key = self.directory / "owner-key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "owner", "-f", str(self.key)], check=True)

    @property
    def public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()


def medium_for(owner: Owner, **sections: dict[str, Any]) -> Path:
    """Make a volume in the owner's directory, from which set-up takes the development answers with these sections."""
    answers = complete(tomllib.loads(DEVELOPMENT_ANSWERS.read_text()), owner.key, owner.directory) | sections
    owner.password = (owner.directory / "owner-password").read_text().strip()
    files = {"bpci/answers.toml": tomli_w.dumps(answers).encode()}
    return volume(owner.directory / "answers.img", "BPCI-SETUP", files)


@dataclass(slots=True)
class Appliance:
    """A set-up machine, switched on."""

    machine: Machine
    owner: Owner
    phrase: str = ""
    """Its recovery phrase, if somebody wrote it down."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.machine.ports[8545]}"

    @property
    def did(self) -> str:
        return str(self.status()["node"]["did"])

    def run(self, command: str, *, timeout: float = 400) -> str:
        """Run a command as the owner and return its output; it must succeed."""
        return self._checked(self.machine.ssh(command, user=self.owner.name, key=self.owner.key, timeout=timeout))

    def sudo(self, command: str, *, timeout: float = 300, stdin: bytes = b"") -> str:
        """Run a command as root, by the owner's password; it reads ``stdin``."""
        quoted = command.replace("'", "'\\''")
        result = self.machine.ssh(
            f"sudo -k -S -p '' sh -c '{quoted}'",  # -k: or it might not read the password, and the command would
            user=self.owner.name,
            key=self.owner.key,
            timeout=timeout,
            stdin=f"{self.owner.password}\n".encode() + stdin,
        )
        return self._checked(result)

    def failed_units(self) -> str:
        """Return the units that have failed, a line each."""
        return self.run("systemctl --failed --plain --no-legend").strip()

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run("bpci node status --json"))
        return answer

    def answers(self) -> bool:
        """Tell whether the node's API answers."""
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, timeout: float = 600) -> None:
        """Wait until the system has come up, its node answers, and the owner can log in."""
        self.machine.console.wait_until(self.answers, "the node's API", timeout)
        self.machine.wait_for_ssh(user=self.owner.name, key=self.owner.key, timeout=timeout)
        settled = "systemctl is-system-running --wait"
        self.machine.ssh(settled, user=self.owner.name, key=self.owner.key, timeout=timeout)

    def reboot(self) -> None:
        """Restart as the owner would, and wait until the machine is back."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.machine.ssh(
            "sudo -S -p '' systemctl reboot",
            user=self.owner.name,
            key=self.owner.key,
            stdin=f"{self.owner.password}\n".encode(),
        )
        self.machine.wait_off(600)
        self.machine.start()
        self.wait()
        assert self.run("cat /proc/sys/kernel/random/boot_id") != before

    def host(self) -> Any:
        """Return testinfra's view of the machine, as the owner, over the connection that is open already."""
        options = ssh_options(self.owner.key)
        extra = " ".join(option for option in options if option not in {"-F", "/dev/null"})
        return testinfra.get_host(
            f"ssh://{self.owner.name}@127.0.0.1:{self.machine.ports[22]}",
            ssh_config="/dev/null",
            ssh_identity_file=str(self.owner.key),
            ssh_extra_args=f"{extra} -o ControlPath={self.machine.directory}/ssh-%r",
            controlpersist=0,
        )

    def _checked(self, result: subprocess.CompletedProcess[bytes]) -> str:
        output = result.stdout.decode(errors="replace")
        assert result.returncode == 0, f"{result.args[-1]}: {result.returncode}\n{output}\n{result.stderr.decode()}"
        return output
