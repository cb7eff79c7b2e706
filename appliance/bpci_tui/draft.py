"""What has been typed so far. Lives in memory only, survives going back, and becomes the answers at the review."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bpci_node.setup.answers import (
    Answers,
    IdentityAnswers,
    JoinAnswers,
    MachineAnswers,
    NetworkAnswers,
    NodeAnswers,
    OwnerAnswers,
    RestoreAnswers,
)

if TYPE_CHECKING:
    from bpci_node.host.check import Check
    from bpci_node.host.result import HardwareReport
    from bpci_node.network.file import NetworkFile
    from bpci_node.setup.disks import Candidate
    from bpci_node.setup.plan import Plan


@dataclass(slots=True)
class Draft:
    """Every field of the wizard, as typed."""

    keymap: str = "us"
    hostname: str = "bpci-node"
    timezone: str = "UTC"
    network_mode: str = "dhcp"
    interface: str = ""
    address: str = ""
    gateway: str = ""
    dns: str = ""
    wifi_ssid: str = ""
    wifi_country: str = ""
    wifi_passphrase: str = field(default="", repr=False)
    disk: Candidate | None = None
    """The internal disk to install to."""
    disk_typed: str = ""
    """What was typed to confirm it."""
    encrypt: bool = False
    """Whether the data of the disk to install to is encrypted."""
    is_encrypted: bool = False
    """Whether the data of the disk that runs is."""
    disk_key: str = field(default="", repr=False)
    """The recovery key of the disk, until it is bound."""
    groups: tuple[int, ...] = ()
    """Which groups of it are asked for."""
    typed_groups: list[str] = field(default_factory=list, repr=False)
    """What was typed for them."""
    owner: str = "owner"
    password: str = field(default="", repr=False)
    repeated: str = field(default="", repr=False)
    web_password: str = field(default="", repr=False)
    password_hash: str = field(default="", repr=False)
    """Of ``password``; made when it changes, so that going back and forth makes one plan and not two."""
    web_password_hash: str = field(default="", repr=False)
    """Of ``web_password``; empty for the same as the console's."""
    hashed: tuple[str, str] = field(default=("", ""), repr=False)
    """The passwords that the hashes are of."""
    ssh_keys: list[str] = field(default_factory=list)
    identity: str = "create"
    phrase: str = field(default="", repr=False)
    """The new phrase, or the one to restore once it is whole."""
    restored: str = field(default="", repr=False)
    """What was typed of the phrase to restore."""
    repository: str = ""
    """Where the backup is that a restored identity goes on from; empty for none."""
    take_over_ledger: bool = False
    """Whether a ledger of its own goes on from that backup."""
    positions: tuple[int, ...] = ()
    """Which words of a new phrase are asked for."""
    confirmed: list[str] = field(default_factory=list, repr=False)
    """What was typed for them."""
    kept_did: str = ""
    """Name of the identity whose keys an earlier run has put to rest."""
    node_name: str = ""
    node_type: str = "bpi-community"
    profile: str = "community"
    checks: list[Check] = field(default_factory=list)
    """The hardware checks, with what they have measured."""
    report: HardwareReport | None = None
    """What they found, against the profile ``community``."""
    join: str = "devnet"
    ledger_name: str = "devnet"
    registry_url: str = ""
    network: NetworkFile | None = None
    """The network that was found and agreed to."""

    def hash_passwords(self) -> None:
        """Make the hashes of the passwords that were typed.

        Raises:
            UsageError: one of them can't be used (``usage.password``).
        """
        from bpci_node.setup.password import hash_password  # noqa: PLC0415 - the first screen need not wait for it

        if self.hashed != (self.password, self.web_password):
            # An empty one leaves the console's as an earlier run, or an earlier pass through the questions, made it.
            self.password_hash = hash_password(self.password) if self.password else self.password_hash
            self.web_password_hash = hash_password(self.web_password) if self.web_password else ""
            self.hashed = (self.password, self.web_password)

    def network_answers(self) -> NetworkAnswers:
        """Return how the machine shall get its address."""
        if self.network_mode == "wifi":
            return NetworkAnswers(
                interface=self.interface,
                wifi_ssid=self.wifi_ssid,
                wifi_country=self.wifi_country,
                wifi_passphrase=self.wifi_passphrase,
            )
        if self.network_mode == "dhcp":
            return NetworkAnswers()
        servers = tuple(self.dns.replace(",", " ").split())
        return NetworkAnswers("static", self.interface, self.address.strip(), self.gateway.strip(), servers)

    def answers(self) -> Answers:
        """Return the answers."""
        network_url = self.registry_url if self.join == "url" else ""
        join = (
            JoinAnswers("devnet", self.ledger_name)
            if self.join == "devnet"
            else JoinAnswers("network", network_file="" if network_url else "network.json", network_url=network_url)
        )
        return Answers(
            MachineAnswers(self.hostname, self.keymap, self.timezone),
            self.network_answers(),
            (self.disk.serial or f"{self.disk.model}:{self.disk.size_bytes // 10**9}") if self.disk else "",
            OwnerAnswers(
                self.owner, self.password_hash, self.web_password_hash or self.password_hash, tuple(self.ssh_keys)
            ),
            IdentityAnswers(self.identity, self.phrase if self.identity == "restore" else ""),
            NodeAnswers(self.node_name or self.hostname, self.node_type, hardware_profile=self.profile),
            join,
            RestoreAnswers(self.repository, take_over_ledger=self.take_over_ledger)
            if self.identity == "restore" and self.repository
            else RestoreAnswers(),
            encrypt=self.is_encrypted if self.disk is None else self.encrypt,
        )

    def take_over(self, plan: Plan, did: str) -> None:
        """Fill in what an interrupted run has kept.

        Args:
            did: name of the identity whose keys are at rest; empty if they are not.
        """
        answers = plan.answers
        self.hostname, self.keymap, self.timezone = (
            answers.machine.hostname,
            answers.machine.keymap,
            answers.machine.timezone,
        )
        self.network_mode, self.interface = answers.network.mode, answers.network.interface
        if answers.network.wifi_ssid:
            self.network_mode, self.wifi_ssid = "wifi", answers.network.wifi_ssid
            self.wifi_country = answers.network.wifi_country
            self.wifi_passphrase = answers.network.wifi_passphrase
        self.address, self.gateway = answers.network.address, answers.network.gateway
        self.dns = " ".join(answers.network.dns)
        self.owner, self.ssh_keys = answers.owner.name, list(answers.owner.ssh_keys)
        self.password_hash = answers.owner.password_hash
        different = answers.owner.web_password_hash != self.password_hash
        self.web_password_hash = answers.owner.web_password_hash if different else ""
        self.identity, self.kept_did = answers.identity.mode, did
        self.repository, self.take_over_ledger = answers.restore.repository, answers.restore.take_over_ledger
        self.node_name, self.node_type = answers.node.name, answers.node.type
        self.profile = answers.node.hardware_profile
        self.join = "devnet" if answers.join.mode == "devnet" else "url" if answers.join.network_url else "file"
        self.ledger_name, self.registry_url = answers.join.name, answers.join.network_url
        self.network, self.encrypt = plan.network, answers.encrypt
