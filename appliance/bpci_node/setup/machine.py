"""The owner's settings on the root file system: name, keyboard, clock, network, account, node service, SSH.

Every function may be repeated. Set-up calls them one by one; ``bpci machine apply`` calls them all when a new root does
not carry the settings yet, which it knows by :data:`APPLIED`, a list that ``sha256sum --check`` reads, so that an
ordinary boot needs no Python to see that nothing is to be done.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from bpci_node.errors import HostError, UsageError
from bpci_node.setup import keystore, settings
from bpci_node.setup.answers import MachineAnswers, OwnerAnswers
from bpci_node.setup.networking import set_network
from bpci_node.setup.password import login_hash
from bpci_node.setup.places import is_layout, is_zone
from bpci_node.setup.system import System

APPLIED = "/etc/bpci-machine.sha256"
"""On the root: digests of the settings that it carries."""
NODE_CONFIG = "/etc/bpci/node.toml"
NODE_DROP_IN = "/etc/systemd/system/bpci-node.service.d/credentials.conf"
OWNER_UID = 1000
OWNER_GROUPS = "sudo,bpci-owner"


def apply_all(system: System) -> bool:
    """Put everything that the owner has set on this root, and remember it; tell whether there was anything to put.

    Runs early at boot: what it starts is queued, not waited for.

    Raises:
        BpciError: the settings can't be read, or the system would not take one.
    """
    kept = settings.load(system)
    if kept is None:
        return False
    name_machine(system, kept.machine)
    set_keyboard_and_clock(system, kept.machine)
    set_network(system, kept.network)
    make_owner(system, kept.owner)
    if kept.owner.ssh_keys:
        enable(system, "ssh.service", wait=False)
    if system.exists(NODE_CONFIG) and keystore.is_there(system, keystore.NODE_KEY):
        hand_over_keys(system)
        enable(system, "bpci-node.service", wait=False)
    remember_applied(system)
    return True


def remember_applied(system: System) -> None:
    """Note on the root which settings it carries.

    Raises:
        StorageError: ``storage.write``.
    """
    lines = ""
    for name in (settings.PATH, keystore.sealed_path(keystore.NODE_KEY), keystore.plain_path(keystore.NODE_KEY)):
        data = system.read(name)
        if data is not None:
            lines += f"{hashlib.sha256(data).hexdigest()}  {name}\n"
    system.write(APPLIED, lines, 0o600)


def name_machine(system: System, machine: MachineAnswers) -> None:
    """Set the host name, now and for later boots.

    Raises:
        HostError: ``host.command``.
        StorageError: ``storage.write``.
    """
    if system.read_text("/etc/hostname") != machine.hostname:
        system.write("/etc/hostname", machine.hostname + "\n")
    hosts = system.read_text("/etc/hosts")
    if not _is_named(hosts, machine.hostname):
        system.write("/etc/hosts", _hosts(hosts, machine.hostname))
    system.run("hostname", machine.hostname)


def _is_named(text: str, hostname: str) -> bool:
    """Tell whether ``/etc/hosts`` has this name already, as on a machine whose owner gave it a domain there."""
    return any(hostname in line.partition("#")[0].split()[1:] for line in text.splitlines())


def _hosts(text: str, hostname: str) -> str:
    """Return ``/etc/hosts`` with this machine's own name in it: without it ``sudo`` waits for a resolver."""
    lines = [line for line in text.splitlines() if line.split()[:1] != ["127.0.1.1"]]
    if not any(line.split()[:1] == ["127.0.0.1"] for line in lines):
        lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", *lines]
    return "\n".join([*lines, f"127.0.1.1\t{hostname}"]) + "\n"


def keyboard_file(keymap: str) -> str:
    """Return ``/etc/default/keyboard`` for a layout such as ``de`` or ``ch:fr``."""
    layout, _, variant = keymap.partition(":")
    return f'XKBMODEL="pc105"\nXKBLAYOUT="{layout}"\nXKBVARIANT="{variant}"\nXKBOPTIONS=""\nBACKSPACE="guess"\n'


def _layout_in(text: str) -> str:
    """Return the first layout that ``/etc/default/keyboard`` names, with its variant, in the form of the answers."""
    found = {
        name: match[1]
        for name in ("LAYOUT", "VARIANT")
        if (match := re.search(rf'^XKB{name}="?([a-z0-9_-]+)', text, re.MULTILINE))
    }
    return ":".join(found[name] for name in ("LAYOUT", "VARIANT") if name in found)


def try_keyboard(system: System, keymap: str) -> bool:
    """Load a layout on the console for now, without writing anything; tell whether that worked."""
    layout, _, variant = keymap.partition(":")
    table = system.runner(("ckbcomp", "-layout", layout, "-variant", variant), b"")
    return table.status == 0 and system.attempt("loadkeys", "-", stdin=table.output)


def set_keyboard_and_clock(system: System, machine: MachineAnswers) -> None:
    """Set the keyboard's layout and the time zone.

    Raises:
        HostError: no such time zone (``host.timezone``).
        StorageError: ``storage.write``.
    """
    zone = f"/usr/share/zoneinfo/{machine.timezone}"
    if not is_zone(system, machine.timezone):
        raise HostError(
            f"there is no time zone {machine.timezone} on this machine",
            code="host.timezone",
            hint="Use a name such as Europe/Berlin, or UTC.",
        )
    system.link("/etc/localtime", zone)
    system.write("/etc/timezone", machine.timezone + "\n")
    # A file that says the same in its own words, as one with options or with further layouts, stays as it is.
    if _layout_in(system.read_text("/etc/default/keyboard")) != machine.keymap:
        system.write("/etc/default/keyboard", keyboard_file(machine.keymap))
        # Fails where there is no screen, and then the layout has no one to serve.
        system.attempt("setupcon", "--force", "--keyboard-only", "--save")


def home_of(system: System, name: str) -> str:
    """Return the home directory of the account ``name``, empty if there is no such account."""
    for line in system.read_text("/etc/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) == 7:
            return fields[5]
    return ""


def change_places(system: System, *, keymap: str = "", timezone: str = "") -> None:
    """Change the keyboard's layout or the time zone, on this root and in the settings.

    Args:
        keymap: the new layout; empty leaves it.
        timezone: the new zone; empty leaves it.
    Raises:
        UsageError: there are no settings yet (``usage.settings``), or it is no layout (``usage.keymap``).
        HostError: no such time zone (``host.timezone``).
        StorageError: ``storage.write``.
    """
    kept = settings.load(system)
    if kept is None:
        raise UsageError("this machine is not set up yet", code="usage.settings", hint="Run 'sudo bpci setup' first.")
    if keymap and not is_layout(keymap):
        raise UsageError(
            f"{keymap} is not the name of a keyboard layout", code="usage.keymap", hint="Such as us, de or ch:fr."
        )
    machine = replace(kept.machine, keymap=keymap or kept.machine.keymap, timezone=timezone or kept.machine.timezone)
    set_keyboard_and_clock(system, machine)
    system.write(settings.PATH, settings.dump(replace(kept, machine=machine)), settings.MODE)
    remember_applied(system)


def make_owner(system: System, owner: OwnerAnswers, *, replace_keys: bool = False) -> None:
    """Make the owner's account, or bring an existing one of that name in line.

    Args:
        replace_keys: put the SSH keys in place even if there is a file of them already, which its owner may have
            edited since.
    Raises:
        HostError: ``host.command``.
        StorageError: ``storage.write``.
    """
    home = home_of(system, owner.name)
    if home:
        system.run("usermod", "--append", "--groups", OWNER_GROUPS, owner.name)
    else:
        home = f"/home/{owner.name}"
        taken = any(line.split(":")[2:3] == [str(OWNER_UID)] for line in system.read_text("/etc/passwd").splitlines())
        uid = [] if taken else ["--uid", str(OWNER_UID)]
        system.run(
            "useradd", "--create-home", "--home-dir", home, "--shell", "/bin/bash", "--user-group", *uid,
            "--groups", OWNER_GROUPS, "--comment", "Owner", "--key", "PASS_MAX_DAYS=-1", owner.name,
        )  # fmt: skip
    system.run("chpasswd", "--encrypted", stdin=f"{owner.name}:{owner.password_hash}\n".encode())
    keys = f"{home}/.ssh/authorized_keys"
    if owner.ssh_keys and (replace_keys or not system.exists(keys)):
        name, folder = owner.name, f"{home}/.ssh"
        system.run("install", "--directory", "--mode=0700", f"--owner={name}", f"--group={name}", folder)
        system.write(keys, "".join(f"{key}\n" for key in owner.ssh_keys), 0o600)
        system.run("chown", "--no-dereference", f"{name}:{name}", keys)


def remove_owner(system: System, name: str) -> None:
    """Take away an account that set-up has made, with its home.

    Raises:
        HostError: ``host.command``.
    """
    if home_of(system, name):
        system.run("userdel", "--force", "--remove", name)


def hand_over_keys(system: System) -> None:
    """Write the drop-in that gives the node its keys.

    Raises:
        StorageError: ``storage.write``.
    """
    text = keystore.drop_in(system)
    if not system.holds(NODE_DROP_IN, text):
        system.write(NODE_DROP_IN, text)
        system.run("systemctl", "daemon-reload")


def enable(system: System, unit: str, *, wait: bool = True) -> None:
    """Enable ``unit`` and start it.

    Args:
        wait: until it has started; at boot nobody may wait for what is queued behind oneself.
    Raises:
        HostError: ``host.command``.
    """
    system.run("systemctl", "enable", unit)
    how = () if wait else ("--no-block",)
    system.run("systemctl", *how, "start", unit, hint=f"journalctl -u {unit} says why.")


def remember_password(system: System) -> str:
    """Keep the owner's present password hash in the settings, and return the account's name.

    Raises:
        UsageError: there are no settings (``usage.settings``).
        HostError: the account has no password that could be kept (``host.password``).
        StorageError: the files can't be read or written.
    """
    kept = settings.load(system)
    if kept is None:
        raise UsageError("this machine is not set up yet", code="usage.settings", hint="Run 'sudo bpci setup' first.")
    hashed = login_hash(system.read_text("/etc/shadow"), kept.owner.name)
    if hashed is None:
        raise HostError(
            f"{kept.owner.name} has no password on this machine that could be kept",
            code="host.password",
            hint=f"Set one with 'sudo passwd {kept.owner.name}'.",
        )
    owner = replace(kept.owner, password_hash=hashed)
    system.write(settings.PATH, settings.dump(replace(kept, owner=owner)), settings.MODE)
    remember_applied(system)
    return kept.owner.name
