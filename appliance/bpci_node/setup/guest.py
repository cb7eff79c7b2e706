"""Set-up over SSH, before there is an owner: an account that exists only then, and can only start the wizard.

It comes into being when the boot medium carries SSH keys and no other answer, and goes when set-up is complete. Its
keys lie under ``/run``, so a reboot forgets them; what sshd lets it run is fixed by the system (a forced command).
"""

from __future__ import annotations

from bpci_node.setup import machine
from bpci_node.setup.system import System

NAME = "bpci-setup"
UID = "882"
HOME = "/run/bpci-setup-home"
KEYS = f"{HOME}/.ssh/authorized_keys"


def open_ssh(system: System, keys: tuple[str, ...]) -> None:
    """Let the holders of ``keys`` reach the wizard over SSH.

    Raises:
        HostError: ``host.command``.
        StorageError: ``storage.write``.
    """
    if not machine.home_of(system, NAME):
        system.run(
            "useradd", "--system", "--uid", UID, "--user-group", "--home-dir", HOME, "--no-create-home",
            "--shell", "/bin/sh", "--password", "*", "--comment", "BPCI set-up", NAME,
        )  # fmt: skip
    # Owned by root and readable: sshd reads the file as the account, which shall not be able to change it.
    system.write(KEYS, "".join(f"{key}\n" for key in keys))
    system.run("systemctl", "start", "ssh.service", hint="journalctl -u ssh says why.")


def close_ssh(system: System) -> None:
    """Take the account away, if there is one.

    Raises:
        StorageError: ``storage.write``.
    """
    system.remove(KEYS)
    if machine.home_of(system, NAME):
        # Forced, because this very wizard may run in a session of that account.
        system.attempt("userdel", "--force", NAME)
