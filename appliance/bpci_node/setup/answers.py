"""Every answer that set-up needs. They come from the wizard or from an answers file (:mod:`.answers_file`).

Invariant: no ``repr`` shows a secret, and :func:`document` never holds the recovery phrase (it does hold hashes and the
Wi-Fi passphrase, so only root may read where it is kept). Light to import: the
wizard's first screen waits for this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PROFILES = ("community", "enterprise", "dev")

HOSTNAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
KEYMAP = r"[a-z]{2,8}(:[a-z0-9_-]{1,32})?"
TIMEZONE = r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}"
ACCOUNT = r"[a-z_][a-z0-9_-]{0,30}"
INTERFACE = r"[A-Za-z0-9_.-]{1,15}"
SSH_KEY = (
    r"(ssh-ed25519|sk-ssh-ed25519@openssh\.com|ecdsa-sha2-nistp(256|384|521)|sk-ecdsa-sha2-nistp256@openssh\.com|ssh-rsa)"
    r" [A-Za-z0-9+/]{40,}={0,2}( [^\x00-\x1f\x7f]{0,200})?"
)
CAPABILITY = r"[a-z0-9][a-z0-9.-]{0,31}"
MAX_CAPABILITIES = 16


def is_reserved(account: str) -> bool:
    """Tell whether an account of this name is the system's own, and nobody's to have."""
    return account in ("root", "bpci", "dockremap") or account.startswith("bpci-")


@dataclass(frozen=True, slots=True)
class MachineAnswers:
    """What the machine is called, and how its keyboard and clock are set."""

    hostname: str = "bpci-node"
    """One DNS label, lower case."""
    keymap: str = "us"
    """XKB layout, optionally with a variant: ``de`` or ``de:nodeadkeys``."""
    timezone: str = "UTC"
    """Name in the tz database."""


@dataclass(frozen=True, slots=True)
class NetworkAnswers:
    """How the machine gets its address."""

    mode: str = "dhcp"
    """``dhcp`` leaves addresses to the router; ``static`` sets the fields below."""
    interface: str = ""
    """Name of the interface (static, Wi-Fi)."""
    address: str = ""
    """Address with prefix length, ``192.0.2.5/24`` or IPv6 (static)."""
    gateway: str = ""
    """Default gateway (static); empty for none."""
    dns: tuple[str, ...] = ()
    """Name servers (static), at most 3."""
    address6: str = ""
    """An IPv6 address with prefix length beside an IPv4 one (static); empty for none."""
    gateway6: str = ""
    """Default gateway for IPv6 (static); empty for none."""
    wifi_ssid: str = ""
    """Name of the Wi-Fi network to join; empty for a cable."""
    wifi_country: str = ""
    """ISO 3166 code of the country whose radio rules hold here (Wi-Fi)."""
    wifi_passphrase: str = field(default="", repr=False)
    """8 to 63 characters, or 64 hexadecimal digits (Wi-Fi); empty for an open network."""

    def as_map(self) -> dict[str, Any]:
        """Return the fields that say something, the passphrase among them: for files that only root reads."""
        found: dict[str, Any] = {"mode": self.mode}
        for name in ("interface", "address", "gateway", "address6", "gateway6"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        if self.dns:
            found["dns"] = list(self.dns)
        for name in ("wifi_ssid", "wifi_country", "wifi_passphrase"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        return found


@dataclass(frozen=True, slots=True)
class OwnerAnswers:
    """Who owns the machine."""

    name: str
    """Login name."""
    password_hash: str = field(repr=False)
    """crypt(5) hash of the console password: yescrypt or SHA-512."""
    web_password_hash: str = field(repr=False)
    """crypt(5) hash of the web password; the same as the console's unless another was given."""
    ssh_keys: tuple[str, ...] = ()
    """Public keys in the form of authorized_keys, without options."""


@dataclass(frozen=True, slots=True)
class IdentityAnswers:
    """Where the node's keys come from."""

    mode: str
    """``create`` makes a new recovery phrase, ``restore`` uses ``phrase``."""
    phrase: str = field(default="", repr=False)
    """24 words (restore); empty in what is kept."""


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """What is registered about the node."""

    name: str
    """For people, 1 to 64 printable characters."""
    type: str = "bpi-community"
    """One of ``NODE_TYPES``."""
    capabilities: tuple[str, ...] = ()
    """Words of a-z, 0-9, . and -; at most 16."""
    endpoints: tuple[str, ...] = ()
    """Base URLs at which others reach the node; empty: the machine's address and the API port."""
    hardware_profile: str = "community"
    """One of ``PROFILES``."""


@dataclass(frozen=True, slots=True)
class JoinAnswers:
    """Which ledger the node belongs to."""

    mode: str
    """``devnet``: its own embedded ledger; ``network``: one that others keep."""
    name: str = "devnet"
    """Name of the ledger (devnet)."""
    network_file: str = ""
    """Path of a network file, relative to the answers file (network)."""
    network_url: str = ""
    """Base URL of a node of the network, instead of a file (network)."""


@dataclass(frozen=True, slots=True)
class RestoreAnswers:
    """Which backup a restored identity goes on from."""

    repository: str = ""
    """Where the backups are, as in ``/etc/bpci/backup.toml``; empty: none, the node begins with an empty state."""
    snapshot: str = "latest"
    """``latest``, the beginning of an id, or a time."""
    take_over_ledger: bool = False
    """Whether a ledger of one's own goes on, because nobody has later blocks."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that a person decides in set-up."""

    machine: MachineAnswers
    network: NetworkAnswers
    install_to: str
    """Internal disk to install to: its serial number, or ``model:size in GB``; empty runs from where it booted."""
    owner: OwnerAnswers
    identity: IdentityAnswers
    node: NodeAnswers
    join: JoinAnswers
    restore: RestoreAnswers = RestoreAnswers()
    encrypt: bool = False
    """Whether data is encrypted, and opened by the machine's TPM."""


def document(answers: Answers) -> dict[str, Any]:
    """Return the document of ``answers`` without the recovery phrase: what may be written down."""
    join: dict[str, Any] = {"mode": answers.join.mode}
    if answers.join.mode == "devnet":
        join["name"] = answers.join.name
    else:
        key = "network_file" if answers.join.network_file else "network_url"
        join[key] = answers.join.network_file or answers.join.network_url
    owner, node, machine = answers.owner, answers.node, answers.machine
    value: dict[str, Any] = {
        "v": 1,
        "machine": {"hostname": machine.hostname, "keymap": machine.keymap, "timezone": machine.timezone},
        "network": answers.network.as_map(),
        "disk": {"install_to": answers.install_to, "encrypt": answers.encrypt},
        "owner": {
            "name": owner.name,
            "password_hash": owner.password_hash,
            "web_password_hash": owner.web_password_hash,
            "ssh_keys": list(owner.ssh_keys),
        },
        "identity": {"mode": answers.identity.mode},
        "node": {
            "name": node.name,
            "type": node.type,
            "capabilities": list(node.capabilities),
            "endpoints": list(node.endpoints),
            "hardware_profile": node.hardware_profile,
        },
        "join": join,
    }
    if answers.restore.repository:
        value["restore"] = {
            "repository": answers.restore.repository,
            "snapshot": answers.restore.snapshot,
            "take_over_ledger": answers.restore.take_over_ledger,
        }
    return value
